//! Directories that a version wrote, opened by this one. Nobody's hive may be lost to an update.
//!
//! `tests/fixtures/data-<format>/` holds `hive.tar.zst`, the directory as it was left, and `manifest.json`, what could be
//! read from it then. `data-1` is what the first version left and stays what it is; a letter tells a later directory of
//! the same format, which has what was added since. The newest one is written anew with
//!
//! ```sh
//! cargo test --test it golden::write_the_directory_of_this_format -- --ignored
//! ```
//!
//! which is right after something was *added* to what a hive can hold, and wrong to make these tests green again: when
//! they are red, a change of a record or a command lacks its version byte and its upgrade on read.

mod live;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use skep::data_dir::FileIdentity;
use tempfile::TempDir;

use crate::permission;
use crate::support::server::PASSWORD;
use crate::support::user::id_of;
use crate::support::{Method, PATIENCE, Setup, User, engine};

/// The format of the journal and of every record that this version writes.
const FORMAT: u32 = 1;
/// The directory that is written anew.
const NEWEST: &str = "data-1b";
/// Of the fixture as it is packed: it is cloned with the code for ever.
const PACKED_BYTES_MAX: u64 = 200 << 10;
/// Of a text in the manifest; longer ones are told by their checksum.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// Messages that fill a segment, and how many it takes at most.
const LONG_MESSAGE_BYTES: usize = 500 << 10;
const LONG_MESSAGES_MAX: usize = 200;

/// Engines that are on every machine, by what becomes of them.
const SETTINGS: &str = r#"[limits]
segment_bytes_min = 1048576

[engines.echo]
kind = "command"
argv = ["/bin/cat"]

[engines.events]
kind = "command"
argv = ["/bin/cat"]
output = "events"

[engines.broken]
kind = "command"
argv = ["/bin/sh", "-c", "echo half an answer; echo out of ink >&2; exit 3"]

[engines.slow]
kind = "command"
argv = ["/bin/sh", "-c", "echo so far; exec sleep 600"]
"#;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The directories of every format there ever was.
fn golden() -> Vec<PathBuf> {
    let is_golden = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("data-"))
    };
    let entries = fs::read_dir(fixtures()).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(is_golden)
        .collect();
    found.sort();
    assert!(!found.is_empty(), "the fixtures are where they were");
    found
}

fn unpack(fixture: &Path) -> (Arc<TempDir>, PathBuf) {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let packed = fs::File::open(fixture.join("hive.tar.zst")).unwrap();
    let unpacked = zstd::Decoder::new(packed).unwrap();
    tar::Archive::new(unpacked).unpack(home.path()).unwrap();
    let data = home.path().join("hive");
    (home, data)
}

/// Everything that a client can read of a quiet hive, by path; what stands in it of this machine is masked.
async fn contents(user: &User, data: &Path) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    // The list of keys comes first: using one is noted in it.
    for path in [
        "/api/tokens",
        "/api/bee",
        "/api/workers",
        "/api/executions",
        "/api/agents",
        "/api/tasks",
        "/api/memory",
        "/api/usage?by=day",
        "/api/usage?by=worker",
        "/api/usage?by=model",
    ] {
        all.insert(path.to_owned(), read_all(user, path).await);
    }
    for worker in all["/api/workers"].as_array().unwrap().clone() {
        let path = format!("/api/workers/{}/engine", id_of(&worker));
        let options = user.read(&path).await;
        all.insert(path, options);
    }
    let mut me = user.read("/api/me").await;
    for of_the_server in ["version", "instance_id", "held"] {
        me.as_object_mut().unwrap().remove(of_the_server);
    }
    all.insert("/api/me".to_owned(), me);
    for execution in all["/api/executions"].as_array().unwrap().clone() {
        let path = format!("/api/executions/{}/logs", id_of(&execution));
        let log = user.get(&path).await.expect(200).text();
        all.insert(path, log.into());
        let path = format!("/api/executions/{}/permissions", id_of(&execution));
        let asked = user.read(&path).await;
        if asked != json!([]) {
            all.insert(path, asked);
        }
    }
    let sessions = read_all(user, "/api/local/sessions").await;
    for session in sessions.as_array().unwrap() {
        let path = format!("/api/local/sessions/{}", id_of(session));
        let mut events = user.events(&format!("{path}/stream"), Some(0)).await;
        let messages = read_all(user, &format!("{path}/messages")).await;
        for message in messages.as_array().unwrap() {
            for media in message["media"].as_array().unwrap() {
                let url = media["url"].as_str().unwrap();
                let file = user.get(url).await.expect(200).text();
                all.insert(url.to_owned(), file.into());
            }
        }
        // Every message was told at least once, so there are as many.
        let seen = events.take(messages.as_array().unwrap().len()).await;
        let seen = seen
            .iter()
            .map(|event| json!([event.id, event.name, event.data]));
        all.insert(format!("{path}/stream"), seen.collect());
        all.insert(format!("{path}/messages"), messages);
    }
    all.insert("/api/local/sessions".to_owned(), sessions);
    for value in all.values_mut() {
        *value = brief(value, data);
    }
    all
}

/// Without this machine's directory, and long texts as their length and checksum.
fn brief(value: &Value, data: &Path) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_BYTES_MAX => {
            let sum = crc32c::crc32c(text.as_bytes());
            format!("{} bytes, crc32c {sum:08x}", text.len()).into()
        }
        Value::String(text) => text.replace(&*data.to_string_lossy(), "<data>").into(),
        Value::Array(rows) => rows.iter().map(|row| brief(row, data)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let brief = fields.map(|(name, value)| (name.clone(), brief(value, data)));
            Value::Object(brief.collect())
        }
        other => other.clone(),
    }
}

/// A list from its first page to its last, or something that is no list.
async fn read_all(user: &User, path: &str) -> Value {
    match user.read(path).await {
        Value::Array(_) => user.read_all(path).await.into(),
        one => one,
    }
}

/// Whether everything that was there is there; newer versions may say more.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, row)| holds(found, row))
        }
        (found, expected) => found == expected,
    }
}

async fn verify(home: &Arc<TempDir>, data: &Path) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(["verify", "--data"]).arg(data).env_clear();
    let output = command.env("HOME", home.path()).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

/// How a hive comes to a new version.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Updated where it is: the tables are trusted.
    InPlace,
    /// Copied: `hive.redb` is set aside, and the newest snapshot replayed from.
    Copied,
    /// Without `hive.redb`, which is disposable.
    WithoutTables,
    /// Without anything but the journal: every command is read.
    JournalAlone,
}

impl Way {
    fn prepare(self, data: &Path) {
        let hive = data.join("hive.redb");
        match self {
            Self::Copied => {}
            Self::WithoutTables => fs::remove_file(hive).unwrap(),
            Self::JournalAlone => {
                fs::remove_file(hive).unwrap();
                fs::remove_dir_all(data.join("snapshots")).unwrap();
            }
            Self::InPlace => {
                settle_in(data);
                trust(&hive);
            }
        }
    }
}

/// Lets a directory take itself for the original.
fn settle_in(data: &Path) {
    let path = data.join("instance.json");
    let mut instance: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    instance["directory"] = serde_json::to_value(FileIdentity::of(data).unwrap()).unwrap();
    fs::write(&path, instance.to_string()).unwrap();
}

/// Lets tables take themselves for the ones that were written here.
fn trust(hive: &Path) {
    const META: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("meta");
    let identity = skep::store::codec::encode(&FileIdentity::of(hive).unwrap()).unwrap();
    let tables = redb::Database::open(hive).unwrap();
    let change = tables.begin_write().unwrap();
    let before = change
        .open_table(META)
        .unwrap()
        .insert("file_identity", identity.as_slice())
        .unwrap()
        .map(|before| before.value().to_vec());
    assert!(before.is_some(), "the identity is where it was");
    change.commit().unwrap();
}

/// Every directory that was ever written opens, verifies, and holds what it held.
#[tokio::test]
async fn old_directories_open() {
    for fixture in golden() {
        let manifest = fs::read(fixture.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let mut counted = None;
        for way in [
            Way::InPlace,
            Way::Copied,
            Way::WithoutTables,
            Way::JournalAlone,
        ] {
            let what = format!("{way:?} {}", fixture.display());
            let (home, data) = unpack(&fixture);
            way.prepare(&data);
            verify(&home, &data).await;
            let server = Setup::default().start_on(&home, &data).await;
            let stderr = server.stderr();
            let is_trusted = !stderr.contains("tables were made anew");
            assert!(is_trusted || way != Way::InPlace, "{what}: {stderr}");

            let password = json!({ "username": "admin", "password": PASSWORD });
            let login = server.call(Method::Post, "/api/auth/login").json(&password);
            let user = User::new(&server, &login.send().await.expect(200).json());
            let found = contents(&user, &data).await;
            for (path, expected) in manifest["answers"].as_object().unwrap() {
                let found = found.get(path).unwrap_or(&Value::Null);
                assert!(
                    holds(found, expected),
                    "{what}: {path} was\n{expected}\nand is\n{found}"
                );
            }
            // What was not summed up then is now, the same by every way.
            let usage = user.read_all("/api/usage?by=model").await;
            assert_eq!(
                counted.get_or_insert_with(|| usage.clone()),
                &usage,
                "{what}"
            );
            let key = manifest["key"].as_str().unwrap();
            user.with_token(key).get("/api/workers").await.expect(200);
            is_searched(&user).await;
            server.stop().await;
            verify(&home, &data).await;
        }
    }
}

/// The index is disposable, so none of these directories has one.
async fn is_searched(user: &User) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = user.read("/api/search?q=poem").await;
        if found["indexing"] == false {
            assert_ne!(found["results"], json!([]));
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{found}");
    }
}

/// What a newer version wrote is refused in plain words and left as it is, byte for byte.
#[tokio::test]
async fn directories_of_a_newer_format_are_refused_and_not_touched() {
    // Where a journal's segment and a snapshot say their format, and the length of the header that is summed up.
    for (folder, format_at, summed) in [("journal", 8, 44), ("snapshots", 8, 28)] {
        let (_home, data) = unpack(&fixtures().join(format!("data-{FORMAT}")));
        if folder == "snapshots" {
            // Otherwise nobody looks at it: the tables are enough, or the whole journal.
            fs::remove_file(data.join("hive.redb")).unwrap();
            let segments = fs::read_dir(data.join("journal")).unwrap().flatten();
            let first = segments.map(|entry| entry.path()).min().unwrap();
            fs::remove_file(first).unwrap();
        }
        for entry in fs::read_dir(data.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            bytes[format_at..format_at + 4].copy_from_slice(&(FORMAT + 1).to_le_bytes());
            let sum = crc32c::crc32c(&bytes[..summed]).to_le_bytes();
            bytes[summed..summed + 4].copy_from_slice(&sum);
            fs::write(&path, bytes).unwrap();
        }
        let before = files(&data);
        let (code, stderr) = Setup::default().fails_to_start(&data).await;
        assert_eq!(code, Some(1), "{folder}: {stderr}");
        assert!(stderr.contains("newer"), "{folder}: {stderr}");
        let after = files(&data);
        // Empty tables may have been begun; they are disposable.
        let is_new = |path: &Path| path.ends_with("hive.redb") && !before.contains_key(path);
        let changed = |path: &&PathBuf| before.get(*path) != after.get(*path) && !is_new(path);
        let changed: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(changed).collect();
        assert!(changed.is_empty(), "{changed:?}: {stderr}");
    }
}

/// Every file under a directory but the lock, with its content.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                let content = fs::read(&path).unwrap();
                found.insert(path, content);
            }
        }
    }
    found
}

#[test]
fn the_fixtures_stay_small() {
    for fixture in golden() {
        let bytes: u64 = files(&fixture).values().map(|file| file.len() as u64).sum();
        assert!(bytes <= PACKED_BYTES_MAX, "{}: {bytes}", fixture.display());
    }
}

/// Writes the newest of the directories: a hive with something of everything.
#[tokio::test]
#[ignore = "writes the fixture; see the head of this file"]
async fn write_the_directory_of_this_format() {
    let model = permission::asking_model().await;
    let settings = [SETTINGS, &model.engine("asking", ""), &engine::settings()].join("\n");
    let server = Setup::settings(&settings).start().await;
    let user = server.log_in().await;
    live::live(&user).await;
    live::later(&server, &user).await;
    // Until the segment is full, sealed, and followed by a snapshot.
    let long = user.worker("Long", "broken").await;
    let chat = user.chat_with(&long).await;
    let snapshots = server.data.join("snapshots");
    let mut messages = 0;
    while !fs::read_dir(&snapshots).is_ok_and(|mut entries| entries.any(is_snapshot)) {
        assert!(messages < LONG_MESSAGES_MAX, "{}", server.stderr());
        messages += 1;
        user.ask(&chat, &"a".repeat(LONG_MESSAGE_BYTES)).await;
    }
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    assert!(fs::read_dir(server.data.join("journal")).unwrap().count() >= 2);
    // The same again after it, so that records and commands of every kind are read.
    let key = live::live(&user).await;
    live::later(&server, &user).await;

    // A run that ends with its server.
    let cut_short = user.worker("Cut short", "slow").await;
    let chat = user.chat_with(&cut_short).await;
    let execution = user.send(&chat, "Tell me everything").await;
    user.printed(&execution, "so far").await;
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    user.ended(&execution).await;

    let answers = contents(&user, &server.data).await;
    let stopped = server.stop().await;
    for of_the_process in ["lock", "control.json"] {
        let _ = fs::remove_file(stopped.data.join(of_the_process));
    }
    // What is disposable and was not there when the format was new: it has to come by itself.
    let _ = fs::remove_dir_all(stopped.data.join("search"));
    // The other engines were of this run alone.
    fs::write(stopped.data.join("skep.toml"), SETTINGS).unwrap();
    let fixture = fixtures().join(NEWEST);
    fs::create_dir_all(&fixture).unwrap();
    let manifest = json!({ "key": key, "answers": answers });
    let manifest = serde_json::to_string_pretty(&manifest).unwrap() + "\n";
    fs::write(fixture.join("manifest.json"), manifest).unwrap();
    let packed = fs::File::create(fixture.join("hive.tar.zst")).unwrap();
    let mut packed = tar::Builder::new(zstd::Encoder::new(packed, 19).unwrap());
    packed.sparse(false);
    packed.append_dir_all("hive", &stopped.data).unwrap();
    packed.into_inner().unwrap().finish().unwrap();
}

fn is_snapshot(entry: std::io::Result<fs::DirEntry>) -> bool {
    let path = entry.unwrap().path();
    path.extension().is_some_and(|end| end == "snap")
}
