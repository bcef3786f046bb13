//! How an engine asks whether it may do something, whoever decides that.
//!
//! An engine makes an [`Ask`] of the call and waits for the [`Verdict`]; it need not know the worker's mode, what was
//! always allowed, or that a person may have to be asked. A run that is stopped meanwhile has its verdict at once.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::model::{DecidedBy, Effect, PermissionDecision};
use crate::tool::{Access, Permissions};

/// What an engine wants to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Its id of the call that this is about, as in [`super::EngineEvent::ToolCall`].
    pub call_id: Option<String>,
    /// The tool, by the engine's own stable name: "always" is remembered for it.
    pub tool: String,
    /// What the tool does to the world: by this it is judged.
    pub access: Access,
    /// The same as the user is told it.
    pub effect: Effect,
    /// What it would be called with.
    pub args: Value,
    /// What it would change, as a unified diff, where that is known before.
    pub diff: Option<String>,
    /// The answers that can be given; [`PermissionDecision::ALL`] where the engine says nothing else.
    pub options: Vec<PermissionDecision>,
}

impl Ask {
    /// A question that can be answered in every way.
    pub fn new(tool: impl Into<String>, access: Access, args: Value) -> Self {
        Self {
            call_id: None,
            tool: tool.into(),
            access,
            effect: effect(access),
            args,
            diff: None,
            options: PermissionDecision::ALL.to_vec(),
        }
    }
}

fn effect(access: Access) -> Effect {
    match access {
        Access::Read => Effect::Read,
        Access::Write => Effect::Write,
        Access::Send => Effect::Send,
        Access::Run => Effect::Run,
    }
}

/// Whether it may, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The worker's mode says so; nobody was asked.
    AllowedByMode,
    /// The user has said "always" before; nobody was asked.
    AllowedBefore,
    /// The user said so now; `always`: and for every later call of this tool.
    Allowed {
        /// Whether the user need not be asked again.
        always: bool,
    },
    /// The worker's mode forbids it; nobody was asked.
    DeniedByMode(Permissions),
    /// It is a tool of Skep's that is not among the worker's; nobody was asked.
    NotItsTool,
    /// The user said no, or nobody could say yes.
    Denied(DecidedBy),
    /// The user could not be asked; the sentence says why.
    NotAsked(String),
}

impl Verdict {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        matches!(
            self,
            Self::AllowedByMode | Self::AllowedBefore | Self::Allowed { .. }
        )
    }

    /// What the model and the log are told of it.
    pub fn sentence(&self) -> String {
        match self {
            Self::AllowedByMode => "allowed by the worker's permissions".to_owned(),
            Self::AllowedBefore => "allowed: the user has said \"always\"".to_owned(),
            Self::Allowed { always: false } => "the user allowed it".to_owned(),
            Self::Allowed { always: true } => "the user allowed it, for always".to_owned(),
            Self::DeniedByMode(mode) => {
                format!("not done: the worker's permissions are {:?}", mode.as_str())
            }
            Self::NotItsTool => "not done: it is none of the worker's tools".to_owned(),
            Self::Denied(by) => match by {
                DecidedBy::User => "not done: the user denied it",
                DecidedBy::Timeout => {
                    "not done: nobody answered the request for permission in time"
                }
                DecidedBy::Cancelled => "not done: the execution was cancelled",
                DecidedBy::Interrupted => "not done: the server ended before anybody answered",
                DecidedBy::Ended => "not done: the execution ended before anybody answered",
            }
            .to_owned(),
            Self::NotAsked(why) => format!("not done: the user could not be asked: {why}"),
        }
    }
}

/// Whoever decides.
pub trait Decide: Send + Sync {
    /// Decides; may take as long as a person takes.
    fn decide(&self, ask: Ask) -> BoxFuture<'_, Verdict>;
}

/// An engine's way to whoever decides for one run; clones ask for the same run.
#[derive(Clone)]
pub struct Asker(Arc<dyn Decide>);

impl Asker {
    /// Asks whoever this is.
    pub fn new(decide: Arc<dyn Decide>) -> Self {
        Self(decide)
    }

    /// For runs that nobody watches: what the usual mode does not allow is not done.
    pub fn nobody() -> Self {
        Self(Arc::new(Nobody))
    }

    /// Whether it may be done. Returns once that is decided and stored, or the run has to end.
    pub async fn ask(&self, ask: Ask) -> Verdict {
        self.0.decide(ask).await
    }
}

struct Nobody;

impl Decide for Nobody {
    fn decide(&self, ask: Ask) -> BoxFuture<'_, Verdict> {
        let verdict = match Permissions::default().decide(ask.access) {
            crate::tool::Decision::Allow => Verdict::AllowedByMode,
            _ => Verdict::NotAsked("nobody is there".to_owned()),
        };
        Box::pin(std::future::ready(verdict))
    }
}
