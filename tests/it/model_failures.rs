//! Model servers that misbehave: each ends as something that is said, and nothing is left of it.

use serde_json::json;

use crate::support::model::{ModelServer, Script, Step, delta, http, stream, stream_head, text};
use crate::support::{PATIENCE, Reply, TestServer, User};

/// What becomes of a message when the server says this. Waits are short, so that none is waited out for long.
async fn ask(scripts: Vec<Script>) -> (Reply, ModelServer, TestServer, User) {
    let mut model = ModelServer::saying(scripts).await;
    let settings = format!(
        "[limits]\nmodel_answer_timeout_s = 1\nmodel_idle_timeout_s = 1\nmodel_retries_max = 2\nmodel_retry_wait_max_s = 2\n{}",
        model.engine("m", "")
    );
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    let reply = user.ask(&chat, "Hello").await;
    model.left_alone().await;
    (reply, model, server, user)
}

async fn error_of(scripts: Vec<Script>) -> String {
    let (reply, ..) = ask(scripts).await;
    assert_eq!(reply.status(), "failed", "{:?}", reply.execution);
    reply.error().to_owned()
}

fn hello() -> serde_json::Value {
    delta(&json!({ "content": "Hello" }))
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let server = TestServer::with(
        "[engines.m]\nkind = \"http\"\nurl = \"http://127.0.0.1:1\"\nmodel = \"x\"\n",
    )
    .await;
    let user = server.log_in().await;
    for engine in ["m", "local"] {
        let (_, chat) = user.chat_with_engine(engine, engine).await;
        let reply = user.ask(&chat, "Hello").await;
        let error = reply.error();
        assert!(error.starts_with("upstream_unavailable: "), "{error}");
    }
}

#[tokio::test]
async fn silence_is_not_waited_for_without_end() {
    let never = vec![Step::Hang];
    assert!(error_of(vec![never]).await.contains("no answer within 1 s"));
    let mut stops = stream(&[hello()]);
    stops.push(Step::Hang);
    let (reply, ..) = ask(vec![stops]).await;
    assert!(
        reply.error().contains("no more of the answer within 1 s"),
        "{}",
        reply.error()
    );
    assert_eq!(reply.text(), "Hello");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let (reply, ..) = ask(vec![stream(&[hello()])]).await;
    assert!(
        reply.error().starts_with("upstream_unavailable: "),
        "{}",
        reply.error()
    );
    assert_eq!(reply.text(), "Hello");
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    let chunk = format!("data: {}\n\n", hello());
    let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len()).into_bytes();
    for rest in [
        &b"zz\r\ngarbage"[..],
        b"ffffffffffffffffff\r\n",
        b"5\r\nab",
        b"-1\r\n",
        b"",
    ] {
        let script = [&head[..], &chunk, rest].map(|bytes| Step::Send(bytes.to_vec()));
        let (reply, ..) = ask(vec![script.to_vec()]).await;
        assert!(
            reply.error().starts_with("upstream_unavailable: "),
            "{}",
            reply.error()
        );
        assert_eq!(reply.text(), "Hello");
    }
}

#[tokio::test]
async fn what_is_no_stream_of_events_is_shown_for_what_it_is() {
    let page = http(
        "200 OK",
        "text/html",
        "",
        "<html><body>Log in to the hotel's network</body></html>",
    );
    let error = error_of(vec![page]).await;
    assert!(
        error.starts_with("bad_answer: ") && error.contains("text/html") && error.contains("hotel"),
        "{error}"
    );
    let whole = http("200 OK", "application/json", "", "{\"choices\":[]}");
    assert!(error_of(vec![whole]).await.starts_with("bad_answer: "));
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200\0OK\r\n\r\n",
        "\r\n",
    ] {
        let script = vec![Step::Send(garbage.as_bytes().to_vec())];
        let error = error_of(vec![script]).await;
        assert!(error.starts_with("upstream_unavailable: "), "{error}");
    }
}

#[tokio::test]
async fn events_that_mean_nothing_are_passed_over() {
    let mut bytes = stream_head();
    bytes.extend(b"data: {\"choices\":\n\ndata: \xff\xfe\n\nevent: ping\nid: 7\n\ndata: [1,2]\n\n");
    let mut script = vec![Step::Send(bytes)];
    // What follows is whole, without its head.
    let Step::Send(good) = text(&["Hello"]).remove(0) else {
        panic!("it sends")
    };
    let at = good
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap()
        + 4;
    script.push(Step::Send(good[at..].to_vec()));
    let (reply, ..) = ask(vec![script]).await;
    assert_eq!((reply.status(), reply.text()), ("completed", "Hello"));
    let nothing = stream(&[json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] })]);
    assert!(error_of(vec![nothing]).await.starts_with("no_answer: "));
    let says = stream(&[hello(), json!({ "error": { "message": "out of memory" } })]);
    assert!(error_of(vec![says]).await.contains("out of memory"));
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let busy = || {
        http(
            "429 Too Many Requests",
            "application/json",
            "Retry-After: 1\r\n",
            "{\"error\":{\"message\":\"slow down\"}}",
        )
    };
    let broken = || http("500 Internal Server Error", "text/plain", "", "oops");
    let begun = std::time::Instant::now();
    let (reply, model, ..) = ask(vec![busy(), broken(), text(&["At last."])]).await;
    assert_eq!(reply.text(), "At last.");
    assert_eq!(model.asked().len(), 3);
    assert!(
        begun.elapsed().as_millis() >= 1_000,
        "it was asked too soon"
    );
    let (reply, model, _server, user) = ask(vec![broken()]).await;
    assert!(
        reply.error().starts_with("upstream_unavailable: ") && reply.error().contains("oops"),
        "{}",
        reply.error()
    );
    assert_eq!(
        model.asked().len(),
        3,
        "once, and as often again as the limit says"
    );
    let log = user
        .log(reply.execution["id"].as_str().unwrap())
        .await
        .expect(200)
        .text();
    assert!(
        log.contains("trying again in") && log.contains("oops"),
        "{log}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_long_wait_is_not_waited_for() {
    let later = http(
        "503 Service Unavailable",
        "text/plain",
        "Retry-After: 3\r\n",
        "tomorrow",
    );
    let (reply, model, ..) = ask(vec![later]).await;
    assert!(
        reply.error().starts_with("upstream_unavailable: "),
        "{}",
        reply.error()
    );
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_repeated() {
    for (status, code) in [
        ("400 Bad Request", "engine_error: "),
        ("401 Unauthorized", "not_signed_in: "),
        ("404 Not Found", "engine_error: "),
    ] {
        let refused = http(
            status,
            "application/json",
            "",
            "{\"error\":\"no such model\"}",
        );
        let (reply, model, ..) = ask(vec![refused]).await;
        assert!(
            reply.error().starts_with(code) && reply.error().contains("no such model"),
            "{}",
            reply.error()
        );
        assert_eq!(model.asked().len(), 1);
    }
}

#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let elsewhere = ModelServer::saying([text(&["Gotcha."])]).await;
    let location = format!(
        "Location: http://{}/v1/chat/completions\r\n",
        elsewhere.address
    );
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let error = error_of(vec![http(status, "text/plain", &location, "")]).await;
        assert!(error.contains(&elsewhere.address.to_string()), "{error}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn lines_and_answers_without_end_are_ended() {
    let mut line = stream(&[hello()]);
    line.push(Step::Flood(vec![b'x'; 256 * 1024]));
    let (reply, ..) = ask(vec![line]).await;
    assert!(
        reply.error().starts_with("bad_answer: "),
        "{}",
        reply.error()
    );
    assert_eq!(reply.text(), "Hello");

    let mut noise = stream(&[]);
    noise.push(Step::Flood(
        format!(": {}\n", "x".repeat(10_000)).into_bytes(),
    ));
    assert!(error_of(vec![noise]).await.starts_with("bad_answer: "));

    let mut words = stream(&[]);
    let word = delta(&json!({ "content": "word ".repeat(10_000) }));
    words.push(Step::Flood(format!("data: {word}\n\n").into_bytes()));
    assert!(error_of(vec![words]).await.starts_with("answer_too_long: "));

    let head = [
        b"HTTP/1.1 200 OK\r\n".to_vec(),
        b"X: y\r\n".repeat(200),
        b"\r\n".to_vec(),
    ]
    .concat();
    assert!(
        error_of(vec![vec![Step::Send(head)]])
            .await
            .starts_with("upstream_unavailable: ")
    );
    let head = [
        &b"HTTP/1.1 200 OK\r\nX: "[..],
        &[b'y'; 100_000],
        b"\r\n\r\n",
    ]
    .concat();
    assert!(
        error_of(vec![vec![Step::Send(head)]])
            .await
            .starts_with("upstream_unavailable: ")
    );
}

/// Whatever it waits for, and the server notices that it was left.
#[tokio::test]
async fn stop_works_at_once_wherever_it_waits() {
    let mut slow = stream(&[hello()]);
    slow.push(Step::Hang);
    let busy = http(
        "503 Service Unavailable",
        "text/plain",
        "Retry-After: 50\r\n",
        "later",
    );
    for script in [vec![Step::Hang], slow, busy] {
        let mut model = ModelServer::saying([script]).await;
        let server = TestServer::with(&model.engine("m", "")).await;
        let user = server.log_in().await;
        let (_, chat) = user.chat_with_engine("Ada", "m").await;
        let execution = user.send(&chat, "Hello").await;
        user.running(&execution).await;
        crate::support::eventually("it is asked", PATIENCE, || {
            (!model.asked().is_empty()).then_some(())
        })
        .await;
        let cancel = format!("/api/executions/{execution}/cancel");
        user.post(&cancel, &json!({})).await.expect(202);
        assert_eq!(user.ended(&execution).await.status(), "cancelled");
        model.left_alone().await;
    }
}
