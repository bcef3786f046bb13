//! Bee Flow's chat: an answer whole or as it is written, which goes on whether somebody reads it or not.

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::http::Body;
use crate::support::user::id_of;
use crate::support::{Answer, Method, PATIENCE, Setup, TestServer, User, contract, schema};

const CHAT: &str = "/api/chat";

async fn start() -> (TestServer, User) {
    let server = Setup::settings(&settings()).start().await;
    let user = server.log_in().await;
    (server, user)
}

/// An event with an id that is text.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

/// An answer that is read as it comes; each event is held against the document.
struct Stream {
    answer: Answer,
    body: Body,
    text: Vec<u8>,
    seen: Vec<Event>,
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let field = |name: &str| {
                    block.lines().find_map(|line| {
                        line.strip_prefix(name)
                            .map(|value| value.trim_start().to_owned())
                    })
                };
                let Some(data) = field("data:") else { continue };
                let event = Event {
                    id: field("id:"),
                    name: field("event:").unwrap(),
                    data: serde_json::from_str(&data).unwrap(),
                };
                judge(&event);
                self.seen.push(event.clone());
                return Some(event);
            }
            let piece = tokio::time::timeout(PATIENCE, self.body.next()).await;
            match piece.unwrap_or_else(|_| panic!("nothing came: {:?}", self.seen)) {
                Ok(Some(piece)) => self.text.extend(piece),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    async fn until(&mut self, is: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("the stream ended: {:?}", self.seen));
            if is(&event) {
                return event;
            }
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        while self.next().await.is_some() {}
        self.seen
    }
}

/// Whether the event is one of those that the document tells of.
fn judge(event: &Event) {
    let root = contract::document();
    let content = &root["paths"]["/api/chat"]["post"]["responses"]["200"]["content"];
    let events = content["text/event-stream"]["x-events"].as_array().unwrap();
    let known = events.iter().find(|known| known["event"] == event.name);
    let known = known.unwrap_or_else(|| panic!("undocumented: {event:?}"));
    assert_eq!(known["id"], event.id.is_some(), "{event:?}");
    schema::check(&known["schema"], &event.data, root, &event.name).unwrap();
}

async fn ask(user: &User, body: &Value) -> Stream {
    let call = user.call(Method::Post, CHAT).json(body);
    let (answer, body) = call.open().await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    Stream {
        answer,
        body,
        text: Vec::new(),
        seen: Vec::new(),
    }
}

async fn resume(user: &User, message: &str, after: Option<&str>) -> Stream {
    let mut call = user.call(Method::Get, &format!("{CHAT}/{message}/stream"));
    if let Some(after) = after {
        call = call.header("Last-Event-ID", after);
    }
    let (answer, body) = call.open().await;
    Stream {
        answer: answer.expect(200),
        body,
        text: Vec::new(),
        seen: Vec::new(),
    }
}

/// The text of the tokens.
fn text(events: &[Event]) -> String {
    let tokens = events.iter().filter(|event| event.name == "token");
    tokens
        .map(|event| event.data["text"].as_str().unwrap())
        .collect()
}

fn names(events: &[Event]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    names.dedup();
    names
}

/// The message that an id is of.
fn message_of(event: &Event) -> String {
    event
        .id
        .as_ref()
        .unwrap()
        .split_once(':')
        .unwrap()
        .0
        .to_owned()
}

#[tokio::test]
async fn an_answer_comes_whole_with_its_conversation() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake-events").await;
    let body = json!({ "agentId": worker, "message": "tools", "stream": false });
    let answer = user.post(CHAT, &body).await.expect(200).json();
    assert_eq!(answer["content"], "before after");
    assert_eq!(answer["usage"], json!({ "input": 7, "output": 11 }));
    assert_eq!(answer["model"], "fake-1");
    // A conversation is a chat, and the answer a message in it.
    let chat = answer["conversationId"].as_str().unwrap();
    let session = user.read(&format!("/api/local/sessions/{chat}")).await;
    assert_eq!(
        (&session["name"], &session["worker_id"]),
        (&json!("tools"), &json!(worker))
    );
    let messages = user.messages(chat).await;
    assert_eq!(messages[1]["id"], answer["messageId"]);
    assert_eq!(messages[0]["content"], "tools");

    // It goes on there, with whom it began; without `stream` the answer is whole.
    let body = json!({ "conversationId": chat, "message": "say two" });
    let more = user.post(CHAT, &body).await.expect(200).json();
    assert_eq!(more["conversationId"], chat);
    assert_eq!(more["content"], "two\n");
    assert_eq!(more["usage"], json!({ "input": null, "output": null }));
    assert_eq!(user.messages(chat).await.len(), 4);
    // Without an agent and a conversation the bee answers.
    let bee = user
        .post(CHAT, &json!({ "message": "help" }))
        .await
        .expect(200)
        .json();
    let messages = user.messages(bee["conversationId"].as_str().unwrap()).await;
    assert_eq!(messages[1]["author"]["name"], "bee");
}

#[tokio::test]
async fn a_conversation_may_be_brought_along() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake").await;
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "1+1?" },
        { "role": "assistant", "content": "2" },
        { "role": "user", "content": "say three" },
    ]);
    let body = json!({ "agentId": worker, "messages": messages });
    let answer = user.post(CHAT, &body).await.expect(200).json();
    let chat = answer["conversationId"].as_str().unwrap();
    let sent = user.messages(chat).await[0]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        sent.contains("Be brief.") && sent.contains("assistant: 2"),
        "{sent}"
    );
    // Where the conversation is known only what is new is said.
    let body = json!({ "conversationId": chat, "messages": messages });
    let answer = user.post(CHAT, &body).await.expect(200).json();
    assert_eq!(answer["content"], "three\n");
    assert_eq!(user.messages(chat).await[2]["content"], "say three");
}

#[tokio::test]
async fn an_answer_comes_as_it_is_written_with_its_tools() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake-events").await;
    let body = json!({ "agentId": worker, "message": "tools", "stream": true });
    let stream = ask(&user, &body).await;
    assert_eq!(stream.answer.header("x-accel-buffering"), Some("no"));
    let events = stream.rest().await;
    assert_eq!(
        names(&events),
        [
            "progress",
            "token",
            "tool_call",
            "tool_result",
            "token",
            "done"
        ]
    );
    assert_eq!(text(&events), "before after");
    let find = |name: &str| events.iter().find(|event| event.name == name).unwrap();
    assert_eq!(
        find("tool_call").data,
        json!({ "id": "t1", "name": "read_file", "args": { "path": "a.txt" } })
    );
    assert_eq!(
        find("tool_result").data,
        json!({ "id": "t1", "result": "content" })
    );
    let done = &find("done").data;
    assert_eq!(done["usage"], json!({ "input": 7, "output": 11 }));
    assert_eq!(
        (&done["model"], &done["content"]),
        (&json!("fake-1"), &json!("before after"))
    );
    // Every id is of this message, and its number is greater than the one before.
    let message = done["messageId"].as_str().unwrap();
    let numbers: Vec<u64> = events
        .iter()
        .map(|event| {
            assert_eq!(message_of(event), message);
            event
                .id
                .as_ref()
                .unwrap()
                .split_once(':')
                .unwrap()
                .1
                .parse()
                .unwrap()
        })
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );

    // From behind each of them the rest comes, and nothing twice; behind the last there is nothing.
    for (at, event) in events.iter().enumerate() {
        let after = event.id.as_deref();
        if event.name == "done" {
            let path = format!("{CHAT}/{message}/stream");
            let call = user
                .call(Method::Get, &path)
                .header("Last-Event-ID", after.unwrap());
            call.send().await.expect(204);
            let query = format!("{path}?last_event_id={}", after.unwrap());
            user.get(&query).await.expect(204);
            continue;
        }
        let rest = resume(&user, message, after).await.rest().await;
        assert_eq!(text(&rest), text(&events[at + 1..]), "{after:?}");
        let stored = |events: &[Event]| -> Vec<Event> {
            let stored = events.iter().filter(|event| event.name != "token");
            stored.cloned().collect()
        };
        assert_eq!(stored(&rest), stored(&events[at + 1..]), "{after:?}");
    }
    // The whole of it comes to who has none, and to who brings an id of something else.
    let all = resume(&user, message, None).await.rest().await;
    assert_eq!((names(&all), text(&all)), (names(&events), text(&events)));
    let reset = resume(&user, message, Some("7")).await.rest().await;
    assert_eq!(reset[0].name, "reset");
    assert_eq!(text(&reset), text(&events));
    // The user's own message leads to its answer as well.
    let chat = done["conversationId"].as_str().unwrap();
    let asked = id_of(&user.messages(chat).await[0]);
    let by_question = resume(&user, &asked, None).await.rest().await;
    assert_eq!(text(&by_question), text(&events));
}

#[tokio::test]
async fn a_tool_that_fails_and_a_run_that_fails_say_so() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake-events").await;
    let body = json!({ "agentId": worker, "message": "fail", "stream": true });
    let events = ask(&user, &body).await.rest().await;
    assert_eq!(text(&events), "half an answer\n");
    let last = events.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data),
        (
            "error",
            &json!({ "code": "not_signed_in", "message": "Sign in first." })
        )
    );
    let body = json!({ "agentId": worker, "message": "fail" });
    let refused = user.post(CHAT, &body).await;
    let refused = refused.refused(503, "upstream_unavailable");
    assert_eq!(refused["message"], "Sign in first.");
    assert_eq!(refused["details"]["code"], "not_signed_in");
    assert!(refused["details"]["messageId"].is_string());
    assert!(refused["details"]["conversationId"].is_string());
}

#[tokio::test]
async fn a_run_goes_on_without_its_reader_until_it_is_cancelled() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake").await;
    let body = json!({ "agentId": worker, "message": "wait here", "stream": true });
    let mut stream = ask(&user, &body).await;
    let first = stream.until(|event| event.name == "token").await;
    let message = message_of(&first);
    drop(stream);
    let work_dir = user.read(&format!("/api/workers/{worker}")).await["work_dir"].clone();
    let after = first.id.as_deref();
    let waiting = resume(&user, &message, after).await;
    let go = std::path::Path::new(work_dir.as_str().unwrap()).join("go");
    std::fs::write(&go, "").unwrap();
    let rest = waiting.rest().await;
    assert_eq!(
        text(&[vec![first], rest.clone()].concat()),
        "waiting here\ndone\n"
    );
    assert_eq!(rest.last().unwrap().name, "done");
    let cancel = format!("{CHAT}/{message}/cancel");
    user.post(&cancel, &json!({}))
        .await
        .refused(409, "conflict");

    std::fs::remove_file(go).unwrap();
    let mut stream = ask(&user, &body).await;
    let first = stream.until(|event| event.name == "token").await;
    let cancel = format!("{CHAT}/{}/cancel", message_of(&first));
    let told = user.post(&cancel, &json!({})).await.expect(202).json();
    assert_eq!(told, json!({ "status": "cancelling" }));
    let last = stream.rest().await.pop().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["code"]),
        ("error", &json!("cancelled"))
    );

    // Who waits for the whole is told, too.
    let mut news = user.events("/api/stream", None).await;
    let whole = user.call(Method::Post, CHAT);
    let whole = whole.json(&json!({ "agentId": worker, "message": "hang" }));
    let whole = tokio::spawn(async move { whole.send().await });
    let running = news
        .find(|event| event.is("status") && event.data["status"] == "running")
        .await;
    let execution = running.data["execution_id"].as_str().unwrap();
    let cancel = format!("{CHAT}/{execution}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    let refused = whole.await.unwrap();
    assert_eq!(
        refused.refused(409, "conflict")["details"]["code"],
        "cancelled"
    );
}

/// Killed in the middle: who comes back misses nothing of what was there, sees nothing twice, and is told how it ended.
#[tokio::test]
async fn a_stream_is_taken_up_after_a_kill() {
    let (server, user) = start().await;
    let worker = user.worker("Ada", "fake").await;
    let body = json!({ "agentId": worker, "message": "wait here", "stream": true });
    let mut stream = ask(&user, &body).await;
    let mut seen = Vec::new();
    while text(&seen) != "waiting here\n" {
        seen.push(stream.next().await.unwrap());
    }
    let message = message_of(&seen[0]);
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let user = user.at(&server);
    for at in [0, seen.len() / 2, seen.len() - 1] {
        let after = seen[at].id.as_deref();
        let rest = resume(&user, &message, after).await.rest().await;
        let all = [&seen[..=at], &rest].concat();
        assert_eq!(text(&all), "waiting here\n", "{after:?}");
        let last = rest.last().unwrap();
        assert_eq!(
            (last.name.as_str(), &last.data["code"]),
            ("error", &json!("interrupted"))
        );
    }
}

#[tokio::test]
async fn a_question_is_asked_once_for_each_key() {
    let (server, user) = start().await;
    let worker = user.worker("Ada", "fake").await;
    let make = |user: &User, key: &str, body: &Value| {
        let call = user.call(Method::Post, CHAT).header("Idempotency-Key", key);
        call.json(body)
    };
    let body = json!({ "agentId": worker, "message": "count" });
    let first = make(&user, "a", &body).send().await.expect(200).json();
    let again = make(&user, "a", &body).send().await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json(), first);
    let other = make(&user, "a", &json!({ "message": "count" }))
        .send()
        .await;
    other.refused(422, "idempotency_key_reused");

    // A stream that is asked for again is the same one; while it is written it is to be had by its id.
    let body = json!({ "agentId": worker, "message": "wait here", "stream": true });
    let (answer, rest) = make(&user, "b", &body).open().await;
    let mut stream = Stream {
        answer: answer.expect(200),
        body: rest,
        text: Vec::new(),
        seen: Vec::new(),
    };
    let token = stream.until(|event| event.name == "token").await;
    let early = make(&user, "b", &body).send().await;
    early.refused(409, "idempotency_in_progress");
    assert_eq!(early.header("retry-after"), Some("1"));
    let work_dir = user.read(&format!("/api/workers/{worker}")).await["work_dir"].clone();
    std::fs::write(
        std::path::Path::new(work_dir.as_str().unwrap()).join("go"),
        "",
    )
    .unwrap();
    let events = stream.rest().await;
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let user = user.at(&server);
    let (answer, rest) = make(&user, "b", &body).open().await;
    let again = Stream {
        answer: answer.expect(200),
        body: rest,
        text: Vec::new(),
        seen: Vec::new(),
    };
    assert_eq!(again.answer.header("idempotent-replayed"), Some("true"));
    let again = again.rest().await;
    assert_eq!(text(&again), text(&events));
    assert_eq!(again.last(), events.last());
    assert_eq!(message_of(&again[0]), message_of(&token));
    assert_eq!(user.read_all("/api/local/sessions").await.len(), 2);
    let again = make(
        &user,
        "a",
        &json!({ "agentId": worker, "message": "count" }),
    );
    assert_eq!(again.send().await.expect(200).json(), first);
    assert_eq!(user.read_all("/api/executions").await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_begins_nothing() {
    let text = format!(
        "{}\n[tier]\nname = \"pro\"\n[tier.limits]\nsessions = 1\n",
        settings()
    );
    let server = Setup::settings(&text).start().await;
    let user = server.log_in().await;
    let nobody = "019ac0de-0000-7000-8000-000000000001";
    for (body, field) in [
        (json!({}), "message"),
        (json!({ "message": " " }), "message"),
        (json!({ "message": "a", "messages": [] }), "message"),
        (json!({ "message": "x".repeat(512 * 1024 + 1) }), "message"),
        (json!({ "messages": [] }), "messages"),
        (
            json!({ "messages": [{ "role": "assistant", "content": "a" }] }),
            "messages",
        ),
        (json!({ "message": "a", "agentId": nobody }), "agentId"),
    ] {
        let refused = user.post(CHAT, &body).await;
        assert_eq!(refused.invalid_fields(), [field], "{}", refused.text());
    }
    let lost = json!({ "message": "a", "conversationId": nobody });
    user.post(CHAT, &lost).await.refused(404, "not_found");
    for body in [
        json!({ "message": 1 }),
        json!({ "message": "a", "agentId": "x" }),
    ] {
        user.post(CHAT, &body).await.refused(400, "bad_request");
    }
    for path in [nobody, "x"] {
        let path = format!("{CHAT}/{path}");
        user.get(&format!("{path}/stream"))
            .await
            .refused(404, "not_found");
        user.post(&format!("{path}/cancel"), &json!({}))
            .await
            .refused(404, "not_found");
    }
    assert_eq!(user.read("/api/local/sessions").await, json!([]));
    // A new conversation counts as the chat that it is; one that goes on does not.
    let first = user
        .post(CHAT, &json!({ "message": "help" }))
        .await
        .expect(200)
        .json();
    let full = user.post(CHAT, &json!({ "message": "help" })).await;
    assert_eq!(
        full.refused(402, "tier_limit")["details"]["resource"],
        "sessions"
    );
    let more = json!({ "message": "help", "conversationId": first["conversationId"] });
    user.post(CHAT, &more).await.expect(200);

    let key = json!({ "name": "read", "scopes": ["read"] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    let reader = user.with_token(key["token"].as_str().unwrap());
    reader.post(CHAT, &more).await.refused(403, "forbidden");
    let message = first["messageId"].as_str().unwrap();
    let cancel = format!("{CHAT}/{message}/cancel");
    reader
        .post(&cancel, &json!({}))
        .await
        .refused(403, "forbidden");
    let seen = resume(&reader, message, None).await;
    assert_eq!(seen.rest().await.last().unwrap().name, "done");
}

/// Nobody waits for an answer that cannot come any more.
#[tokio::test]
async fn a_stream_ends_with_its_conversation() {
    let (_server, user) = start().await;
    let worker = user.worker("Ada", "fake").await;
    let body = json!({ "agentId": worker, "message": "hang", "stream": true });
    let mut stream = ask(&user, &body).await;
    let running = stream.until(|event| event.data["label"] == "running").await;
    let execution = user.execution(&message_of(&running)).await;
    let chat = execution["session_id"].as_str().unwrap();
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    let last = stream.rest().await.pop().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["code"]),
        ("error", &json!("cancelled"))
    );
}
