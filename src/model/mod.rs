//! The nouns: ids, records, states and their legal transitions.
//!
//! Owns what a worker, session, message, execution, account and event *are* and which of their values are valid.
//! Must never know I/O, async, HTTP or a clock. Start reading at [`execution`].

pub mod account;
pub mod engine_options;
pub mod event;
pub mod execution;
pub mod ids;
pub mod limits;
pub mod memory;
pub mod message;
pub mod permission;
pub mod profile;
pub mod schedule;
pub mod session;
pub mod tally;
pub mod task;
pub mod text;
pub mod worker;

pub use account::{Account, ApiKey, Login, LoginCookie, Scope};
pub use event::{Event, EventBody};
pub use execution::{Execution, ExecutionStatus, Routing, Usage};
pub use ids::{
    ApiKeyId, ExecutionId, Ids, LoginId, MessageId, PermissionId, SessionId, TaskId, WorkerId,
};
pub use memory::{Memory, MemoryScope};
pub use message::{Media, Message, MessageStatus, Role};
pub use permission::{DecidedBy, Effect, PermissionAnswer, PermissionDecision, PermissionRequest};
pub use session::Session;
pub use task::{Task, TaskKind, TaskStatus};
pub use text::Invalid;
pub use worker::{Bee, WorkDir, Worker};

/// Unix time in milliseconds, the one clock of records and of the API.
pub type Millis = u64;
