//! A permission request: a running execution wants to do something that the user has to be asked about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExecutionId, Millis, PermissionId};

/// A request as it is stored. It is answered exactly once; until then its execution waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionRequest {
    /// Its id.
    pub id: PermissionId,
    /// The execution that waits for it.
    pub execution_id: ExecutionId,
    /// The engine's id of the call that it is about, where there is one.
    pub call_id: Option<String>,
    /// The tool, by the engine's name of it: what `allow_always` is remembered for.
    pub tool: String,
    /// What the tool does to the world.
    pub effect: Effect,
    /// What it would be called with, JSON text; cut where it is too long.
    pub args: String,
    /// What it would change, as a unified diff, where that is known before.
    pub diff: Option<String>,
    /// The answers that can be given.
    pub options: Vec<PermissionDecision>,
    /// When it was asked.
    pub asked_at: Millis,
    /// When it is denied if nobody answers.
    pub expires_at: Millis,
    /// How it was answered.
    pub answer: Option<PermissionAnswer>,
}

/// What a tool does to the world, for people. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It looks.
    Read,
    /// It changes something on this machine.
    Write,
    /// It sends something to somebody.
    Send,
    /// It starts a program.
    Run,
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionAnswer {
    /// What was decided.
    pub decision: PermissionDecision,
    /// By whom or what.
    pub by: DecidedBy,
    /// When.
    pub at: Millis,
}

/// What can be decided. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionDecision {
    /// It is done, this once.
    Allow,
    /// It is done, and this worker is not asked about this tool again.
    AllowAlways,
    /// It is not done.
    Deny,
}

impl PermissionDecision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::AllowAlways, Self::Deny];

    /// Whether it is done.
    pub fn allows(self) -> bool {
        self != Self::Deny
    }
}

/// By whom or what a request was decided. Stored by position: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The user.
    User,
    /// The time was over.
    Timeout,
    /// The execution was cancelled.
    Cancelled,
    /// The server ended while it waited.
    Interrupted,
    /// The execution ended while it waited.
    Ended,
}
