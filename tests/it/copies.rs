//! Copying the directory is the backup, also while the server writes; the tables can be thrown away at any time.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::server::Stopped;
use crate::support::user::id_of;
use crate::support::{Method, Setup, TestServer, User, processes};

/// Everything that a client can read, but for what only holds while something runs.
async fn everything(user: &User) -> Value {
    let mut all = json!({
        "workers": user.read_all("/api/workers").await,
        "bee": user.read("/api/bee").await,
        "sessions": user.read_all("/api/local/sessions").await,
        "executions": user.read_all("/api/executions").await,
    });
    let sessions: Vec<String> = all["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect();
    for chat in sessions {
        all["messages"][&chat] = user.messages(&chat).await.into();
        let mut events = user.chat_events(&chat, Some(0)).await;
        // The chat was quiet when this is asked, so a last word of our own ends what there is to see.
        user.patch(&format!("/api/local/sessions/{chat}"), &json!({}))
            .await
            .expect(200);
        let seen = events.until(|event| event.is("session")).await;
        let told: Vec<Value> = seen
            .iter()
            .filter(|event| event.id.is_some() && !event.is("session"))
            .map(|event| json!([event.id, event.name, event.data]))
            .collect();
        all["events"][&chat] = told.into();
    }
    let executions: Vec<String> = all["executions"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect();
    for execution in executions {
        all["logs"][&execution] = user.log(&execution).await.expect(200).text().into();
    }
    // Each look at a chat touches it.
    for session in all["sessions"].as_array_mut().unwrap() {
        session["updated_at"] = Value::Null;
    }
    let by_id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    all["sessions"].as_array_mut().unwrap().sort_by_key(by_id);
    all
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Some of everything, with nothing running any more.
async fn lived_in() -> (TestServer, User) {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    for message in ["say one", "crash", "lines 20"] {
        user.ask(&chat, message).await;
    }
    let gone = user.chat().await;
    user.ask(&gone, "help").await;
    user.delete(&format!("/api/local/sessions/{gone}"))
        .await
        .expect(200);
    user.put("/api/bee", &json!({ "memory": "Be brief." }))
        .await
        .expect(200);
    user.upload(&chat, "a.txt", b"content").await.expect(200);
    (server, user)
}

#[tokio::test]
async fn a_copy_taken_while_writing_holds_what_was_acknowledged_before() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let (_, busy) = user.chat_with_engine("Busy", "fake").await;
    let running = user.send(&busy, "hang").await;
    user.printed(&running, "hanging").await;
    let said = user.ask(&chat, "lines 1000").await;

    // Writers that do not stop while the copy is made.
    let (ledger, acknowledged) = tokio::sync::watch::channel(Vec::<(String, String)>::new());
    let ledger = Arc::new(ledger);
    let stop = tokio_util::sync::CancellationToken::new();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (user, ledger, stop) = (user.clone(), ledger.clone(), stop.clone());
            tokio::spawn(async move {
                let chat = user.chat().await;
                for n in 0.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    let text = format!("message {writer}-{n}");
                    user.send(&chat, &text).await;
                    if n % 10 == 0 {
                        user.upload(&chat, &format!("{n}.txt"), text.as_bytes())
                            .await
                            .expect(200);
                    }
                    ledger.send_modify(|ledger| ledger.push((chat.clone(), text)));
                    // A burst of a thousand would only test how long the queue takes.
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            })
        })
        .collect();
    let mut seen = acknowledged.clone();
    seen.wait_for(|ledger| ledger.len() > 100).await.unwrap();
    let before = acknowledged.borrow().clone();
    let copied = server.home.path().join("copy");
    let (from, to) = (server.data.clone(), copied.clone());
    tokio::task::spawn_blocking(move || copy(&from, &to))
        .await
        .unwrap();
    assert!(
        acknowledged.borrow().len() > before.len(),
        "it went on writing"
    );

    // The copy beside the running original: held, complete, and it leaves the original's processes alone.
    let twin = Setup::settings(&settings())
        .start_on(&server.home, &copied)
        .await;
    assert!(
        !processes::of_execution(&running).is_empty(),
        "the original's engine still runs"
    );
    let ready = twin
        .call(Method::Get, "/readyz")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&ready["status"], &ready["held"]),
        (&json!("held"), &json!(true))
    );
    let other = twin.log_in().await;
    for (chat, text) in &before {
        let messages = other.messages(chat).await;
        let count = messages
            .iter()
            .filter(|m| m["content"] == text.as_str())
            .count();
        assert_eq!(count, 1, "{text}");
    }
    for (chat, text) in before.iter().filter(|(_, text)| text.ends_with('0')) {
        let n = text.rsplit('-').next().unwrap();
        let file = other
            .get(&format!("/api/local/sessions/{chat}/media/{n}.txt"))
            .await
            .expect(200);
        assert_eq!(file.text(), *text);
    }
    let execution = id_of(&said.execution);
    assert_eq!(other.execution(&execution).await, said.execution);
    assert_eq!(
        other.log(&execution).await.body,
        user.log(&execution).await.body
    );
    // What ran when it was copied runs over there, not here.
    let cut = other.ended(&running).await;
    assert_eq!((cut.status(), cut.error()), ("failed", "interrupted"));

    // Held until it is confirmed, and then a hive of its own.
    let message = json!({ "content": "x" });
    let path = format!("/api/local/sessions/{chat}/messages");
    other.post(&path, &message).await.refused(409, "held");
    other
        .post(&format!("/api/executions/{execution}/retry"), &json!({}))
        .await
        .refused(409, "held");
    assert_eq!(other.read("/api/me").await["held"], true);
    twin.call(Method::Get, "/api/me")
        .bearer(&user.access)
        .send()
        .await
        .refused(401, "invalid_token");
    other.post("/api/resume", &json!({})).await.expect(200);
    other
        .post("/api/resume", &json!({}))
        .await
        .refused(409, "conflict");
    assert_eq!(other.ask(&chat, "say here").await.text(), "here");
    let twin = twin.restart().await;
    assert_eq!(other.at(&twin).read("/api/me").await["held"], false);
    twin.stop().await;

    // The original noticed nothing.
    assert_eq!(user.execution(&running).await["status"], "running");
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(
        user.messages(&chat)
            .await
            .iter()
            .all(|m| m["content"] != "say here")
    );
    server.stop().await;
}

/// Moving a directory is no copy when the file system keeps its identity.
#[tokio::test]
async fn a_moved_directory_is_the_same_hive() {
    let (server, user) = lived_in().await;
    let before = everything(&user).await;
    let stopped = server.stop().await;
    let moved = stopped.home.path().join("moved");
    std::fs::rename(&stopped.data, &moved).unwrap();
    let server = Setup::settings(&settings())
        .start_on(&stopped.home, &moved)
        .await;
    let user = user.at(&server);
    assert_eq!(user.read("/api/me").await["held"], false);
    assert_eq!(
        user.messages(before["sessions"][0]["id"].as_str().unwrap())
            .await
            .len(),
        6
    );
    let worker = &user.read("/api/workers").await[0];
    assert!(
        worker["work_dir"]
            .as_str()
            .unwrap()
            .starts_with(moved.canonicalize().unwrap().to_str().unwrap())
    );
}

/// Starts what was stopped, after something was done to its tables, and compares all there is to read.
async fn is_rebuilt(stopped: Stopped, user: &User, before: &Value, what: &str) -> TestServer {
    let server = stopped.start().await;
    assert_eq!(everything(&user.at(&server)).await, *before, "{what}");
    server
}

#[tokio::test]
async fn the_tables_can_be_thrown_away() {
    let (server, user) = lived_in().await;
    let early = server.data.join("early.redb");
    let hive = server.data.join("hive.redb");
    let stopped = server.stop().await;
    std::fs::copy(&hive, &early).unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    let chat = user.chat().await;
    user.ask(&chat, "help").await;
    let before = everything(&user).await;

    let stopped = server.kill().await;
    std::fs::remove_file(&hive).unwrap();
    let server = is_rebuilt(stopped, &user, &before, "deleted").await;

    let stopped = server.stop().await;
    let length = std::fs::metadata(&hive).unwrap().len();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&hive)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    let server = is_rebuilt(stopped, &user, &before, "truncated").await;

    let stopped = server.kill().await;
    std::fs::write(&hive, b"not a database").unwrap();
    let server = is_rebuilt(stopped, &user, &before, "overwritten").await;

    let stopped = server.stop().await;
    std::fs::rename(&early, &hive).unwrap();
    let server = is_rebuilt(stopped, &user, &before, "an older one in its place").await;

    let stopped = server.kill().await;
    std::fs::write(&hive, b"").unwrap();
    is_rebuilt(stopped, &user, &before, "empty")
        .await
        .stop()
        .await;
}

/// Older bytes in the very file that is trusted: what they lack is in the journal.
#[tokio::test]
async fn older_tables_in_the_same_file_catch_up() {
    let (server, user) = lived_in().await;
    let hive = server.data.join("hive.redb");
    let stopped = server.stop().await;
    let old = std::fs::read(&hive).unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    let chat = user.chat().await;
    user.ask(&chat, "help").await;
    let before = everything(&user).await;
    let stopped = server.stop().await;
    std::fs::write(&hive, old).unwrap();
    is_rebuilt(stopped, &user, &before, "older")
        .await
        .stop()
        .await;
}

/// The unfinished end of a journal is what a power cut leaves: cut off, said once, and nothing acknowledged is lost.
#[tokio::test]
async fn a_torn_end_of_the_journal_is_cut_off() {
    let (server, user) = lived_in().await;
    let before = everything(&user).await;
    let stopped = server.kill().await;
    let mut segments: Vec<_> = std::fs::read_dir(stopped.data.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let newest = segments.pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // A batch that was begun: its magic, and no more than that.
    let torn = *b"\xb5SB\xeb torn";
    if bytes.len() < end + 64 {
        bytes.resize(end + 64, 0);
    }
    bytes[end..end + torn.len()].copy_from_slice(&torn);
    std::fs::write(&newest, &bytes).unwrap();
    let server = stopped.start().await;
    assert_eq!(everything(&user.at(&server)).await, before);
    server.stop().await;
}
