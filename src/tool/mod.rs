//! Tools: what an agent can do, whoever asks.
//!
//! Owns the one registry of tools, what each takes and what it answers. Must never know which door a call came through
//! (the builtin engine, a model's tool loop, MCP), HTTP or how an answer is shown. Start reading at [`Tool`], then at
//! [`notes`], the smallest family.

pub mod beneath;
pub mod chats;
pub mod command;
pub mod consult;
pub mod contexts;
pub mod edit;
pub mod error;
pub mod fetch;
pub mod files;
pub mod inside;
pub mod memory;
pub mod notes;
pub mod params;
pub mod permission;
pub mod preview;
pub mod runner;
pub mod search;
pub mod staffing;
pub mod system;
pub mod tasks;
pub mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use error::ToolError;
pub use params::{Kind, Param};
pub use permission::{Decision, Permissions};
pub use runner::Runner;

use crate::command::conditional::{Conditional, Conditions, Quota, Resource};
use crate::command::{Command, Submit};
use crate::data_dir::DataDir;
use crate::guard::{Granted, Guards};
use crate::journal::Journal;
use crate::model::{ExecutionId, Millis, SessionId, WorkerId};
use crate::store::Store;

/// What a tool does to the world; whoever offers it may ask before the last two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It looks.
    Read,
    /// It changes something on this machine.
    Write,
    /// It sends something to somebody.
    Send,
    /// It starts a program, which can do anything that the user can. When it is told to stop it ends what it started.
    Run,
}

/// One thing an agent can do.
pub struct Tool {
    /// Its name, e.g. `read_file`.
    pub name: &'static str,
    /// What it does, for a model that has to choose.
    pub description: &'static str,
    /// What it does to the world.
    pub access: Access,
    /// What it takes.
    pub params: &'static [Param],
    call: for<'a> fn(&'a Context, Value) -> BoxFuture<'a, Result<ToolOutput, ToolError>>,
}

impl Tool {
    /// The JSON Schema of its arguments.
    pub fn schema(&self) -> Value {
        params::schema(self.params)
    }

    /// Whether the schema allows these arguments.
    pub fn check(&self, args: &Value) -> Result<(), ToolError> {
        params::checked(self.params, args.clone()).map(drop)
    }

    /// Does it. Arguments that the schema does not allow are an answer, not a panic.
    pub async fn call(&self, cx: &Context, args: Value) -> Result<ToolOutput, ToolError> {
        let args = params::checked(self.params, args)?;
        (self.call)(cx, args).await
    }
}

/// Every tool there is, in the order they are offered.
pub static ALL: &[&Tool] = &[
    &files::LIST,
    &files::READ,
    &files::WRITE,
    &files::APPEND,
    &edit::EDIT,
    &search::SEARCH,
    &notes::LIST,
    &notes::ADD,
    &notes::REMOVE,
    &workers::LIST,
    &workers::GET,
    &workers::STATUS,
    &staffing::CREATE,
    &staffing::UPDATE,
    &staffing::DELETE,
    &system::OVERVIEW,
    &system::ENGINES,
    &command::RUN,
    &fetch::FETCH,
    &chats::SEND,
    &chats::CLEAR,
    &chats::EXECUTIONS,
    &contexts::LIST,
    &contexts::CLEAR,
    &tasks::CREATE,
    &tasks::LIST,
    &tasks::CANCEL,
    &tasks::COMPLETE,
    &memory::SAVE,
    &memory::GET,
    &memory::DELETE,
    &consult::ASK,
];

/// The tool with this name.
pub fn find(name: &str) -> Option<&'static Tool> {
    ALL.iter().copied().find(|tool| tool.name == name)
}

/// Whether an agent has any use for a tool: one that its permissions deny, or that is the bee's, is not even offered.
pub fn is_for(tool: &Tool, worker_id: Option<WorkerId>, permissions: Permissions) -> bool {
    let is_staffing = matches!(tool.name, "create_worker" | "delete_worker");
    permissions.decide(tool.access) != Decision::Deny && (worker_id.is_none() || !is_staffing)
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// For people and models.
    pub text: String,
    /// The same as data; each tool says which type.
    pub data: Value,
}

impl ToolOutput {
    /// `text`, and `data` beside it.
    pub fn new(text: impl Into<String>, data: &impl Serialize) -> Self {
        Self {
            text: text.into(),
            data: serde_json::to_value(data).unwrap_or_default(),
        }
    }
}

/// What all calls share.
pub struct Shared {
    /// For reading.
    pub store: Arc<Store>,
    /// For changing.
    pub journal: Journal,
    /// Where things are.
    pub data: Arc<DataDir>,
    /// What time it is.
    pub clock: fn() -> Millis,
    /// Which engines there are.
    pub engines: ListEngines,
    /// Starts programs, and ends them.
    pub guards: Arc<Guards>,
    /// What programs find in their environment.
    pub environment: BTreeMap<String, String>,
    /// How long a program may run.
    pub command_timeout: Duration,
    /// The largest file that is attached to a message.
    pub upload_bytes_max: u64,
    /// How many there may be of what tools make.
    pub quotas: Vec<Quota>,
    /// Who runs executions, once there is somebody.
    pub runner: OnceLock<Weak<dyn Runner>>,
}

impl Shared {
    /// Makes one more of a resource, if there is room for it.
    async fn make<C: Submit>(&self, made: Resource, change: C) -> Result<C::Outcome, ToolError> {
        let quota = self.quotas.iter().find(|quota| quota.resource == made);
        let Some(quota) = quota.cloned() else {
            return Ok(self.journal.submit(change).await?);
        };
        let change: Command = change.into();
        let conditions = Conditions {
            once: None,
            quota: Some(quota),
        };
        let done = self.journal.submit(Conditional::new(conditions, &change)?);
        C::outcome(*done.await?.0)
            .ok_or_else(|| ToolError::Failed("another change's outcome".to_owned()))
    }

    fn runner(&self) -> Result<Arc<dyn Runner>, ToolError> {
        let runner = self.runner.get().and_then(Weak::upgrade);
        runner.ok_or_else(|| ToolError::Unavailable("nothing is run here".to_owned()))
    }
}

/// Asks which engines there are, found or not.
pub type ListEngines = Box<dyn Fn() -> BoxFuture<'static, Vec<EngineInfo>> + Send + Sync>;

/// What is known of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct EngineInfo {
    /// What a worker calls it.
    pub name: String,
    /// Whether a worker that uses it would be answered now.
    pub ready: bool,
    /// What it is, or what is missing and how to get it, in one line.
    pub detail: String,
}

/// In whose name a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// The user's: the words that led to the call were the user's own.
    Account,
    /// An agent's, which made up its mind itself: it may not change other workers.
    Agent,
}

/// Who calls, and where.
#[derive(Clone)]
pub struct Context {
    /// What all calls share.
    pub shared: Arc<Shared>,
    /// In whose name.
    pub authority: Authority,
    /// The execution that it is called in; `None`: somebody outside calls.
    pub execution_id: Option<ExecutionId>,
    /// The worker; `None` is the bee.
    pub worker_id: Option<WorkerId>,
    /// The chat.
    pub session_id: Option<SessionId>,
    /// The directory that files are looked for in, and nowhere else.
    pub work_dir: PathBuf,
    /// A directory for what need not stay.
    pub temp_dir: PathBuf,
    /// What programs may use beside the work directory.
    pub granted: Granted,
    /// Whether the public internet may be asked.
    pub may_fetch: bool,
    /// Cancelled when the call has to end before its time.
    pub stop: CancellationToken,
}

impl Context {
    /// Whether what was asked of this worker in this chat may be told to whoever calls: a worker is told of its own and of
    /// its chat, so that what it reads elsewhere cannot make it tell of all the others.
    fn may_tell_of(&self, worker: Option<WorkerId>, session: Option<SessionId>) -> bool {
        self.authority == Authority::Account
            || self.worker_id.is_none()
            || worker == self.worker_id
            || session.is_some() && session == self.session_id
    }
}

/// The arguments as the tool's own type. `params` were checked, so a failure here is a field that is out of range.
fn parse<T: DeserializeOwned>(args: Value) -> Result<T, ToolError> {
    serde_path_to_error::deserialize(args)
        .map_err(|error| ToolError::InvalidArguments(error.to_string()))
}

/// Runs what waits for the disk away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ToolError::Failed(format!("the tool crashed: {error}"))))
}

#[cfg(test)]
pub(crate) mod hive;
#[cfg(test)]
mod task_tests;
#[cfg(test)]
mod tests;
