//! The tools over the Model Context Protocol.

use serde_json::{Value, json};

use tokio::io::AsyncWriteExt;

use crate::support::{Method, PATIENCE, TestServer, User};

async fn rpc(user: &User, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let answer = user.post("/mcp", &body).await.expect(200).json();
    assert_eq!(answer["id"], 7);
    answer
}

async fn tool(user: &User, name: &str, arguments: Value) -> Value {
    let params = json!({ "name": name, "arguments": arguments });
    rpc(user, "tools/call", params).await["result"].clone()
}

async fn names(user: &User) -> Vec<String> {
    let list = rpc(user, "tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
    tools.iter().map(name).collect()
}

async fn with_scope(user: &User, scope: &str) -> User {
    let key = json!({ "name": scope, "scopes": [scope] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    user.with_token(key["token"].as_str().unwrap())
}

#[tokio::test]
async fn a_client_begins_with_a_handshake_or_without() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for (wanted, spoken) in [("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")] {
        let hello = json!({ "protocolVersion": wanted, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = rpc(&user, "initialize", hello).await;
        assert_eq!(answer["result"]["protocolVersion"], spoken);
        assert_eq!(answer["result"]["serverInfo"]["name"], "skep");
    }
    let found = rpc(&user, "server/discover", json!({})).await;
    assert_eq!(found["result"]["supportedVersions"][0], "2026-07-28");
    assert_eq!(rpc(&user, "ping", json!({})).await["result"], json!({}));
    let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let accepted = user.post("/mcp", &done).await.expect(202);
    assert!(accepted.body.is_empty());
    // Nothing is sent unasked, and there is no session to end.
    for method in [Method::Get, Method::Delete] {
        user.call(method, "/mcp")
            .send()
            .await
            .refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_the_protocols_form() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    assert_eq!(
        rpc(&user, "resources/list", json!({})).await["error"]["code"],
        -32_601
    );
    assert_eq!(
        rpc(&user, "tools/call", json!({})).await["error"]["code"],
        -32_602
    );
    let unknown = rpc(&user, "tools/call", json!({ "name": "run_command" })).await;
    assert_eq!(unknown["error"]["code"], -32_602, "{unknown}");
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    server
        .call(Method::Post, "/mcp")
        .json(&list)
        .send()
        .await
        .refused(401, "missing_token");
    let call = || user.call(Method::Post, "/mcp");
    call()
        .body("application/json", "{")
        .send()
        .await
        .refused(400, "invalid_json");
    call()
        .json(&json!([list]))
        .send()
        .await
        .refused(400, "bad_request");
    let old = call()
        .header("MCP-Protocol-Version", "1999-01-01")
        .json(&list);
    old.send().await.refused(400, "bad_request");
    let foreign = call()
        .header("Origin", "https://elsewhere.example")
        .json(&list);
    foreign.send().await.refused(403, "origin_not_allowed");
}

#[tokio::test]
async fn workers_and_chats_are_managed_by_tools() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let made = tool(
        &user,
        "create_worker",
        json!({ "name": "Ada", "description": "sums" }),
    )
    .await;
    assert_eq!(made["isError"], false, "{made}");
    let id = made["structuredContent"]["id"].clone();
    let got = tool(&user, "get_worker", json!({ "worker_id": id })).await;
    assert_eq!(got["structuredContent"]["name"], "Ada");
    let changed = json!({ "worker_id": id, "description": "more sums" });
    tool(&user, "update_worker", changed).await;
    let listed = tool(&user, "list_workers", json!({})).await;
    assert_eq!(
        listed["structuredContent"]["workers"][0]["description"],
        "more sums"
    );
    let chat = user.chat().await;
    user.ask(&chat, "help").await;
    let mut events = user.chat_events(&chat, None).await;
    let sent = tool(
        &user,
        "send_message",
        json!({ "session_id": chat, "content": "half **done**" }),
    )
    .await;
    assert_eq!(sent["isError"], false, "{sent}");
    let seen = events.find(|event| event.is("message")).await;
    assert_eq!(seen.data["content"], "half **done**");
    assert_eq!(user.messages(&chat).await.len(), 3);
    let ran = tool(
        &user,
        "list_executions",
        json!({ "session_id": chat, "limit": 1 }),
    )
    .await;
    assert_eq!(ran["structuredContent"]["items"][0]["asked"], "help");
    let cleared = tool(&user, "clear_session", json!({ "session_id": chat })).await;
    assert_eq!(cleared["isError"], false, "{cleared}");
    let gone = tool(&user, "delete_worker", json!({ "worker_id": id })).await;
    assert_eq!(gone["isError"], false, "{gone}");
}

#[tokio::test]
async fn a_bad_id_is_a_result_that_says_so() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for (name, arguments) in [
        ("get_worker", json!({ "worker_id": "nobody" })),
        ("get_worker_status", json!({})),
        (
            "send_message",
            json!({ "session_id": "nowhere", "content": "hi" }),
        ),
        (
            "send_message",
            json!({ "session_id": "019ac0de-0000-7000-8000-000000000001", "content": "hi" }),
        ),
        ("send_message", json!({ "content": "hi" })),
        ("clear_session", json!({ "session_id": 7 })),
        ("list_executions", json!({ "status": "asleep" })),
    ] {
        let result = tool(&user, name, arguments).await;
        assert_eq!(result["isError"], true, "{name}: {result}");
        assert!(!result["content"][0]["text"].as_str().unwrap().is_empty());
    }
    let chat = user.chat().await;
    let secret = json!({ "session_id": chat, "media_path": "/etc/passwd" });
    assert_eq!(tool(&user, "send_message", secret).await["isError"], true);
}

#[tokio::test]
async fn a_key_sees_the_tools_of_its_scope() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let all = names(&user).await;
    assert!(all.contains(&"delete_worker".to_owned()) && !all.contains(&"run_command".to_owned()));
    let chat = names(&with_scope(&user, "chat").await).await;
    assert!(
        chat.contains(&"send_message".to_owned()) && !chat.contains(&"create_worker".to_owned())
    );
    let reader = with_scope(&user, "read").await;
    let read = names(&reader).await;
    assert!(read.contains(&"get_worker".to_owned()) && !read.contains(&"send_message".to_owned()));
    let refused = rpc(
        &reader,
        "tools/call",
        json!({ "name": "create_worker", "arguments": {} }),
    )
    .await;
    assert_eq!(refused["error"]["code"], -32_602);
}

/// A client that starts programs talks to the running server; what waits long does not hold up the rest.
#[tokio::test]
async fn the_bridge_passes_messages_on() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let input = [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "",
        r#"{"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"create_worker","arguments":{"name":"Ada"}}}"#,
        "no JSON",
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#,
    ];
    let answers = bridged(&server, &[], &input.join("\n")).await;
    let answer = |id: Value| {
        let found = answers.iter().find(|answer| answer["id"] == id);
        found.unwrap_or_else(|| panic!("{id} in {answers:?}"))
    };
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert_eq!(answer(json!(1))["result"]["serverInfo"]["name"], "skep");
    assert_eq!(answer(json!("two"))["result"]["isError"], false);
    assert_eq!(answer(Value::Null)["error"]["code"], -32_700);
    assert!(answer(json!(3))["result"]["tools"].is_array());
    assert_eq!(user.read("/api/workers").await[0]["name"], "Ada");

    let key = with_scope(&user, "read").await.access;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let limited = bridged(&server, &[("SKEP_MCP_TOKEN", key.as_str())], list).await;
    assert!(!limited[0].to_string().contains("create_worker"));
    let wrong = bridged(&server, &[("SKEP_MCP_TOKEN", "skep_wrong")], list).await;
    assert_eq!(
        (&wrong[0]["id"], &wrong[0]["error"]["data"]["error"]),
        (&json!(1), &json!("invalid_token"))
    );

    let data = server.data.clone();
    let stopped = server.stop().await;
    let output = bridge(&data, &[], list).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the server does not run; start it with `skep`"),
        "{said}"
    );
    drop(stopped);
}

/// A client that gets no answer waits for ever; one that answers is not answered.
#[tokio::test]
async fn the_bridge_answers_what_is_no_request_only_where_somebody_waits() {
    let server = TestServer::start().await;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
    let answers = bridged(&server, &[], batch).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["error"]["code"], -32600, "{answers:?}");
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    assert!(bridged(&server, &[], answer).await.is_empty());
}

async fn bridged(server: &TestServer, env: &[(&str, &str)], input: &str) -> Vec<Value> {
    let output = bridge(&server.data, env, input).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn bridge(data: &std::path::Path, env: &[(&str, &str)], input: &str) -> std::process::Output {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["mcp", "--data"])
        .arg(data)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap()
}

/// Also where nothing is asked for and the answer would be empty.
#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused_whatever_is_asked() {
    let server = crate::support::TestServer::start().await;
    let user = server.log_in().await;
    for body in [
        serde_json::json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
    ] {
        let answer = user.post("/mcp?ask=-847", &body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}
