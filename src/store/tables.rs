//! Every table there is. Only the journal's writer changes them, through `command`.
//!
//! Ids are keys as numbers and sort by the time they were made. The bee, who has no id, is worker 0 in an index.

use redb::TableDefinition;

/// Calls `$visit!(NAME)` for every table: snapshots, comparison and rebuild go through this list, so that a table that
/// is missing here cannot be written.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: TableDefinition<'static, $key, $value> = TableDefinition::new($text);)+

        /// Does `visit` for every table, in a fixed order.
        pub fn visit<V: Visit>(visitor: &mut V) -> Result<(), V::Error> {
            $(visitor.table($text, $name)?;)+
            Ok(())
        }

        /// The names of all tables.
        pub const NAMES: &[&str] = &[$($text),+];
    };
}

/// Something to do with every table, whatever its types.
pub trait Visit {
    /// Why it may fail.
    type Error;
    /// Does it with one table.
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &mut self,
        name: &'static str,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), Self::Error>;
}

tables! {
    /// Single values by name: `applied_seq`, `next_event`, `next_queue`, `account`, `bee`.
    META: &'static str => &'static [u8] = "meta";
    /// Sign-ins by id.
    LOGINS: u128 => &'static [u8] = "logins";
    /// Which of the console's cookies is good, by sign-in; no row is the first one. Goes with its row in `LOGINS`.
    LOGIN_COOKIES: u128 => &'static [u8] = "login_cookies";
    /// API keys by id.
    API_KEYS: u128 => &'static [u8] = "api_keys";
    /// The API key of a SHA-256. Changes together with `API_KEYS`.
    API_KEYS_BY_HASH: &'static [u8; 32] => u128 = "api_keys_by_hash";
    /// Workers by id.
    WORKERS: u128 => &'static [u8] = "workers";
    /// Workers by the key of their name. Changes together with `WORKERS`.
    WORKERS_BY_NAME: &'static str => u128 = "workers_by_name";
    /// Chats by id.
    SESSIONS: u128 => &'static [u8] = "sessions";
    /// (updated_at, session): chats in the order of their last change. Changes together with `SESSIONS`.
    SESSIONS_BY_UPDATED: (u64, u128) => () = "sessions_by_updated";
    /// (session, seq): the messages of a chat in order.
    MESSAGES: (u128, u64) => &'static [u8] = "messages";
    /// (session, seq) of a message by its id. Changes together with `MESSAGES`.
    MESSAGES_BY_ID: u128 => (u128, u64) = "messages_by_id";
    /// Executions by id. Created with their message; afterwards only the supervisor's commands change a row.
    EXECUTIONS: u128 => &'static [u8] = "executions";
    /// (session, execution): the executions of a chat in time order. Rows stay as long as their execution.
    EXECUTIONS_BY_SESSION: (u128, u128) => () = "executions_by_session";
    /// (worker, execution): the executions of a worker in time order.
    EXECUTIONS_BY_WORKER: (u128, u128) => () = "executions_by_worker";
    /// (status, execution): executions by state in time order. Changes together with `EXECUTIONS`.
    EXECUTIONS_BY_STATUS: (u8, u128) => () = "executions_by_status";
    /// (worker, status, execution): what a worker does and did. Changes together with `EXECUTIONS`.
    EXECUTIONS_BY_WORKER_STATUS: (u128, u8, u128) => () = "executions_by_worker_status";
    /// (execution, worker, session) of pending executions in the order they were accepted, by a counter that only grows.
    QUEUE: u64 => (u128, u128, u128) = "queue";
    /// The place of a pending execution in `QUEUE`. Changes together with it.
    QUEUE_BY_EXECUTION: u128 => u64 = "queue_by_execution";
    /// How many executions of a worker wait. Changes together with `QUEUE`.
    QUEUE_LENGTHS: u128 => u64 = "queue_lengths";
    /// (session, worker): the engine's own session to resume.
    CONTEXTS: (u128, u128) => &'static [u8] = "contexts";
    /// Stored events by id, a counter that only grows.
    FEED: u64 => &'static [u8] = "feed";
    /// (session, event): the events of a chat. Changes together with `FEED`.
    FEED_BY_SESSION: (u128, u64) => () = "feed_by_session";
    /// (execution, event): the events of an execution. Changes together with `FEED`, and ends with the execution.
    FEED_BY_EXECUTION: (u128, u64) => () = "feed_by_execution";
    /// What came of a change by the SHA-256 of its user, route and idempotency key, for a day.
    IDEMPOTENCY: &'static [u8; 32] => &'static [u8] = "idempotency";
    /// (at, key): what was kept in time order. Changes together with `IDEMPOTENCY`.
    IDEMPOTENCY_BY_TIME: (u64, &'static [u8; 32]) => () = "idempotency_by_time";
    /// Tasks by id.
    TASKS: u128 => &'static [u8] = "tasks";
    /// (next_run_at, task): what is due next. Changes together with `TASKS`.
    TASKS_BY_DUE: (u64, u128) => () = "tasks_by_due";
    /// (worker, task): the tasks of a worker. Changes together with `TASKS`.
    TASKS_BY_WORKER: (u128, u128) => () = "tasks_by_worker";
    /// (session, task): the tasks of a chat. Changes together with `TASKS`.
    TASKS_BY_SESSION: (u128, u128) => () = "tasks_by_session";
    /// The task of an execution. Rows stay as long as their execution.
    TASK_OF_EXECUTION: u128 => u128 = "task_of_execution";
    /// (scope, its id, key): what agents keep in mind.
    MEMORY: (u8, u128, &'static str) => &'static [u8] = "memory";
    /// The key of an entry by its place in the order of changes. Changes together with `MEMORY`.
    MEMORY_BY_CHANGE: u64 => (u8, u128, &'static str) = "memory_by_change";
    /// When the log of an execution was removed. Goes with its row in `EXECUTIONS`.
    PRUNED_LOGS: u128 => u64 = "pruned_logs";
    /// (session, name): when an upload was removed; its name is not given again. Goes with its row in `SESSIONS`.
    PRUNED_UPLOADS: (u128, &'static str) => u64 = "pruned_uploads";
    /// (execution, request): what the user was asked about. Rows stay as long as their execution.
    PERMISSIONS: (u128, u128) => &'static [u8] = "permissions";
    /// The session (0 is none) of (execution, request) that waits for its answer. Changes together with `PERMISSIONS`.
    PERMISSIONS_WAITING: (u128, u128) => u128 = "permissions_waiting";
    /// (worker, tool): since when that needs no asking. Goes with its row in `WORKERS`.
    ALWAYS_ALLOWED: (u128, &'static str) => u64 = "always_allowed";
    /// What the executions that ended on a day (UTC) came to. Changes with `FinishExecution` and the like.
    USAGE_BY_DAY: u64 => &'static [u8] = "usage_by_day";
    /// (worker, day): the same of one worker. Changes together with `USAGE_BY_DAY`.
    USAGE_BY_WORKER_DAY: (u128, u64) => &'static [u8] = "usage_by_worker_day";
    /// What a worker's executions came to. Changes together with `USAGE_BY_DAY`.
    USAGE_BY_WORKER: u128 => &'static [u8] = "usage_by_worker";
    /// (engine, model): what their executions came to. Changes together with `USAGE_BY_DAY`.
    USAGE_BY_MODEL: (&'static str, &'static str) => &'static [u8] = "usage_by_model";
    /// What a worker has beside itself. Goes with its row in `WORKERS`.
    PROFILES: u128 => &'static [u8] = "profiles";
    /// What a worker's engine is started with beside what the settings say. Goes with its row in `WORKERS`.
    ENGINE_OPTIONS: u128 => &'static [u8] = "engine_options";
}
