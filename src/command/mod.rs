//! Commands: every change there is.
//!
//! Owns what a change does to the tables. A command has everything it needs inside it (ids, times, hashes; never a
//! secret), and its `apply` reads the tables and itself, nothing else: no clock, no randomness, no disk. So replaying the
//! journal gives the same tables again. `apply` checks first and touches later: a refusal leaves the transaction as it
//! was. Start reading at [`Change`], then at [`message`].

pub mod account;
pub mod agent;
pub mod chat;
pub mod conditional;
pub mod consult;
pub mod engine_options;
pub mod execution;
pub mod memory;
pub mod message;
pub mod notice;
pub mod permission;
pub mod retention;
pub mod session;
pub mod task;
pub mod usage;
pub mod worker;

use serde::{Deserialize, Serialize};

pub use account::{
    ChangePassword, CreateAccount, CreateApiKey, CreateLogin, DeleteApiKey, RevokeLogin,
    RotateCookie, Rotation, TouchApiKey,
};
pub use agent::{CreateAgent, UpdateAgent};
pub use chat::StartChat;
pub use conditional::Conditional;
pub use consult::AskWorker;
pub use engine_options::SetEngineOptions;
pub use execution::{
    CancelPending, Ending, FinishExecution, RecordContext, RecordEvent, RetryExecution,
    StartExecution,
};
pub use memory::{DeleteMemory, SetMemory};
pub use message::{KeepUpload, PostMessage, Posted, Uploaded};
pub use notice::SendNotice;
pub use permission::{AnswerPermission, AskPermission, ForgetPermission};
pub use retention::{PruneExecutions, PruneLogs, PruneUploads};
pub use session::{
    ClearContext, ClearSession, CreateSession, DeleteSession, SessionPatch, UpdateSession,
};
pub use task::{
    CancelTask, CompleteTask, CreateTask, DeleteTask, PauseTask, ResumeTask, RunTask, TaskPatch,
    Timing, UpdateTask,
};
pub use usage::CountUsage;
pub use worker::{CreateWorker, DeleteWorker, UpdateBee, UpdateWorker, WorkerPatch};

use crate::model::{Event, EventBody, ExecutionId, ExecutionStatus, Millis, SessionId};
use crate::store::{StoreError, WriteTx, codec, events};

/// Why a command was refused. Nothing was changed and nothing is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What it is about does not exist (any more).
    #[error("{0} not found")]
    NotFound(&'static str),
    /// What a request names in its body is not there (any more).
    #[error("{field}: there is no such {noun}")]
    NamesNothing {
        /// The field that names it.
        field: &'static str,
        /// What it would be.
        noun: &'static str,
    },
    /// The name belongs to another one already.
    #[error("a {noun} named {name:?} exists already")]
    NameTaken {
        /// What would be named so.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// It is not in the state that this needs; the sentence is for people.
    #[error("{0}")]
    WrongState(&'static str),
    /// A queue is full; later there may be room.
    #[error("{0}")]
    Full(&'static str),
    /// The same was done before, under the same idempotency key.
    #[error("this was done before")]
    Repeated,
    /// There are as many as the tier allows.
    #[error("the tier allows {} {}", .quota.limit, .quota.resource.as_str())]
    OverQuota {
        /// What it allows.
        quota: conditional::Quota,
        /// How many there are.
        current: u64,
    },
}

/// Why `apply` did not change anything.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// By the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed; the transaction must be aborted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one kind of change does.
pub trait Change {
    /// What the caller learns when it is done.
    type Outcome: Send + std::fmt::Debug + Serialize + 'static;

    /// Does it, or refuses and leaves the tables as they were.
    fn apply(&self, cx: &mut Apply<'_>) -> Result<Self::Outcome, Rejection>;
}

/// A change that is on the list of [`Command`]s, and so can be submitted to the journal.
pub trait Submit: Change + Into<Command> {
    /// The outcome of this kind of change, out of any.
    fn outcome(outcome: Outcome) -> Option<Self::Outcome>;
}

macro_rules! commands {
    ($($(#[$condition:meta])* $name:ident),+ $(,)?) => {
        /// Every kind of change. Stored in the journal by position: append only, never reorder.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Command {
            $($(#[$condition])* $name($name)),+
        }

        /// What a command answers.
        #[derive(Debug)]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum Outcome {
            $($(#[$condition])* $name(<$name as Change>::Outcome)),+
        }

        impl Command {
            /// Does the change.
            pub fn apply(&self, cx: &mut Apply<'_>) -> Result<Outcome, Rejection> {
                match self {
                    $($(#[$condition])* Self::$name(change) => change.apply(cx).map(Outcome::$name)),+
                }
            }

            /// The name of its kind, for logs.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(#[$condition])* Self::$name(_) => stringify!($name)),+
                }
            }
        }

        impl Outcome {
            /// The outcome itself, encoded; of which kind it is, whoever reads it has to know.
            fn encode(&self) -> Result<Vec<u8>, StoreError> {
                match self {
                    $($(#[$condition])* Self::$name(outcome) => codec::encode(outcome)),+
                }
            }
        }

        $(
            $(#[$condition])*
            impl From<$name> for Command {
                fn from(change: $name) -> Self {
                    Self::$name(change)
                }
            }

            $(#[$condition])*
            impl Submit for $name {
                fn outcome(outcome: Outcome) -> Option<Self::Outcome> {
                    match outcome {
                        Outcome::$name(outcome) => Some(outcome),
                        _ => None,
                    }
                }
            }
        )+
    };
}

commands! {
    CreateAccount,
    ChangePassword,
    CreateLogin,
    RevokeLogin,
    CreateApiKey,
    DeleteApiKey,
    TouchApiKey,
    CreateWorker,
    UpdateWorker,
    DeleteWorker,
    UpdateBee,
    CreateSession,
    UpdateSession,
    DeleteSession,
    ClearSession,
    PostMessage,
    StartExecution,
    RecordEvent,
    RecordContext,
    FinishExecution,
    CancelPending,
    RetryExecution,
    Conditional,
    KeepUpload,
    RotateCookie,
    SendNotice,
    SetMemory,
    DeleteMemory,
    CreateTask,
    UpdateTask,
    RunTask,
    PauseTask,
    ResumeTask,
    CancelTask,
    DeleteTask,
    PruneExecutions,
    PruneLogs,
    PruneUploads,
    AskPermission,
    AnswerPermission,
    ForgetPermission,
    CountUsage,
    CreateAgent,
    UpdateAgent,
    AskWorker,
    CompleteTask,
    ClearContext,
    StartChat,
    SetEngineOptions,
    #[cfg(test)]
    Panic,
}

impl Command {
    /// Whether it makes room, or lets somebody in or out who does: a full disk has some room left for that.
    pub fn is_relief(&self) -> bool {
        matches!(
            self,
            Self::CreateLogin(_)
                | Self::RevokeLogin(_)
                | Self::RotateCookie(_)
                | Self::DeleteApiKey(_)
                | Self::DeleteWorker(_)
                | Self::DeleteSession(_)
                | Self::DeleteMemory(_)
                | Self::DeleteTask(_)
                | Self::CancelTask(_)
                | Self::PauseTask(_)
                | Self::CancelPending(_)
                | Self::FinishExecution(_)
                | Self::PruneExecutions(_)
                | Self::PruneLogs(_)
                | Self::PruneUploads(_)
        )
    }
}

/// A command that breaks after it has written, for tests of the writer.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panic {
    /// The chat that it renames first.
    pub after_writing: SessionId,
}

#[cfg(test)]
impl Change for Panic {
    type Outcome = ();

    fn apply(&self, cx: &mut Apply<'_>) -> Result<(), Rejection> {
        let patch = SessionPatch {
            name: Some("half done".to_owned()),
            ..Default::default()
        };
        UpdateSession {
            id: self.after_writing,
            patch,
            at: 0,
        }
        .apply(cx)?;
        panic!("as it was told to")
    }
}

/// The bytes of a command in the journal.
pub fn encode(command: &Command) -> Result<Vec<u8>, StoreError> {
    codec::encode(command)
}

/// The command that a journal frame holds.
pub fn decode(bytes: &[u8]) -> Result<Command, StoreError> {
    codec::decode("journal", bytes)
}

/// What `apply` works with: the transaction, and the events that it adds to the feed.
pub struct Apply<'a> {
    /// The tables.
    pub tx: &'a WriteTx,
    /// The events that were added so far, for waking streams.
    pub added: Vec<Added>,
}

/// An event that a command added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its id.
    pub id: u64,
    /// Its chat.
    pub session_id: Option<SessionId>,
    /// Its execution.
    pub execution_id: Option<ExecutionId>,
    /// Whether that execution ended with it.
    pub is_end: bool,
    /// Whether that execution was queued with it, and its worker runs nothing.
    pub may_start: bool,
    /// How it ended.
    pub ended: Option<ExecutionStatus>,
    /// Whether it is about a task.
    pub is_task: bool,
}

impl<'a> Apply<'a> {
    /// Work on `tx`.
    pub fn new(tx: &'a WriteTx) -> Self {
        Self {
            tx,
            added: Vec::new(),
        }
    }

    fn emit(
        &mut self,
        session_id: Option<SessionId>,
        execution_id: Option<ExecutionId>,
        at: Millis,
        body: EventBody,
    ) -> Result<(), StoreError> {
        let ended = match &body {
            EventBody::Status { status, .. } if status.is_final() => Some(*status),
            _ => None,
        };
        let is_task = matches!(body, EventBody::Task(_));
        let id = events::append(
            self.tx,
            &Event {
                session_id,
                execution_id,
                at,
                body,
            },
        )?;
        self.added.push(Added {
            id,
            session_id,
            execution_id,
            is_end: ended.is_some(),
            ended,
            may_start: false,
            is_task,
        });
        Ok(())
    }
}
