//! The real command lines, driven as Skep drives them; `tests/real/run.sh` installs what this needs and runs it.
//!
//! With `SKEP_RECORD` set, what they printed becomes the transcripts that the parsers are tested with.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use skep::engine::cli::CommandLine;
use skep::engine::permission::{Ask, Asker, Decide, Verdict};
use skep::engine::process::Patience;
use skep::engine::settings::EngineSettings;
use skep::engine::{Engine, EngineError, EngineEvent, Run, Stop, Turn};
use skep::execution_log::{LogReader, LogWriter, Stream};
use skep::model::Ids;
use skep::tool::Permissions;
use tokio::sync::{mpsc, watch};

use crate::guard::guards;

/// Far above what any of them takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A machine with one command line installed and one model server.
struct Machine {
    engine: &'static str,
    home: tempfile::TempDir,
    model: Model,
}

#[derive(Clone, Copy, PartialEq)]
enum Model {
    /// A small real one.
    Real,
    /// One that does what the message says.
    Scripted,
}

/// Whatever is asked for is allowed.
struct Everything;

impl Decide for Everything {
    fn decide(&self, _ask: Ask) -> BoxFuture<'_, Verdict> {
        Box::pin(std::future::ready(Verdict::Allowed { always: false }))
    }
}

struct Done {
    outcome: Result<(), EngineError>,
    events: Vec<EngineEvent>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/real/run.sh"))
}

impl Machine {
    fn new(engine: &'static str, model: Model) -> Self {
        let home = tempfile::tempdir().unwrap();
        for directory in ["work", ".config/opencode", ".gemini"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        let machine = Self {
            engine,
            home,
            model,
        };
        let config = format!(
            r#"{{"provider":{{"local":{{"npm":"@ai-sdk/openai-compatible","options":{{"baseURL":"{}/v1","apiKey":"x"}},"models":{{"small":{{}}}}}}}}}}"#,
            machine.base_url()
        );
        let file = machine.home.path().join(".config/opencode/opencode.json");
        std::fs::write(file, config).unwrap();
        // With an address of its own it does not take the key by itself.
        let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#;
        std::fs::write(machine.home.path().join(".gemini/settings.json"), settings).unwrap();
        machine
    }

    fn program(&self) -> &'static str {
        match self.engine {
            "opencode-acp" => "opencode",
            "gemini-acp" => "gemini",
            engine => engine,
        }
    }

    fn base_url(&self) -> String {
        let port = match self.model {
            Model::Real => variable("SKEP_REAL_MODEL_PORT"),
            Model::Scripted => variable("SKEP_SCRIPTED_MODEL_PORT"),
        };
        format!("http://127.0.0.1:{port}")
    }

    fn settings(&self) -> EngineSettings {
        let program = Path::new(&variable("SKEP_REAL_ENGINES")).join(self.program());
        let mut argv = vec![program.to_str().unwrap().to_owned()];
        let more: &[&str] = match self.engine {
            "opencode-acp" => &["acp"],
            // Which model it takes by itself it would ask the scripted one.
            "gemini-acp" => &[
                "--experimental-acp",
                "--skip-trust",
                "--model=gemini-2.5-flash",
            ],
            // It says so in its reply where it does not know a model.
            "codex-acp" => &[
                "-c",
                "model=gpt-5.2",
                // Its own sandbox needs bubblewrap.
                "-c",
                "sandbox_mode=\"danger-full-access\"",
                "-c",
                "approval_policy=\"untrusted\"",
            ],
            _ => &[],
        };
        argv.extend(more.iter().map(|word| (*word).to_owned()));
        let mut env = BTreeMap::from([
            ("HOME", self.home.path().to_str().unwrap().to_owned()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("ANTHROPIC_API_KEY", "x".to_owned()),
            ("ANTHROPIC_BASE_URL", self.base_url()),
            ("OPENAI_API_KEY", "x".to_owned()),
            ("GEMINI_API_KEY", "x".to_owned()),
            ("GOOGLE_GEMINI_BASE_URL", self.base_url()),
        ]);
        if matches!(self.engine, "codex" | "codex-acp") {
            // Its own instructions leave no room for a second turn in the small model's context.
            let instructions = self.home.path().join("instructions.md");
            std::fs::write(&instructions, "You are brief.").unwrap();
            argv.push("-c".to_owned());
            argv.push(format!("model_instructions_file={instructions:?}"));
            let provider = format!(
                r#"model_providers.local={{name="local",base_url="{}/v1",wire_api="responses",env_key="OPENAI_API_KEY"}}"#,
                self.base_url()
            );
            argv.extend(["-c", "model_provider=local", "-c"].map(str::to_owned));
            argv.push(provider);
        }
        if self.engine == "claude" && self.model == Model::Real {
            // Its own instructions and tools do not fit the small model's context.
            argv.extend(["--tools", "", "--system-prompt", "You are brief."].map(str::to_owned));
            env.insert("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "200".to_owned());
        }
        EngineSettings {
            argv,
            env: env
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            model: match self.engine {
                // A name that it knows to think.
                "claude" => Some("claude-sonnet-4-5".to_owned()),
                "opencode" | "opencode-acp" => Some("local/small".to_owned()),
                "gemini" => Some("gemini-2.5-flash".to_owned()),
                // They take one of their own choice only.
                "codex-acp" | "gemini-acp" | "claude-code-acp" => None,
                _ => Some("small".to_owned()),
            },
            ..EngineSettings::default()
        }
        .named(self.engine)
        .unwrap()
    }

    /// One turn, stopped in the middle of its reply if `stop` says so. Its output becomes the transcript `name`.
    async fn turn(&self, name: &str, prompt: &str, resume: Option<&str>, stop: bool) -> Done {
        let directory = tempfile::tempdir().unwrap();
        let engine = CommandLine::new(self.settings(), guards(), Patience::default()).unwrap();
        let turn = Turn {
            execution_id: Ids.next(),
            worker_id: None,
            worker_name: "Ada".to_owned(),
            description: "Answers in one sentence.".to_owned(),
            memory: "The sky is green today.".to_owned(),
            is_news: false,
            session_id: Some(Ids.next()),
            prompt: prompt.to_owned(),
            media: Vec::new(),
            model: None,
            work_dir: self.home.path().join("work"),
            permissions: Permissions::AllowAll,
            temp_dir: directory.path().to_owned(),
            resume: resume.map(str::to_owned),
            mcp: None,
            extra: Default::default(),
        };
        let path = directory.path().join("run.log");
        let (events, mut received) = mpsc::channel(64);
        let (stopper, stopped) = watch::channel(None);
        let mut run = Run {
            log: LogWriter::create(&path, 1 << 30).unwrap(),
            events,
            pid: watch::channel(None).0,
            stop: stopped,
            permission: Asker::new(Arc::new(Everything)),
        };
        let running = async {
            let outcome = engine.run(&turn, &mut run).await;
            drop(run);
            outcome
        };
        let reading = async {
            let mut events = Vec::new();
            while let Some(event) = received.recv().await {
                // Those that stream are in the middle of its reply then; the others show a reply only when it is whole.
                let streams = !matches!(self.engine, "codex" | "opencode");
                let in_the_middle = match &event {
                    EngineEvent::Text { text } => text.contains("word3"),
                    EngineEvent::ToolResult { .. } => !streams,
                    _ => false,
                };
                if stop && in_the_middle {
                    stopper.send_replace(Some(Stop::Cancelled));
                }
                events.push(event);
            }
            events
        };
        let (outcome, events) =
            tokio::time::timeout(PATIENCE, async { tokio::join!(running, reading) })
                .await
                .expect("the run ended");
        self.record(name, &path, directory.path());
        println!("{} {name}: {outcome:?} {events:?}", self.engine);
        Done { outcome, events }
    }

    fn record(&self, name: &str, log: &Path, temp: &Path) {
        if std::env::var_os("SKEP_RECORD").is_none() {
            return;
        }
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/transcripts")
            .join(self.engine);
        std::fs::create_dir_all(&fixtures).unwrap();
        let reader = LogReader::open(log).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for piece in reader.pieces(0, usize::MAX).unwrap() {
            let bytes = reader.read_range(piece.offset, piece.bytes.into()).unwrap();
            match piece.stream {
                Stream::Stdout => out.extend(bytes),
                Stream::Stderr => err.extend(bytes),
                Stream::Note => {}
            }
        }
        for (bytes, ending) in [(out, "jsonl"), (err, "stderr")] {
            let text = String::from_utf8(bytes)
                .unwrap()
                .replace(self.home.path().to_str().unwrap(), "/home/ada")
                .replace(temp.to_str().unwrap(), "/tmp/run")
                .replace(&variable("SKEP_REAL_ENGINES"), "/usr/bin")
                .replace(&self.base_url(), "http://127.0.0.1:8080");
            let file = fixtures.join(format!("{name}.{ending}"));
            if text.is_empty() {
                let _ = std::fs::remove_file(file);
            } else {
                std::fs::write(file, text).unwrap();
            }
        }
    }
}

impl Done {
    fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match event {
                EngineEvent::Text { text } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    fn session(&self) -> &str {
        self.events
            .iter()
            .find_map(|event| match event {
                EngineEvent::Session { id, .. } => Some(id.as_str()),
                _ => None,
            })
            .expect("a session")
    }
}

async fn real_model(engine: &'static str) {
    let machine = Machine::new(engine, Model::Real);
    let first = machine.turn("plain", "Say hello.", None, false).await;
    assert_eq!(first.outcome, Ok(()));
    assert!(!first.text().is_empty());
    let session = first.session().to_owned();
    let next = machine
        .turn("resumed", "Say it again.", Some(&session), false)
        .await;
    assert_eq!(next.outcome, Ok(()));
    assert!(!next.text().is_empty());
    assert_eq!(next.session(), session);
}

async fn scripted_model(engine: &'static str) {
    let machine = Machine::new(engine, Model::Scripted);
    let hello = "Hello from the scripted model: añ€🐝.";
    // What looks like an option is a message.
    let done = machine.turn("option", "--help -c x=y", None, false).await;
    assert_eq!(
        (done.outcome.clone(), done.text().as_str()),
        (Ok(()), hello)
    );

    let gone = match engine {
        "opencode" | "opencode-acp" => "ses_000000000000000000000000",
        _ => "00000000-0000-4000-8000-000000000000",
    };
    let done = machine
        .turn("dead_session", "Go on.", Some(gone), false)
        .await;
    assert_eq!(
        (done.outcome.clone(), done.text().as_str()),
        (Ok(()), hello)
    );
    assert_ne!(done.session(), gone);

    let done = machine.turn("tool", "TOOL please", None, false).await;
    assert_eq!(done.outcome, Ok(()));
    assert_eq!(done.text(), "I call a tool.\n\nThe tool answered.");
    // Goes on in a session that the turn before left.
    if engine.ends_with("-acp") {
        let session = done.session().to_owned();
        let done = machine
            .turn("resumed", "WRITE please", Some(&session), false)
            .await;
        assert_eq!(done.outcome, Ok(()));
        assert_eq!(done.text(), "I call a tool.\n\nThe tool answered.");
        // Gemini CLI 0.61 does not always find what it keeps of a session; then a fresh one begins.
        assert!(done.session() == session || engine == "gemini-acp");
        let written = std::fs::read_to_string(machine.home.path().join("work/written.txt"));
        assert_eq!(written.unwrap(), "written\n");
    }
    let done = machine.turn("thinking", "THINK please", None, false).await;
    assert_eq!(
        (done.outcome.clone(), done.text().as_str()),
        (Ok(()), hello)
    );

    let done = machine
        .turn("refused_key", "DENY please", None, false)
        .await;
    let error = done.outcome.unwrap_err();
    // The protocol has a word for that before a session only.
    assert!(
        error.code == "not_signed_in" || engine.ends_with("-acp"),
        "{error}"
    );
    assert!(
        error.code == "not_signed_in" || error.message.contains("401"),
        "{error}"
    );
    let done = machine.turn("bad_request", "BAD please", None, false).await;
    let error = done.outcome.unwrap_err();
    assert_eq!(error.code, "engine_error");
    assert!(error.message.contains("scripted failure 400"), "{error}");

    let done = machine.turn("stopped", "SLOW please", None, true).await;
    assert_eq!(done.outcome, Ok(()));
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn claude_with_a_real_model() {
    real_model("claude").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn codex_with_a_real_model() {
    real_model("codex").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn opencode_with_a_real_model() {
    real_model("opencode").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn claude_with_a_scripted_model() {
    scripted_model("claude").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn codex_with_a_scripted_model() {
    scripted_model("codex").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn opencode_with_a_scripted_model() {
    scripted_model("opencode").await;
}

#[tokio::test]
#[ignore = "needs a real command line"]
async fn gemini_with_a_scripted_model() {
    scripted_model("gemini").await;
}

#[tokio::test]
#[ignore = "needs a real agent"]
async fn opencode_as_an_agent_with_a_scripted_model() {
    scripted_model("opencode-acp").await;
}

#[tokio::test]
#[ignore = "needs a real agent"]
async fn codex_as_an_agent_with_a_scripted_model() {
    scripted_model("codex-acp").await;
}

#[tokio::test]
#[ignore = "needs a real agent"]
async fn gemini_as_an_agent_with_a_scripted_model() {
    scripted_model("gemini-acp").await;
}
