#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::beneath::{Beneath, RelativePath};
use super::hive::Hive;
use super::*;

fn denied(result: Result<ToolOutput, ToolError>) -> bool {
    matches!(result, Err(ToolError::Denied(_)))
}

#[test]
fn every_tool_has_a_name_of_its_own_and_a_schema() {
    for tool in ALL {
        assert!(
            std::ptr::eq(find(tool.name).unwrap(), *tool),
            "{}",
            tool.name
        );
        assert!(!tool.description.is_empty());
        let schema = tool.schema();
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        for required in schema["required"].as_array().unwrap() {
            assert!(schema["properties"][required.as_str().unwrap()].is_object());
        }
    }
    assert!(find("format_disk").is_none());
}

/// The table of arguments and the type behind it agree: what the schema allows is understood, what it does not is
/// refused before the tool sees it.
#[tokio::test]
async fn arguments_are_what_the_schema_says() {
    let hive = Hive::open();
    for tool in ALL {
        let mut args = serde_json::Map::new();
        for param in tool.params {
            let value = match param.kind {
                Kind::Text => json!("x"),
                Kind::Number => json!(1),
                Kind::Flag => json!(true),
                Kind::Words => json!(["x"]),
            };
            args.insert(param.name.to_owned(), value);
        }
        for (name, word) in [("engine", "mine"), ("status", "completed")] {
            if args.contains_key(name) {
                args.insert(name.to_owned(), json!(word));
            }
        }
        let answer = hive.call(tool, Value::Object(args.clone())).await;
        assert!(
            !matches!(
                answer,
                Err(ToolError::InvalidArguments(_) | ToolError::Failed(_))
            ),
            "{}: {answer:?}",
            tool.name
        );
        args.insert("surprise".to_owned(), json!(1));
        let answer = hive.call(tool, Value::Object(args)).await;
        assert!(
            matches!(answer, Err(ToolError::InvalidArguments(_))),
            "{}",
            tool.name
        );
        let answer = hive.call(tool, json!("x")).await;
        assert!(
            matches!(answer, Err(ToolError::InvalidArguments(_))),
            "{}",
            tool.name
        );
    }
    for wrong in [
        json!({}),
        json!({"path": 1}),
        json!({"path": null}),
        json!({"path": "x", "offset": -1}),
    ] {
        let answer = hive.call(&files::READ, wrong).await;
        assert!(
            matches!(answer, Err(ToolError::InvalidArguments(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn files_are_written_once_replaced_on_demand_and_appended() {
    let hive = Hive::open();
    let write = |text: &str, overwrite: bool| json!({"path": "a/b/c.txt", "text": text, "overwrite": overwrite});
    hive.call(&files::WRITE, write("one", false)).await.unwrap();
    let again = hive.call(&files::WRITE, write("two", false)).await;
    assert!(matches!(again, Err(ToolError::Exists(_))));
    assert_eq!(hive.read("a/b/c.txt"), "one");
    std::fs::set_permissions(
        hive.path("a/b/c.txt"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    hive.call(&files::WRITE, write("three", true))
        .await
        .unwrap();
    assert_eq!(hive.read("a/b/c.txt"), "three");
    let mode = std::fs::metadata(hive.path("a/b/c.txt"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755, "a script stays a script");
    for expected in ["x\n", "x\nx\n"] {
        let args = json!({"path": "new/log.txt", "text": "x\n"});
        hive.call(&files::APPEND, args).await.unwrap();
        assert_eq!(hive.read("new/log.txt"), expected);
    }
    let left: Vec<_> = std::fs::read_dir(hive.path("a/b")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file is left");
}

#[tokio::test]
async fn a_long_file_is_read_in_parts_that_tear_no_character() {
    let hive = Hive::open();
    let text = format!("x{}", "ñ€🐝".repeat(60_000));
    hive.write("long.txt", &text);
    let mut read = String::new();
    let mut offset = Some(0);
    while let Some(at) = offset {
        let args = json!({"path": "long.txt", "offset": at});
        let part = hive.call(&files::READ, args).await.unwrap().data;
        read.push_str(part["text"].as_str().unwrap());
        offset = part["next_offset"].as_u64();
    }
    assert!(read == text, "the parts are the whole");
    let behind = json!({"path": "long.txt", "offset": u64::MAX});
    let part = hive.call(&files::READ, behind).await.unwrap().data;
    assert_eq!(
        (part["text"].as_str(), part["next_offset"].as_u64()),
        (Some(""), None)
    );
}

#[tokio::test]
async fn what_is_no_text_is_not_shown() {
    let hive = Hive::open();
    hive.write("image.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    hive.write("broken.txt", b"caf\xe9");
    rustix::fs::mkfifoat(rustix::fs::CWD, hive.path("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let read = |path: &str| json!({ "path": path });
    for path in ["image.png", "pipe", "."] {
        let answer = hive.call(&files::READ, read(path)).await;
        assert!(
            matches!(answer, Err(ToolError::Refused(_))),
            "{path}: {answer:?}"
        );
    }
    let text = hive
        .call(&files::READ, read("broken.txt"))
        .await
        .unwrap()
        .text;
    assert_eq!(text, "caf\u{fffd}");
    let text = json!({"path": "pipe", "text": "x"});
    let answer = hive.call(&files::APPEND, text).await;
    assert!(
        matches!(answer, Err(ToolError::Refused(_) | ToolError::Denied(_))),
        "{answer:?}"
    );
}

/// Nothing outside is read, written, listed or searched, however the way out is spelled.
#[tokio::test]
async fn the_work_directory_is_never_left() {
    let hive = Hive::open();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.txt");
    std::fs::write(&secret, "SECRET").unwrap();
    symlink(&secret, hive.path("link.txt")).unwrap();
    symlink(outside.path(), hive.path("way")).unwrap();
    symlink("../../keys", hive.path("keys")).unwrap();
    symlink("/proc/self/root", hive.path("magic")).unwrap();
    symlink("loop", hive.path("loop")).unwrap();
    let secret = secret.to_str().unwrap();
    for path in [
        secret,
        "/etc/passwd",
        "..",
        "../bee/x",
        "a/../../x",
        "link.txt",
        "way/secret.txt",
        "way/new/file.txt",
        "keys/x",
        "magic/etc/passwd",
        "loop",
        "loop/x",
        "./../x",
    ] {
        let read = hive.call(&files::READ, json!({ "path": path })).await;
        assert!(denied(read.clone()), "read {path}: {read:?}");
        let append = hive
            .call(&files::APPEND, json!({"path": path, "text": "x"}))
            .await;
        assert!(denied(append.clone()), "append {path}: {append:?}");
    }
    for path in ["way", "keys", "magic", "..", "/"] {
        let list = hive.call(&files::LIST, json!({ "path": path })).await;
        assert!(denied(list.clone()), "list {path}: {list:?}");
        let search = hive
            .call(&search::SEARCH, json!({"text": "SECRET", "path": path}))
            .await;
        assert!(denied(search.clone()), "search {path}: {search:?}");
    }
    let found = hive
        .call(&search::SEARCH, json!({"text": "secret"}))
        .await
        .unwrap();
    assert_eq!(found.data["matches"], json!([]));
    let write = hive
        .call(&files::WRITE, json!({"path": "way/new.txt", "text": "x"}))
        .await;
    assert!(denied(write));
    // A link in the place of the file is replaced; what it led to stays as it was.
    let args = json!({"path": "link.txt", "text": "mine", "overwrite": true});
    hive.call(&files::WRITE, args).await.unwrap();
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "SECRET");
    assert_eq!(hive.read("link.txt"), "mine");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// Links that stay inside are fine where the kernel can tell; without its help no link is followed.
#[tokio::test]
async fn links_inside_the_work_directory_lead_where_they_should() {
    let hive = Hive::open();
    hive.write("real/file.txt", "inside");
    symlink("real", hive.path("dir")).unwrap();
    let read = hive
        .call(&files::READ, json!({"path": "dir/file.txt"}))
        .await;
    assert_eq!(read.unwrap().text, "inside");
}

#[test]
fn without_help_of_the_kernel_no_link_is_followed() {
    use rustix::fs::{Mode, OFlags};
    let hive = Hive::open();
    hive.write("real/file.txt", "inside");
    symlink("real", hive.path("dir")).unwrap();
    symlink("real/file.txt", hive.path("file")).unwrap();
    let root = rustix::fs::open(&hive.cx.work_dir, OFlags::DIRECTORY, Mode::empty()).unwrap();
    let open = |path: &str| {
        let path = RelativePath::parse(path).unwrap();
        beneath::name_by_name(&root, &path, OFlags::RDONLY, Mode::empty())
    };
    assert!(open("real/file.txt").is_ok());
    assert!(open(".").is_ok());
    for link in ["dir/file.txt", "file", "dir"] {
        assert!(open(link).is_err(), "{link}");
    }
}

/// A directory that becomes a link while it is used leads nowhere new: the check and the opening are one step.
#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let hive = Hive::open();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file.txt"), "SECRET").unwrap();
    hive.write("dir/file.txt", "inside");
    let beneath = Beneath::open(&hive.cx.work_dir).unwrap();
    let path = RelativePath::parse("dir/file.txt").unwrap();
    let (dir, aside, link) = (hive.path("dir"), hive.path("aside"), hive.path("link"));
    symlink(outside.path(), &link).unwrap();
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            for _ in 0..2_000 {
                std::fs::rename(&dir, &aside).unwrap();
                std::fs::rename(&link, &dir).unwrap();
                std::fs::rename(&dir, &link).unwrap();
                std::fs::rename(&aside, &dir).unwrap();
            }
        });
        while !swapping.is_finished() {
            if let Ok((mut file, _)) = beneath.file(&path) {
                let read = beneath::read_up_to(&mut file, 100, &path).unwrap();
                assert_eq!(read, b"inside");
            }
        }
    });
}

#[tokio::test]
async fn a_work_directory_that_is_gone_is_said_so() {
    let hive = Hive::open();
    std::fs::remove_dir_all(&hive.cx.work_dir).unwrap();
    for tool in [&files::LIST, &notes::LIST] {
        let answer = hive.call(tool, json!({})).await;
        assert!(
            matches!(&answer, Err(ToolError::NotFound(message)) if message.contains("gone")),
            "{answer:?}"
        );
    }
    let answer = hive.call(&notes::ADD, json!({"text": "x"})).await;
    assert!(matches!(answer, Err(ToolError::NotFound(_))));
}

#[tokio::test]
async fn names_that_would_steer_a_terminal_are_spelled_out() {
    let hive = Hive::open();
    hive.write("a\u{1b}[31m\n\u{202e}txt", "x");
    hive.write("dir/x", "x");
    let list = hive.call(&files::LIST, json!({})).await.unwrap();
    assert_eq!(
        list.text,
        "dir/\na\\u{1b}[31m\\u{a}\\u{202e}txt (1 bytes)\n"
    );
    let nul = hive.call(&files::READ, json!({"path": "a\0b"})).await;
    assert!(matches!(nul, Err(ToolError::InvalidArguments(_))));
    let long = "x/".repeat(beneath::DEPTH_MAX + 1);
    let long = hive.call(&files::READ, json!({ "path": long })).await;
    assert!(matches!(long, Err(ToolError::InvalidArguments(_))));
    let long = "x".repeat(300);
    let long = hive.call(&files::READ, json!({ "path": long })).await;
    assert!(matches!(long, Err(ToolError::InvalidArguments(_))));
}

#[tokio::test]
async fn a_search_finds_lines_and_knows_its_limits() {
    let hive = Hive::open();
    hive.write("src/a.rs", "one\n// TODO: İstanbul\nthree");
    hive.write("src/.git/x", "todo");
    hive.write("b.bin", b"todo\0");
    hive.write(
        "long.txt",
        format!("{}todo{}", "ñ".repeat(9_999), "€".repeat(9_999)),
    );
    let found = hive
        .call(&search::SEARCH, json!({"text": "todo"}))
        .await
        .unwrap();
    let matches = found.data["matches"].as_array().unwrap().clone();
    let places: Vec<_> = matches
        .iter()
        .map(|found| {
            (
                found["path"].as_str().unwrap(),
                found["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [("long.txt", 1), ("src/a.rs", 2)]);
    assert!(matches[0]["text"].as_str().unwrap().contains("todo"));
    assert!(matches[0]["text"].as_str().unwrap().len() < search::MATCH_BYTES_MAX + 10);
    let in_file = json!({"text": "one", "path": "src/a.rs"});
    let found = hive.call(&search::SEARCH, in_file).await.unwrap();
    assert_eq!(found.data["matches"][0]["line"], 1);

    hive.write("many.txt", "needle\n".repeat(search::MATCHES_MAX));
    let needle = || json!({"text": "needle"});
    let found = hive.call(&search::SEARCH, needle()).await.unwrap().data;
    assert_eq!(
        found["matches"].as_array().unwrap().len(),
        search::MATCHES_MAX
    );
    hive.write("many.txt", "needle\n".repeat(search::MATCHES_MAX + 1));
    let found = hive.call(&search::SEARCH, needle()).await.unwrap().data;
    assert_eq!(
        (
            found["matches"].as_array().unwrap().len(),
            found["more"].as_bool()
        ),
        (search::MATCHES_MAX, Some(true))
    );
}

#[tokio::test]
async fn a_full_directory_is_listed_up_to_the_limit() {
    let hive = Hive::open();
    for at in 0..files::ENTRIES_MAX {
        hive.write(&format!("dir/{at}"), "");
    }
    let list = hive
        .call(&files::LIST, json!({"path": "dir"}))
        .await
        .unwrap()
        .data;
    assert_eq!(
        (
            list["entries"].as_array().unwrap().len(),
            list["more"].as_bool()
        ),
        (files::ENTRIES_MAX, Some(false))
    );
    hive.write("dir/more", "");
    let list = hive
        .call(&files::LIST, json!({"path": "dir"}))
        .await
        .unwrap()
        .data;
    assert_eq!(
        (
            list["entries"].as_array().unwrap().len(),
            list["more"].as_bool()
        ),
        (files::ENTRIES_MAX, Some(true))
    );
}

/// Notes are lines of a file that people may edit; what is no note stays.
#[tokio::test]
async fn notes_live_beside_what_people_wrote() {
    let hive = Hive::open();
    let add = |text: &str| json!({ "text": text });
    hive.call(&notes::ADD, add("buy\n  milk\u{7}"))
        .await
        .unwrap();
    assert_eq!(hive.read("NOTES.md"), "# Notes\n\n- buy milk\n");
    hive.write("NOTES.md", "# Mine\n- buy milk\n\nText without a line end");
    let notes = hive.call(&notes::ADD, add("call Ada")).await.unwrap();
    assert_eq!(notes.text, "1. buy milk\n2. call Ada");
    let removed = hive
        .call(&notes::REMOVE, json!({"number": 1}))
        .await
        .unwrap();
    assert_eq!(removed.data["removed"], "buy milk");
    assert_eq!(
        hive.read("NOTES.md"),
        "# Mine\n\nText without a line end\n- call Ada\n"
    );
    for number in [0, 2, u32::MAX] {
        let answer = hive.call(&notes::REMOVE, json!({ "number": number })).await;
        assert!(matches!(answer, Err(ToolError::NotFound(_))));
    }
    let empty = hive.call(&notes::ADD, add(" \n ")).await;
    assert!(matches!(empty, Err(ToolError::InvalidArguments(_))));
    hive.write("NOTES.md", b"- \xff\n");
    let broken = hive.call(&notes::ADD, add("x")).await;
    assert!(matches!(broken, Err(ToolError::Refused(_))));
    assert_eq!(std::fs::read(hive.path("NOTES.md")).unwrap(), b"- \xff\n");
}

#[tokio::test]
async fn notes_stop_at_their_limit() {
    let hive = Hive::open();
    let max = usize::try_from(notes::NOTES_BYTES_MAX).unwrap();
    hive.write("NOTES.md", "x".repeat(max - "\n- y\n".len()));
    hive.call(&notes::ADD, json!({"text": "y"})).await.unwrap();
    assert_eq!(hive.read("NOTES.md").len(), max);
    let full = hive.call(&notes::ADD, json!({"text": "y"})).await;
    assert!(matches!(full, Err(ToolError::Refused(_))));
    assert_eq!(hive.read("NOTES.md").len(), max);
}

#[tokio::test]
async fn a_worker_is_created_found_changed_and_deleted() {
    let hive = Hive::open();
    let new = json!({"name": " Ada ", "description": "reviews code", "engine": "MINE"});
    let ada = hive.call(&staffing::CREATE, new).await.unwrap().data;
    assert_eq!(
        (ada["name"].as_str(), ada["engine"].as_str()),
        (Some("Ada"), Some("mine"))
    );
    let directory = ada["work_dir"].as_str().unwrap();
    assert!(Path::new(directory).is_dir());
    let taken = hive.call(&staffing::CREATE, json!({"name": "ADA"})).await;
    assert!(matches!(taken, Err(ToolError::Exists(_))));
    let left = std::fs::read_dir(hive.cx.shared.data.root().join("workers"))
        .unwrap()
        .count();
    assert_eq!(
        left, 2,
        "the bee's and Ada's: a refused worker leaves no directory"
    );
    let update = json!({"worker": ada["id"], "name": "Grace", "engine": ""});
    let grace = hive.call(&staffing::UPDATE, update).await.unwrap().data;
    assert_eq!(
        (grace["name"].as_str(), grace["engine"].as_str()),
        (Some("Grace"), Some(""))
    );
    assert_eq!(grace["description"], "reviews code");
    let status = hive
        .call(&workers::STATUS, json!({"worker": "grace"}))
        .await
        .unwrap();
    assert_eq!(status.data["executions"], json!([]));
    let overview = hive.call(&system::OVERVIEW, json!({})).await.unwrap().data;
    assert_eq!(overview["workers"], 1);
    assert_eq!(overview["engines"], json!(["mine", "builtin"]));
    assert!(overview["data_bytes"].as_u64().unwrap() > 0);
    hive.call(&staffing::DELETE, json!({"worker": "Grace"}))
        .await
        .unwrap();
    assert!(Path::new(directory).is_dir(), "the files stay");
    let gone = hive.call(&workers::GET, json!({"worker": "Grace"})).await;
    assert!(matches!(gone, Err(ToolError::NotFound(_))));
}

#[tokio::test]
async fn worker_values_are_checked() {
    let hive = Hive::open();
    hive.call(&staffing::CREATE, json!({"name": "Ada"}))
        .await
        .unwrap();
    for bad in [
        json!({"name": ""}),
        json!({"name": "bee"}),
        json!({"name": "a\nb"}),
        json!({"name": "x".repeat(101)}),
        json!({"name": "B", "engine": "hal"}),
        json!({"name": "B", "description": "x".repeat(5_000)}),
        json!({"name": "B", "model": "a\0b"}),
    ] {
        let answer = hive.call(&staffing::CREATE, bad.clone()).await;
        assert!(
            matches!(answer, Err(ToolError::InvalidArguments(_))),
            "{bad}: {answer:?}"
        );
    }
    let nothing = hive.call(&staffing::UPDATE, json!({"worker": "Ada"})).await;
    assert!(matches!(nothing, Err(ToolError::InvalidArguments(_))));
    let bee = hive.call(&staffing::DELETE, json!({"worker": "bee"})).await;
    assert!(matches!(bee, Err(ToolError::NotFound(_))));
}

/// An agent with a mind of its own changes itself and nobody else; the user's own words may change anybody.
#[tokio::test]
async fn an_agent_may_not_change_other_workers() {
    let hive = Hive::open();
    let create = async |name: &str| {
        let created = hive.call(&staffing::CREATE, json!({ "name": name })).await;
        created.unwrap().data["id"]
            .as_str()
            .unwrap()
            .parse::<WorkerId>()
            .unwrap()
    };
    let ada = create("Ada").await;
    create("Bob").await;
    let agent = Context {
        authority: Authority::Agent,
        worker_id: Some(ada),
        ..hive.cx.clone()
    };
    let rename = |worker: &str, name: &str| json!({"worker": worker, "name": name});
    for (tool, args) in [
        (&staffing::UPDATE, rename("Bob", "Bert")),
        (&staffing::DELETE, json!({"worker": "Bob"})),
        (&staffing::CREATE, json!({"name": "Eve"})),
    ] {
        assert!(denied(tool.call(&agent, args).await), "{}", tool.name);
    }
    staffing::UPDATE
        .call(&agent, rename("Ada", "Grace"))
        .await
        .unwrap();
    let user = Context {
        authority: Authority::Account,
        ..agent
    };
    staffing::UPDATE
        .call(&user, rename("Bob", "Bert"))
        .await
        .unwrap();
    let itself = staffing::DELETE
        .call(&user, json!({"worker": "Grace"}))
        .await;
    assert!(matches!(itself, Err(ToolError::Refused(_))));
}

#[tokio::test]
async fn a_journal_that_is_closed_is_said_so() {
    let hive = Hive::open();
    hive.cx.shared.journal.close().await;
    let answer = hive.call(&staffing::CREATE, json!({"name": "Ada"})).await;
    assert!(
        matches!(answer, Err(ToolError::Unavailable(_))),
        "{answer:?}"
    );
}
