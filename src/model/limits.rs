//! Limits of what a record may hold. Limits that a user may change are in `config`.

/// A worker's name, characters after trimming.
pub const WORKER_NAME_CHARS_MAX: usize = 100;
/// A worker's description, bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4 * 1024;
/// A worker's memory, bytes.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024;
/// A chat's name, characters after trimming.
pub const SESSION_NAME_CHARS_MAX: usize = 200;
/// The text of one message, bytes.
pub const MESSAGE_BYTES_MAX: usize = 512 * 1024;
/// A reply that is stored, bytes; the log holds the rest.
pub const REPLY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The arguments or the output of a tool call in an event, bytes; the log holds the rest.
pub const TOOL_DETAIL_BYTES_MAX: usize = 16 * 1024;
/// Why an execution failed, bytes; the log holds the rest.
pub const ERROR_BYTES_MAX: usize = 16 * 1024;
/// An engine's own words in an event: the id of a call or of its session, a tool's name, the word of an error; bytes.
pub const ENGINE_WORD_BYTES_MAX: usize = 1024;
/// Names of engines and models, bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// A path, bytes (`PATH_MAX` of Linux).
pub const PATH_BYTES_MAX: usize = 4096;
/// A worker's own time limit, seconds (a day).
pub const TIMEOUT_S_MAX: u32 = 24 * 3600;
/// What a worker may be allowed to cost a day, US dollars.
pub const DAILY_COST_USD_MAX: f64 = 1_000_000.0;
/// The part of a message that its execution repeats, bytes.
pub const TRIGGER_BYTES_MAX: usize = 16 * 1024;
/// The part of a reply that its execution repeats, bytes.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;
/// Tags of a chat.
pub const TAGS_MAX: usize = 20;
/// A tag, characters.
pub const TAG_CHARS_MAX: usize = 50;
/// What a task tells its worker, bytes: an execution repeats all of it.
pub const INSTRUCTION_BYTES_MAX: usize = TRIGGER_BYTES_MAX;
/// Tasks in all, finished ones included.
pub const TASKS_MAX: u64 = 10_000;
/// Tasks that one agent may plan for itself, finished ones included: it leaves room for the others.
pub const TASKS_OF_AGENT_MAX: u64 = 1000;
/// A cron expression, bytes.
pub const CRON_BYTES_MAX: usize = 200;
/// The time before which a countdown may not be over, milliseconds.
pub const COUNTDOWN_MS_MIN: u64 = 1000;
/// The last time that a countdown may be over, Unix milliseconds: the end of the year 9999. Clients cannot write later ones.
pub const COUNTDOWN_AT_MAX: u64 = 253_402_300_799_999;
/// The key of a memory entry, characters.
pub const MEMORY_KEY_CHARS_MAX: usize = 100;
/// The value of a memory entry, bytes.
pub const MEMORY_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Memory entries of one scope.
pub const MEMORY_ENTRIES_PER_SCOPE_MAX: usize = 200;
/// Memory entries in all.
pub const MEMORY_ENTRIES_MAX: u64 = 10_000;
/// What an agent is told of the entries of its scopes, bytes.
pub const MEMORY_TOLD_BYTES_MAX: usize = 32 * 1024;
/// What a permission request shows of the arguments and of the diff, each, bytes.
pub const PERMISSION_DETAIL_BYTES_MAX: usize = 64 * 1024;
/// Permission requests of one execution; whatever asks more often is in a loop.
pub const PERMISSIONS_PER_EXECUTION_MAX: usize = 500;
/// Tools that are remembered as always allowed, for one worker.
pub const ALWAYS_ALLOWED_MAX: usize = 200;
/// Pairs of an engine and a model whose use is told apart.
pub const USAGE_MODELS_MAX: usize = 1000;
/// Prompts that an agent offers to begin with.
pub const STARTER_PROMPTS_MAX: usize = 20;
/// Each of them, bytes.
pub const STARTER_PROMPT_BYTES_MAX: usize = 1000;
/// Knowledge bases of an agent.
pub const KNOWLEDGE_BASES_MAX: usize = 100;
