//! The API of OpenAI's clients: workers as models.

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::user::id_of;
use crate::support::{Method, Setup, TestServer, User};

const COMPLETIONS: &str = "/v1/chat/completions";

async fn start() -> (TestServer, User) {
    let server = Setup::settings(&settings()).start().await;
    let user = server.log_in().await;
    (server, user)
}

fn asked(model: &str, content: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": content }] })
}

/// The chunks of an answer; the last of them is `[DONE]`, which is no JSON.
async fn chunks(user: &User, body: &Value) -> Vec<Value> {
    let call = user.call(Method::Post, COMPLETIONS).json(body);
    let (answer, mut rest) = call.open().await;
    assert_eq!(answer.status, 200, "{}", answer.what);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let mut text = Vec::new();
    while let Some(piece) = rest.next().await.unwrap() {
        text.extend(piece);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("retry:"), "clients take it for an event");
    let mut data: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    if !data.last().unwrap().contains("\"error\"") {
        assert_eq!(data.pop(), Some("[DONE]"), "{text}");
    }
    data.iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn told(chunks: &[Value]) -> String {
    let pieces = chunks.iter().filter_map(|chunk| {
        let content = &chunk["choices"][0]["delta"]["content"];
        content.as_str()
    });
    pieces.collect()
}

#[tokio::test]
async fn workers_are_models_by_their_names() {
    let (_server, user) = start().await;
    user.worker("Ada Lovelace", "fake").await;
    let list = user.read("/v1/models").await;
    let ids: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(ids, ["bee", "Ada Lovelace"]);
    let one = user.read("/v1/models/ada%20lovelace").await;
    assert_eq!(one["id"], "Ada Lovelace");
    assert_eq!(one["object"], "model");
    let none = user.get("/v1/models/nobody").await;
    assert_eq!(none.status, 404);
    assert_eq!(none.json()["error"]["code"], "not_found");
}

#[tokio::test]
async fn a_worker_answers_whole_with_usage() {
    let (_server, user) = start().await;
    user.worker("Ada", "fake").await;
    let answer = user.post(COMPLETIONS, &asked("Ada", "say hello")).await;
    let answer = answer.expect(200).json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "Ada");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(
        choice["message"]["content"].as_str().unwrap().trim(),
        "hello"
    );
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(
        answer["usage"]["total_tokens"], 0,
        "an engine that says nothing"
    );
}

#[tokio::test]
async fn a_worker_answers_in_chunks_with_usage() {
    let (_server, user) = start().await;
    user.worker("Ada", "fake").await;
    let mut body = asked("Ada", "slow 5");
    body["stream"] = json!(true);
    let all = chunks(&user, &body).await;
    assert_eq!(all[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(told(&all).lines().count(), 5, "{all:?}");
    let last = all.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["total_tokens"], 0);
    body["stream_options"] = json!({ "include_usage": true });
    let all = chunks(&user, &body).await;
    let [.., finish, usage] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["prompt_tokens"], 0);
}

#[tokio::test]
async fn a_conversation_is_a_chat_of_its_own_unless_one_is_named() {
    let (_server, user) = start().await;
    user.worker("Ada", "fake").await;
    let first = user
        .post(COMPLETIONS, &asked("Ada", "say one"))
        .await
        .expect(200)
        .json();
    let chat = first["session_id"].as_str().unwrap();
    let session = user.read(&format!("/api/local/sessions/{chat}")).await;
    assert_eq!(session["archived"], true);
    assert_eq!(session["tags"], json!(["v1"]));
    let second = user
        .post(COMPLETIONS, &asked("Ada", "say two"))
        .await
        .expect(200)
        .json();
    assert_ne!(second["session_id"], chat);
    let mut named = asked("Ada", "say three");
    named["metadata"] = json!({ "session_id": chat });
    let third = user.post(COMPLETIONS, &named).await.expect(200).json();
    assert_eq!(third["session_id"], chat);
    assert_eq!(user.messages(chat).await.len(), 4);
    named["metadata"]["session_id"] = json!("elsewhere");
    assert_eq!(user.post(COMPLETIONS, &named).await.status, 404);
}

/// OpenAI's clients send it again after a 409 or a 5xx, unless they are told not to.
#[tokio::test]
async fn a_run_that_fails_says_so_and_is_not_asked_for_again() {
    let (_server, user) = start().await;
    user.worker("Lost", "missing").await;
    let answer = user.post(COMPLETIONS, &asked("Lost", "hi")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "upstream_unavailable");
    assert_eq!(error["type"], "server_error");
    assert_eq!(error["requestId"], answer.header("x-request-id").unwrap());
    let mut body = asked("Lost", "hi");
    body["stream"] = json!(true);
    let all = chunks(&user, &body).await;
    assert_eq!(all.last().unwrap()["error"]["code"], "upstream_unavailable");
}

#[tokio::test]
async fn refusals_are_in_openais_form() {
    let (server, user) = start().await;
    let call = || server.call(Method::Post, COMPLETIONS);
    let anonymous = call().json(&asked("bee", "hi")).send().await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(anonymous.json()["error"]["code"], "missing_token");
    assert_eq!(anonymous.json()["error"]["type"], "authentication_error");
    let unknown = user.post(COMPLETIONS, &asked("nobody", "hi")).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("not_found"))
    );
    let empty = user.post(COMPLETIONS, &asked("bee", " ")).await;
    assert_eq!(empty.status, 422);
    assert_eq!(empty.json()["error"]["param"], "messages");
    let nowhere = user.get("/v1/nowhere").await;
    assert_eq!(
        (nowhere.status, &nowhere.json()["error"]["code"]),
        (404, &json!("not_found"))
    );
    let key = json!({ "name": "reader", "scopes": ["read"] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    let reader = user.with_token(key["token"].as_str().unwrap());
    assert_eq!(reader.get("/v1/models").await.status, 200);
    assert_eq!(
        reader.post(COMPLETIONS, &asked("bee", "hi")).await.status,
        403
    );
}

/// The client's own run ends with it, streamed or not, so that nothing runs that nobody reads.
#[tokio::test]
async fn a_client_that_hangs_up_stops_its_run() {
    let (_server, user) = start().await;
    for stream in [true, false] {
        let worker = user.worker(&format!("Slow {stream}"), "fake").await;
        let mut events = user.events("/api/stream", None).await;
        let mut body = asked(&format!("Slow {stream}"), "trickle");
        body["stream"] = json!(stream);
        let call = user.call(Method::Post, COMPLETIONS).json(&body);
        let waiting = tokio::spawn(async move {
            let (_answer, mut rest) = call.open().await;
            while let Ok(Some(_)) = rest.next().await {}
        });
        events.until(|event| event.is("delta")).await;
        let running = user
            .read(&format!("/api/workers/{worker}/executions"))
            .await;
        let execution = id_of(&running[0]);
        waiting.abort();
        assert_eq!(user.ended(&execution).await.status(), "cancelled");
    }
}
