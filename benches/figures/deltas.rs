//! How soon does a reader see what an engine prints? The engine prints what time it is, one line after the other, slowly
//! enough that none waits for another. Beside one byte there and back over loopback. A regression is a median that
//! doubles.

use std::io;

use serde_json::json;
use skep::cli::bench::{Asked, Measure, Row, machine, text, unix_ms};
use tokio::io::AsyncReadExt;

use crate::support::{Figures, ticker};

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let program = std::env::current_exe()?;
    let engine = format!(
        "[engines.ticker]\nkind = \"command\"\nargv = [{program:?}, {:?}]\n",
        ticker::WORD
    );
    let server = figures.lab.fresh("deltas", &engine).await?;
    let worker = server.worker("ticker").await?;
    let chat = server.chat().await?;
    let target = &server.target;
    let mut stream = skep::cli::bench::Client::connect(target.address).await?;
    stream.open(&target.get(&format!("{chat}/stream"))).await?;
    let (mut stream, _) = stream.into_parts();
    let body = json!({ "content": "what time is it?", "worker_id": worker });
    let posted = target
        .ask(&target.post(&format!("{chat}/messages"), &body))
        .await?;
    text(&posted, "execution_id")?;
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(64 << 10);
    // The last lines may come with the end of the execution.
    while times.len() < ticker::LINES - 5 {
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = unix_ms();
        let seen = String::from_utf8_lossy(&buffer);
        for event in seen
            .split("\n\n")
            .filter(|event| event.contains("event: delta"))
        {
            let data = event.split("data: ").nth(1).unwrap_or_default();
            let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            let told = data["text"].as_str().unwrap_or_default().trim();
            times.extend(
                told.lines()
                    .next_back()
                    .and_then(|ms| ms.parse::<f64>().ok())
                    .map(|ms| now - ms),
            );
        }
        let is_end = |event: &str| event.contains("event: status") && event.contains("completed");
        if seen.split("\n\n").any(is_end) {
            break;
        }
    }
    if times.is_empty() {
        return Err(io::Error::other(
            "no line was seen before the execution ended",
        ));
    }
    let loopback = machine::loopback(figures.lab.effort.samples)?;
    Ok(vec![
        Row::new("an engine's line → its reader", "ms", Measure::of(times))
            .beside("loopback", loopback)
            .asked(Asked::AtMost(1.0)),
    ])
}
