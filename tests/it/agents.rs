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
        let met = Self::met(server, &worker, &execution);
        Self { chat, ..met }
    }

    /// An agent that is met in the middle of a turn without a chat.
    pub fn met(server: &TestServer, worker: &str, execution: &str) -> Self {
        let work_dir = server.data.join("workers").join(worker);
        let read = |name: &str| std::fs::read_to_string(work_dir.join(name)).unwrap();
        let url = read("url");
        let door = url.strip_prefix("http://").unwrap();
        Self {
            door: door.strip_suffix("/mcp").unwrap().parse().unwrap(),
            token: read("token"),
            worker: worker.to_owned(),
            chat: String::new(),
            execution: execution.to_owned(),
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
        self.call(&body).send().await
    }

    pub fn call(&self, body: &Value) -> Call {
        let call = Call::new(self.door, Method::Post, "/mcp").bearer(&self.token);
        call.json(body)
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
    // Behind the agents' own door is nothing else at all, whoever asks, and nobody asks from elsewhere.
    assert!(visit.door.ip().is_loopback(), "{}", visit.door);
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

/// A file of its work directory becomes one of the chat; nothing else of the machine does.
#[tokio::test]
async fn an_agent_sends_files_of_its_work_directory() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    std::fs::create_dir(ada.work_dir().join("out")).unwrap();
    std::fs::write(ada.work_dir().join("out/plot.txt"), "a plot").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", ada.work_dir().join("link")).unwrap();
    let absolute = ada.work_dir().join("out/plot.txt");
    for (path, name) in [
        ("out/plot.txt", "plot.txt"),
        (absolute.to_str().unwrap(), "plot-2.txt"),
    ] {
        let sent = ada.tool("send_message", json!({ "media_path": path }));
        let sent = sent.await;
        assert!(said(&sent).0, "{sent}");
        let messages = user.messages(&ada.chat).await;
        let media = &messages.last().unwrap()["media"][0];
        assert_eq!(media["name"], name);
        let url = media["url"].as_str().unwrap();
        assert_eq!(user.get(url).await.expect(200).text(), "a plot");
    }
    let before = user.messages(&ada.chat).await.len();
    let key = server.data.join("keys/signing.key");
    for path in [
        "link",
        "/etc/passwd",
        "../../keys/signing.key",
        "out",
        "none",
        key.to_str().unwrap(),
    ] {
        let sent = ada
            .tool("send_message", json!({ "media_path": path }))
            .await;
        assert!(!said(&sent).0, "{path}: {sent}");
    }
    assert_eq!(user.messages(&ada.chat).await.len(), before);
}

#[tokio::test]
async fn an_agent_keeps_things_in_mind_for_itself_and_its_chat() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    let bob = Visit::begin(&server, &user, "Bob").await;
    let tea = json!({ "key": "tea", "value": "green" });
    let kept = ada.tool("save_memory", tea.clone()).await;
    let own = format!("worker:{}", ada.worker);
    assert_eq!(kept["structuredContent"]["scope"], own, "{kept}");
    let here = json!({ "key": "topic", "value": "tea", "scope": "session" });
    assert!(said(&ada.tool("save_memory", here).await).0);
    let got = ada.tool("get_memory", json!({})).await;
    let said_both = said(&got).1;
    assert!(
        said_both.contains("green") && said_both.contains("topic"),
        "{got}"
    );
    for scope in [
        "global".to_owned(),
        own.clone(),
        format!("session:{}", ada.chat),
        "moon".to_owned(),
    ] {
        let mut foreign = tea.clone();
        foreign["scope"] = json!(scope);
        let refused = bob.tool("save_memory", foreign).await;
        assert!(!said(&refused).0, "{scope}: {refused}");
    }
    let stolen = json!({ "key": "tea", "scope": own });
    assert!(!said(&bob.tool("get_memory", stolen.clone()).await).0);
    assert!(!said(&bob.tool("delete_memory", stolen).await).0);
    assert!(said(&ada.tool("delete_memory", json!({ "key": "tea" })).await).0);
    let again = ada.tool("delete_memory", json!({ "key": "tea" })).await;
    assert!(!said(&again).0, "{again}");
}

#[tokio::test]
async fn an_agent_plans_its_own_tasks() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    let bob = Visit::begin(&server, &user, "Bob").await;
    let later = json!({ "instruction": "say later", "delay_s": 3600 });
    let planned = ada.tool("create_task", later.clone()).await;
    let task = planned["structuredContent"].clone();
    assert_eq!(task["type"], "countdown", "{planned}");
    assert_eq!(
        (&task["worker_id"], &task["session_id"]),
        (&json!(ada.worker), &json!(ada.chat))
    );
    let again =
        json!({ "instruction": "say hi", "cron_expr": "0 9 * * 1-5", "timezone": "Europe/Berlin" });
    let daily = ada.tool("create_task", again).await;
    let daily = daily["structuredContent"]["id"].clone();
    for (what, bad) in [
        (
            "a cron that never comes",
            json!({ "instruction": "x", "cron_expr": "0 0 30 2 *" }),
        ),
        (
            "both",
            json!({ "instruction": "x", "cron_expr": "* * * * *", "delay_s": 5 }),
        ),
        ("nothing to do", json!({ "instruction": " " })),
        (
            "somebody else",
            json!({ "instruction": "x", "worker_id": bob.worker }),
        ),
        (
            "another chat",
            json!({ "instruction": "x", "session_id": bob.chat }),
        ),
    ] {
        let refused = ada.tool("create_task", bad).await;
        assert!(!said(&refused).0, "{what}: {refused}");
    }
    let listed = ada
        .tool("list_tasks", json!({ "worker_id": ada.worker }))
        .await;
    assert_eq!(
        listed["structuredContent"]["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    for id in [&task["id"], &json!("nonsense")] {
        let refused = bob.tool("cancel_task", json!({ "task_id": id })).await;
        assert!(!said(&refused).0, "{refused}");
    }
    let cancelled = ada
        .tool("cancel_task", json!({ "task_id": task["id"] }))
        .await;
    assert_eq!(cancelled["structuredContent"]["status"], "cancelled");
    let done = ada
        .tool("mark_task_complete", json!({ "task_id": daily }))
        .await;
    assert_eq!(done["structuredContent"]["status"], "completed", "{done}");
    let twice = ada
        .tool("mark_task_complete", json!({ "task_id": daily }))
        .await;
    assert!(!said(&twice).0, "{twice}");
    // What it does now is no task.
    assert!(!said(&ada.tool("mark_task_complete", json!({})).await).0);
}

/// A worker that was talked into it could tell everything that anybody ever asked.
#[tokio::test]
async fn a_worker_is_not_told_what_was_asked_elsewhere() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let (bob, elsewhere) = user.chat_with_engine("Bob", "fake").await;
    user.ask(&elsewhere, "say confidential").await;
    let task = json!({ "instruction": "confidential", "type": "scheduled", "cron_expr": "0 0 1 1 *", "worker_id": bob });
    user.post("/api/tasks", &task).await.expect(201);
    let ada = Visit::begin(&server, &user, "Ada").await;
    let asked = [
        ("list_executions", json!({})),
        ("list_executions", json!({ "worker_id": bob })),
        ("list_executions", json!({ "session_id": elsewhere })),
        ("get_worker_status", json!({ "worker_id": bob })),
        ("list_tasks", json!({})),
        ("list_tasks", json!({ "worker_id": bob })),
    ];
    for (name, arguments) in asked {
        let told = ada.tool(name, arguments).await;
        assert!(!told.to_string().contains("confidential"), "{name}: {told}");
    }
    for arguments in [json!({}), json!({ "worker_id": ada.worker })] {
        let own = ada.tool("list_executions", arguments).await;
        let own = own["structuredContent"]["items"].as_array().unwrap();
        assert_eq!((own.len(), &own[0]["asked"]), (1, &json!("visit")));
    }
    ada.end(&user).await;
}

/// The list of tools is a promise, not advice.
#[tokio::test]
async fn a_worker_calls_none_but_its_own_tools() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    assert!(said(&ada.tool("list_workers", json!({})).await).0);
    let tools = json!({ "tools": ["get_system_overview"] });
    let path = format!("/api/agents/{}", ada.worker);
    user.patch(&path, &tools).await.expect(200);
    assert!(said(&ada.tool("get_system_overview", json!({})).await).0);
    let refused = ada.tool("list_workers", json!({})).await;
    let why = "not done: it is none of the worker's tools";
    assert_eq!(said(&refused), (false, why));
    ada.end(&user).await;
}

#[tokio::test]
async fn contexts_are_listed_and_cleared_one_by_one() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake-events").await;
    user.ask(&chat, "tools").await;
    let call = async |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        user.post("/mcp", &body).await.expect(200).json()["result"].clone()
    };
    let here = json!({ "session_key": chat });
    let listed = call("list_session_contexts", here.clone()).await;
    let found = &listed["structuredContent"]["items"][0];
    assert_eq!(found["worker"], "Ada", "{listed}");
    assert_eq!(found["engine_session_id"], "engine-session-1");
    let bees = json!({ "session_id": chat, "worker_id": "bee" });
    assert!(said(&call("clear_worker_session", bees).await).0);
    let listed = call("list_session_contexts", here.clone()).await;
    assert_eq!(
        listed["structuredContent"]["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let its = json!({ "session_id": chat, "worker_id": worker });
    assert!(said(&call("clear_worker_session", its).await).0);
    let listed = call("list_session_contexts", here).await;
    assert_eq!(listed["structuredContent"]["items"], json!([]));
}
