//! A model server that says what a test wrote down for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::PATIENCE;

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// Says nothing more until the other side hangs up.
    Hang,
    /// Sends this again and again, until the other side hangs up.
    Flood(Vec<u8>),
}

/// An answer, byte for byte; then the connection is closed.
pub type Script = Vec<Step>;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub head: String,
    pub body: Value,
}

impl Asked {
    /// What the last message says, whatever form it has.
    pub fn last(&self) -> String {
        let messages = self.body["messages"].as_array().expect("messages");
        messages.last().expect("one")["content"].to_string()
    }
}

/// A server on loopback. Dropping it closes everything.
pub struct ModelServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    open: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    asked: Mutex<Vec<Asked>>,
    open: watch::Sender<usize>,
}

impl ModelServer {
    /// It gives these answers in their order, and the last one for ever. `GET /v1/models` names one model, `scripted`.
    pub async fn saying(scripts: impl IntoIterator<Item = Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, open) = watch::channel(0);
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts.into_iter().collect()),
            asked: Mutex::default(),
            open: sender,
        });
        let mut tasks = JoinSet::new();
        let for_all = shared.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = for_all.clone();
                connections.spawn(async move {
                    shared.open.send_modify(|open| *open += 1);
                    let _ = serve(stream, &shared).await;
                    shared.open.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            address,
            shared,
            open,
            _tasks: tasks,
        }
    }

    /// An engine of this name that asks it, with `more` keys.
    pub fn engine(&self, name: &str, more: &str) -> String {
        format!(
            "[engines.{name}]\nkind = \"http\"\nurl = \"http://{}\"\n{more}\n",
            self.address
        )
    }

    /// What it was asked for so far, but for lists of models.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// Waits until nobody is connected any more.
    pub async fn left_alone(&mut self) {
        let left = self.open.wait_for(|open| *open == 0);
        let left = tokio::time::timeout(PATIENCE, left).await;
        let _ = left.expect("somebody stays connected").expect("it runs");
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1).unwrap_or("0");
    let length: usize = length
        .split("\r\n")
        .next()
        .unwrap_or("0")
        .parse()
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let script = if head.starts_with("GET") {
        let list = json!({ "object": "list", "data": [{ "id": "scripted", "object": "model" }] });
        http("200 OK", "application/json", "", &list.to_string())
    } else {
        let body = serde_json::from_slice(&bytes[head_end..]).unwrap_or_default();
        shared
            .asked
            .lock()
            .expect("no panic")
            .push(Asked { head, body });
        let mut scripts = shared.scripts.lock().expect("no panic");
        match scripts.len() {
            1 => scripts[0].clone(),
            _ => scripts.pop_front().expect("a script"),
        }
    };
    for step in script {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Hang => {
                let mut rest = [0; 64];
                while stream.read(&mut rest).await? > 0 {}
            }
            Step::Flood(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
        }
    }
    stream.shutdown().await
}

/// An answer as a whole.
pub fn http(status: &str, content_type: &str, headers: &str, body: &str) -> Script {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    vec![Step::Send(answer.into_bytes())]
}

/// The head of a stream of events that ends with the connection.
pub fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n".to_vec()
}

/// Events as a stream; what follows is added by the caller.
pub fn stream(events: &[Value]) -> Script {
    let mut bytes = stream_head();
    for event in events {
        bytes.extend(format!("data: {event}\n\n").bytes());
    }
    vec![Step::Send(bytes)]
}

/// A piece of a chat completion.
pub fn delta(delta: &Value) -> Value {
    json!({ "id": "c", "model": "scripted-1", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

/// The last pieces of a chat completion: why it ended, and how many tokens it took.
pub fn finish(reason: &str) -> [Value; 2] {
    [
        json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }),
        json!({ "id": "c", "choices": [], "usage": { "prompt_tokens": 100, "completion_tokens": 10 } }),
    ]
}

fn done(mut script: Script) -> Script {
    script.push(Step::Send(b"data: [DONE]\n\n".to_vec()));
    script
}

/// A chat completion of these pieces.
pub fn text(pieces: &[&str]) -> Script {
    let mut events: Vec<Value> = pieces
        .iter()
        .map(|piece| delta(&json!({ "content": piece })))
        .collect();
    events.extend(finish("stop"));
    done(stream(&events))
}

/// A chat completion that calls these tools, with arguments as they are written.
pub fn calls(calls: &[(&str, &str)]) -> Script {
    let mut events: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(at, (name, arguments))| {
            let function = json!({ "name": name, "arguments": arguments });
            delta(&json!({ "tool_calls": [{ "index": at, "id": format!("call-{at}"), "type": "function", "function": function }] }))
        })
        .collect();
    events.extend(finish("tool_calls"));
    done(stream(&events))
}
