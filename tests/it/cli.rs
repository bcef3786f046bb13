//! The other commands: with a server and without one, on a hive, on a copy, and on a damaged one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::server::PASSWORD;
use crate::support::{Method, Setup, TestServer, User};

/// Runs `skep` with these words to its end; `input` is its standard input.
async fn skep(data: &Path, words: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    let home = data.ancestors().skip(1).find(|path| path.is_dir()).unwrap();
    command
        .arg("--data")
        .arg(data)
        .args(words)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || -> std::io::Result<Output> {
        let mut child = command.spawn()?;
        // It may end without having read anything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ran {
        code: output.status.code(),
        stdout: output.stdout,
        stderr,
    }
}

struct Ran {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ran {
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out(), self.stderr);
        self
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn says(self, expected: &str) -> Self {
        let text = self.out() + &self.stderr;
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        self
    }
}

async fn signs_in(server: &TestServer, password: &str) -> bool {
    let body = json!({ "username": "admin", "password": password });
    let login = server.call(Method::Post, "/api/auth/login").json(&body);
    login.send().await.status == 200
}

async fn me(server: &TestServer, token: &str) -> u16 {
    let call = server.call(Method::Get, "/api/me").bearer(token);
    call.send().await.status
}

/// Signs in by password: the link is good once.
async fn again(server: &TestServer) -> User {
    let body = json!({ "username": "admin", "password": PASSWORD });
    let login = server.call(Method::Post, "/api/auth/login").json(&body);
    User::new(server, &login.send().await.expect(200).json())
}

/// Whoever can read the data directory may set the password, server or not, and everyone is signed out.
#[tokio::test]
async fn passwd_needs_no_old_password_and_signs_everyone_out() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    skep(&server.data, &["passwd"], "short")
        .await
        .expect(1)
        .says("at least 8 characters");
    assert_eq!(me(&server, &user.access).await, 200);
    skep(&server.data, &["passwd"], "while it runs\n")
        .await
        .expect(0);
    assert_eq!(me(&server, &user.access).await, 401);
    assert!(signs_in(&server, "while it runs").await);

    let stopped = server.stop().await;
    skep(&stopped.data, &["passwd"], "while it rests")
        .await
        .expect(0);
    let server = stopped.start().await;
    assert!(signs_in(&server, "while it rests").await);
    assert!(!signs_in(&server, "while it runs").await);
}

/// A key that could not be shown is not there afterwards, and none is made that nobody would see.
#[tokio::test]
async fn a_key_that_nobody_sees_is_not_kept() {
    let server = TestServer::start().await;
    let data = server.data.clone();
    let unseen = || {
        for (out, says) in [
            ("/dev/full", "the key was not kept"),
            ("/dev/null", "none was created"),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_skep"))
                .args(["token", "--name", "unseen", "--data"])
                .arg(&data)
                .stdout(fs::OpenOptions::new().write(true).open(out).unwrap())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{out}: {stderr}");
            assert!(stderr.contains(says), "{out}: {stderr}");
        }
    };
    unseen();
    let stopped = server.stop().await;
    unseen();
    let server = stopped.start().await;
    let keys = again(&server).await.get("/api/tokens").await.expect(200);
    assert!(!keys.json().to_string().contains("unseen"));
}

/// Only the control key passes without the old password: an API key, which may do everything else, does not.
#[tokio::test]
async fn an_api_key_cannot_set_the_password() {
    let server = TestServer::start().await;
    let key = token(&server.data, &[]).await;
    let change = server.call(Method::Post, "/api/me/password").bearer(&key);
    let answer = change
        .json(&json!({ "new_password": "taken over" }))
        .send()
        .await;
    answer.expect(400);
}

async fn token(data: &Path, words: &[&str]) -> String {
    let words = [&["token"], words].concat();
    let printed = skep(data, &words, "").await.expect(0).out();
    let key = printed.strip_suffix('\n').unwrap();
    assert!(
        key.starts_with("skep_") && !key.contains(char::is_whitespace),
        "{key:?}"
    );
    key.to_owned()
}

/// The key alone is on standard output, it has the scopes that were asked for, and a killed server is no obstacle.
#[tokio::test]
async fn a_token_works_whoever_made_it() {
    let server = TestServer::start().await;
    let read = token(&server.data, &["--scope", "read", "--expires-in-days", "1"]).await;
    let stopped = server.kill().await;
    assert!(stopped.data.join("control.json").exists());
    let admin = token(&stopped.data, &["--name", "of the night"]).await;
    skep(&stopped.data, &["token", "--name", " "], "")
        .await
        .expect(1)
        .says("name");
    let server = stopped.start().await;
    for (key, backup) in [(&read, 403), (&admin, 200)] {
        assert_eq!(me(&server, key).await, 200);
        let call = server.call(Method::Get, "/api/backup").bearer(key);
        call.send().await.expect(backup);
    }
    let list = server
        .call(Method::Get, "/api/tokens")
        .bearer(&admin)
        .send()
        .await;
    let names: Vec<Value> = list
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].clone())
        .collect();
    assert_eq!(names, ["of the night", "cli"]);
}

/// In a copy of a running hive there is a `control.json`, too; it leads to the original, and is not followed.
#[tokio::test]
async fn a_copy_is_not_taken_for_its_original() {
    let server = TestServer::start().await;
    let copy = server.home.path().join("copy");
    copy_dir(&server.data, &copy);
    let key = token(&copy, &[]).await;
    assert_eq!(me(&server, &key).await, 401);
}

fn copy_dir(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn where_there_is_no_hive_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("mistyped");
    for words in [
        &["passwd"][..],
        &["token"],
        &["purge"],
        &["verify"],
        &["backup"],
    ] {
        skep(&data, words, "x")
            .await
            .expect(1)
            .says("there is no hive in");
        assert!(!data.exists());
    }
    skep(&data, &["restore"], "").await.expect(2);
    skep(&data, &["engines", "--jsom"], "").await.expect(2);
    let engines: Value = serde_json::from_str(
        &skep(&data, &["engines", "--json"], "")
            .await
            .expect(0)
            .out(),
    )
    .unwrap();
    let builtin = engines
        .as_array()
        .unwrap()
        .iter()
        .find(|engine| engine["name"] == "builtin")
        .unwrap();
    assert_eq!(builtin["found"], true);
    skep(&data, &["engines"], "")
        .await
        .expect(0)
        .says("npm install -g @anthropic-ai/claude-code")
        .says("is builtin: the first that is ready of claude, codex, opencode, gemini, local, builtin");
    assert!(!data.exists());
}

/// A hive with a chat, an upload and a reply.
async fn lived_in() -> (TestServer, String) {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let upload = user
        .upload(&chat, "note.txt", b"attached")
        .await
        .expect(200)
        .json();
    let body = json!({ "content": "help", "media_path": upload["path"] });
    let execution = user.send_with(&chat, &body).await;
    user.ended(&execution).await;
    (server, chat)
}

fn archives(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().ends_with(".tar.zst"))
        .collect()
}

/// A backup that is taken while messages arrive holds every one that was acknowledged before, and starts as a copy whose
/// queue is held.
#[tokio::test]
async fn a_backup_of_a_busy_hive_holds_what_was_acknowledged() {
    let (server, chat) = lived_in().await;
    let user = again(&server).await;
    let home = server.home.path().to_owned();
    let path = format!("/api/local/sessions/{chat}/messages");
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.push(user.send(&chat, &format!("before {number}")).await);
    }
    let writing = async {
        for number in 0..200 {
            user.post(&path, &json!({ "content": format!("during {number}") }))
                .await
                .expect(202);
        }
    };
    let (backup, ()) = tokio::join!(skep(&server.data, &["backup", "b.tar.zst"], ""), writing);
    backup.expect(0).says("read back and whole");
    skep(&server.data, &["backup", "b.tar.zst"], "")
        .await
        .expect(1)
        .says("not overwritten");
    let to_stdout = skep(&server.data, &["backup", "-"], "")
        .await
        .expect(0)
        .stdout;
    fs::write(home.join("stdout.tar.zst"), to_stdout).unwrap();
    let download = user.get("/api/backup?keys=false").await.expect(200);
    fs::write(home.join("download.tar.zst"), &download.body).unwrap();
    assert_eq!(archives(&home).len(), 3);
    for archive in ["b.tar.zst", "stdout.tar.zst", "download.tar.zst"] {
        let data = home.join(archive).with_extension("restored");
        skep(&data, &["restore", "--dry-run", archive], "")
            .await
            .expect(0)
            .says("1 chats");
        assert!(!data.exists());
        skep(&data, &["restore", archive], "")
            .await
            .expect(0)
            .says("starts as a copy");
        skep(&data, &["verify"], "")
            .await
            .expect(0)
            .says("All of it is whole");
        skep(&data, &["restore", archive], "")
            .await
            .expect(1)
            .says("is not empty");
        skep(&data, &["restore", "--dry-run", archive], "")
            .await
            .expect(1)
            .says("1 chats")
            .says("is not empty");
        assert_eq!(
            data.join("keys/signing.key").exists(),
            !archive.starts_with("download")
        );
        let copy = Setup::default().start_on(&server.home, &data).await;
        let ready = copy.call(Method::Get, "/readyz").send().await.json();
        assert_eq!(ready["held"], true);
        let reader = copy.log_in().await;
        for execution in &acknowledged {
            reader.execution(execution).await;
        }
        let media = format!("/api/local/sessions/{chat}/media/note.txt");
        assert_eq!(reader.get(&media).await.expect(200).body, b"attached");
        copy.stop().await;
    }
    let left: Vec<_> = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains(".check")),
        "{left:?}"
    );
}

/// A copy made by other means is restored the same way, with the checks.
#[tokio::test]
async fn a_copied_directory_is_restored_after_the_checks() {
    let (server, _) = lived_in().await;
    let home = server.home.path().to_owned();
    let target = home.join("deep/down/hive");
    let from = server.data.to_str().unwrap();
    skep(&target, &["restore", "--dry-run", from], "")
        .await
        .expect(0)
        .says("2 messages");
    assert!(!home.join("deep").exists());
    skep(&target, &["restore", from], "").await.expect(0);
    skep(&target, &["verify"], "")
        .await
        .expect(0)
        .says("2 messages");
    skep(&home.join("x"), &["restore", home.to_str().unwrap()], "")
        .await
        .expect(1)
        .says("there is no hive");
    fs::write(home.join("text"), "no archive").unwrap();
    skep(&home.join("x"), &["restore", "text"], "")
        .await
        .expect(1)
        .says("no backup");
    assert!(!home.join("x").exists());
}

/// Each kind of damage is found and named, says what can be done, and has exit code 1.
#[tokio::test]
async fn verify_names_what_is_damaged() {
    let (server, _) = lived_in().await;
    skep(&server.data, &["verify"], "")
        .await
        .expect(0)
        .says("a server is running");
    skep(&server.data, &["purge"], "").await.expect(0);
    let stopped = server.kill().await;
    let data = &stopped.data;
    skep(data, &["verify"], "")
        .await
        .expect(0)
        .says("1 snapshots")
        .says("All of it is whole");
    let only = |dir: &str| {
        let mut files: Vec<_> = walk(&data.join(dir));
        files.retain(|path| path.extension().is_none_or(|extension| extension != "idx"));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    };
    let broken = async |path: &Path, at: usize, expected: &[&str]| {
        let whole = fs::read(path).unwrap();
        let mode = fs::metadata(path).unwrap().permissions();
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes).unwrap();
        let mut ran = skep(data, &["verify"], "").await.expect(1);
        for text in expected {
            ran = ran.says(text);
        }
        fs::write(path, &whole).unwrap();
        fs::set_permissions(path, mode).unwrap();
    };
    broken(
        &only("snapshots"),
        200,
        &["snapshot of record", "is damaged at byte"],
    )
    .await;
    broken(
        &only("journal"),
        3,
        &["journal/", "is damaged at byte 0", "restore a backup"],
    )
    .await;
    skep(data, &["verify"], "").await.expect(0);

    let log = only("logs");
    let bytes = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    fs::write(&log, &bytes[1..]).unwrap();
    skep(data, &["verify"], "")
        .await
        .expect(1)
        .says("lacks 1 of its")
        .says("logs/");
    fs::remove_file(&log).unwrap();
    fs::write(&log, &bytes).unwrap();

    let upload = only("uploads");
    let away = data.join("away");
    fs::rename(&upload, &away).unwrap();
    skep(data, &["verify"], "")
        .await
        .expect(1)
        .says("note.txt is not there");
    fs::rename(&away, &upload).unwrap();

    skep(data, &["verify"], "").await.expect(0);
    // In place: redb trusts the file that it is.
    let hive = fs::OpenOptions::new()
        .write(true)
        .open(data.join("hive.redb"))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hive, &[0; 64], 0).unwrap();
    skep(data, &["verify"], "")
        .await
        .expect(1)
        .says("hive.redb")
        .says("nothing is lost");
    fs::remove_file(data.join("hive.redb")).unwrap();
    skep(data, &["verify"], "").await.expect(0);
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// What was deleted is nowhere on disk after a purge, with a server and without one; what was not is.
#[tokio::test]
async fn purge_leaves_nothing_of_what_was_deleted() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let is_on_disk = |data: &Path, text: &str| {
        let finder = |bytes: Vec<u8>| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        walk(data)
            .into_iter()
            .any(|path| finder(fs::read(path).unwrap()))
    };
    let worker = user.worker("Vanishing", "builtin").await;
    assert!(is_on_disk(&server.data, "Vanishing"));
    user.delete(&format!("/api/workers/{worker}"))
        .await
        .expect(200);
    skep(&server.data, &["purge"], "").await.expect(0);
    assert!(!is_on_disk(&server.data, "Vanishing"));

    let worker = user.worker("Evaporating", "builtin").await;
    user.delete(&format!("/api/workers/{worker}"))
        .await
        .expect(200);
    let stopped = server.stop().await;
    assert!(is_on_disk(&stopped.data, "Evaporating"));
    skep(&stopped.data, &["purge"], "").await.expect(0);
    assert!(!is_on_disk(&stopped.data, "Evaporating"));
    skep(&stopped.data, &["verify"], "").await.expect(0);

    // What was said in a chat is in its executions and their logs, too; those of other chats stay.
    let server = stopped.start().await;
    let user = user.at(&server);
    let gone = user.chat().await;
    let kept = user.chat().await;
    let said = user.ask(&gone, "echo Dissolving").await;
    let other = user.ask(&kept, "echo Remaining").await;
    user.delete(&format!("/api/local/sessions/{gone}"))
        .await
        .expect(200);
    user.execution(said.execution["id"].as_str().unwrap()).await;
    assert!(is_on_disk(&server.data, "Dissolving"));
    skep(&server.data, &["purge"], "").await.expect(0);
    let path = |execution: &Value| format!("/api/executions/{}", execution["id"].as_str().unwrap());
    user.get(&path(&said.execution))
        .await
        .refused(404, "not_found");
    user.get(&path(&other.execution)).await.expect(200);
    assert!(!is_on_disk(&server.data, "Dissolving"));
    // It goes on from where it was, also after a kill.
    let after = user.ask(&kept, "echo Further").await;
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    user.get(&path(&after.execution)).await.expect(200);
    assert_eq!(user.messages(&kept).await.len(), 4);
    let stopped = server.stop().await;
    skep(&stopped.data, &["verify"], "").await.expect(0);
}
