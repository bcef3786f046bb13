//! Copies of a directory that is written all the time, with checkpoints and rotations: each starts, verifies, and holds
//! what was acknowledged before it began. `SKEP_TEST_COPY_MB` says how large the directory is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::ledger::{Kept, Ledger};
use crate::support::engine::settings_with;
use crate::support::{Method, Setup, TestServer, User, number_from};

const COPIES: usize = 3;
/// So small that a copy meets several of each.
const LIMITS: &str = "[limits]\nsegment_bytes_min = 1048576\ncheckpoint_dirty_bytes = 1048576\n";

fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn segments(data: &Path) -> usize {
    std::fs::read_dir(data.join("journal")).unwrap().count()
}

/// Posts, uploads and runs until it is told to stop; what was answered enters the ledger.
async fn write(user: User, name: String, ledger: Arc<Mutex<Ledger>>, stop: Stop) {
    let (_, chat) = user.chat_with_engine(&name, "fake").await;
    let text = "lorem ipsum dolor sit amet ".repeat(60);
    for n in 0.. {
        if *stop.borrow() {
            return;
        }
        let message = format!("say {name} {n} {text}");
        let reply = user.ask(&chat, &message).await;
        assert_eq!(reply.status(), "completed");
        let execution = reply.execution["id"].as_str().unwrap().to_owned();
        let bytes = user.log(&execution).await.expect(200).body;
        let content = format!("{name} {n} ").repeat(20_000);
        let uploaded = user.upload(&chat, "f.txt", content.as_bytes()).await;
        let url = uploaded.expect(200).json()["url"]
            .as_str()
            .unwrap()
            .to_owned();
        let mut ledger = ledger.lock().unwrap();
        let said = ledger.messages.entry(chat.clone()).or_default();
        said.push((message, execution.clone()));
        ledger.kept.push(Kept::Log { execution, bytes });
        ledger.kept.push(Kept::Upload { url, content });
    }
}

/// Tells the bee the same again and again: the journal grows, and is sealed and snapshotted, while the tables do not.
async fn remember(user: User, told: Arc<AtomicU64>, stop: Stop) {
    let text = "lorem ipsum dolor sit amet ".repeat(4000);
    for n in 1.. {
        if *stop.borrow() {
            return;
        }
        let memory = json!({ "memory": format!("{n} {text}") });
        user.put("/api/bee", &memory).await.expect(200);
        told.store(n, Ordering::SeqCst);
    }
}

async fn remembered(user: &User) -> u64 {
    let bee = user.read("/api/bee").await;
    let memory = bee["memory"].as_str().unwrap();
    memory.split(' ').next().unwrap().parse().unwrap()
}

type Stop = tokio::sync::watch::Receiver<bool>;

/// `cp -a`, as a user makes it. What was on its way and has its name by now may be missed; nobody was promised it.
async fn copy(from: &Path, to: PathBuf) -> PathBuf {
    let mut cp = tokio::process::Command::new("cp");
    let output = cp.arg("-a").arg(from).arg(&to).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let is_on_its_way = |line: &str| line.contains("/.incoming/") || line.contains(".tmp'");
    assert!(told.lines().all(is_on_its_way), "{told}");
    assert!(output.status.success() || !told.is_empty());
    to
}

fn verify(data: &Path) {
    let mut skep = Command::new(env!("CARGO_BIN_EXE_skep"));
    let output = skep.arg("verify").arg("--data").arg(data).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_busy_hive_hold_what_was_acknowledged_before() {
    let size = number_from("SKEP_TEST_COPY_MB", 12) << 20;
    let server = Setup::settings(&settings_with(LIMITS)).start().await;
    let user = server.log_in().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let told = Arc::new(AtomicU64::new(0));
    let mut writers: Vec<_> = (0..3)
        .map(|n| {
            let writer = write(
                user.clone(),
                format!("w{n}"),
                ledger.clone(),
                stopped.clone(),
            );
            tokio::spawn(writer)
        })
        .collect();
    let remembering = remember(user.clone(), told.clone(), stopped);
    writers.push(tokio::spawn(remembering));
    let mut rotations = 0;
    for number in 0..COPIES {
        // Grows between two copies, too, so that each is taken of something else.
        let due = size + number as u64 * (1 << 20);
        while bytes_under(&server.data) < due {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(!writers.iter().any(|writer| writer.is_finished()));
        }
        let before = std::mem::take(&mut *ledger.lock().unwrap());
        let told_before = told.load(Ordering::SeqCst);
        let segments_before = segments(&server.data);
        let to = server.home.path().join(format!("copy-{number}"));
        let copied = copy(&server.data, to).await;
        rotations += segments(&server.data) - segments_before;
        verify(&copied);
        is_whole(&server, &user, &copied, &before, told_before).await;
        std::fs::remove_dir_all(&copied).unwrap();
        // The next copy has to hold this, too.
        let mut ledger = ledger.lock().unwrap();
        let since = std::mem::replace(&mut *ledger, before);
        for (chat, said) in since.messages {
            ledger.messages.entry(chat).or_default().extend(said);
        }
        ledger.kept.extend(since.kept);
    }
    stop.send(true).unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(segments(&server.data) > 3, "it never rotated");
    println!(
        "{COPIES} copies of {} MiB, {rotations} rotations meanwhile",
        bytes_under(&server.data) >> 20
    );
    server.stop().await;
}

/// Starts a copy beside its original, which goes on, and reads back what the ledger says.
async fn is_whole(original: &TestServer, user: &User, copied: &Path, ledger: &Ledger, told: u64) {
    let twin = Setup::settings(&settings_with(LIMITS))
        .start_on(&original.home, copied)
        .await;
    let ready = twin.call(Method::Get, "/readyz").send().await.expect(200);
    assert_eq!(ready.json()["status"], "held");
    let other = twin.log_in().await;
    assert!(remembered(&other).await >= told, "what the bee was told");
    for kept in &ledger.kept {
        kept.is_kept(&other, "in the copy").await;
    }
    for (chat, said) in &ledger.messages {
        let messages = other.messages(chat).await;
        let found: Vec<&str> = messages
            .iter()
            .filter(|message| message["role"] == "user")
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = said.iter().map(|(text, _)| text.as_str()).collect();
        assert!(found.starts_with(&expected), "a message is missing");
    }
    twin.stop().await;
    // The original noticed nothing.
    let held = user.read("/api/me").await["held"] == json!(true);
    assert!(!held);
}
