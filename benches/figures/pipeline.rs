//! What do rate limits, trusted proxies and CORS cost, when they refuse nothing? 64 clients read pages of the newest 50
//! messages of two servers in turns: one with everything on, whose requests come through a proxy from a listed origin,
//! and one without. A regression is a share that falls below what is asked.

use std::io;

use skep::cli::bench::{Asked, Measure, Row, Server, Target, hammer, median};

use crate::support::Figures;

const CLIENTS: usize = 64;
/// No family refuses anything, and every request is counted.
const ON: &str = "trusted_proxies = [\"127.0.0.1\"]
cors_allowed_origins = [\"https://console.example\"]

[rate_limit]
chat = \"1000000/1000000\"
agents = \"1000000/1000000\"
knowledge = \"1000000/1000000\"
auth = \"1000000/1000000\"
webhook = \"1000000/1000000\"
default = \"1000000/1000000\"";
const OFF: &str = "[rate_limit]\nenabled = false";

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let lab = &figures.lab;
    let messages = figures.scaled(1_000, 10_000, 10_000);
    let (on, _on) = serve(figures, "pipeline-on", ON, messages).await?;
    let (off, _off) = serve(figures, "pipeline-off", OFF, messages).await?;
    let as_from_afar = |request: &[u8]| {
        let head = request.strip_suffix(b"\r\n").unwrap_or(request);
        let said = b"Origin: https://console.example\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
        [head, said].concat()
    };
    let on: (Target, Vec<Vec<u8>>) = (on.0, on.1.iter().map(|get| as_from_afar(get)).collect());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let count = lab.effort.samples * 10;
    let mut rounds = lab.rounds();
    let mut is_first = true;
    while rounds.another() {
        // Neither is always the one that comes second.
        for of in [is_first, !is_first] {
            let (target, pages) = if of { &on } else { &off };
            let load = hammer(target, pages.clone(), CLIENTS, count).await?;
            let rates = if of { &mut with } else { &mut without };
            rates.push(load.rate / 1e3);
        }
        is_first = !is_first;
    }
    let shares = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with / without);
    let shares = Measure::of(shares.collect());
    let rate = Row::new(
        "page of 50, limits and CORS on, 64 clients",
        "k/s",
        Measure::of(with),
    );
    Ok(vec![
        rate.beside("the same with all of it off", median(&mut without)),
        Row::new("share of the pages that is left with it on", "", shares)
            .asked(Asked::AtLeast(0.85)),
    ])
}

/// A server with these settings on its own hive, and requests for the pages of its chats.
async fn serve(
    figures: &Figures,
    name: &str,
    settings: &str,
    messages: usize,
) -> io::Result<((Target, Vec<Vec<u8>>), Server)> {
    let lab = &figures.lab;
    let chats = lab.filled(name, messages).await?;
    let (_, mut server) = Server::start_with(&lab.binary, &lab.dir.join(name), settings, "")?;
    server.sign_in().await?;
    let page = |chat| server.target.get(&format!("{chat}/messages?limit=50"));
    let pages = chats.iter().map(page).collect();
    Ok(((server.target.clone(), pages), server))
}
