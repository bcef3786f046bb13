//! Engines that are command lines: what they have in common.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::launch::Launch;
use super::permission::Asker;
use super::process::{Completion, Parser, Patience, run_process};
use super::settings::{EngineKind, EngineSettings};
use super::{Engine, EngineError, EngineEvent, Run, Turn};
use super::{acp, claude, codex, command, gemini, opencode};
use crate::guard::{Confinement, Guards, Needs, landlock_abi};
use crate::model::limits::TOOL_DETAIL_BYTES_MAX;
use crate::model::text::truncated;

/// What one command line does its own way.
pub struct Dialect {
    /// The program, where settings name no other.
    pub program: &'static str,
    /// Variables of the server's environment that are meant for it.
    pub variables: &'static [&'static str],
    /// How it is started for a turn.
    pub launch: fn(&EngineSettings, &Turn) -> Result<Launch, EngineError>,
    /// Its own configuration, sessions and caches, which it writes.
    pub own: fn(&BTreeMap<String, String>) -> Vec<PathBuf>,
    /// How it is understood.
    pub parser: fn(&EngineSettings) -> Box<dyn Parser>,
    /// How a turn is talked over with it, where it is not one message and one answer.
    pub talk: Option<BeginTalk>,
}

/// Begins to talk over a turn.
pub type BeginTalk = fn(&EngineSettings, &Turn, &Asker) -> Box<dyn Parser>;

impl Dialect {
    /// The dialect of an engine; `None`: it is no command line.
    pub fn of_engine(settings: &EngineSettings) -> Option<&'static Self> {
        match settings.kind? {
            EngineKind::Acp => Some(acp::dialect(settings)),
            kind => Self::of(kind),
        }
    }

    /// The dialect of a kind; `None`: that kind is no command line, or has no dialect of its own.
    pub fn of(kind: EngineKind) -> Option<&'static Self> {
        match kind {
            EngineKind::Builtin | EngineKind::Http | EngineKind::Acp => None,
            EngineKind::Claude => Some(&claude::DIALECT),
            EngineKind::Codex => Some(&codex::DIALECT),
            EngineKind::Opencode => Some(&opencode::DIALECT),
            EngineKind::Gemini => Some(&gemini::DIALECT),
            EngineKind::Command => Some(&command::DIALECT),
        }
    }
}

/// An engine that is a command line.
pub struct CommandLine {
    settings: EngineSettings,
    dialect: &'static Dialect,
    guards: Arc<Guards>,
    patience: Patience,
}

impl CommandLine {
    /// The engine that `settings` describe; `None` if they describe no command line.
    pub fn new(settings: EngineSettings, guards: Arc<Guards>, patience: Patience) -> Option<Self> {
        let dialect = Dialect::of_engine(&settings)?;
        Some(Self {
            settings,
            dialect,
            guards,
            patience,
        })
    }
}

impl CommandLine {
    /// The settings with what the worker's own options add. They grant nothing.
    fn with(&self, turn: &Turn) -> EngineSettings {
        let mut settings = self.settings.clone();
        if settings.argv.is_empty() && !turn.extra.args.is_empty() {
            settings.argv.push(self.dialect.program.to_owned());
        }
        settings.argv.extend_from_slice(&turn.extra.args);
        settings.env.extend(turn.extra.env.clone());
        settings
    }

    /// Whether the kernel holds it to its lists.
    fn is_confined(&self) -> bool {
        self.guards.policy().is_some()
            && self.settings.confine.unwrap_or(true)
            && landlock_abi().is_some()
    }
}

impl Engine for CommandLine {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run<'a>(
        &'a self,
        turn: &'a Turn,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            let mut turn = turn.clone();
            // One that is talked with is never told it as an argument.
            let is_talk = self.dialect.talk.is_some();
            turn.resume = turn.resume.filter(|id| is_talk || is_session_id(id));
            let mut settings = self.with(&turn);
            settings.confine = Some(self.is_confined());
            turn.model = turn.model.or_else(|| self.settings.model.clone());
            loop {
                let launch = (self.dialect.launch)(&settings, &turn)?.checked()?;
                let program = launch.argv.first().map_or("", String::as_str);
                let confinement = confine(
                    &self.settings,
                    self.dialect,
                    &self.guards,
                    program,
                    &launch.env,
                    Some(&turn),
                )?;
                let mut parser = match self.dialect.talk {
                    Some(talk) => talk(&settings, &turn, &run.permission),
                    None => self.parser(),
                };
                let completion = run_process(
                    &self.guards,
                    launch,
                    confinement,
                    &mut *parser,
                    run,
                    self.patience,
                )
                .await?;
                match turn.resume.take() {
                    Some(_) if completion == Completion::ResumeFailed => {
                        let note = "the session to go on with is gone; starting a fresh one";
                        run.log
                            .note(note)
                            .map_err(|error| EngineError::from(&error))?;
                    }
                    _ => return Ok(()),
                }
            }
        })
    }

    fn parser(&self) -> Box<dyn Parser> {
        (self.dialect.parser)(&self.settings)
    }
}

/// The lists of a command line's run, or of a look at it; `None`: it is not confined.
pub fn confine(
    settings: &EngineSettings,
    dialect: &Dialect,
    guards: &Guards,
    program: &str,
    env: &BTreeMap<String, String>,
    turn: Option<&Turn>,
) -> Result<Option<Confinement>, EngineError> {
    let Some(policy) = guards.policy().filter(|_| settings.confine.unwrap_or(true)) else {
        return Ok(None);
    };
    let own = (dialect.own)(env);
    for path in &own {
        // As it would itself at its first start; what is not there cannot be granted.
        let _ = match path.extension() {
            None => std::fs::create_dir_all(path),
            Some(_) => first_settings(path),
        };
    }
    // Scripts of an interpreter, as settings have them; the words that Skep adds hold what users said.
    let scripts = settings.argv.iter().skip(1).map(PathBuf::from);
    let scripts = scripts.filter(|path| path.is_absolute() && path.exists());
    let needs = Needs {
        programs: std::iter::once(PathBuf::from(program))
            .chain(scripts)
            .collect(),
        env: Some(env),
        read: settings.read.clone(),
        write: [own, settings.write.clone()].concat(),
        work_dir: turn.map(|turn| turn.work_dir.as_path()),
        own: turn.map(|turn| turn.media.clone()).unwrap_or_default(),
        temp_dir: turn.map(|turn| turn.temp_dir.as_path()),
    };
    policy
        .confine(&needs)
        .map(Some)
        .map_err(|why| EngineError::new("spawn_failed", why))
}

/// Settings that say nothing, where there are none.
fn first_settings(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(b"{}\n")
}

/// The directory that a variable names, or its usual place below the home directory.
pub fn own_directory(
    env: &BTreeMap<String, String>,
    variable: &str,
    usual: &str,
) -> Option<PathBuf> {
    match env.get(variable).filter(|path| path.starts_with('/')) {
        Some(path) => Some(PathBuf::from(path)),
        None => env.get("HOME").map(|home| Path::new(home).join(usual)),
    }
}

/// The program and the arguments that settings add to Skep's own.
pub fn program<'a>(settings: &'a EngineSettings, default: &str) -> (String, &'a [String]) {
    match settings.argv.split_first() {
        Some((program, added)) => (program.clone(), added),
        None => (default.to_owned(), &[]),
    }
}

/// Who the engine is told to be, beside what it is by itself.
pub fn briefing(turn: &Turn) -> String {
    let mut briefing = format!("Your name is {}.", turn.worker_name);
    for (title, text) in [
        ("Your task", &turn.description),
        ("Your memory", &turn.memory),
    ] {
        if !text.trim().is_empty() {
            briefing.push_str(&format!("\n\n# {title}\n\n{}", text.trim()));
        }
    }
    briefing
}

/// Which model and which session a turn is for, and, by the option `directory`, where its attachments are: such a program
/// reads nothing outside its work directory without asking.
pub fn options(turn: &Turn, directory: &str) -> Vec<String> {
    let model = turn.model.iter().map(|model| format!("--model={model}"));
    let session = turn.resume.iter().map(|id| format!("--resume={id}"));
    let mut places: Vec<_> = turn.media.iter().filter_map(|path| path.parent()).collect();
    places.dedup();
    let places = places.into_iter();
    let places = places.map(|place| format!("{directory}={}", place.display()));
    model.chain(session).chain(places).collect()
}

/// The message, and where its attachments are.
pub fn prompt(turn: &Turn) -> String {
    let mut prompt = turn.prompt.clone();
    if !turn.media.is_empty() {
        prompt.push_str("\n\nAttached files:");
        for path in &turn.media {
            prompt.push_str(&format!("\n- {}", path.display()));
        }
    }
    prompt
}

/// Whether this may be an argument: an engine's word that comes back to it must not become an option.
pub fn is_session_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && !id.starts_with('-')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The text of a reply that comes as several messages: a blank line between them.
#[derive(Debug, Default)]
pub struct Reply {
    said_something: bool,
    begins: bool,
}

impl Reply {
    /// The next message begins.
    pub fn begin(&mut self) {
        self.begins = true;
    }

    /// The next piece of the message.
    pub fn text(&mut self, piece: &str, events: &mut Vec<EngineEvent>) {
        if piece.is_empty() {
            return;
        }
        let gap = if self.begins && self.said_something {
            "\n\n"
        } else {
            ""
        };
        self.begins = false;
        self.said_something = true;
        events.push(EngineEvent::Text {
            text: format!("{gap}{piece}"),
        });
    }

    /// Whether there is a reply at all.
    pub fn said_something(&self) -> bool {
        self.said_something
    }
}

/// The text at a JSON pointer; empty where there is none.
pub fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The number at a JSON pointer.
pub fn number_at(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The event of a tool's answer, with no more of it than is shown; the log has the rest.
pub fn tool_result(id: &str, ok: bool, output: &str) -> EngineEvent {
    EngineEvent::ToolResult {
        id: id.to_owned(),
        ok,
        output: truncated(output, TOOL_DETAIL_BYTES_MAX).to_owned(),
    }
}

/// The event of a call, with no more of its arguments than is shown.
pub fn tool_call(id: &str, name: &str, args: Value) -> EngineEvent {
    let text = args.to_string();
    let args = if text.len() > TOOL_DETAIL_BYTES_MAX {
        Value::String(truncated(&text, TOOL_DETAIL_BYTES_MAX).to_owned())
    } else {
        args
    };
    EngineEvent::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        args,
    }
}

/// The event of a failed turn. `status` is the model server's answer where there was one; `sign_in` says how to sign in.
pub fn failure(status: Option<u64>, message: &str, sign_in: &str) -> EngineEvent {
    let lower = message.to_lowercase();
    let not_signed_in = matches!(status, Some(401 | 403))
        || [
            "not logged in",
            "401 unauthorized",
            "invalid api key",
            "api key not valid",
            "unauthenticated",
            "authentication_error",
            "oauth token has expired",
        ]
        .iter()
        .any(|word| lower.contains(word));
    let message = truncated(message.trim(), TOOL_DETAIL_BYTES_MAX);
    if not_signed_in {
        EngineEvent::Error {
            error: "not_signed_in".to_owned(),
            message: format!("{message} ({sign_in})"),
        }
    } else {
        EngineEvent::Error {
            error: "engine_error".to_owned(),
            message: message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_can_never_become_an_option() {
        assert!(is_session_id("ses_dfc53585bffeTemsqK00YbjGPX"));
        assert!(is_session_id("01a203ab-7063-7451-986c-e82197f371e5"));
        for bad in [
            "",
            "-c",
            "--dangerously-skip-permissions",
            "a b",
            "a/b",
            "é",
        ] {
            assert!(!is_session_id(bad), "{bad}");
        }
        assert!(is_session_id(&"a".repeat(128)) && !is_session_id(&"a".repeat(129)));
    }

    #[test]
    fn messages_of_a_reply_are_parted_by_a_blank_line() {
        let (mut reply, mut events) = (Reply::default(), Vec::new());
        for message in [&["a", "b"][..], &[""], &["c"]] {
            reply.begin();
            for piece in message {
                reply.text(piece, &mut events);
            }
        }
        let text: String = events
            .iter()
            .map(|event| match event {
                EngineEvent::Text { text } => text.as_str(),
                _ => "",
            })
            .collect();
        assert_eq!(text, "ab\n\nc");
    }
}
