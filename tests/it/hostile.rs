//! Clients and engines that mean harm, or do it anyway.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Method, PATIENCE, TestServer, User, eventually};

const MIB: usize = 1024 * 1024;

/// Engines that run the message as a shell script: what it prints is the reply, or one event a line.
const SHELL: &str = r#"
[engines.shell]
kind = "command"
argv = ["/bin/sh", "-c", "cat > \"$TMPDIR/script\"; . \"$TMPDIR/script\""]

[engines.shell-events]
kind = "command"
argv = ["/bin/sh", "-c", "cat > \"$TMPDIR/script\"; . \"$TMPDIR/script\""]
output = "events"
"#;

/// Prints an event with a field of so many bytes.
fn long_event(before: &str, bytes: usize, after: &str) -> String {
    format!(
        "printf '%s' '{before}'; head -c {bytes} /dev/zero | tr '\\0' a; printf '%s\\n' '{after}'\n"
    )
}

/// Whatever an engine says at once, its execution ends, its chat and its worker go on, and records stay small.
#[tokio::test]
async fn an_engine_that_says_too_much_is_cut() {
    let server = TestServer::with(SHELL).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Wilma", "shell-events").await;

    let text = long_event(r#"{"type":"text","text":""#, 3 * MIB, r#""}"#);
    let before = r#"{"type":"error","error":"e","message":""#;
    let error = long_event(before, 8 * MIB - 100, r#""}"#);
    let reply = user.ask(&chat, &format!("{text}{error}")).await;
    assert_eq!(reply.status(), "failed");
    assert!(reply.error().starts_with("e: aaa") && reply.error().len() <= 16 * 1024);
    assert_eq!(reply.text().len(), 2 * MIB);

    // Just short of the longest line that is read.
    let before = r#"{"type":"result","text":""#;
    let result = long_event(before, 8 * MIB - before.len() - 3, r#""}"#);
    let reply = user.ask(&chat, &result).await;
    assert_eq!(reply.status(), "completed");
    assert_eq!(reply.text().len(), 2 * MIB);

    let before = r#"{"type":"tool_call","name":"x","id":""#;
    let call = long_event(before, MIB, r#""}"#);
    let session = long_event(r#"{"type":"session","id":""#, MIB, r#""}"#);
    let execution = user
        .send(
            &chat,
            &format!(r#"{call}{session}echo '{{"type":"text","text":"well"}}'"#),
        )
        .await;
    let path = format!("/api/executions/{execution}/stream");
    let mut events = user.events(&path, Some(0)).await;
    let call = events.find(|event| event.is("tool_call")).await;
    assert_eq!(call.data["id"].as_str().unwrap().len(), 1024);
    let reply = user.ended(&execution).await;
    assert_eq!((reply.status(), reply.text()), ("completed", "well"));
    assert_eq!(reply.execution["engine_session_id"], Value::Null);
}

/// A double click, or fifty, asks once.
#[tokio::test]
async fn an_answer_is_tried_again_once() {
    let server = TestServer::with(SHELL).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Wilma", "shell").await;
    let first = user.ask(&chat, "echo hi").await;
    let id = first.execution["id"].as_str().unwrap().to_owned();
    let path = format!("/api/executions/{id}/retry");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (user, path) = (user.clone(), path.clone());
        tries.spawn(async move { user.post(&path, &json!({})).await });
    }
    let answers = tries.join_all().await;
    let taken: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 202)
        .collect();
    assert_eq!(taken.len(), 1);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 202 | 409))
    );

    // The new one can be tried again in turn.
    let second = taken[0].json()["id"].as_str().unwrap().to_owned();
    user.ended(&second).await;
    let again = user
        .post(&format!("/api/executions/{second}/retry"), &json!({}))
        .await;
    let third = again.expect(202).json()["id"].as_str().unwrap().to_owned();
    user.ended(&third).await;
    let messages = user.messages(&chat).await;
    assert_eq!(messages.len(), 2, "{messages:?}");
}

/// A page holds no more than a client and a server can carry; the next one goes on where it ended.
#[tokio::test]
async fn a_chat_of_long_replies_comes_in_several_pages() {
    let server = TestServer::with(SHELL).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Wilma", "shell").await;
    for _ in 0..6 {
        user.ask(&chat, "head -c 2000000 /dev/zero | tr '\\0' x")
            .await;
    }
    let path = format!("/api/local/sessions/{chat}/messages");
    let page = user.get(&path).await.expect(200);
    assert!(page.body.len() < 12 * MIB, "{}", page.body.len());
    assert!(page.next_page().is_some());
    assert_eq!(user.messages(&chat).await.len(), 12);
}

/// However a client writes the name of its token, the token does not come back in a link.
#[tokio::test]
async fn a_link_to_the_next_page_holds_no_token() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    user.chat().await;
    user.chat().await;
    for name in ["token", "%74oken", "to%6ben"] {
        let path = format!("/api/local/sessions?limit=1&{name}={}", user.access);
        let page = server.call(Method::Get, &path).send().await.expect(200);
        let next = page.next_page().unwrap();
        assert!(!next.contains(&user.access), "{name}");
        assert!(next.contains("limit=1"), "{next}");
    }
}

/// Begins an upload and sends most of it.
async fn half_an_upload(server: &TestServer, user: &User, chat: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /api/local/sessions/{chat}/media HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 400079\r\nConnection: close\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n",
        server.address, user.access
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // More than is gathered for one write.
    socket.write_all(&[b'x'; 300_000]).await.unwrap();
    eventually("half of it is on disk", PATIENCE, || {
        uploaded(server)
            .iter()
            .any(|(_, bytes)| *bytes > 0)
            .then_some(())
    })
    .await;
    socket
}

/// Every file under `uploads`, complete or not, and how long it is.
fn uploaded(server: &TestServer) -> Vec<(std::path::PathBuf, u64)> {
    let chats = std::fs::read_dir(server.data.join("uploads")).unwrap();
    chats
        .flatten()
        .filter_map(|chat| std::fs::read_dir(chat.path()).ok())
        .flat_map(Iterator::flatten)
        .filter_map(|file| Some((file.path(), file.metadata().ok()?.len())))
        .collect()
}

/// An upload that is broken off leaves nothing: not when the client goes, not when the server is killed.
#[tokio::test]
async fn half_an_upload_leaves_nothing() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    drop(half_an_upload(&server, &user, &chat).await);
    eventually("it is gone", PATIENCE, || {
        uploaded(&server).is_empty().then_some(())
    })
    .await;

    let socket = half_an_upload(&server, &user, &chat).await;
    let server = server.kill().await.start().await;
    drop(socket);
    assert_eq!(uploaded(&server), []);
    assert!(!server.data.join("uploads").join(&chat).exists());
}

/// The chat goes while a file is on its way into it: the client is told so, and nothing is left.
#[tokio::test]
async fn an_upload_into_a_chat_that_was_deleted_meanwhile_is_not_found() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let mut socket = half_an_upload(&server, &user, &chat).await;
    let path = format!("/api/local/sessions/{chat}");
    user.delete(&path).await.expect(200);
    socket.write_all(&[b'x'; 100_000]).await.unwrap();
    socket.write_all(b"\r\n--b--\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(uploaded(&server), []);
    assert!(!server.data.join("uploads").join(&chat).exists());
}

fn resident_bytes(server: &TestServer) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Readers that do not read cost what the kernel holds for them, and one that reads does not wait for them.
#[tokio::test]
async fn slow_readers_of_a_long_reply_share_it() {
    let server = TestServer::with(SHELL).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Wilma", "shell").await;
    let before = resident_bytes(&server);
    let mut readers = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "GET /api/local/sessions/{chat}/stream HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Last-Event-ID: 0\r\n\r\n",
            server.address, user.access
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        readers.push(socket);
    }
    for _ in 0..3 {
        let reply = user
            .ask(&chat, "head -c 2000000 /dev/zero | tr '\\0' '&'")
            .await;
        assert_eq!(reply.text().len(), 2_000_000);
    }
    let mut events = user.chat_events(&chat, Some(0)).await;
    tokio::time::timeout(Duration::from_secs(20), async {
        for _ in 0..3 {
            events.find(|event| event.is("message")).await;
        }
    })
    .await
    .unwrap();
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < 250 * MIB, "{} MiB", grown / MIB);
}
