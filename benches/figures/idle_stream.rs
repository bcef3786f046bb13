//! What does an open stream cost that nothing happens on, and are 10,000 held? Beside a bare hyper's. A regression is a
//! figure that grows by a quarter.

use std::io;

use skep::cli::bench::{Asked, Process, Row, Streams, Target};

use crate::support::Figures;
use crate::support::peer::{MARK, Peer};

/// Streams that come and go before.
const WARMING: usize = 5;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let count = figures.streams(figures.scaled(100, 1_000, 10_000));
    let server = figures.lab.fresh("idle-stream", "").await?;
    let chat = server.chat().await?;
    let path = format!("{chat}/stream");
    let (skep, held) = kilobytes(&server.process, &server.target, &path, count).await?;
    let peer = Peer::start(figures)?;
    let (bare, _) = kilobytes(&peer.process, &peer.target, "/stream", count).await?;
    Ok(vec![
        Row::new(format!("idle stream, each of {count}"), "KB", skep)
            .beside("bare hyper", bare)
            .asked(Asked::AtMost(16.0)),
        Row::new("streams still open", "", held as f64).asked(Asked::AtLeast(count as f64)),
    ])
}

async fn kilobytes(
    process: &Process,
    target: &Target,
    path: &str,
    count: usize,
) -> io::Result<(f64, usize)> {
    // What the first one brings into memory, code above all, is not a stream's.
    drop(Streams::open(target, target.get(path), WARMING, MARK).await?);
    process.becomes_idle().await;
    let before = process.resident_mb().unwrap_or_default();
    let (mut streams, _) = Streams::open(target, target.get(path), count, MARK).await?;
    process.becomes_idle().await;
    let after = process.resident_mb().unwrap_or_default();
    Ok(((after - before) * 1e3 / count as f64, streams.open_count()))
}
