//! Names that lead elsewhere, links, and archives that burst.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;
use tar::{EntryType, Header};

use crate::support::engine::settings;
use crate::support::{Method, TestServer};

/// Ways up, for readers of several kinds.
const CLIMBS: [&str; 12] = [
    "..",
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%252f",
    "..%5c",
    "..\\",
    "%c0%ae%c0%ae/",
    "%00../",
    "....//",
    "/",
];

/// No value of a path, and no path of a file of the console, is a path on the disk.
#[tokio::test]
async fn no_address_climbs_out_of_where_it_belongs() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.ask(&chat, "say x").await.execution["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = std::fs::read(server.data.join("keys/signing.key")).unwrap();
    let instance = server.data.file_name().unwrap().to_str().unwrap();
    for climb in CLIMBS {
        for target in [
            format!("{}keys/signing.key", climb.repeat(3)),
            format!("{}etc/passwd", climb.repeat(12)),
            format!("{climb}{instance}/skep.toml"),
            climb.to_owned(),
        ] {
            for path in [
                format!("/{target}"),
                format!("/js/{target}"),
                format!("/api/executions/{target}/logs"),
                format!("/api/executions/{execution}{target}/logs"),
                format!("/api/executions/{target}"),
                format!("/api/local/sessions/{target}/media/a"),
                format!("/api/local/sessions/{chat}/media/{target}"),
                format!("/api/workers/{target}"),
            ] {
                let answer = user.get(&path).await;
                let is_console = answer.header("content-type") == Some("text/html; charset=utf-8");
                assert!(
                    answer.status == 404
                        || answer.status == 400
                        || (answer.status == 200 && is_console),
                    "{path}: {} {}",
                    answer.status,
                    answer.text()
                );
                let holds = |bytes: &[u8]| memchr::memmem::find(&answer.body, bytes).is_some();
                assert!(
                    !holds(&key) && !holds(b"root:") && !holds(b"[engines."),
                    "{path}"
                );
            }
        }
    }
}

/// What stands in place of a log or a directory of ours is not followed: a link to a secret is not read out, and what
/// a link leads to is not deleted.
#[tokio::test]
async fn a_link_in_place_of_our_own_files_is_not_followed() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let victim = server.home.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("precious"), "x").unwrap();

    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    user.upload(&chat, "a.txt", b"x").await.expect(200);
    let uploads = server.data.join("uploads").join(&chat);
    std::fs::remove_dir_all(&uploads).unwrap();
    symlink(&victim, &uploads).unwrap();
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);

    let work_dir = server.data.join("workers").join(&worker);
    symlink(&victim, work_dir.join("link")).unwrap();
    user.delete(&format!("/api/workers/{worker}?delete_work_dir=true"))
        .await
        .expect(200);
    assert!(!work_dir.exists());
    assert!(
        victim.join("precious").exists(),
        "what a link leads to stays"
    );
}

/// An archive that would fill the disk, by what it announces or by what it unpacks to, is refused; nothing stays.
#[tokio::test]
async fn an_archive_that_bursts_is_refused_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let manifest = json!({ "format": 1, "version": "0.1.0", "created_at": 0, "with_keys": false });
    let entry = |name: &str, announced: u64| {
        let mut header = Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_size(announced);
        header.set_mode(0o600);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let text = manifest.to_string();
    let mut begin = entry("skep-backup.json", text.len() as u64);
    begin.extend_from_slice(text.as_bytes());
    begin.resize(begin.len().next_multiple_of(512), 0);
    // A petabyte, of which a little follows; a window that takes 2 GiB; a billion names.
    let announced = [
        begin.clone(),
        entry("workers/a/huge", 1 << 50),
        vec![0; 1 << 20],
    ]
    .concat();
    let long_name = [begin.clone(), {
        let mut header = Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        header.as_bytes().to_vec()
    }]
    .concat();
    let wide = {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(30).unwrap();
        encoder.write_all(&announced).unwrap();
        encoder.finish().unwrap()
    };
    let pack = |tar: &[u8]| zstd::encode_all(tar, 1).unwrap();
    for (number, archive) in [pack(&announced), pack(&long_name), wide]
        .iter()
        .enumerate()
    {
        let file = home.path().join(format!("{number}.tar.zst"));
        std::fs::write(&file, archive).unwrap();
        for dry in [true, false] {
            let target = home.path().join("hive");
            let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
            command.arg("--data").arg(&target).arg("restore");
            if dry {
                command.arg("--dry-run");
            }
            command.arg(&file).env_clear().env("HOME", home.path());
            let run = tokio::task::spawn_blocking(move || command.output());
            let ran = run.await.unwrap().unwrap();
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert_eq!(ran.status.code(), Some(1), "{number}: {said}");
            assert!(!said.contains("panicked"), "{said}");
            assert!(!target.exists(), "{number}");
            let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
            assert_eq!(left.len(), number + 1, "{number}: {left:?}");
        }
    }
}

/// An upload's name, however it is written in the form, is a name in its chat's own directory.
#[tokio::test]
async fn no_form_names_a_place_outside() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let before = listing(&server.data);
    for disposition in [
        "filename=\"../../x\"",
        "filename=../../x",
        "filename*=UTF-8''..%2f..%2fx",
        "filename=\"a\"; filename*=UTF-8''%2e%2e%2fx",
        "filename=\"..\\\\..\\\\x\"",
        "filename=\"/tmp/x\"",
        "filename=\"C:\\\\x\"",
        "filename=\"x\0.txt\"",
        "filename=\"con.x\"",
        "filename=\"a\"; filename=\"../../x\"",
    ] {
        let form = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; {disposition}\r\n\r\nx\r\n--b--\r\n"
        );
        let path = format!("/api/local/sessions/{chat}/media");
        let call = user.call(Method::Post, &path);
        let answer = call
            .body("multipart/form-data; boundary=b", form)
            .send()
            .await;
        assert!(
            [200, 400].contains(&answer.status),
            "{disposition}: {}",
            answer.text()
        );
    }
    let mut after = listing(&server.data);
    after.retain(|name| name != "uploads");
    assert!(after.iter().all(|name| before.contains(name)), "{after:?}");
    let uploads = server.data.join("uploads");
    assert_eq!(listing(&uploads), [".incoming", &chat]);
    assert_eq!(listing(&uploads.join(".incoming")), [""; 0]);
}

fn listing(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
