//! A signed-in client, and the few things that nearly every test does with it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Call, Method};
use super::{EventStream, TestServer};

/// A signed-in client.
#[derive(Debug, Clone)]
pub struct User {
    address: SocketAddr,
    pub access: String,
    pub refresh: String,
}

/// What became of a message.
#[derive(Debug)]
pub struct Reply {
    pub execution: Value,
    /// The message that answered.
    pub message: Value,
}

impl Reply {
    /// What it says; the newline after the last line of a program is nobody's concern.
    #[track_caller]
    pub fn text(&self) -> &str {
        self.message["content"].as_str().expect("text").trim_end()
    }

    pub fn status(&self) -> &str {
        self.execution["status"].as_str().expect("text")
    }

    /// The error of the execution, `""` if there is none.
    pub fn error(&self) -> &str {
        self.execution["error"].as_str().unwrap_or_default()
    }
}

impl User {
    pub fn new(server: &TestServer, tokens: &Value) -> Self {
        let text = |name: &str| {
            tokens[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {tokens}"))
                .to_owned()
        };
        Self {
            address: server.address,
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }

    /// The same user by another token.
    pub fn with(&self, access: String) -> Self {
        Self {
            access,
            ..self.clone()
        }
    }

    /// The same user after a restart: the tokens are still good.
    pub fn at(&self, server: &TestServer) -> Self {
        Self {
            address: server.address,
            ..self.clone()
        }
    }

    /// The same user with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            access: token.to_owned(),
            ..self.clone()
        }
    }

    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.address, method, path).bearer(&self.access)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::Get, path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::Post, path).json(body).send().await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::Put, path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::Patch, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::Delete, path).send().await
    }

    /// The JSON of something that is there.
    #[track_caller]
    pub fn read(&self, path: &str) -> impl Future<Output = Value> {
        let call = self.call(Method::Get, path);
        async move { call.send().await.expect(200).json() }
    }

    /// Every row of a list, page by page.
    pub async fn read_all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.expect(200);
            rows.extend(page.json().as_array().expect("a list").clone());
            next = page.next_page();
        }
        rows
    }

    /// A new worker; its id.
    pub async fn worker(&self, name: &str, engine: &str) -> String {
        self.worker_with(&json!({ "name": name, "engine": engine }))
            .await
    }

    pub async fn worker_with(&self, body: &Value) -> String {
        id_of(&self.post("/api/workers", body).await.expect(201).json())
    }

    /// A new chat; its id.
    pub async fn chat(&self) -> String {
        id_of(
            &self
                .post("/api/local/sessions", &json!({ "name": "Chat" }))
                .await
                .expect(201)
                .json(),
        )
    }

    /// A new chat that is pinned to a worker.
    pub async fn chat_with(&self, worker: &str) -> String {
        let body = json!({ "name": "Chat", "worker_id": worker });
        id_of(
            &self
                .post("/api/local/sessions", &body)
                .await
                .expect(201)
                .json(),
        )
    }

    /// A new worker with this engine, and a chat that is pinned to it.
    pub async fn chat_with_engine(&self, name: &str, engine: &str) -> (String, String) {
        let worker = self.worker(name, engine).await;
        let chat = self.chat_with(&worker).await;
        (worker, chat)
    }

    /// Posts a message; the id of its execution.
    pub async fn send(&self, chat: &str, content: &str) -> String {
        self.send_with(chat, &json!({ "content": content })).await
    }

    pub async fn send_with(&self, chat: &str, body: &Value) -> String {
        let answer = self
            .post(&format!("/api/local/sessions/{chat}/messages"), body)
            .await;
        let queued = answer.expect(202).json();
        assert_eq!(queued["status"], "queued", "{queued}");
        queued["execution_id"].as_str().expect("an id").to_owned()
    }

    /// Posts a message and waits for what becomes of it.
    pub async fn ask(&self, chat: &str, content: &str) -> Reply {
        let execution = self.send(chat, content).await;
        self.ended(&execution).await
    }

    /// Waits until an execution is final, by its stream and not by asking again and again.
    pub async fn ended(&self, execution: &str) -> Reply {
        let path = format!("/api/executions/{execution}/stream");
        let mut events = self.events(&path, Some(0)).await;
        events.until(|event| event.is_final(execution)).await;
        let found = self.execution(execution).await;
        let message = match found["session_id"].as_str() {
            Some(chat) => self.reply(chat, execution).await,
            None => Value::Null,
        };
        Reply {
            execution: found,
            message,
        }
    }

    /// The message that answered for an execution; null when there is none, or its chat is gone.
    pub async fn reply(&self, chat: &str, execution: &str) -> Value {
        let session = self.get(&format!("/api/local/sessions/{chat}")).await;
        if session.status == 404 {
            return Value::Null;
        }
        let messages = self.messages(chat).await;
        let is_reply =
            |message: &&Value| message["role"] == "bee" && message["execution_id"] == execution;
        messages.iter().find(is_reply).cloned().unwrap_or_default()
    }

    /// Waits until an execution runs.
    pub async fn running(&self, execution: &str) {
        let mut events = self
            .events(&format!("/api/executions/{execution}/stream"), Some(0))
            .await;
        events
            .until(|event| event.is_status(execution, "running"))
            .await;
    }

    /// Waits until a running reply holds this.
    pub async fn printed(&self, execution: &str, text: &str) {
        let mut events = self
            .events(&format!("/api/executions/{execution}/stream"), None)
            .await;
        let mut so_far = String::new();
        while !so_far.contains(text) {
            let event = events
                .find(|event| event.is("partial") || event.is("delta"))
                .await;
            if event.is("partial") {
                so_far.clear();
            }
            so_far.push_str(event.data["text"].as_str().expect("text"));
        }
    }

    pub async fn execution(&self, id: &str) -> Value {
        self.read(&format!("/api/executions/{id}")).await
    }

    pub async fn messages(&self, chat: &str) -> Vec<Value> {
        self.read_all(&format!("/api/local/sessions/{chat}/messages"))
            .await
    }

    pub async fn log(&self, execution: &str) -> Answer {
        self.get(&format!("/api/executions/{execution}/logs")).await
    }

    pub async fn upload(&self, chat: &str, name: &str, content: &[u8]) -> Answer {
        let path = format!("/api/local/sessions/{chat}/media");
        self.call(Method::Post, &path)
            .file("file", name, content)
            .send()
            .await
    }

    /// Opens a stream; `after` is the `Last-Event-ID`.
    pub async fn events(&self, path: &str, after: Option<u64>) -> EventStream {
        let mut call = self
            .call(Method::Get, path)
            .header("Accept", "text/event-stream");
        if let Some(id) = after {
            call = call.header("Last-Event-ID", &id.to_string());
        }
        EventStream::open(call).await
    }

    /// Opens the stream of a chat.
    pub async fn chat_events(&self, chat: &str, after: Option<u64>) -> EventStream {
        self.events(&format!("/api/local/sessions/{chat}/stream"), after)
            .await
    }
}

/// The id of something that was just made.
#[track_caller]
pub fn id_of(value: &Value) -> String {
    let id = value["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {value}"));
    assert!(super::json::is_id(id), "{id} is no UUIDv7");
    id.to_owned()
}
