//! Whatever a program does, its run ends, its log is what it printed, and memory stays bounded.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::engine::cli::CommandLine;
use skep::engine::permission::Asker;
use skep::engine::process::Patience;
use skep::engine::settings::{EngineKind, EngineSettings, Output};
use skep::engine::{Engine, EngineError, EngineEvent, Run, Stop, Turn};
use skep::execution_log::{LogReader, LogWriter, Stream};
use skep::model::{Ids, limits::MEMORY_BYTES_MAX};
use tokio::sync::{mpsc, watch};

use crate::guard::{guards, lives};

/// An engine that is a program, a turn for it and a place for both.
pub struct Bench {
    directory: Arc<tempfile::TempDir>,
    engine: CommandLine,
    pub turn: Turn,
    pub log_bytes_max: u64,
    pub asker: Asker,
}

/// What a run left.
pub struct Done {
    pub outcome: Result<(), EngineError>,
    pub events: Vec<EngineEvent>,
    log: PathBuf,
    /// Where its log is.
    _directory: Arc<tempfile::TempDir>,
    took: Duration,
}

impl Bench {
    fn new(script: &str) -> Self {
        Self::with(
            ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            Output::Text,
        )
    }

    fn events(script: &str) -> Self {
        Self::with(
            ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            Output::Events,
        )
    }

    fn with(argv: Vec<String>, output: Output) -> Self {
        Self::of(EngineSettings {
            kind: Some(EngineKind::Command),
            argv,
            output,
            ..EngineSettings::default()
        })
    }

    /// With a variable `MINE`.
    pub fn of(settings: EngineSettings) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let [work_dir, temp_dir] = ["work", "tmp"].map(|name| directory.path().join(name));
        std::fs::create_dir(&work_dir).unwrap();
        std::fs::create_dir(&temp_dir).unwrap();
        let settings = EngineSettings {
            env: BTreeMap::from([("MINE".to_owned(), "yes".to_owned())]),
            ..settings
        }
        .named("mine")
        .unwrap();
        let patience = Patience {
            grace_period: Duration::from_millis(200),
            exit_after_result: Duration::from_millis(200),
            ..Patience::default()
        };
        Self {
            engine: CommandLine::new(settings, guards(), patience).unwrap(),
            turn: Turn {
                execution_id: Ids.next(),
                worker_id: None,
                worker_name: "Ada".to_owned(),
                description: String::new(),
                memory: "Be brief.".to_owned(),
                is_news: false,
                session_id: Some(Ids.next()),
                prompt: "--help; $(rm) hello".to_owned(),
                media: vec![PathBuf::from("/a b.png"), PathBuf::from("/c.pdf")],
                model: None,
                work_dir,
                permissions: Default::default(),
                temp_dir,
                resume: None,
                mcp: None,
                extra: Default::default(),
            },
            directory,
            log_bytes_max: 1 << 30,
            asker: Asker::nobody(),
        }
    }

    /// Runs to the end; `on_event` may stop the run.
    pub async fn run_with(
        &self,
        mut on_event: impl FnMut(&EngineEvent, &watch::Sender<Option<Stop>>),
    ) -> Done {
        let path = self.directory.path().join("run.log");
        let (events, mut received) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(None);
        let mut run = Run {
            log: LogWriter::create(&path, self.log_bytes_max).unwrap(),
            events,
            pid: watch::channel(None).0,
            stop: stopped,
            permission: self.asker.clone(),
        };
        let begun = Instant::now();
        let run = async {
            let outcome = self.engine.run(&self.turn, &mut run).await;
            drop(run);
            outcome
        };
        let reading = async {
            let mut events = Vec::new();
            while let Some(event) = received.recv().await {
                on_event(&event, &stop);
                events.push(event);
            }
            events
        };
        let (outcome, events) = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::join!(run, reading)
        })
        .await
        .expect("every run ends");
        Done {
            outcome,
            events,
            log: path,
            _directory: Arc::clone(&self.directory),
            took: begun.elapsed(),
        }
    }

    pub async fn run(&self) -> Done {
        self.run_with(|_, _| {}).await
    }
}

impl Done {
    pub fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match event {
                EngineEvent::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub fn log(&self) -> Vec<u8> {
        std::fs::read(&self.log).unwrap()
    }

    /// What the log holds of one stream.
    pub fn printed(&self, stream: Stream) -> Vec<u8> {
        let reader = LogReader::open(&self.log).unwrap();
        let mut bytes = Vec::new();
        for piece in reader.pieces(0, usize::MAX).unwrap() {
            if piece.stream == stream {
                bytes.extend(reader.read_range(piece.offset, piece.bytes.into()).unwrap());
            }
        }
        bytes
    }

    pub fn error(&self) -> &EngineError {
        self.outcome.as_ref().unwrap_err()
    }
}

#[tokio::test]
async fn a_command_reads_the_message_and_its_output_is_the_reply() {
    let bench = Bench::new("cat; echo; echo debug >&2; pwd; printf 'no newline'");
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    let work_dir = bench.turn.work_dir.canonicalize().unwrap();
    let reply = format!("--help; $(rm) hello\n{}\nno newline", work_dir.display());
    assert_eq!(done.text(), reply);
    assert_eq!(
        done.events.last(),
        Some(&EngineEvent::Result { text: None })
    );
    assert_eq!(done.printed(Stream::Stdout), reply.as_bytes());
    assert_eq!(done.printed(Stream::Stderr), b"debug\n");
}

#[tokio::test]
async fn a_command_knows_its_context_and_nothing_of_the_server() {
    let mut bench = Bench::with(vec!["/usr/bin/env".to_owned()], Output::Text);
    bench.turn.prompt = String::new();
    let done = bench.run().await;
    let text = done.text();
    let turn = &bench.turn;
    for line in [
        "SKEP_WORKER=Ada".to_owned(),
        "SKEP_MEMORY=Be brief.".to_owned(),
        "SKEP_MEDIA=/a b.png\n/c.pdf".to_owned(),
        format!("SKEP_EXECUTION={}", turn.execution_id),
        format!("SKEP_SESSION={}", turn.session_id.unwrap()),
        format!("TMPDIR={}", turn.temp_dir.display()),
        "MINE=yes".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains("CARGO"), "{text}");
    assert_eq!(text.matches("SKEP_").count(), 5);
}

/// A reader sees what was typed before its line ends.
#[tokio::test]
async fn a_reply_is_shown_while_it_is_printed() {
    let bench = Bench::new("printf 'Hel'; sleep 100");
    let done = bench
        .run_with(|event, stop| {
            if *event
                == (EngineEvent::Text {
                    text: "Hel".to_owned(),
                })
            {
                stop.send_replace(Some(Stop::Cancelled));
            }
        })
        .await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.text(), "Hel");
}

#[tokio::test]
async fn a_stopped_run_leaves_nothing_even_of_one_that_does_not_listen() {
    let bench = Bench::new(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; sleep 100; :' & wait; sleep 100; :",
    );
    let done = bench
        .run_with(|event, stop| {
            if matches!(event, EngineEvent::Text { .. }) {
                stop.send_replace(Some(Stop::Cancelled));
            }
        })
        .await;
    assert_eq!(done.outcome, Ok(()));
    assert!(!lives(done.text().trim().parse().unwrap()));
    assert!(done.took >= Duration::from_millis(200));
}

#[tokio::test]
async fn events_are_read_from_lines_and_other_lines_are_kept() {
    let bench = Bench::events(
        r#"echo '{"type":"session","id":"s1","model":"m"}'
           echo 'this is no event'
           echo '{"type":"text","text":"Hi"}'
           printf '{"type":"result","text":"Hi."}'"#,
    );
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(
        done.events,
        [
            EngineEvent::Session {
                id: "s1".to_owned(),
                model: Some("m".to_owned())
            },
            EngineEvent::Text {
                text: "Hi".to_owned()
            },
            EngineEvent::Result {
                text: Some("Hi.".to_owned())
            },
        ]
    );
    assert!(
        String::from_utf8(done.log())
            .unwrap()
            .contains("this is no event\n")
    );
}

#[tokio::test]
async fn an_error_event_fails_the_run_with_its_own_words() {
    let bench = Bench::events(
        r#"echo '{"type":"text","text":"Hi"}'; echo '{"type":"error","error":"not_signed_in","message":"Sign in."}'; sleep 100"#,
    );
    let done = bench.run().await;
    assert_eq!(*done.error(), EngineError::new("not_signed_in", "Sign in."));
    assert_eq!(done.text(), "Hi");
}

/// A known fault of real command lines: they answer and then do not exit.
#[tokio::test]
async fn an_engine_that_does_not_exit_after_its_result_has_completed() {
    let bench = Bench::events(
        r#"trap '' TERM; echo '{"type":"result","text":"done"}'; while :; do sleep 100; done"#,
    );
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    let log = String::from_utf8(done.log()).unwrap();
    assert!(log.contains("[skep] did not exit within"), "{log}");
    assert!(done.took >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_crash_at_once_says_what_was_printed_last() {
    let done = Bench::new("echo 'error: bad flag' >&2; exit 2").run().await;
    assert_eq!(done.error().code, "exited");
    assert_eq!(
        done.error().message,
        "the engine exited with code 2: error: bad flag \
         (open the log of this execution for all that it printed)"
    );
    let done = Bench::new("kill -SEGV $$").run().await;
    assert_eq!(done.error().code, "killed");
    let done = Bench::events("echo nothing of use").run().await;
    assert_eq!(done.error().code, "no_answer");
    assert!(done.error().message.contains("nothing of use"));
}

#[tokio::test]
async fn what_cannot_be_started_says_what_to_do() {
    let missing = Bench::with(vec!["no-such-engine".to_owned()], Output::Text);
    assert_eq!(missing.run().await.error().code, "engine_missing");
    let mut nowhere = Bench::new("true");
    nowhere.turn.work_dir = PathBuf::from("/nonexistent");
    let done = nowhere.run().await;
    assert_eq!(done.error().code, "spawn_failed");
    assert!(done.error().message.contains("work directory /nonexistent"));
    let script = Bench::new("true");
    let file = script.turn.work_dir.join("no-interpreter");
    std::fs::write(&file, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let broken = Bench::with(vec![file.to_str().unwrap().to_owned()], Output::Text);
    assert_eq!(broken.run().await.error().code, "spawn_failed");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_in_the_log() {
    let bench = Bench::new(r"printf 'a\377\376\000b\n'");
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.log(), b"a\xff\xfe\x00b\n");
    assert_eq!(done.text(), "a\u{fffd}\u{fffd}\u{0}b\n");
}

/// 100 MB without a newline: all of it in the log, next to none of it in memory.
#[tokio::test]
async fn an_endless_line_is_logged_and_memory_does_not_grow() {
    let bench = Bench::events(
        r#"head -c 100000000 /dev/zero | tr '\0' x; echo; echo '{"type":"result","text":"ok"}'"#,
    );
    let before = peak_kib();
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.events.len(), 1);
    assert_eq!(done.printed(Stream::Stdout).len(), 100_000_000 + 1 + 30);
    assert!(
        peak_kib() - before < 250 * 1024,
        "the test's own copy is in this too"
    );
    let notes = String::from_utf8(done.printed(Stream::Note)).unwrap();
    assert!(notes.contains("a line of 100000001 bytes"), "{notes}");
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_log_that_is_full_ends_the_run() {
    let mut bench = Bench::new("yes");
    bench.log_bytes_max = 1_000_000;
    let done = bench.run().await;
    assert_eq!(done.error().code, "log_full");
    assert_eq!(done.printed(Stream::Stdout).len(), 1_000_000);
    let notes = String::from_utf8(done.printed(Stream::Note)).unwrap();
    assert!(notes.contains("log_full"), "{notes}");
    assert!(done.text().len() <= 1_000_000);
}

/// An engine that does not read its input must not keep its run from ending.
#[tokio::test]
async fn input_that_nobody_reads_is_no_obstacle() {
    for script in ["echo done", "exec <&-; sleep 0.1; echo done"] {
        let mut bench = Bench::new(script);
        bench.turn.prompt = "x".repeat(1 << 20);
        let done = bench.run().await;
        assert_eq!(done.outcome, Ok(()));
        assert_eq!(done.text(), "done\n");
    }
}

/// The kernel takes no variable of 128 KiB; a memory may be longer.
#[tokio::test]
async fn a_long_memory_reaches_a_command_whole() {
    let mut bench = Bench::new("printf %s \"$SKEP_MEMORY\" | wc -c; wc -c <\"$SKEP_MEMORY_FILE\"");
    bench.turn.memory = "é".repeat(MEMORY_BYTES_MAX / 2);
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.text(), format!("{}\n{MEMORY_BYTES_MAX}\n", 64 * 1024));
}

/// Both streams full to the brim at once, in an order that deadlocks whoever reads one after the other.
#[tokio::test]
async fn both_pipes_are_always_drained() {
    let bench = Bench::new(
        "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2",
    );
    let done = bench.run().await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.printed(Stream::Stdout).len(), 3_000_000);
    assert_eq!(done.printed(Stream::Stderr).len(), 6_000_000);
}

/// A supervisor that takes no events any more wants no engine any more.
#[tokio::test]
async fn an_engine_whose_events_nobody_takes_is_stopped() {
    let bench = Bench::new("yes");
    let (events, received) = mpsc::channel(1);
    let (_stop, stopped) = watch::channel(None);
    let mut run = Run {
        log: LogWriter::create(bench.directory.path().join("a.log"), 1 << 30).unwrap(),
        events,
        pid: watch::channel(None).0,
        stop: stopped,
        permission: Asker::nobody(),
    };
    drop(received);
    let ended = bench.engine.run(&bench.turn, &mut run);
    let outcome = tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
    assert_eq!(outcome.unwrap_err().code, "killed");
}
