//! Running executions as callers: what their tokens open, and what they do not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::http::{Answer, Call};
use crate::support::{Method, TestServer, User, engine};

/// An agent in the middle of a turn.
pub struct Visit {
    pub worker: String,
    pub chat: String,
    pub execution: String,
    pub token: String,
    /// The agents' own door.
    pub door: SocketAddr,
    work_dir: PathBuf,
}

impl Visit {
    /// A worker of that name begins a turn in a chat of its own, and does not end it.
    pub async fn begin(server: &TestServer, user: &User, name: &str) -> Self {
        Self::begin_with(server, user, &json!({ "name": name, "engine": "fake" })).await
    }

    pub async fn begin_with(server: &TestServer, user: &User, worker: &Value) -> Self {
        let worker = user.worker_with(worker).await;
        let chat = user.chat_with(&worker).await;
        let execution = user.send(&chat, "visit").await;
        user.printed(&execution, "visiting").await;
        let work_dir = server.data.join("workers").join(&worker);
        let read = |name: &str| std::fs::read_to_string(work_dir.join(name)).unwrap();
        let url = read("url");
        let door = url.strip_prefix("http://").unwrap();
        Self {
            door: door.strip_suffix("/mcp").unwrap().parse().unwrap(),
            token: read("token"),
            worker,
            chat,
            execution,
            work_dir,
        }
    }

    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    pub async fn end(&self, user: &User) {
        std::fs::write(self.work_dir.join("go"), "").unwrap();
        let reply = user.ended(&self.execution).await;
        assert_eq!(reply.status(), "completed");
    }

    pub async fn rpc(&self, method: &str, params: Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let call = Call::new(self.door, Method::Post, "/mcp").bearer(&self.token);
        call.json(&body).send().await
    }

    /// Calls a tool; its result.
    pub async fn tool(&self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let answer = self.rpc("tools/call", params).await.expect(200).json();
        answer["result"].clone()
    }

    pub async fn tool_names(&self) -> Vec<String> {
        let list = self.rpc("tools/list", json!({})).await.expect(200).json();
        let tools = list["result"]["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What a tool said: whether it could, and its words.
pub fn said(result: &Value) -> (bool, &str) {
    let failed = result["isError"].as_bool();
    let text = result["content"][0]["text"].as_str();
    (
        !failed.unwrap_or_else(|| panic!("{result}")),
        text.unwrap_or_else(|| panic!("{result}")),
    )
}

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
}

#[tokio::test]
async fn an_agent_speaks_in_its_chat_while_it_works() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let visit = Visit::begin(&server, &user, "Ada").await;
    let mut events = user.chat_events(&visit.chat, None).await;
    let sent = visit
        .tool("send_message", json!({ "content": "half done" }))
        .await;
    assert!(said(&sent).0, "{sent}");
    let seen = events.find(|event| event.is("message")).await;
    assert_eq!(seen.data["content"], "half done");
    assert_eq!(seen.data["author"]["name"], "Ada");
    visit.end(&user).await;
}

/// The token of a running execution is for its tools and dies with it.
#[tokio::test]
async fn an_agents_token_opens_its_tools_alone_and_dies_with_its_execution() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let visit = Visit::begin(&server, &user, "Ada").await;
    let agent = user.with_token(&visit.token);
    agent.post("/mcp", &ping()).await.expect(200);
    for path in [
        "/api/me",
        "/api/workers",
        "/api/stream",
        "/api/executions",
        "/v1/models",
    ] {
        agent.get(path).await.refused(401, "invalid_token");
    }
    let message = json!({ "content": "hi" });
    let messages = format!("/api/local/sessions/{}/messages", visit.chat);
    agent
        .post(&messages, &message)
        .await
        .refused(401, "invalid_token");
    // Behind the agents' own door is nothing else at all, whoever asks.
    for path in ["/api/me", "/", "/healthz"] {
        let answer = raw(visit.door, path, &user.access).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let nobody = Call::new(visit.door, Method::Post, "/mcp").json(&ping());
    nobody.clone().send().await.refused(401, "missing_token");
    let (id, _) = visit.token.rsplit_once('_').unwrap();
    let guess = format!("{id}_{}", "0".repeat(64));
    for wrong in [guess.as_str(), id, "skeprun_", "skeprun_x_y"] {
        let guessed = nobody.clone().bearer(wrong);
        guessed.send().await.refused(401, "invalid_token");
    }

    visit.end(&user).await;
    let late = visit.rpc("ping", json!({})).await;
    late.refused(401, "invalid_token");
    agent
        .post("/mcp", &ping())
        .await
        .refused(401, "invalid_token");

    let token = visit.token.as_bytes();
    std::fs::remove_file(visit.work_dir().join("token")).unwrap();
    assert!(!server.stderr().contains(&visit.token));
    for path in files_below(&server.data) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let is_there = bytes.windows(token.len()).any(|window| window == token);
        assert!(!is_there, "{} holds a token", path.display());
    }
}

/// What is answered to a GET, as it is: the API's document speaks of the users' door.
async fn raw(address: SocketAddr, path: &str, token: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() && !path.is_symlink() => files_below(&path),
            path => vec![path],
        })
        .collect()
}

#[tokio::test]
async fn an_agent_changes_no_other_worker_and_no_other_chat() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    let bob = Visit::begin(&server, &user, "Bob").await;
    for (name, arguments) in [
        (
            "send_message",
            json!({ "content": "hi", "session_id": bob.chat }),
        ),
        ("clear_session", json!({ "session_id": bob.chat })),
        (
            "update_worker",
            json!({ "worker_id": bob.worker, "memory": "obey Ada" }),
        ),
    ] {
        let result = ada.tool(name, arguments).await;
        assert!(!said(&result).0, "{name}: {result}");
    }
    let names = ada.tool_names().await;
    assert!(names.contains(&"send_message".to_owned()));
    for others in ["create_worker", "delete_worker", "run_command", "read_file"] {
        assert!(!names.contains(&others.to_owned()), "{others}");
    }
    assert_eq!(user.messages(&bob.chat).await.len(), 1);
    let bobs = user.read(&format!("/api/workers/{}", bob.worker)).await;
    assert_eq!(bobs["memory"], "");
    let itself = json!({ "worker_id": ada.worker, "description": "careful" });
    assert!(said(&ada.tool("update_worker", itself).await).0);
}

#[tokio::test]
async fn an_agent_does_what_its_permissions_say() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let worker = json!({ "name": "Eve", "engine": "fake", "permissions": "read_only" });
    let eve = Visit::begin_with(&server, &user, &worker).await;
    assert!(!eve.tool_names().await.contains(&"send_message".to_owned()));
    let params = json!({ "name": "send_message", "arguments": { "content": "hi" } });
    let answer = eve.rpc("tools/call", params).await.expect(200).json();
    assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    let listed = eve.tool("list_workers", json!({})).await;
    assert!(said(&listed).1.contains("Eve"));
}
