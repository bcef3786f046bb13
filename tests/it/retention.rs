//! What `[retention]` keeps no longer: gone with all that speaks of it, and nothing else; whenever the server dies.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::engine::settings_with;
use crate::support::{Method, Setup, TestServer, User};

const PATIENCE: Duration = Duration::from_secs(60);

fn with(retention: &str) -> Setup {
    // No pass of its own gets in the way.
    Setup::settings(&format!(
        "{}\n[limits]\nretention_after_start_s = 86400\n[retention]\n{retention}\n",
        settings_with("")
    ))
}

async fn pass(user: &User) -> Value {
    user.post("/api/retention", &json!({}))
        .await
        .expect(200)
        .json()
}

/// Waits until so many executions are old enough, then removes them.
async fn pass_when_due(user: &User, executions: u64) -> Value {
    let due = async {
        loop {
            let answer = user.post("/api/retention?dry_run=true", &json!({})).await;
            if answer.expect(200).json()["executions"]["count"] == executions {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, due)
        .await
        .expect("they grow old");
    pass(user).await
}

fn log_of(server: &TestServer, execution: &Value) -> std::path::PathBuf {
    server.data.join(execution["log_path"].as_str().unwrap())
}

fn age(path: &Path, hours: u64) {
    let at = SystemTime::now() - Duration::from_secs(hours * 3600);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(at).unwrap();
}

/// The ids of all events of a chat; looking adds one.
async fn events_of(user: &User, chat: &str, name: &str) -> Vec<u64> {
    let mut news = user.chat_events(chat, None).await;
    let path = format!("/api/local/sessions/{chat}");
    user.patch(&path, &json!({ "name": name }))
        .await
        .expect(200);
    let last = news.find(|event| event.is("session")).await.id;
    let mut events = user.chat_events(chat, Some(0)).await;
    events.until(|event| event.id == last).await;
    events.seen.iter().filter_map(|event| event.id).collect()
}

#[tokio::test]
async fn old_executions_go_and_the_messages_stay() {
    let server = with("executions_age = \"1s\"").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let old = user.ask(&chat, "say one").await.execution;
    let id = old["id"].as_str().unwrap();
    let mut early = user.chat_events(&chat, Some(0)).await;
    early.until(|event| event.is_final(id)).await;
    let position = early.last_id().unwrap();
    let before = user.messages(&chat).await;

    let done = pass_when_due(&user, 1).await;
    assert_eq!(
        (&done["logs"]["count"], &done["complete"]),
        (&json!(1), &json!(true)),
        "{done}"
    );
    let log = log_of(&server, &old);
    assert!(!log.exists() && !log.with_extension("idx").exists());
    assert_eq!(user.messages(&chat).await, before);
    for path in ["", "/logs", "/stream"] {
        let answer = user.get(&format!("/api/executions/{id}{path}")).await;
        let refused = answer.refused(404, "not_found");
        let message = refused["message"].as_str().unwrap();
        assert!(
            message.contains("executions are removed after 1 second"),
            "{message}"
        );
    }
    assert_eq!(user.read_all("/api/executions").await, [] as [Value; 0]);
    let path = format!("/api/executions/{id}/retry");
    let retry = user.post(&path, &json!({})).await;
    retry.refused(404, "not_found");

    // A stream goes on from any place, also one that is gone; of the execution the messages are left.
    let last = user.send(&chat, "say two").await;
    user.ended(&last).await;
    for after in 0..=position {
        let mut stream = user.chat_events(&chat, Some(after)).await;
        let events = stream.until(|event| event.is_final(&last)).await;
        assert!(!events.iter().any(|event| event.is("reset")), "{after}");
        assert!(!events.iter().any(|event| event.is_status(id, "completed")));
    }
    let mut stream = user.chat_events(&chat, Some(0)).await;
    stream.until(|event| event.is_final(&last)).await;
    let said = stream.seen.iter().filter(|event| event.is("message"));
    assert_eq!(said.count(), 2);
}

#[tokio::test]
async fn the_journal_gives_the_same_again() {
    let server = with("executions_age = \"1s\"\nuploads_bytes = 1")
        .start()
        .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    user.ask(&chat, "say one").await;
    let upload = user.upload(&chat, "a.txt", b"content").await.expect(200);
    let path = upload.json()["path"].clone();
    age(Path::new(path.as_str().unwrap()), 2);
    user.send_with(&chat, &json!({ "content": "say two", "media_path": path }))
        .await;
    let done = async {
        while user.messages(&chat).await.len() < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    let done = pass_when_due(&user, 2).await;
    assert_eq!(done["uploads"]["count"], 1, "{done}");
    let messages = user.messages(&chat).await;
    let before = events_of(&user, &chat, "One").await;
    let stopped = server.kill().await;
    fs::remove_file(stopped.data.join("hive.redb")).unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    assert_eq!(user.messages(&chat).await, messages);
    assert_eq!(user.read_all("/api/executions").await, [] as [Value; 0]);
    let after = events_of(&user, &chat, "Two").await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), before.len() + 1);
    let media = &messages[2]["media"][0];
    assert!(media["removed_at"].is_u64(), "{media}");
}

#[tokio::test]
async fn logs_go_by_size_the_oldest_first() {
    let server = with("logs_bytes = 10").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.ask(&chat, "say 123456").await.execution;
    let second = user.ask(&chat, "say 123456").await.execution;
    let done = pass(&user).await;
    assert_eq!(done["logs"]["count"], 1, "{done}");
    let id = first["id"].as_str().unwrap();
    let refused = user.log(id).await.refused(404, "not_found");
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("The log was removed after "),
        "{message}"
    );
    assert_eq!(user.execution(id).await["log_path"], Value::Null);
    assert!(!log_of(&server, &first).exists());
    let id = second["id"].as_str().unwrap();
    user.log(id).await.expect(200);
    assert_eq!(pass(&user).await["logs"]["count"], 0);
    // One that runs is not removed, however much there is.
    let running = user.send(&chat, "hang").await;
    user.running(&running).await;
    pass(&user).await;
    let running = user.execution(&running).await;
    assert_eq!(running["status"], "running");
    assert!(log_of(&server, &running).exists());
}

#[tokio::test]
async fn uploads_go_and_their_messages_say_so() {
    let server = with("uploads_bytes = 10").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let mut paths = Vec::new();
    for hours in [3, 2] {
        let uploaded = user.upload(&chat, "a.txt", b"8 bytes.").await.expect(200);
        let uploaded = uploaded.json();
        assert_eq!(uploaded["removed_at"], Value::Null);
        let path = uploaded["path"].as_str().unwrap().to_owned();
        let body = json!({ "content": "say x", "media_path": path });
        let execution = user.send_with(&chat, &body).await;
        user.ended(&execution).await;
        age(Path::new(&path), hours);
        paths.push(path);
    }
    // What was just uploaded waits for its message.
    user.upload(&chat, "new.txt", b"8 bytes.").await.expect(200);
    let done = pass(&user).await;
    assert_eq!(done["uploads"]["count"], 2, "{done}");
    assert!(!Path::new(&paths[0]).exists());
    let messages = user.messages(&chat).await;
    let media = &messages[0]["media"][0];
    assert!(
        media["removed_at"].is_u64() && media["name"] == "a.txt",
        "{media}"
    );
    let url = media["url"].as_str().unwrap();
    let refused = user.get(url).await.refused(404, "not_found");
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("The file was removed on "), "{message}");
    // Its name is not given again, or the old message would show the new file.
    let again = user.upload(&chat, "a.txt", b"other").await.expect(200);
    assert_eq!(again.json()["name"], "a-3.txt");
    let body = json!({ "content": "say x", "media_path": paths[0] });
    let path = format!("/api/local/sessions/{chat}/messages");
    assert_eq!(
        user.post(&path, &body).await.invalid_fields(),
        ["media_path"]
    );
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
}

/// A server that dies after the command and before the file is removed leaves what the next pass finds.
#[tokio::test]
async fn a_file_that_a_crash_left_goes_with_the_next_pass() {
    let server = with("logs_bytes = 1\nuploads_age = \"1h\"").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.ask(&chat, "say hello").await.execution;
    let uploaded = user.upload(&chat, "a.txt", b"text").await.expect(200);
    let uploaded = uploaded.json()["path"].as_str().unwrap().to_owned();
    age(Path::new(&uploaded), 2);
    let log = log_of(&server, &execution);
    let done = pass(&user).await;
    assert_eq!(done["uploads"]["count"], 1, "{done}");
    assert!(!log.exists() && !Path::new(&uploaded).exists());
    let stopped = server.kill().await;
    // As if it had died in between.
    fs::write(&log, "hello\n").unwrap();
    fs::write(&uploaded, "text").unwrap();
    let unknown = log.with_file_name("019ac0de-0000-7000-8000-000000000001.log");
    fs::write(&unknown, "of nobody").unwrap();
    let foreign = log.with_file_name("notes.txt");
    fs::write(&foreign, "not Skep's").unwrap();
    let outside = stopped.home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let linked = outside.join("019ac0de-0000-7000-8000-000000000002.log");
    fs::write(&linked, "elsewhere").unwrap();
    std::os::unix::fs::symlink(&outside, stopped.data.join("logs/2020-01")).unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    let id = execution["id"].as_str().unwrap();
    user.log(id).await.refused(404, "not_found");
    let done = pass(&user).await;
    assert_eq!(done["orphans"]["count"], 3, "{done}");
    assert!(!log.exists() && !Path::new(&uploaded).exists() && !unknown.exists());
    assert!(foreign.exists() && linked.exists());
    assert_eq!(pass(&user).await["orphans"]["count"], 0);
}

/// Killed at any point of a pass, the next one ends what it began: nothing is half there, and nothing else went.
#[tokio::test]
async fn a_pass_that_is_killed_is_ended_by_the_next() {
    let mut server = with("executions_age = \"1s\"").start().await;
    let mut user = server.log_in().await;
    for round in ["commands", "files"] {
        let (_, chat) = user.chat_with_engine(&format!("Ada {round}"), "fake").await;
        let mut logs = Vec::new();
        for _ in 0..3 {
            logs.push(log_of(
                &server,
                &user.ask(&chat, "say hello").await.execution,
            ));
        }
        let messages = user.messages(&chat).await;
        // Enough of them that a pass takes its time.
        let folder = logs[0].parent().unwrap().to_owned();
        let orphans: Vec<_> = (0..1000)
            .map(|n| folder.join(format!("019ac0de-0000-7000-8000-{n:012}.log")))
            .collect();
        for orphan in &orphans {
            fs::write(orphan, "of nobody").unwrap();
        }
        let due = async {
            loop {
                let answer = user.post("/api/retention?dry_run=true", &json!({})).await;
                if answer.expect(200).json()["executions"]["count"] == 3 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, due).await.unwrap();
        let running = server
            .call(Method::Post, "/api/retention")
            .bearer(&user.access)
            .json(&json!({}));
        let passing = tokio::spawn(async move { running.try_send().await });
        let begun = async {
            loop {
                let has_begun = match round {
                    "commands" => user.read_all("/api/executions").await.len() < 3,
                    _ => !orphans.iter().all(|orphan| orphan.exists()),
                };
                if has_begun {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, begun).await.unwrap();
        let stopped = server.kill().await;
        let _ = passing.await;
        server = stopped.start().await;
        user = user.at(&server);
        pass(&user).await;
        assert_eq!(user.read_all("/api/executions").await, [] as [Value; 0]);
        assert!(!logs.iter().chain(&orphans).any(|log| log.exists()));
        assert_eq!(user.messages(&chat).await, messages);
    }
    let stopped = server.stop().await;
    skep(&stopped.data, &["verify"]).await;
}

#[tokio::test]
async fn a_directory_that_is_empty_for_long_goes_too() {
    let server = with("executions_age = \"1s\"").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.ask(&chat, "say hello").await.execution;
    let folder = log_of(&server, &execution).parent().unwrap().to_owned();
    let month = server.data.join("logs/2020-01");
    fs::create_dir(&month).unwrap();
    pass_when_due(&user, 1).await;
    // One that was emptied or made just now may be about to be used.
    assert!(folder.exists() && month.exists());
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    for folder in [&folder, &month] {
        fs::File::open(folder)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    pass(&user).await;
    assert!(!month.exists());
    let left: Vec<_> = fs::read_dir(&folder).into_iter().flatten().collect();
    assert!(!folder.exists(), "{left:?}");
    user.ask(&chat, "say it goes on").await;
}

#[tokio::test]
async fn it_looks_by_itself_and_removes_a_bounded_number_at_a_time() {
    let limits = "retention_after_start_s = 0\nretention_interval_s = 1\nretention_removed_max = 2";
    let text = format!(
        "{}\n[limits]\n{limits}\n[retention]\nexecutions_age = \"1s\"",
        settings_with("")
    );
    let server = Setup::settings(&text).start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    for n in 0..5 {
        user.send(&chat, &format!("say {n}")).await;
    }
    let gone = async {
        while !user.read_all("/api/executions").await.is_empty()
            || user.messages(&chat).await.len() < 10
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("all of them go");
    let stderr = server.stop().await.stderr;
    assert!(
        stderr.contains("what is kept no longer was removed"),
        "{stderr}"
    );
}

#[tokio::test]
async fn nothing_goes_while_a_backup_is_taken_or_from_a_copy_that_is_held() {
    let server = with("logs_bytes = 1").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.ask(&chat, "say hello").await.execution;
    let mut state = 7_u32;
    let noise: Vec<u8> = (0..24 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    user.upload(&chat, "noise", &noise).await.expect(200);
    let (answer, backup) = user.call(Method::Get, "/api/backup").open().await;
    answer.expect(200);
    let refused = user.post("/api/retention", &json!({})).await;
    refused.refused(409, "conflict");
    assert!(log_of(&server, &execution).exists());
    drop(backup);
    let done = async {
        while user.post("/api/retention", &json!({})).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("the backup ends");
    assert!(!log_of(&server, &execution).exists());

    let stopped = server.stop().await;
    let copy = stopped.home.path().join("copy");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&stopped.data, &copy])
        .status();
    assert!(copied.unwrap().success());
    let server = with("uploads_age = \"1s\"")
        .start_on(&stopped.home, &copy)
        .await;
    let user = server.log_in().await;
    let refused = user.post("/api/retention", &json!({})).await;
    refused.refused(409, "held");
}

#[tokio::test]
async fn the_command_tells_what_would_go_and_removes_it() {
    let server = with("logs_bytes = 1").start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.ask(&chat, "say hello").await.execution;
    let said = skep(&server.data, &["retention", "--dry-run"]).await;
    assert!(
        said.starts_with("Would remove:\n  1 logs, 6 bytes, from 20"),
        "{said}"
    );
    let log = log_of(&server, &execution);
    assert!(log.exists());
    let stopped = server.stop().await;
    let said = skep(&stopped.data, &["retention", "--dry-run"]).await;
    assert!(said.starts_with("Would remove:\n  1 logs"), "{said}");
    assert!(log.exists());
    let said = skep(&stopped.data, &["retention"]).await;
    assert!(said.starts_with("Removed:\n  1 logs"), "{said}");
    assert!(!log.exists());
    skep(&stopped.data, &["verify"]).await;
    let server = stopped.start().await;
    let said = skep(&server.data, &["retention"]).await;
    assert!(said.starts_with("Nothing is due."), "{said}");
}

async fn skep(data: &Path, words: &[&str]) -> String {
    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_skep"))
        .arg("--data")
        .arg(data)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .output();
    let output = run.await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
