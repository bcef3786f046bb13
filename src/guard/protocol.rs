//! What server and guard tell each other over one socket pair.
//!
//! The guard's standard input is its end of the pair. The server sends the length of the [`Spec`] (four bytes, little
//! endian) together with the read end of the engine's own standard input (`SCM_RIGHTS`), then the spec as JSON, and
//! later single bytes: [`STOP`] or [`KILL`]. The guard answers with JSON lines: [`Report`]. The end of the stream is the
//! other side's death.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::confinement::Confinement;

/// The most that a spec may take; Linux allows an `exec` a quarter of the stack, 2 MiB.
pub(super) const SPEC_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most that a report takes.
pub(super) const REPORT_BYTES_MAX: u64 = 4 * 1024;
/// SIGTERM to the engine's process group, the grace period, then as [`KILL`].
pub(super) const STOP: u8 = b's';
/// SIGKILL to everything, now.
pub(super) const KILL: u8 = b'k';

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The executable's path, then its arguments. No shell sees them.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The directory to work in.
    pub cwd: PathBuf,
    /// From SIGTERM to SIGKILL.
    pub grace_period_ms: u64,
    /// What it is held to; `None`: nothing but its user's rights.
    #[serde(default)]
    pub confinement: Option<Confinement>,
}

/// What the guard says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The engine runs.
    Started(u32),
    /// It could not be started, and the guard is about to exit.
    SpawnFailed(StartError),
    /// It ended and nothing of it is left; the guard is about to exit.
    Exited(Ended),
}

/// Why an engine could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// A sentence.
    pub message: String,
}

impl StartError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did. Neither: its guard was killed, and then everything below it.
    pub signal: Option<i32>,
    /// Processes that had to be killed after it.
    pub left_behind_killed: u32,
    /// Processes that could not be killed (another user's, or stuck in the kernel).
    pub survivors: u32,
}
