//! The log of an execution: byte for byte, immutable once final, followed while it grows.

use serde_json::json;

use crate::support::engine::settings;
use crate::support::user::id_of;
use crate::support::{Answer, Method, TestServer, User};

const TEXT: &str = "text/plain; charset=utf-8";

/// A finished execution that printed `line 1` to `line 10`.
async fn ten_lines(user: &User) -> (String, Vec<u8>) {
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let reply = user.ask(&chat, "lines 10").await;
    let expected: String = (1..=10).map(|n| format!("line {n}\n")).collect();
    (
        format!("/api/executions/{}/logs", id_of(&reply.execution)),
        expected.into_bytes(),
    )
}

async fn with(user: &User, path: &str, headers: &[(&str, &str)]) -> Answer {
    let call = user.call(Method::Get, path);
    headers
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value))
        .send()
        .await
}

#[tokio::test]
async fn a_final_log_is_immutable_and_says_so() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (path, expected) = ten_lines(&user).await;
    let log = with(&user, &path, &[("Accept-Encoding", "gzip, br")])
        .await
        .expect(200);
    assert_eq!(log.body, expected);
    assert_eq!(log.header("content-type"), Some(TEXT));
    assert_eq!(
        log.header("cache-control"),
        Some("public, max-age=3600, immutable")
    );
    assert_eq!(log.header("content-encoding"), None, "never compressed");
    assert_eq!(log.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        log.header("content-length"),
        Some(&*expected.len().to_string())
    );
    let etag = log.header("etag").unwrap();
    assert!(etag.starts_with('"'), "a strong one: {etag}");
    let modified = log.header("last-modified").unwrap();

    let again = with(&user, &path, &[("If-None-Match", etag)])
        .await
        .expect(304);
    assert_eq!((again.body.len(), again.header("etag")), (0, Some(etag)));
    with(&user, &path, &[("If-None-Match", "\"other\"")])
        .await
        .expect(200);
    with(&user, &path, &[("If-None-Match", "*")])
        .await
        .expect(304);
    with(&user, &path, &[("If-Modified-Since", modified)])
        .await
        .expect(304);
    let head = user.call(Method::Head, &path).send().await.expect(200);
    assert_eq!((head.body.len(), head.header("etag")), (0, Some(etag)));
    assert_eq!(head.header("content-length"), log.header("content-length"));

    let server = server.kill().await.start().await;
    let after = with(&user.at(&server), &path, &[]).await.expect(200);
    assert_eq!((after.header("etag"), &after.body), (Some(etag), &expected));
}

#[tokio::test]
async fn a_log_is_served_in_ranges() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (path, expected) = ten_lines(&user).await;
    let length = expected.len();
    for (range, from, to) in [
        ("bytes=0-6", 0, 7),
        ("bytes=7-13", 7, 14),
        ("bytes=60-", 60, length),
        ("bytes=-8", length - 8, length),
        ("bytes=0-99999", 0, length),
        ("bytes=-99999", 0, length),
    ] {
        let part = with(&user, &path, &[("Range", range)]).await.expect(206);
        assert_eq!(part.body, expected[from..to], "{range}");
        let said = format!("bytes {from}-{}/{length}", to - 1);
        assert_eq!(part.header("content-range"), Some(&*said));
    }
    for range in [
        format!("bytes={length}-"),
        "bytes=99999-".to_owned(),
        "bytes=-0".to_owned(),
    ] {
        let refused = with(&user, &path, &[("Range", &range)]).await;
        assert_eq!(refused.status, 416, "{range}");
        assert_eq!(
            refused.header("content-range"),
            Some(&*format!("bytes */{length}"))
        );
        refused.refusal();
    }
    // What is no range is passed over.
    for range in ["lines=1-2", "bytes=x-y", "bytes=5-2", "bytes="] {
        let whole = with(&user, &path, &[("Range", range)]).await.expect(200);
        assert_eq!(whole.body, expected, "{range}");
    }
    let etag = with(&user, &path, &[])
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let range = ("Range", "bytes=0-6");
    with(&user, &path, &[range, ("If-Range", &etag)])
        .await
        .expect(206);
    let changed = with(&user, &path, &[range, ("If-Range", "\"other\"")])
        .await
        .expect(200);
    assert_eq!(changed.body, expected);
}

#[tokio::test]
async fn a_running_log_is_shown_so_far_and_followed_to_its_end() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "wait here").await;
    user.printed(&execution, "waiting here").await;
    let path = format!("/api/executions/{execution}/logs");
    let so_far = user.get(&path).await.expect(200);
    assert_eq!(
        (so_far.text().as_str(), so_far.header("cache-control")),
        ("waiting here\n", Some("no-store"))
    );
    assert_eq!(so_far.header("content-type"), Some(TEXT));

    let (head, mut body) = user
        .call(Method::Get, &format!("{path}?follow=true"))
        .open()
        .await;
    assert_eq!(
        (head.status, head.header("cache-control")),
        (200, Some("no-store"))
    );
    assert_eq!(body.next().await.unwrap().unwrap(), b"waiting here\n");
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await.unwrap() {
        rest.extend(piece);
    }
    assert_eq!(rest, b"done\n", "it ends by itself");
    assert_eq!(user.get(&path).await.text(), "waiting here\ndone\n");
    let whole = user.get(&format!("{path}?follow=true")).await.expect(200);
    assert_eq!(
        whole.text(),
        "waiting here\ndone\n",
        "one that has ended is whole at once"
    );
}

/// Whoever follows a run that waits for its turn sees its first byte when it has one.
#[tokio::test]
async fn a_log_can_be_followed_before_it_exists() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.send(&chat, "wait").await;
    user.printed(&first, "waiting").await;
    let queued = user.send(&chat, "lines 3").await;
    let nothing = user.log(&queued).await.expect(200);
    assert_eq!(
        (nothing.text().as_str(), nothing.header("cache-control")),
        ("", Some("no-store"))
    );
    let path = format!("/api/executions/{queued}/logs?follow=true");
    let following = tokio::spawn(user.call(Method::Get, &path).send());
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    assert_eq!(following.await.unwrap().text(), "line 1\nline 2\nline 3\n");
    user.ended(&queued).await;
    user.get(&format!("/api/executions/{queued}/logs?follow=maybe"))
        .await
        .refused(400, "bad_request");
}

#[tokio::test]
async fn both_streams_of_an_engine_are_in_its_log() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let reply = user.ask(&chat, "stderr a warning").await;
    assert_eq!(
        reply.text(),
        "said elsewhere",
        "standard error is no part of the reply"
    );
    let log = user.log(&id_of(&reply.execution)).await.text();
    assert!(
        log.contains("a warning\n") && log.contains("said elsewhere\n"),
        "{log}"
    );
}

#[tokio::test]
async fn a_cancelled_wait_has_an_empty_log() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.send(&chat, "hang").await;
    let second = user.send(&chat, "say x").await;
    for execution in [&second, &first] {
        user.post(&format!("/api/executions/{execution}/cancel"), &json!({}))
            .await
            .expect(202);
        user.ended(execution).await;
    }
    assert_eq!(user.log(&second).await.expect(200).text(), "");
}

/// Whoever lost the connection while it runs goes on where it was; every line says when it was printed.
#[tokio::test]
async fn a_running_log_is_read_on_from_where_one_was() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "wait for me").await;
    user.printed(&execution, "waiting for me").await;
    let path = format!("/api/executions/{execution}/logs");
    for (query, expected) in [
        ("offset=8", "for me\n"),
        ("offset=8&bytes=3", "for"),
        ("offset=0&bytes=0", ""),
        ("offset=99", ""),
        ("offset=18446744073709551615&bytes=18446744073709551615", ""),
    ] {
        let part = user.get(&format!("{path}?{query}")).await.expect(200);
        assert_eq!(part.text(), expected, "{query}");
    }
    user.get(&format!("{path}?offset=-1")).await.expect(400);
    let follower = user.call(Method::Get, &format!("{path}?follow=true&offset=8"));
    let following = tokio::spawn(follower.send());
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    let rest = following.await.unwrap().expect(200);
    assert_eq!(rest.text(), "for me\ndone\n");

    user.ended(&execution).await;
    let pieces = user.read(&format!("{path}/pieces")).await;
    let places: Vec<(u64, u64)> = pieces
        .as_array()
        .unwrap()
        .iter()
        .map(|piece| {
            (
                piece["offset"].as_u64().unwrap(),
                piece["bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [(0, 15), (15, 5)]);
    assert!(pieces[0]["at"].as_u64() <= pieces[1]["at"].as_u64());
    assert_eq!(pieces[0]["stream"], "stdout");
    // From the line that holds a byte on; behind the end there is none.
    for (offset, first) in [(14, Some(0)), (15, Some(15)), (19, Some(15)), (20, None)] {
        let from = format!("{path}/pieces?offset={offset}&limit=1");
        let from = user.read(&from).await;
        assert_eq!(from[0]["offset"].as_u64(), first, "{offset}");
    }
    user.get(&format!("{path}/pieces?limit=0"))
        .await
        .expect(400);
    user.get("/api/executions/019ac0de-0000-7000-8000-000000000001/logs/pieces")
        .await
        .expect(404);
}
