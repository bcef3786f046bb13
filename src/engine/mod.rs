//! Engines: every kind of agent behind one trait.
//!
//! Owns how one turn of a chat becomes a stream of [`EngineEvent`]s. Must never know clients, the journal's writer or
//! HTTP requests; an engine never answers anybody but the supervisor. Start reading at [`Engine`]; what users can do with
//! engines is told in `README.md` beside this file.

pub mod acp;
mod ansi;
pub mod builtin;
pub mod claude;
pub mod cli;
pub mod codex;
pub mod command;
pub mod detect;
pub mod extra;
pub mod gemini;
pub mod http;
pub mod launch;
mod lines;
pub mod mcp;
pub mod opencode;
pub mod permission;
pub mod process;
mod recover;
mod registry;
pub mod settings;

use std::borrow::Cow;
use std::path::PathBuf;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::execution_log::LogWriter;
use crate::model::{ExecutionId, SessionId, Usage, WorkerId};
use crate::tool::Permissions;
pub use detect::EngineStatus;
use process::Parser;
pub use registry::{AUTO, Engines};

/// One turn of a chat, with everything an engine may know of it.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The execution that this is.
    pub execution_id: ExecutionId,
    /// The worker; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// Its name.
    pub worker_name: String,
    /// Its description.
    pub description: String,
    /// What it is told before every turn.
    pub memory: String,
    /// Whether that, or who it is, changed since the session to go on with was last told of it.
    pub is_news: bool,
    /// The chat.
    pub session_id: Option<SessionId>,
    /// The message.
    pub prompt: String,
    /// Absolute paths of what was attached.
    pub media: Vec<PathBuf>,
    /// The model that was asked for; `None` is the engine's own choice.
    pub model: Option<String>,
    /// The directory to work in; it exists.
    pub work_dir: PathBuf,
    /// What its tools may do without being asked about.
    pub permissions: Permissions,
    /// A directory for this run alone, removed after it; it exists.
    pub temp_dir: PathBuf,
    /// The engine's own id of the session to go on with.
    pub resume: Option<String>,
    /// Skep's tools, for an engine that does not have them in itself.
    pub mcp: Option<mcp::McpAccess>,
    /// What the worker's own options add.
    pub extra: extra::Extra,
}

/// What an engine says while it runs. Also the wire format of `output = "events"`: one JSON object a line, tagged by
/// `type`, e.g. `{"type":"text","text":"Hel"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EngineEvent {
    /// The next piece of the reply.
    Text {
        /// The piece.
        text: String,
    },
    /// The next piece of what it thinks.
    Thinking {
        /// The piece.
        text: String,
    },
    /// It calls a tool.
    ToolCall {
        /// Its id of the call.
        id: String,
        /// The tool.
        name: String,
        /// The arguments.
        #[serde(default)]
        args: serde_json::Value,
    },
    /// The tool answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// Whether it went well.
        #[serde(default = "yes")]
        ok: bool,
        /// What it said.
        #[serde(default)]
        output: String,
    },
    /// Tokens and cost of the turn so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The engine's own session id, and the model where it says so.
    Session {
        /// To go on with in the next turn.
        id: String,
        /// The model that answers.
        #[serde(default)]
        model: Option<String>,
    },
    /// The final answer; it *is* the reply. `None`: the text so far is the answer.
    Result {
        /// The whole reply.
        #[serde(default)]
        text: Option<String>,
    },
    /// The turn failed; what follows is not a reply. It reaches the supervisor as the run's [`EngineError`], not as an
    /// event.
    Error {
        /// A stable word, e.g. `not_signed_in`.
        error: String,
        /// What to do about it.
        message: String,
    },
}

fn yes() -> bool {
    true
}

/// Why a run should end before its time. Once set it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The user pressed stop, or its chat or worker was deleted.
    Cancelled,
    /// Its time is over.
    TimedOut,
    /// The server is shutting down.
    Shutdown,
}

/// An engine's connection to the supervisor during one run.
pub struct Run {
    /// The execution's log: raw line first, meaning second.
    pub log: LogWriter,
    /// Where events go. Bounded: a slow supervisor slows the engine down, it does not grow memory. It is read until the
    /// run returned, or dropped; an engine whose events nobody takes any more is stopped.
    pub events: mpsc::Sender<EngineEvent>,
    /// The process that answers, while there is one.
    pub pid: watch::Sender<Option<u32>>,
    /// `Some` once the run has to end.
    pub stop: watch::Receiver<Option<Stop>>,
    /// Whether it may do something.
    pub permission: permission::Asker,
}

impl Run {
    /// Asks whether the engine may do something, after everything that it said before is stored: a stream shows the call
    /// before the question about it.
    pub async fn ask(&self, ask: permission::Ask) -> permission::Verdict {
        let all = self.events.max_capacity();
        drop(self.events.reserve_many(all).await);
        self.permission.ask(ask).await
    }
}

/// How a run failed; what it had said until then stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct EngineError {
    /// A stable word: `engine_missing`, `spawn_failed`, `exited`, `killed`, `no_answer`, `not_signed_in`, `log_full`,
    /// `log_failed`, `storage_full`, or one that a `command` chose. An engine that answered and then did not exit is no
    /// failure: that run completed.
    pub code: Cow<'static, str>,
    /// What happened and what to do about it.
    pub message: String,
}

impl EngineError {
    /// A failure with its stable word.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// One kind of agent.
pub trait Engine: Send + Sync + 'static {
    /// Its name, as in a worker's `engine`.
    fn name(&self) -> &str;

    /// Runs one turn to its end and returns when nothing of it is left. A run that was told to stop returns `Ok`.
    fn run<'a>(
        &'a self,
        turn: &'a Turn,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// How what this engine prints is read, for a log that a crash left behind. An engine that logs its reply as it is
    /// needs no parser of its own.
    fn parser(&self) -> Box<dyn Parser> {
        Box::<command::TextParser>::default()
    }
}
