//! What becomes of pages, posts, starts, memory and disk as a hive grows: 1 k, 100 k and (`--full`) 1 M messages? The hives
//! are filled through the journal's own writer, three commands for each two messages, as a server does it, but without
//! HTTP, engines and logs. Flat is good; a regression is a figure of a large hive that moves away from that of a small one.

use std::io;
use std::path::Path;
use std::time::Instant;

use skep::cli::bench::{Asked, Measure, Row, Server, hammer, millis, remove, short};

use crate::support::{Figures, Scale};

/// From here on a kill leaves a gigabyte behind, and a start may take twice as long.
const LARGE: usize = 1_000_000;
/// Posts between a start and the kill.
const POSTS: usize = 2_000;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let all = [1_000, 100_000, LARGE];
    for messages in &all[..figures.scaled(1, 2, 3)] {
        rows.extend(of(figures, *messages).await?);
    }
    Ok(rows)
}

async fn of(figures: &Figures, messages: usize) -> io::Result<Vec<Row>> {
    let lab = &figures.lab;
    let what = |figure: &str| format!("{figure}, {} messages", short(messages));
    let name = format!("growth-{messages}");
    let data = lab.dir.join(&name);
    let begin = Instant::now();
    let chats = lab.filled(&name, messages).await?;
    let filled = messages as f64 / 1e3 / begin.elapsed().as_secs_f64();
    let mut rows = vec![Row::new(
        what("filled by the journal's writer"),
        "k/s",
        filled,
    )];
    // The first start hashes a password.
    lab.again(&name, "").await?.process.stop();
    let disk = bytes_on_disk(&data)? as f64 / 1e6;
    rows.push(Row::new(what("on disk"), "MB", disk));
    let most = if messages >= LARGE { 30.0 } else { 15.0 };
    rows.push(lab.start(&name, messages, Asked::AtMost(most))?);
    rows.push(lab.page(&name, &chats, messages).await?);

    let (mut alone, mut starts) = (Vec::new(), Vec::new());
    let mut resident = 0.0;
    for _ in 0..figures.scaled(1, 3, 3) {
        let server = lab.again(&name, "").await?;
        let (_, post) = server.post_to_held().await?;
        let requests = vec![post.clone()];
        alone.push(
            hammer(&server.target, requests, 1, lab.effort.samples.min(400))
                .await?
                .p50,
        );
        hammer(
            &server.target,
            vec![post],
            64,
            POSTS.min(lab.effort.samples * 10),
        )
        .await?;
        resident = server.process.resident_mb().unwrap_or_default();
        // As a power cut would, but for the disk's own cache.
        drop(server);
        let begin = Instant::now();
        let (_, server) = Server::start(&lab.binary, &data, "")?;
        starts.push(millis(begin.elapsed()));
        server.process.stop();
    }
    rows.push(Row::new(
        what("durable post, 1 client"),
        "ms",
        Measure::of(alone),
    ));
    rows.push(Row::new(what("resident, after posts"), "MB", resident).asked(Asked::AtMost(40.0)));
    rows.push(
        Row::new(what("kill -9 → first answer"), "ms", Measure::of(starts))
            .asked(Asked::AtMost(1_000.0)),
    );
    if figures.options.scale != Scale::Smoke {
        remove(&data);
    }
    Ok(rows)
}

/// What the files of a directory take, holes not counted.
fn bytes_on_disk(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => bytes_on_disk(&entry.path())?,
            false => metadata.blocks() * 512,
        };
    }
    Ok(bytes)
}
