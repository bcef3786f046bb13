//! A reader of event streams, as a browser's: fields, ids, comments; and a deadline that tells what came before it.

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::http::{Body, Call};
use super::{Answer, PATIENCE, contract};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Event {
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether this is that status of that execution.
    pub fn is_status(&self, execution: &str, status: &str) -> bool {
        self.is("status") && self.data["execution_id"] == execution && self.data["status"] == status
    }

    /// Whether this ends an execution.
    pub fn is_final(&self, execution: &str) -> bool {
        ["completed", "failed", "cancelled"]
            .iter()
            .any(|status| self.is_status(execution, status))
    }
}

/// An open stream.
pub struct EventStream {
    pub answer: Answer,
    path: String,
    body: Body,
    text: Vec<u8>,
    /// Comments that came, without their colon.
    pub comments: Vec<String>,
    /// The `retry:` that the server asked for.
    pub retry_ms: Option<u64>,
    /// Everything that came, for the message of a failure and for whoever looks back.
    pub seen: Vec<Event>,
}

impl EventStream {
    pub async fn open(call: Call) -> Self {
        let path = call.path().to_owned();
        let (answer, body) = call.open().await;
        Self::begin(path, answer, body)
            .await
            .expect("the stream ended at once")
    }

    /// The same, for who expects that the server is killed: `None` if it is not there, or ends before its opening.
    pub async fn try_open(call: Call) -> Option<Self> {
        let path = call.path().to_owned();
        let (answer, body) = call.try_open().await.ok()?;
        Self::begin(path, answer, body).await
    }

    async fn begin(path: String, answer: Answer, body: Body) -> Option<Self> {
        assert_eq!(answer.status, 200, "{}", answer.what);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("content-encoding"), None, "never compressed");
        let mut stream = Self {
            answer,
            path,
            body,
            text: Vec::new(),
            comments: Vec::new(),
            retry_ms: None,
            seen: Vec::new(),
        };
        // The opening says that the server listens now: what happens from here on is seen.
        let deadline = Instant::now() + PATIENCE;
        while stream.comments.is_empty() {
            if !stream.fill(deadline).await {
                return None;
            }
            stream.read_opening();
        }
        Some(stream)
    }

    fn read_opening(&mut self) {
        while let Some(block) = self.block() {
            if let Some(event) = self.parse(&block) {
                panic!("an event before the opening: {event:?}");
            }
            if !self.comments.is_empty() {
                return;
            }
        }
    }

    /// The id of the last event that had one.
    pub fn last_id(&self) -> Option<u64> {
        self.seen.iter().rev().find_map(|event| event.id)
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(block) = self.block() {
                if let Some(event) = self.parse(&block) {
                    self.seen.push(event.clone());
                    return Some(event);
                }
            }
            if !self.fill(deadline).await {
                return None;
            }
        }
    }

    /// Everything up to and with the first event that fits.
    pub async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        loop {
            assert!(
                Instant::now() < deadline,
                "what was waited for did not come; seen: {}",
                self.told()
            );
            let Some(event) = self.next().await else {
                panic!(
                    "the stream ended before what was waited for; seen: {}",
                    self.told()
                );
            };
            let found = fits(&event);
            events.push(event);
            if found {
                return events;
            }
        }
    }

    /// The first event that fits.
    pub async fn find(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        self.until(fits).await.pop().expect("the one that fits")
    }

    /// The next `count` events that are stored.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let event = self.find(|event| event.id.is_some()).await;
            events.push(event);
        }
        events
    }

    /// Everything up to the end of the stream.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    fn told(&self) -> String {
        let skipped = self.seen.len().saturating_sub(30);
        let lines: Vec<String> = self.seen[skipped..]
            .iter()
            .map(|event| format!("  {:?} {} {}", event.id, event.name, event.data))
            .collect();
        format!("{skipped} more, then\n{}", lines.join("\n"))
    }

    async fn fill(&mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, self.body.next()).await {
            Ok(Ok(Some(piece))) => {
                self.text.extend(piece);
                true
            }
            // A server that was killed just stops.
            Ok(Ok(None) | Err(_)) => false,
            Err(_) => panic!("nothing came for {PATIENCE:?}; seen: {}", self.told()),
        }
    }

    /// The next block of lines, once it is whole.
    fn block(&mut self) -> Option<String> {
        let end = self.text.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.text.drain(..end + 2).collect();
        Some(String::from_utf8(block).expect("a stream is UTF-8"))
    }

    fn parse(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, "message".to_owned(), None::<String>);
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if !line.is_empty() => self.comments.push(value.to_owned()),
                "id" => id = Some(value.parse().expect("an id is a decimal")),
                "event" => value.clone_into(&mut name),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                "retry" => self.retry_ms = value.parse().ok(),
                _ => {}
            }
        }
        let data = serde_json::from_str(&data?).expect("data is JSON");
        let event = Event { id, name, data };
        contract::judge_event(&self.path, &event);
        Some(event)
    }
}
