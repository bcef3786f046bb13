//! A model server as an engine: what it is asked, what comes of its answers, and what is never shown.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::model::{ModelServer, Step, delta, finish, http, stream, text};
use crate::support::{Setup, TestServer, User};

async fn engines(user: &User) -> Vec<Value> {
    user.read_all("/api/engines").await
}

fn find<'a>(engines: &'a [Value], name: &str) -> &'a Value {
    let found = engines.iter().find(|engine| engine["name"] == name);
    found.unwrap_or_else(|| panic!("no engine {name} in {engines:?}"))
}

#[tokio::test]
async fn an_answer_is_streamed_counted_and_logged_byte_for_byte() {
    let thought = delta(&json!({ "reasoning_content": "Let me think." }));
    let mut events = vec![thought];
    events.extend(["Hel", "lo añ€🐝", "."].map(|piece| delta(&json!({ "content": piece }))));
    events.extend(finish("stop"));
    let mut script = stream(&events);
    script.push(Step::Send(b": comment\n\ndata: [DONE]\n\n".to_vec()));
    let sent: Vec<u8> = script
        .iter()
        .flat_map(|step| match step {
            Step::Send(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    let model = ModelServer::saying([script]).await;
    let settings = model.engine("m", "model = \"small\"\nprice_in = 2\nprice_out = 10.0");
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "m").await;
    user.put(
        &format!("/api/workers/{worker}"),
        &json!({ "memory": "Bees are kind.", "description": "Knows bees." }),
    )
    .await
    .expect(200);
    let execution = user.send(&chat, "Hello?").await;
    let reply = user.ended(&execution).await;
    assert_eq!(reply.text(), "Hello añ€🐝.");
    assert_eq!(reply.execution["engine"], "m");
    assert_eq!(reply.execution["model"], "scripted-1");
    let usage = &reply.execution["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(100), &json!(10))
    );
    let cost = usage["cost_usd"].as_f64().unwrap();
    assert!((cost - 0.0003).abs() < 1e-9, "{cost}");

    let asked = model.asked();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0]
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\n")
    );
    let body = &asked[0].body;
    assert_eq!(
        (&body["model"], &body["stream"]),
        (&json!("small"), &json!(true))
    );
    let system = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        system.contains("Ada")
            && system.contains("Bees are kind.")
            && system.contains("Knows bees.")
    );
    assert!(asked[0].last().contains("Hello?"));

    let log = user.log(&execution).await.expect(200).text();
    let body = String::from_utf8(sent).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1;
    let logged: String = log
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("[skep] "))
        .collect();
    // What follows the last word of the protocol need not be waited for.
    assert!(
        body.starts_with(&logged) && logged.ends_with("[DONE]\n\n"),
        "{log}"
    );
}

#[tokio::test]
async fn thoughts_are_shown_while_they_come() {
    let mut script = stream(&[delta(&json!({ "reasoning_content": "Let me think." }))]);
    script.push(Step::Hang);
    let model = ModelServer::saying([script]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    let mut events = user.chat_events(&chat, None).await;
    let execution = user.send(&chat, "Hello?").await;
    let thought = events.find(|event| event.is("thinking")).await;
    assert_eq!(thought.data["text"], "Let me think.");
    let cancel = format!("/api/executions/{execution}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    assert_eq!(user.ended(&execution).await.status(), "cancelled");
}

#[tokio::test]
async fn the_next_turn_knows_the_last_until_the_chat_is_cleared() {
    let model = ModelServer::saying([text(&["My name is Bee."])]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    user.ask(&chat, "What is your name?").await;
    user.ask(&chat, "And mine?").await;
    let messages = model.asked()[1].body["messages"].clone();
    let said: Vec<&str> = messages.as_array().unwrap()[1..]
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["What is your name?", "My name is Bee.", "And mine?"]);
    let clear = format!("/api/local/sessions/{chat}/clear");
    user.post(&clear, &json!({})).await.expect(200);
    user.ask(&chat, "Who am I?").await;
    let messages = model.asked()[2].body["messages"].as_array().unwrap().len();
    assert_eq!(messages, 2, "the system's and the new one");
    // The model was not named: the server's first one is taken.
    assert_eq!(model.asked()[0].body["model"], "scripted");
}

#[tokio::test]
async fn a_chat_longer_than_the_window_loses_its_oldest_turns_and_says_so() {
    let model = ModelServer::saying([text(&["ok"])]).await;
    let settings = model.engine("m", "context_tokens = 1024\ntools = false");
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    for n in 0..4 {
        user.ask(&chat, &format!("question {n} {}", "x".repeat(900)))
            .await;
    }
    let asked = model.asked();
    assert!(asked[1].body["messages"].to_string().contains("question 0"));
    let last = asked[3].body["messages"].to_string();
    assert!(!last.contains("question 0") && last.contains("question 3"));
    assert!(asked[3].body.get("tools").is_none());
    let long = user.ask(&chat, &"y".repeat(10_000)).await;
    assert!(
        long.error().starts_with("context_full: "),
        "{}",
        long.error()
    );
    let fourth = user.messages(&chat).await[7]["execution_id"].clone();
    let log = user.log(fourth.as_str().unwrap()).await.expect(200).text();
    assert!(log.contains("left out its"), "{log}");
}

/// A server knows its window better than the settings: less is sent until it fits.
#[tokio::test]
async fn a_window_that_the_server_says_is_full_is_taken_for_smaller() {
    let full = http(
        "400 Bad Request",
        "application/json",
        "",
        &json!({ "error": { "message": "the request exceeds the available context size", "n_ctx": 4096 } }).to_string(),
    );
    let ok = || text(&["ok"]);
    let model = ModelServer::saying([ok(), full, ok()]).await;
    let settings = model.engine("m", "context_tokens = 2048\ntools = false");
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    user.ask(&chat, &format!("first {}", "x".repeat(2_000)))
        .await;
    assert_eq!(user.ask(&chat, &"y".repeat(1_500)).await.text(), "ok");
    let asked = model.asked();
    assert!(asked[1].body["messages"].to_string().contains("first"));
    assert!(!asked[2].body["messages"].to_string().contains("first"));
}

#[tokio::test]
async fn anthropics_messages_are_spoken_too() {
    let events = [
        json!({ "type": "message_start", "message": { "model": "claude-x", "usage": { "input_tokens": 9, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Hello" } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 4 } }),
        json!({ "type": "message_stop" }),
    ];
    let model = ModelServer::saying([stream(&events)]).await;
    let settings = model.engine(
        "m",
        "protocol = \"anthropic\"\nkey = \"MY_KEY\"\nmodel = \"claude\"",
    );
    let server = Setup::settings(&settings)
        .env("MY_KEY", "sk-ant-secret")
        .start()
        .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    let reply = user.ask(&chat, "Hi").await;
    assert_eq!(
        (reply.text(), &reply.execution["usage"]["output_tokens"]),
        ("Hello", &json!(4))
    );
    let asked = &model.asked()[0];
    assert!(asked.head.starts_with("POST /v1/messages "));
    let head = asked.head.to_lowercase();
    assert!(head.contains("x-api-key: sk-ant-secret") && head.contains("anthropic-version: "));
    assert!(asked.body["system"].as_str().unwrap().contains("Ada"));
    assert!(asked.body["max_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn attached_pictures_and_texts_reach_the_model() {
    let model = ModelServer::saying([text(&["I see."])]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    for (name, content) in [
        ("bee.png", &b"\x89PNG picture"[..]),
        ("notes.txt", b"Honey is gold."),
    ] {
        let uploaded = user.upload(&chat, name, content).await.expect(200).json();
        let body = json!({ "content": "Look", "media_path": uploaded["path"] });
        let execution = user.send_with(&chat, &body).await;
        assert_eq!(user.ended(&execution).await.text(), "I see.");
    }
    let asked = model.asked();
    let parts = &asked[0].body["messages"][1]["content"];
    let url = parts[1]["image_url"]["url"].as_str().unwrap();
    assert!(
        url.starts_with("data:image/png;base64,iVBORyBwaWN0dXJl"),
        "{url}"
    );
    assert!(asked[1].last().contains("Honey is gold."));
}

/// Not even when the server repeats it, and cut in two.
#[tokio::test]
async fn a_key_is_sent_and_never_shown() {
    let key = "sk-very-secret-key-0123456789";
    let refused = json!({ "error": { "message": format!("Incorrect API key provided: {key}.") } });
    let refused = http(
        "401 Unauthorized",
        "application/json",
        "",
        &refused.to_string(),
    );
    let mut said = stream(&[delta(&json!({ "content": format!("Your key is {key}, ") }))]);
    let half = format!("{}", delta(&json!({ "content": format!("really {key}") })));
    let at = half.find("secret").unwrap();
    said.push(Step::Send(format!("data: {}", &half[..at]).into_bytes()));
    said.push(Step::Send(
        format!("{}\n\ndata: [DONE]\n\n", &half[at..]).into_bytes(),
    ));
    let model = ModelServer::saying([refused, said]).await;
    let settings = model.engine("m", "key = \"provider\"");
    let server = TestServer::with(&settings).await;
    std::fs::write(server.data.join("keys/provider"), format!("{key}\n")).unwrap();
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    let reply = user.ask(&chat, "Hi").await;
    assert!(
        reply.error().starts_with("not_signed_in: "),
        "{}",
        reply.error()
    );
    assert!(reply.error().contains("[key]") && reply.error().contains("keys/provider"));
    let told = user.ask(&chat, "Again").await;
    assert_eq!(told.text(), "Your key is [key], really [key]");
    assert!(model.asked()[0].head.contains(&format!("Bearer {key}")));
    let mut shown = serde_json::to_string(&engines(&user).await).unwrap();
    for reply in [&reply, &told] {
        shown.push_str(&reply.execution.to_string());
        shown.push_str(&reply.message.to_string());
        let id = reply.execution["id"].as_str().unwrap();
        shown.push_str(&user.log(id).await.expect(200).text());
    }
    assert!(!shown.contains(key), "{shown}");
    let stopped = server.stop().await;
    assert!(!stopped.stderr.contains(key));
    for entry in std::fs::read_dir(stopped.data.join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(key.len())
                .any(|window| window == key.as_bytes())
        );
    }
}

#[tokio::test]
async fn engines_are_listed_with_their_models_and_what_is_wrong() {
    let model = ModelServer::saying([text(&["ok"])]).await;
    let mut settings = model.engine("up", "");
    settings.push_str("[engines.down]\nkind = \"http\"\nurl = \"http://127.0.0.1:1\"\n");
    settings.push_str(&model.engine("keyless", "key = \"NO_SUCH_KEY\""));
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let engines = engines(&user).await;
    let up = find(&engines, "up");
    assert_eq!(
        (&up["kind"], &up["found"], &up["models"]),
        (&json!("http"), &json!(true), &json!(["scripted"]))
    );
    let down = find(&engines, "down");
    assert_eq!(
        (&down["found"], &down["models"]),
        (&json!(false), &json!([]))
    );
    assert!(
        down["why_not"].as_str().unwrap().contains("refused"),
        "{down}"
    );
    let keyless = find(&engines, "keyless");
    assert_eq!(keyless["signed_in"], false);
    assert!(keyless["why_not"].as_str().unwrap().contains("NO_SUCH_KEY"));
    let local = find(&engines, "local");
    assert!(local["found"] == false && local["fix"].as_str().unwrap().contains("ollama serve"));
}

#[tokio::test]
async fn a_model_server_on_this_machine_answers_before_the_built_in_assistant() {
    let model = ModelServer::saying([text(&["I am a model."])]).await;
    // Another Skep at one of the places is none.
    let other = TestServer::start().await;
    let servers = format!(
        "http://127.0.0.1:1,http://{},http://{}",
        other.address, model.address
    );
    let server = Setup::default()
        .env("SKEP_MODEL_SERVERS", &servers)
        .start()
        .await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let reply = user.ask(&chat, "Who are you?").await;
    assert_eq!(
        (reply.text(), &reply.execution["engine"]),
        ("I am a model.", &json!("local"))
    );
    let nobody = other.log_in().await;
    let chat = nobody.chat().await;
    let reply = nobody.ask(&chat, "help").await;
    assert_eq!(reply.execution["engine"], "builtin");
}

/// The list of engines comes at once, and says who `auto` is; what takes a program to know comes to whoever waits.
#[tokio::test]
async fn engines_are_known_before_their_programs_said_their_versions() {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("codex");
    std::fs::write(&program, "#!/bin/sh\necho codex-cli 9.9.9\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let server = Setup::default()
        .env("PATH", &path)
        .env("CODEX_API_KEY", "x")
        .start()
        .await;
    let user = server.log_in().await;
    let at_once = user.read_all("/api/engines?versions=false").await;
    let codex = find(&at_once, "codex");
    assert_eq!(
        (&codex["version"], &codex["auto"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(find(&at_once, "builtin")["auto"], false);
    let asked = engines(&user).await;
    assert_eq!(find(&asked, "codex")["version"], "9.9.9");
    let at_once = user.read_all("/api/engines?versions=false").await;
    assert_eq!(find(&at_once, "codex")["version"], "9.9.9");
}

#[tokio::test]
async fn an_interrupted_answer_keeps_what_had_arrived() {
    let mut script = stream(&[delta(&json!({ "content": "It begins" }))]);
    script.push(Step::Hang);
    let model = ModelServer::saying([script]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    let execution = user.send(&chat, "Go").await;
    user.printed(&execution, "It begins").await;
    let server = server.kill().await.start().await;
    let reply = user.at(&server).ended(&execution).await;
    assert_eq!((reply.status(), reply.text()), ("failed", "It begins"));
    assert!(reply.error().starts_with("interrupted"));
}
