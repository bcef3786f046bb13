//! What does Skep add to one round of a model's tools? The model answers at once: it lists the work directory again and
//! again, then says a word. Beside a fork+exec, which no such round needs. A regression is a median that doubles.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use skep::cli::bench::{Client, Measure, Row, ended, machine, median, millis, text};

use crate::support::Figures;

/// Rounds of one execution; fewer than it may take.
const ROUNDS: usize = 40;

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let left = Arc::new(AtomicUsize::new(0));
    let rounds_left = Arc::clone(&left);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &rounds_left);
        }
    });
    let engine =
        format!("[engines.model]\nkind = \"http\"\nurl = \"http://{address}\"\nmodel = \"m\"\n");
    let server = figures.lab.fresh("tool-round", &engine).await?;
    let worker = server.worker("model").await?;
    let target = &server.target;
    let mut client = Client::connect(target.address).await?;
    let (mut times, mut plain) = (Vec::new(), Vec::new());
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        plain.push(machine::fork_exec(1)?);
        let mut took = [0.0; 2];
        for (count, took) in [0, ROUNDS].into_iter().zip(&mut took) {
            // A chat of its own, so that none is longer than another.
            let chat = server.chat().await?;
            left.store(count, Ordering::SeqCst);
            let body = json!({ "content": "list", "worker_id": worker });
            let begin = Instant::now();
            let post = target.post(&format!("{chat}/messages"), &body);
            let posted = client.json(&post).await?;
            let path = format!("/api/executions/{}", text(&posted, "execution_id")?);
            ended(&mut client, &target.get(&path)).await?;
            *took = millis(begin.elapsed());
        }
        times.push((took[1] - took[0]) / ROUNDS as f64);
    }
    let row = Row::new("one round of a model's tools", "ms", Measure::of(times));
    Ok(vec![row.beside("fork+exec", median(&mut plain))])
}

/// Answers one request: with a call as long as there are rounds left.
fn answer(stream: TcpStream, left: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut is_post, mut line) = (0, false, String::new());
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        is_post |= lower.starts_with("post");
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let body = match is_post {
        false => json!({ "data": [{ "id": "m" }] }).to_string(),
        true => {
            let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            let (delta, reason) = match taken {
                Ok(n) => {
                    let function = json!({ "name": "list_files", "arguments": "{}" });
                    let call = json!({ "index": 0, "id": format!("call-{n}"), "type": "function", "function": function });
                    (json!({ "tool_calls": [call] }), "tool_calls")
                }
                Err(_) => (json!({ "content": "done" }), "stop"),
            };
            let choice = |delta, reason| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
            let pieces = [choice(delta, json!(null)), choice(json!({}), json!(reason))];
            format!(
                "data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
                pieces[0], pieces[1]
            )
        }
    };
    let kind = if is_post {
        "text/event-stream"
    } else {
        "application/json"
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
