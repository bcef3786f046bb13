#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::super::permission::Asker;
use super::super::{EngineEvent, Stop};
use super::*;
use crate::execution_log::{LogWriter, Stream};
use crate::model::{Ids, WorkerId};
use crate::tool::hive::Hive;
use crate::tool::staffing;

/// What a run said.
struct Said {
    text: String,
    tools: Vec<(String, bool)>,
    events: Vec<EngineEvent>,
    log: Vec<u8>,
    ended: Result<(), EngineError>,
}

struct Chat {
    hive: Hive,
    builtin: Builtin,
    worker: Option<WorkerId>,
    media: Vec<PathBuf>,
    log_bytes_max: u64,
}

impl Chat {
    fn open() -> Self {
        let hive = Hive::open();
        Self {
            builtin: Builtin::new(Arc::clone(&hive.cx.shared)),
            hive,
            worker: None,
            media: Vec::new(),
            log_bytes_max: 1 << 30,
        }
    }

    fn turn(&self, prompt: &str) -> Turn {
        Turn {
            execution_id: Ids.next(),
            worker_id: self.worker,
            worker_name: "Ada".to_owned(),
            description: "reviews code".to_owned(),
            memory: String::new(),
            is_news: false,
            session_id: None,
            prompt: prompt.to_owned(),
            media: self.media.clone(),
            model: None,
            work_dir: self.hive.cx.work_dir.clone(),
            permissions: Default::default(),
            temp_dir: std::env::temp_dir(),
            resume: None,
            mcp: None,
            extra: Default::default(),
        }
    }

    /// Runs a turn; `stop_after` is how many events are taken before it is told to stop.
    async fn run(&self, prompt: &str, stop_after: Option<usize>) -> Said {
        let turn = self.turn(prompt);
        let path = self
            .hive
            .cx
            .shared
            .data
            .root()
            .join(turn.execution_id.to_string());
        let (events, mut taken) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(None);
        let mut run = Run {
            log: LogWriter::create(&path, self.log_bytes_max).unwrap(),
            events,
            pid: watch::channel(None).0,
            stop: stopped,
            permission: Asker::nobody(),
        };
        let mut all = Vec::new();
        let running = async {
            let ended = self.builtin.run(&turn, &mut run).await;
            drop(run);
            ended
        };
        let taking = async {
            while let Some(event) = taken.recv().await {
                all.push(event);
                if Some(all.len()) == stop_after {
                    stop.send_replace(Some(Stop::Cancelled));
                }
            }
        };
        let (ended, ()) = tokio::join!(running, taking);
        let mut text = String::new();
        let mut tools: Vec<(String, bool)> = Vec::new();
        for event in &all {
            match event {
                EngineEvent::Text { text: piece } => text.push_str(piece),
                EngineEvent::ToolCall { name, .. } => tools.push((name.clone(), false)),
                EngineEvent::ToolResult { ok, .. } => tools.last_mut().unwrap().1 = *ok,
                _ => {}
            }
        }
        Said {
            text,
            tools,
            events: all,
            log: std::fs::read(path).unwrap(),
            ended,
        }
    }

    async fn say(&self, prompt: &str) -> Said {
        let said = self.run(prompt, None).await;
        said.ended.as_ref().unwrap();
        assert_eq!(
            said.events.last(),
            Some(&EngineEvent::Result { text: None }),
            "{prompt}"
        );
        said
    }

    /// The tools that a message calls, `!` before one that refuses, and a part of the answer.
    async fn expect(&self, prompt: &str, tools: &str, answer: &str) {
        let said = self.say(prompt).await;
        let called: Vec<String> = said
            .tools
            .iter()
            .map(|(name, ok)| format!("{}{name}", if *ok { "" } else { "!" }))
            .collect();
        assert_eq!(called.join(" "), tools, "{prompt}\n{}", said.text);
        assert!(said.text.contains(answer), "{prompt}\n{}", said.text);
    }
}

#[tokio::test]
async fn it_says_what_it_is_and_what_it_can_do() {
    let chat = Chat::open();
    for (prompt, answer) in [
        ("help", "| `note: buy milk` |"),
        ("What can you do?", "count to 100 slowly"),
        ("?", "list files"),
        ("hello", "not a language model"),
        ("Hi there!", "Hello! I am the **bee**"),
        ("who are you?", "not a language model"),
        ("Are you ChatGPT?", "not a language model"),
        ("thanks!", "welcome"),
        ("what is the meaning of life", "I did not understand"),
        ("", "I did not understand"),
        ("🐝🐝🐝", "I did not understand"),
        ("hlep", "`help`"),
        ("serach TODO", "- `find TODO in src`"),
        ("shwo me the readme", "- `show README.md`"),
        ("tell me a joke about workers", "- `workers`"),
    ] {
        chat.expect(prompt, "", answer).await;
    }
    for prompt in [
        "add a model",
        "how do I add a model?",
        "install claude",
        "How can I use an LLM?",
        "connect ollama",
    ] {
        let said = chat.say(prompt).await;
        assert_eq!(said.tools, [("list_engines".to_owned(), true)], "{prompt}");
        for way in [
            "Ollama",
            "llama-server",
            "LM Studio",
            "kind = \"http\"",
            "API key",
            "`claude`",
        ] {
            assert!(said.text.contains(way), "{way}\n{}", said.text);
        }
    }
    for prompt in [
        "engines",
        "which engines are there?",
        "models",
        "list engines",
    ] {
        chat.expect(prompt, "list_engines", "| `claude` | no | not on PATH")
            .await;
    }
    for prompt in [
        "status",
        "system overview",
        "how are things?",
        "show me the status",
        "what's running?",
    ] {
        chat.expect(prompt, "get_system_overview", "| Workers | 0 |")
            .await;
    }
}

/// What the console offers to somebody who has never said anything has to be understood.
#[tokio::test]
async fn what_the_console_suggests_is_understood() {
    let chat = Chat::open();
    let suggested: Vec<&str> = include_str!("../../../assets/js/strings.js")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("'chat.suggest."))
        .filter_map(|line| line.split_once(": '")?.1.strip_suffix("',"))
        .collect();
    assert_eq!(suggested.len(), 3, "{suggested:?}");
    for sentence in suggested {
        let said = chat.say(sentence).await;
        assert!(
            !said.text.contains("did not understand") && said.tools.iter().all(|(_, ok)| *ok),
            "{sentence}\n{}",
            said.text
        );
    }
    for prompt in [
        "Which engines did you find on this machine?",
        "which engines are installed on this computer",
        "what engines are ready?",
    ] {
        chat.expect(prompt, "list_engines", "| `mine` | yes |")
            .await;
    }
}

#[tokio::test]
async fn what_newcomers_ask_is_answered() {
    let chat = Chat::open();
    for (prompt, answer) in [
        ("how do I make a worker?", "create a worker named Poet"),
        ("How can I create a new agent", "create a worker named Poet"),
        ("how do I use this?", "| `list files` |"),
        ("what can you do here?", "| `list files` |"),
        ("what is a worker?", "A worker is an assistant"),
        ("what is skep", "Skep runs a hive"),
        ("What's Skep?", "Skep runs a hive"),
        ("how do I set a password", "account menu"),
        ("change my password", "account menu"),
        ("how do I stop a reply?", "Stop button"),
        ("stop", "Esc"),
    ] {
        chat.expect(prompt, "", answer).await;
    }
    let path = chat.hive.cx.work_dir.to_str().unwrap();
    chat.expect("where are my files?", "list_files", path).await;
}

#[tokio::test]
async fn it_works_with_files() {
    let chat = Chat::open();
    chat.expect("ls", "list_files", "The work directory is empty")
        .await;
    chat.expect(
        "write hello.txt: Hello!",
        "write_file",
        "`hello.txt` (6 bytes)",
    )
    .await;
    chat.expect(
        "write hello.txt: Bye",
        "!write_file",
        "`overwrite hello.txt: …`",
    )
    .await;
    assert_eq!(chat.hive.read("hello.txt"), "Hello!");
    chat.expect("overwrite hello.txt: Bye", "write_file", "3 bytes")
        .await;
    assert_eq!(chat.hive.read("hello.txt"), "Bye");
    chat.expect(
        "overwrite hello.txt with \"Hi: you\"",
        "write_file",
        "7 bytes",
    )
    .await;
    assert_eq!(chat.hive.read("hello.txt"), "Hi: you");
    chat.expect(
        "Please create a file named src/main.rs:\n```rust\nfn main() {} // TODO\n```",
        "write_file",
        "src/main.rs",
    )
    .await;
    assert_eq!(chat.hive.read("src/main.rs"), "fn main() {} // TODO\n");
    chat.expect("write \"a b.txt\": x", "write_file", "`a b.txt`")
        .await;
    chat.expect("save \"some text\" to notes.txt", "write_file", "notes.txt")
        .await;
    chat.expect("write multi.txt:\none\n  two", "write_file", "multi.txt")
        .await;
    assert_eq!(chat.hive.read("multi.txt"), "one\n  two\n");
    chat.expect("append to log.txt: done", "append_file", "5 bytes now")
        .await;
    chat.expect("add \"more\" to log.txt", "append_file", "10 bytes now")
        .await;
    assert_eq!(chat.hive.read("log.txt"), "done\nmore\n");
    chat.hive.write("end.txt", "no line break");
    chat.expect("append to end.txt: next", "append_file", "`end.txt`")
        .await;
    assert_eq!(chat.hive.read("end.txt"), "no line break\nnext\n");
    for prompt in [
        "list files",
        "List the files, please.",
        "ls",
        "show files",
        "what files are there?",
        "can you list my files?",
        "files",
    ] {
        chat.expect(prompt, "list_files", "| `src/` | directory |")
            .await;
    }
    for prompt in [
        "ls src",
        "list files in src",
        "list the src directory",
        "ls src/",
    ] {
        chat.expect(prompt, "list_files", "| `main.rs` | 21 bytes |")
            .await;
    }
    for prompt in [
        "show hello.txt",
        "read hello.txt",
        "cat `hello.txt`",
        "Could you please show me the file hello.txt?",
        "open hello.txt.",
        "what is in hello.txt?",
    ] {
        chat.expect(prompt, "read_file", "```text\nHi: you\n```")
            .await;
    }
    chat.expect(
        "show src/main.rs",
        "read_file",
        "```rust\nfn main() {} // TODO\n```",
    )
    .await;
    chat.expect("show src", "!read_file list_files", "main.rs")
        .await;
    chat.expect(
        "show nothing.txt",
        "!read_file",
        "There is no `nothing.txt` here",
    )
    .await;
    for prompt in [
        "find TODO",
        "search for todo",
        "grep \"TODO\"",
        "find TODO in src",
        "where is TODO?",
        "find all lines containing todo",
    ] {
        chat.expect(
            prompt,
            "search_files",
            "src/main.rs:1: fn main() {} // TODO",
        )
        .await;
    }
    chat.expect(
        "find peace in our time",
        "search_files",
        "`peace in our time` nowhere",
    )
    .await;
    for prompt in [
        "show ../../keys",
        "ls /etc",
        "write ../x.txt: x",
        "append to /tmp/x: y",
    ] {
        let said = chat.say(prompt).await;
        assert!(
            !said.tools[0].1 && said.text.contains("outside the work directory"),
            "{}",
            said.text
        );
    }
    for (prompt, example) in [
        ("write", "write hello.txt"),
        ("show", "show README.md"),
        ("find", "find TODO"),
        ("append", "append to"),
        ("rename Ada", "rename Ada to"),
    ] {
        chat.expect(prompt, "", example).await;
    }
}

#[test]
fn code_in_a_sentence_stays_code() {
    for (said, markdown) in [
        ("run `npm i <x>` now", "run `npm i <x>` now"),
        ("*bold* `a|b`", "\\*bold\\* `a\\|b`"),
        ("one ` alone", "one \\` alone"),
        ("`a` and `", "\\`a\\` and \\`"),
        ("", ""),
    ] {
        assert_eq!(markdown::prose(said), markdown);
    }
}

#[tokio::test]
async fn it_keeps_notes() {
    let chat = Chat::open();
    chat.expect("notes", "list_notes", "There are no notes")
        .await;
    for (prompt, note) in [
        ("note: buy milk", "number 1: buy milk"),
        (
            "remember that Ada likes *tea*",
            "number 2: Ada likes \\*tea\\*",
        ),
        ("take a note: call Bob", "number 3: call Bob"),
        ("please remember to sleep", "number 4: sleep"),
        ("add a note: what's next?", "number 5: what's next?"),
    ] {
        chat.expect(prompt, "add_note", note).await;
    }
    for prompt in [
        "notes",
        "show my notes",
        "list notes",
        "what do you remember?",
        "my notes",
    ] {
        chat.expect(prompt, "list_notes", "1. buy milk\n2. Ada")
            .await;
    }
    chat.expect("forget note 2", "remove_note", "Forgotten: Ada")
        .await;
    chat.expect("delete note #1", "remove_note", "Forgotten: buy milk")
        .await;
    chat.expect("forget sleep", "list_notes remove_note", "Forgotten: sleep")
        .await;
    chat.expect("forget pizza", "list_notes", "No note says")
        .await;
    chat.expect("forget \"a\"", "list_notes", "Several notes")
        .await;
    chat.expect("forget note 99", "!remove_note", "they go from 1 to 2")
        .await;
}

#[tokio::test]
async fn it_looks_after_workers() {
    let chat = Chat::open();
    chat.expect("workers", "list_workers", "There are no workers yet")
        .await;
    chat.expect(
        "create a worker named Ada that reviews Rust code",
        "create_worker",
        "| Good at | reviews Rust code |",
    )
    .await;
    chat.expect(
        "Create an agent called Bob who writes tests, using mine",
        "create_worker",
        "| Engine | `mine` |",
    )
    .await;
    chat.expect(
        "new worker Eve: writes services using Rust",
        "create_worker",
        "| Good at | writes services using Rust |",
    )
    .await;
    chat.expect(
        "hire a worker named \"Grace Hopper\" to find bugs",
        "create_worker",
        "`@Grace Hopper`",
    )
    .await;
    chat.expect(
        "create worker Zed using hal",
        "!create_worker",
        "There is no engine named \"hal\"",
    )
    .await;
    chat.expect("create worker ada", "!create_worker", "exists already")
        .await;
    chat.expect("create a worker", "", "create a worker named Ada")
        .await;
    for prompt in [
        "workers",
        "list workers",
        "show me all workers",
        "who works here?",
        "which agents do I have?",
        "how many workers are there?",
    ] {
        chat.expect(prompt, "list_workers", "| **Ada** | reviews Rust code |")
            .await;
    }
    for prompt in [
        "show worker Ada",
        "who is Ada?",
        "describe Ada",
        "tell me about Ada",
        "worker ada",
    ] {
        chat.expect(prompt, "get_worker", "| Name | Ada |").await;
    }
    chat.expect("show Ada", "!read_file get_worker", "| Name | Ada |")
        .await;
    for prompt in [
        "status of Ada",
        "is Ada busy?",
        "what is Ada doing?",
        "how is Ada doing",
        "status Ada",
    ] {
        chat.expect(prompt, "get_worker_status", "**Ada** is idle")
            .await;
    }
    for (prompt, answer) in [
        ("describe Ada as a poet", "| Good at | a poet |"),
        (
            "set Ada's description to writes docs",
            "| Good at | writes docs |",
        ),
        ("change the engine of Ada to mine", "| Engine | `mine` |"),
        ("use claude for Ada", "now uses `claude`"),
        ("let Ada use the mine engine", "| Engine | `mine` |"),
        ("set Ada's memory to be kind", "be kind"),
        ("rename Ada to Ada Lovelace", "**Ada Lovelace**"),
    ] {
        chat.expect(prompt, "update_worker", answer).await;
    }
    chat.expect("delete Bob", "", "`delete worker Bob`").await;
    for prompt in ["delete notes.txt", "delete the old drafts", "delete it"] {
        chat.expect(prompt, "", "Files I leave alone").await;
    }
    chat.expect("delete worker Bob.", "delete_worker", "**Bob** is gone")
        .await;
    chat.expect(
        "delete worker Bob",
        "!delete_worker",
        "There is no worker named \"Bob\"",
    )
    .await;
    chat.expect(
        "delete worker bee",
        "!delete_worker",
        "The bee is no worker",
    )
    .await;
}

#[tokio::test]
async fn a_wish_is_not_taken_for_a_name() {
    let chat = Chat::open();
    for prompt in [
        "can you create a worker that writes poems?",
        "create a worker for translating German",
        "create a worker who sings: loudly",
        "make an agent to find bugs",
        "create a worker with a sense of humour",
        "new worker and more",
        "create a worker using mine",
        "create a worker in /tmp",
    ] {
        chat.expect(prompt, "", "What shall it be called?").await;
    }
    chat.expect(
        "create a worker named \"For You\"",
        "create_worker",
        "**For You**",
    )
    .await;
    chat.expect("create worker Ford", "create_worker", "**Ford**")
        .await;
}

#[tokio::test]
async fn who_is_not_there_is_said_with_who_is() {
    let chat = Chat::open();
    chat.expect(
        "@Nobody hello",
        "",
        "There is no worker named Nobody. There are no workers yet; `create a worker named Nobody that …` makes one.",
    )
    .await;
    chat.expect(
        "delete Bob",
        "",
        "There is no worker named Bob; there are no workers yet.",
    )
    .await;
    for name in ["Ada", "Bob", "Grace Hopper"] {
        let args = json!({"name": name});
        chat.hive.call(&staffing::CREATE, args).await.unwrap();
    }
    chat.expect(
        "@Nobody hello",
        "",
        "There is no worker named Nobody. There are Ada, Bob and Grace Hopper; `create a worker named Nobody that …` makes one.",
    )
    .await;
    chat.expect("@Adam, list files", "", "no worker named Adam")
        .await;
    chat.expect(
        "delete Eve",
        "",
        "There is no worker named Eve; there are Ada, Bob and Grace Hopper.",
    )
    .await;
    chat.expect("delete Grace Hopper", "", "`delete worker Grace Hopper`")
        .await;
    for prompt in [
        "@ada what can you do here?",
        "@Grace Hopper, help",
        "@bee: help",
    ] {
        chat.expect(prompt, "", "| `list files` |").await;
    }
    chat.expect("@Ada", "", "Hello!").await;
    for prompt in ["@", "@@Ada", "@angular/core is broken"] {
        chat.expect(prompt, "", "I did not understand").await;
    }
}

#[tokio::test]
async fn an_engine_that_is_not_ready_is_said_with_the_way_back() {
    let chat = Chat::open();
    chat.expect("create worker Ada", "create_worker", "**Ada** is there")
        .await;
    let warning = "**Ada** now uses `claude`, which is not ready here, so Ada cannot answer yet: \
        not on PATH: npm install -g @anthropic-ai/claude-code. \
        `@bee set Ada's engine to auto` undoes it.";
    chat.expect("change Ada engine to claude", "update_worker", warning)
        .await;
    let undone = chat.say("@bee set Ada's engine to auto").await.text;
    assert!(
        undone.contains("| Engine | `auto` |") && !undone.contains("not ready"),
        "{undone}"
    );
    let ready = chat.say("set Ada's engine to mine").await.text;
    assert!(!ready.contains("not ready"), "{ready}");
    chat.expect(
        "create worker Bob using claude",
        "create_worker",
        "Bob cannot answer yet",
    )
    .await;
}

#[tokio::test]
async fn directories_are_changed_elsewhere() {
    let chat = Chat::open();
    let elsewhere = "I cannot change a directory; Workers → Edit can.";
    for prompt in [
        "create a worker named Bob in /srv/site",
        "create a worker named Eve in the folder ~/site that reviews code",
        "create a worker named Ivy that reviews code in /srv/site",
    ] {
        chat.expect(prompt, "create_worker", elsewhere).await;
    }
    for prompt in ["show worker Bob", "show worker Eve", "show worker Ivy"] {
        chat.expect(prompt, "get_worker", "| Name |").await;
    }
    for prompt in [
        "set Bob's directory to /srv/site",
        "change the work directory of Bob to /srv/site",
        "change Bob's folder to site",
    ] {
        chat.expect(prompt, "", elsewhere).await;
    }
}

#[tokio::test]
async fn a_worker_answers_in_its_own_name() {
    let mut chat = Chat::open();
    let ada = chat
        .hive
        .call(&staffing::CREATE, json!({"name": "Ada"}))
        .await
        .unwrap();
    chat.worker = ada.data["id"].as_str().map(|id| id.parse().unwrap());
    chat.expect(
        "who are you",
        "",
        "**Ada**, a worker of this hive. What I am here for: reviews code.",
    )
    .await;
    chat.expect("create a worker named Bob", "create_worker", "Bob")
        .await;
    chat.expect(
        "delete worker Ada",
        "!delete_worker",
        "`@bee delete worker Ada`",
    )
    .await;
}

#[tokio::test]
async fn attachments_are_named_measured_and_shown() {
    let mut chat = Chat::open();
    chat.hive.write("up/notes.md", "# Title\n".repeat(100));
    chat.hive.write("up/cat.png", b"\x89PNG\0\0");
    chat.hive.write("up/latin.txt", b"caf\xe9");
    std::os::unix::fs::symlink("/etc/passwd", chat.hive.path("up/link")).unwrap();
    chat.media = ["notes.md", "cat.png", "latin.txt", "link", "gone"]
        .map(|name| chat.hive.path("up").join(name))
        .to_vec();
    let said = chat.say("what do you think?").await.text;
    for part in [
        "| `notes.md` | 800 bytes | text/markdown |",
        "| `cat.png` | 6 bytes | image/png |",
        "| `gone` | cannot be read",
        "| `link` | cannot be read",
        "`notes.md` begins:",
        "```markdown\n# Title\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!said.contains("root:") && !said.contains("did not understand"));
    chat.expect("list files", "list_files", "| `up/` | directory |")
        .await;
    chat.expect("", "", "That is all I can make of it").await;
}

#[tokio::test]
async fn an_attachment_that_is_asked_for_is_shown_in_full() {
    let mut chat = Chat::open();
    let lines: Vec<String> = (1..=100).map(|n| format!("line {n}")).collect();
    chat.hive.write("up/attach.txt", lines.join("\n"));
    chat.hive.write("up/b.txt", "second");
    chat.hive.write("here.txt", "in the work directory");
    chat.media = vec![chat.hive.path("up/attach.txt")];
    for prompt in [
        "show attach.txt",
        "What is in Attach.txt?",
        "read the attachment",
        "show it",
    ] {
        chat.expect(prompt, "", "line 99\nline 100\n```").await;
    }
    chat.expect("show here.txt", "read_file", "in the work directory")
        .await;
    chat.media.push(chat.hive.path("up/b.txt"));
    let said = chat.say("show b.txt").await.text;
    assert!(
        said.contains("second") && !said.contains("attach.txt"),
        "{said}"
    );
}

#[tokio::test]
async fn it_counts_and_stops_counting() {
    let chat = Chat::open();
    let numbers = |last: u64| {
        (1..=last)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(chat.say("count to 5").await.text, numbers(5));
    assert_eq!(chat.say("count to 1000").await.text, numbers(1_000));
    assert_eq!(
        chat.say("count to 1001").await.text,
        format!("{}\n\nI stop at 1000.", numbers(1_000))
    );
    let huge = chat.say("count to 99999999999999999999").await;
    assert!(huge.text.contains("count to 100 slowly"));
    assert!(
        chat.say("count to 0")
            .await
            .text
            .contains("nothing to count")
    );
}

/// Stop ends it between two pieces, with what was said so far, and is no failure.
#[tokio::test]
async fn a_slow_count_is_slow_and_stops_when_told() {
    let chat = Chat::open();
    let begun = std::time::Instant::now();
    let said = chat.run("count slowly to 100", Some(3)).await;
    assert_eq!(said.ended, Ok(()));
    assert_eq!(said.text, "1 2 3");
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    let begun = std::time::Instant::now();
    chat.say("count to 4 slowly, please").await;
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn a_run_that_was_stopped_before_it_began_does_nothing() {
    let chat = Chat::open();
    let turn = chat.turn("write x.txt: x");
    let path = chat.hive.cx.shared.data.root().join("log");
    let (events, _taken) = mpsc::channel(1);
    let mut run = Run {
        log: LogWriter::create(path, 1_000).unwrap(),
        events,
        pid: watch::channel(None).0,
        stop: watch::channel(Some(Stop::Shutdown)).1,
        permission: Asker::nobody(),
    };
    assert_eq!(chat.builtin.run(&turn, &mut run).await, Ok(()));
    assert!(run.log.is_empty() && !chat.hive.path("x.txt").exists());
}

/// The log alone gives the events again, wherever a crash cut it between two lines.
#[tokio::test]
async fn the_log_holds_every_event_before_it_is_shown() {
    let chat = Chat::open();
    chat.hive.write("a.txt", "x\n".repeat(5_000));
    for prompt in ["show a.txt", "help", "note: a\u{7}b"] {
        let said = chat.say(prompt).await;
        let mut parser = chat.builtin.parser();
        let mut events = Vec::new();
        for line in said.log.split(|byte| *byte == b'\n') {
            parser.line(Stream::Stdout, line, &mut events);
        }
        assert_eq!(events, said.events, "{prompt}");
    }
}

#[tokio::test]
async fn a_full_log_ends_the_run() {
    let mut chat = Chat::open();
    chat.log_bytes_max = 300;
    let said = chat.run("help", None).await;
    assert_eq!(said.ended.unwrap_err().code, "log_full");
    assert!(said.log.len() > 300 && said.text.len() < 300);
}

/// Whatever is written, there is an answer, and a file's text cannot leave its block.
#[tokio::test]
async fn hostile_messages_and_files_are_answered() {
    let chat = Chat::open();
    chat.hive.write(
        "evil.md",
        "```\n</pre><script>alert(1)</script>\n````\n\u{1b}[31m\r\n",
    );
    chat.expect("show evil.md", "read_file", "`````markdown\n```\n</pre>")
        .await;
    let verbs = [
        "show",
        "write",
        "append",
        "note",
        "forget",
        "delete",
        "rename",
        "set",
        "use",
        "let",
        "find",
        "count",
        "create",
        "list",
        "is",
        "create worker",
        "delete worker",
        "describe",
        "status of",
        "what is",
        "",
    ];
    let long = "x".repeat(100_000);
    let subjects = [
        "\0",
        "a\0b: c",
        ":",
        "::",
        "\"",
        "\"\"",
        "``: x",
        "'",
        "..",
        "/",
        "~",
        "-rf",
        "to",
        "to to to",
        "in",
        " in in ",
        "of of to of",
        "'s to x",
        "\u{202e}abc",
        "\u{1b}[2J",
        "é: é",
        "🐝 to 🐝",
        "İ as ß",
        "|a|b|",
        "<b>",
        "[x](y)",
        "using",
        "a using",
        "that",
        "that that",
        "#",
        "99999999999999999999999",
        "-1",
        "\n\n\n",
        "a\nb",
        "”“",
        &long,
    ];
    for verb in verbs {
        for subject in subjects {
            let said = chat.say(&format!("{verb} {subject}")).await;
            assert!(!said.text.trim().is_empty(), "{verb} {subject:?}");
            assert!(
                !said.text.contains(['\0', '\u{1b}', '\u{202e}']),
                "{verb} {subject:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_work_directory_that_is_gone_is_said_so() {
    let chat = Chat::open();
    std::fs::remove_dir_all(&chat.hive.cx.work_dir).unwrap();
    chat.expect("list files", "!list_files", "The work directory is gone")
        .await;
    chat.expect("note: x", "!add_note", "The work directory is gone")
        .await;
}

#[test]
fn sizes_are_for_people() {
    for (bytes, text) in [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12 MB"),
        (u64::MAX, "18 EB"),
    ] {
        assert_eq!(markdown::size(bytes), text);
    }
}
