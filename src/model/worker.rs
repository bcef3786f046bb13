//! A worker: a named agent with a description, a memory, a directory and an engine.

use serde::{Deserialize, Serialize};

use super::{Millis, WorkerId};

/// A worker as it is stored. Its status is derived from its executions, never stored apart from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Unique ignoring case.
    pub name: String,
    /// What it is good at; routing reads it.
    pub description: String,
    /// What it is told before every turn.
    pub memory: String,
    /// Where it works.
    pub work_dir: WorkDir,
    /// The name of its engine; empty means the default one.
    pub engine: String,
    /// The model its engine is asked for; empty means the engine's own choice.
    pub model: String,
    /// What it may do without asking; empty means the default.
    pub permissions: String,
    /// Its own time limit in seconds; `None` means the default one.
    pub timeout_s: Option<u32>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

/// A worker's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkDir {
    /// `workers/<id>` below the data directory, made by Skep.
    Own,
    /// An absolute path that the user gave. `created` is the inode that Skep made there, if it did.
    Given {
        /// The absolute path.
        path: String,
        /// Inode number of the directory, when Skep created it.
        created: Option<u64>,
    },
}

/// The agent that always exists and answers when no worker is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bee {
    /// As a worker's.
    pub engine: String,
    /// As a worker's.
    pub model: String,
    /// As a worker's.
    pub memory: String,
    /// When it was last changed; 0 means never.
    pub updated_at: Millis,
}
