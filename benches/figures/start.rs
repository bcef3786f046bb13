//! How soon does a server answer after its process was started: the first time, when it hashes a password, and later?
//! With many messages, and after a kill: `growth.rs`. A regression is a median that grows by half.

use std::io;

use skep::cli::bench::{Asked, Measure, Row, Server, median};

use crate::support::{Figures, peer::Peer};

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let lab = &figures.lab;
    let mut first = Vec::new();
    for round in 0..lab.effort.rounds_min {
        let data = lab.dir.join(format!("start-{round}"));
        let (took, server) = Server::start(&lab.binary, &data, "")?;
        server.process.stop();
        first.push(took);
    }
    let mut bare = Vec::new();
    for _ in 0..lab.effort.rounds_min {
        bare.push(Peer::start(figures)?.took);
    }
    let later = lab.start("start-0", 0, Asked::AtMost(15.0))?;
    Ok(vec![
        Row::new("first start → first answer", "ms", Measure::of(first)),
        later.beside("bare hyper", median(&mut bare)),
    ])
}
