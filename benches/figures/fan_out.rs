//! How soon has the last of 1,000 (`--full`: and of 10,000) streams been told of a message, and does the one who posts it
//! wait for that? Beside a bare hyper that tells as many. A regression is a median that grows by half.

use std::io;
use std::time::Instant;

use skep::cli::bench::{Client, Row, Streams, median, millis};

use crate::support::Figures;
use crate::support::peer::{MARK, Peer};

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sizes: &[(usize, f64)] = figures.scaled(
        &[(100, 15.0)],
        &[(1_000, 15.0)],
        &[(1_000, 15.0), (10_000, 100.0)],
    );
    for (count, most_ms) in sizes {
        let count = figures.streams(*count);
        let mut measured = figures.lab.fan_out(count, *most_ms).await?.into_iter();
        let bare = bare(figures, count).await?;
        rows.extend(measured.next().map(|row| row.beside("bare hyper", bare)));
        rows.extend(measured);
    }
    Ok(rows)
}

async fn bare(figures: &Figures, count: usize) -> io::Result<f64> {
    let peer = Peer::start(figures)?;
    let (mut streams, _) =
        Streams::open(&peer.target, peer.target.get("/stream"), count, MARK).await?;
    let mut poster = Client::connect(peer.target.address).await?;
    let post = peer
        .target
        .post("/", &serde_json::json!({ "content": "a message" }));
    let mut times = Vec::new();
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        streams.expect_one_each();
        let begin = Instant::now();
        poster.send(&post).await?;
        let at = streams.all_were_told().await?;
        times.push(millis(at.duration_since(begin)));
    }
    Ok(median(&mut times))
}
