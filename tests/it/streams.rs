//! Event streams: every stored event once, in order, whatever happens to the connection or to the server.

use serde_json::json;

use crate::support::engine::settings;
use crate::support::token::{claims, now_s, signed};
use crate::support::{Event, EventStream, Method, TestServer, User};

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().filter_map(|event| event.id).collect()
}

fn stored(events: &[Event]) -> Vec<Event> {
    events
        .iter()
        .filter(|event| event.id.is_some())
        .cloned()
        .collect()
}

/// A chat in which three things were said and answered, and its stored events from the first to the last.
async fn told(user: &User) -> (String, Vec<Event>) {
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut last = String::new();
    for n in 1..=3 {
        last = user.send(&chat, &format!("say {n}")).await;
        user.ended(&last).await;
    }
    let mut stream = user.chat_events(&chat, Some(0)).await;
    stream.until(|event| event.is_final(&last)).await;
    (chat, stored(&stream.seen))
}

#[tokio::test]
async fn a_chat_is_seen_as_documented() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut stream = user.chat_events(&chat, None).await;
    assert_eq!(stream.comments, ["connected"]);
    assert_eq!(stream.answer.header("cache-control"), Some("no-store"));
    let execution = user.send(&chat, "say *hello*").await;
    stream.until(|event| event.is_final(&execution)).await;
    assert_eq!(stream.retry_ms, Some(2000));
    let seen = stored(&stream.seen);
    let names: Vec<&str> = seen.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        ["user_message", "status", "status", "message", "status"]
    );
    assert!(ids(&seen).is_sorted_by(|a, b| a < b), "{:?}", ids(&seen));
    assert_eq!(seen[0].data["content"], "say *hello*");
    let statuses: Vec<&str> = [1, 2, 4]
        .map(|at: usize| seen[at].data["status"].as_str().unwrap())
        .to_vec();
    assert_eq!(statuses, ["pending", "running", "completed"]);
    assert_eq!(seen[1].data["worker_id"], worker.as_str());
    assert!(seen[1].data["queue_position"].is_u64());
    let reply = &seen[3].data;
    assert_eq!(reply["content"], "*hello*\n");
    assert!(reply["html"].as_str().unwrap().contains("<em>hello</em>"));
    assert_eq!(
        reply["author"],
        json!({ "worker_id": worker, "name": "Ada" })
    );
    assert_eq!(
        (&reply["execution_id"], &reply["status"]),
        (&json!(execution), &json!("completed"))
    );
    assert!(reply["id"].is_string() && reply["created_at"].is_u64() && reply["media"] == json!([]));
}

/// When the reply arrives, its execution is final, its log sealed and the reply in the history: one step to a reader.
#[tokio::test]
async fn when_a_reply_arrives_everything_of_it_is_there() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut stream = user.chat_events(&chat, None).await;
    for n in 0..10 {
        let execution = user.send(&chat, "lines 5").await;
        stream.until(|event| event.is("message")).await;
        assert_eq!(user.execution(&execution).await["status"], "completed");
        let log = user.log(&execution).await.expect(200);
        assert!(
            log.header("cache-control").unwrap().contains("immutable"),
            "{n}"
        );
        assert_eq!(user.messages(&chat).await.len(), 2 * (n + 1));
        let is_sealed = std::fs::metadata(log_file(&server, &execution)).unwrap();
        assert!(is_sealed.permissions().readonly(), "{n}");
    }
}

/// Where the log of an execution is: in the folder of some month.
fn log_file(server: &TestServer, execution: &str) -> std::path::PathBuf {
    let months = std::fs::read_dir(server.data.join("logs")).unwrap();
    months
        .map(|month| month.unwrap().path().join(format!("{execution}.log")))
        .find(|path| path.exists())
        .expect("a log")
}

#[tokio::test]
async fn a_stream_resumes_wherever_it_broke_and_across_a_restart() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (chat, all) = told(&user).await;
    for cut in 0..all.len() {
        let after = if cut == 0 {
            0
        } else {
            all[cut - 1].id.unwrap()
        };
        let mut stream = user.chat_events(&chat, Some(after)).await;
        assert_eq!(
            stream.take(all.len() - cut).await,
            all[cut..],
            "after {after}"
        );
    }
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    let mut stream = user.chat_events(&chat, Some(all[4].id.unwrap())).await;
    assert_eq!(stream.take(all.len() - 5).await, all[5..]);
    // What comes next goes on with larger ids.
    let execution = user.send(&chat, "say more").await;
    let next = stored(&stream.until(|event| event.is_final(&execution)).await);
    assert!(next[0].id > all.last().unwrap().id, "{next:?}");
    assert_eq!(next.len(), 5);
    // The query does as well as the header.
    let path = format!(
        "/api/local/sessions/{chat}/stream?last_event_id={}",
        all[0].id.unwrap()
    );
    let mut stream = user.events(&path, None).await;
    assert_eq!(stream.take(3).await, all[1..4]);
}

#[tokio::test]
async fn without_an_id_a_stream_starts_now() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (chat, all) = told(&user).await;
    let mut stream = user.chat_events(&chat, None).await;
    let execution = user.send(&chat, "say now").await;
    let first = stream.take(1).await.remove(0);
    assert_eq!(first.data["content"], "say now");
    assert!(first.id > all.last().unwrap().id);
    user.ended(&execution).await;
}

/// An id from another hive, from the future, or that is none: one `reset` with the id to go on from.
#[tokio::test]
async fn an_id_that_cannot_be_served_gets_one_reset() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (chat, _) = told(&user).await;
    for id in [
        "99999999",
        "18446744073709551615",
        "99999999999999999999999",
        "x",
        "-1",
        "1.5",
    ] {
        let path = format!("/api/local/sessions/{chat}/stream");
        let call = user.call(Method::Get, &path).header("Last-Event-ID", id);
        let mut stream = EventStream::open(call).await;
        let reset = stream.next().await.unwrap();
        assert!(reset.is("reset"), "{id}: {reset:?}");
        let execution = user.send(&chat, "say on").await;
        let seen = stored(&stream.until(|event| event.is_final(&execution)).await);
        assert!(
            seen.iter()
                .all(|event| !event.is("reset") && event.id > reset.id),
            "{seen:?}"
        );
        assert_eq!(seen.len(), 5);
    }
}

/// The text so far, then its continuation: together exactly the reply, from whichever moment on.
#[tokio::test]
async fn a_running_reply_is_whole_for_whoever_joins() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut first = user.chat_events(&chat, None).await;
    let execution = user.send(&chat, "slow 40").await;
    let mut readers = Vec::new();
    for line in [5, 15, 25] {
        let wanted = format!("line {line}\n");
        first
            .until(|event| {
                event.is("delta") && event.data["text"].as_str().unwrap().contains(&wanted)
            })
            .await;
        let mut late = user.chat_events(&chat, None).await;
        let execution = execution.clone();
        readers.push(tokio::spawn(async move {
            let mut text = String::new();
            for event in late.until(|event| event.is("message")).await {
                match event.name.as_str() {
                    "partial" => {
                        assert!(text.is_empty(), "one partial, first");
                        assert!(event.data["html"].is_string());
                        assert_eq!(
                            (&event.data["execution_id"], event.id),
                            (&json!(execution), None)
                        );
                        text = event.data["text"].as_str().unwrap().to_owned();
                        assert!(text.contains(&wanted));
                    }
                    "delta" => {
                        assert_eq!(event.data["offset"], text.len());
                        text.push_str(event.data["text"].as_str().unwrap());
                    }
                    "message" => {
                        assert!(event.data["content"].as_str().unwrap().starts_with(&text))
                    }
                    _ => {}
                }
            }
            text
        }));
    }
    let reply = user.ended(&execution).await;
    let expected: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    assert_eq!(reply.message["content"], expected);
    for reader in readers {
        let text = reader.await.unwrap();
        assert!(
            expected.starts_with(&text) && text.len() > expected.len() / 2,
            "{text}"
        );
    }
}

#[tokio::test]
async fn one_stream_shows_all_chats_and_says_which() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, one) = user.chat_with_engine("Ada", "fake").await;
    let two = user.chat_with(&worker).await;
    let mut all = user.events("/api/stream", None).await;
    let mut only_one = user.chat_events(&one, None).await;
    let first = user.send(&one, "say 1").await;
    let second = user.send(&two, "say 2").await;
    let seen = all.until(|event| event.is_final(&second)).await;
    for event in &seen {
        let session = event.data["session_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{event:?}"));
        assert!([&one, &two].contains(&&session.to_owned()));
    }
    let of_one: Vec<Event> = stored(&seen)
        .into_iter()
        .filter(|event| event.data["session_id"] == one.as_str())
        .collect();
    let mut expected = only_one.until(|event| event.is_final(&first)).await;
    expected.retain(|event| event.id.is_some());
    assert_eq!(ids(&of_one), ids(&expected), "one counter for all");
    // And across a restart.
    let from = seen[0].id.unwrap();
    let server = server.restart().await;
    let mut again = user.at(&server).events("/api/stream", Some(from)).await;
    let rest = again.until(|event| event.is_final(&second)).await;
    assert_eq!(ids(&rest), ids(&seen)[1..]);
}

#[tokio::test]
async fn the_stream_of_an_execution_holds_only_its_own() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.send(&chat, "say 1").await;
    let second = user.send(&chat, "say 2").await;
    user.ended(&second).await;
    let mut stream = user
        .events(&format!("/api/executions/{first}/stream"), Some(0))
        .await;
    let seen = stream.until(|event| event.is_final(&first)).await;
    assert!(
        seen.iter()
            .all(|event| event.data["execution_id"] == first.as_str()),
        "{seen:?}"
    );
    assert!(seen.iter().any(|event| event.is("message")));
}

/// The chat's own stream ends; the stream of everything tells of it, also to whoever was away.
#[tokio::test]
async fn a_deleted_chat_says_so_everywhere() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (chat, told) = told(&user).await;
    let own = user.chat_events(&chat, None).await;
    let mut all = user.events("/api/stream", None).await;
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    let last = own.rest().await.pop().expect("an event");
    assert!(last.is("deleted"), "{last:?}");
    let deleted = all.find(|event| event.is("deleted")).await;
    assert_eq!(deleted.data["session_id"], chat.as_str());
    let before = told[0].id.unwrap();
    let server = server.restart().await;
    let mut again = user.at(&server).events("/api/stream", Some(before)).await;
    let seen = again.until(|event| event.is("deleted")).await;
    assert!(
        stored(&seen)
            .iter()
            .all(|event| event.data.get("content").is_none()),
        "nothing of what was said: {seen:?}"
    );
}

#[tokio::test]
async fn renaming_a_chat_is_seen_by_other_tabs() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let mut stream = user.chat_events(&chat, None).await;
    user.patch(
        &format!("/api/local/sessions/{chat}"),
        &json!({ "name": "Sums" }),
    )
    .await
    .expect(200);
    let event = stream.find(|event| event.is("session")).await;
    assert_eq!(
        (&event.data["name"], &event.data["id"]),
        (&json!("Sums"), &json!(chat))
    );
    assert!(event.id.is_some());
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let mut short = claims(&user.access);
    short["exp"] = (now_s() + 2).into();
    let user = user.with_token(&signed(&server, &short));
    let stream = user.chat_events(&chat, None).await;
    let last = stream.rest().await.pop().expect("an event");
    assert!(last.is("expired"), "{last:?}");
    user.get(&format!("/api/local/sessions/{chat}/stream"))
        .await
        .refused(401, "expired_token");
}

/// A reader that does not read costs nothing and misses nothing.
#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut slow = user.chat_events(&chat, None).await;
    let mut last = String::new();
    for n in 0..30 {
        last = user
            .send(&chat, &format!("say {n} {}", "x".repeat(20_000)))
            .await;
    }
    user.ended(&last).await;
    let seen = slow.until(|event| event.is_final(&last)).await;
    let replies: Vec<usize> = seen
        .iter()
        .filter(|event| event.is("message"))
        .map(|event| {
            event.data["content"]
                .as_str()
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert_eq!(replies, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let stream = user.events("/api/stream", None).await;
    let ended = tokio::spawn(stream.rest());
    let begun = std::time::Instant::now();
    server.stop().await;
    ended.await.unwrap();
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn streams_are_bounded() {
    let server = TestServer::with("[limits]\nstreams_max = 2").await;
    let user = server.log_in().await;
    let first = user.events("/api/stream", None).await;
    let _second = user.events("/api/stream", None).await;
    user.get("/api/stream").await.refused(503, "overloaded");
    drop(first);
    let path = "/api/stream";
    crate::support::eventually("room again", crate::support::PATIENCE, || Some(())).await;
    let begun = std::time::Instant::now();
    loop {
        let (answer, _body) = user.call(Method::Get, path).open().await;
        if answer.status == 200 {
            break;
        }
        assert!(begun.elapsed() < crate::support::PATIENCE);
    }
}

/// A stream that asks for it sees a running reply rendered, said to reach as far as the deltas before it do; others do not.
#[tokio::test]
async fn a_running_reply_is_rendered_for_who_asks() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut plain = user.chat_events(&chat, None).await;
    let path = format!("/api/local/sessions/{chat}/stream?html=true");
    let mut stream = user.events(&path, None).await;
    let execution = user.send(&chat, "hang").await;
    let rendered = stream.find(|event| event.is("html")).await;
    assert_eq!(rendered.id, None);
    assert_eq!(rendered.data["execution_id"], execution.as_str());
    let text: String = stream
        .seen
        .iter()
        .filter(|event| event.is("delta"))
        .map(|event| event.data["text"].as_str().unwrap())
        .collect();
    assert_eq!(rendered.data["bytes"], text.len());
    let html = rendered.data["html"].as_str().unwrap();
    assert!(
        html.starts_with("<p>") && html.contains("hanging"),
        "{html}"
    );
    let cancel = format!("/api/executions/{execution}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    stream.until(|event| event.is_final(&execution)).await;
    plain.until(|event| event.is_final(&execution)).await;
    assert!(plain.seen.iter().all(|event| !event.is("html")));
}
