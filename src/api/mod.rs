//! The endpoints, one file per resource; [`routes`] is the whole API on one page.
//!
//! Owns what clients send and see. Must never know bytes of the store or of the journal: a stored record never goes on
//! the wire, and a request body never goes in a table. Start reading at [`routes`], then at any handler: who, what,
//! allowed, do, answer.

mod agents;
mod auth;
mod backup;
mod bee;
mod caller;
mod chat;
mod engine_options;
mod error;
mod events;
mod executions;
mod health;
mod log_pieces;
mod logs;
mod mcp;
pub mod media;
mod memory;
mod messages;
pub mod openapi;
pub mod page;
mod permissions;
mod retention;
mod search;
mod sessions;
mod settings;
mod storage;
pub mod streams;
mod submit;
mod system;
mod tasks;
mod tokens;
mod usage;
mod v1;
mod work_dir;
mod workers;

use crate::app::App;
use crate::command::{
    AnswerPermission, CreateAgent, CreateApiKey, CreateSession, CreateTask, KeepUpload,
    PostMessage, RetryExecution, RunTask, StartChat,
};
use crate::engine::EngineStatus;
use crate::http::ErrorCode::{
    Conflict, ExpiredToken, Forbidden, Held, InvalidCredentials, InvalidToken, MissingToken,
    NotFound, TierLimit, UpstreamUnavailable, WorkDirNotOwned,
};
use crate::http::{Route, delete, get, patch, post, put};
use crate::model::engine_options::EngineOptions;
use crate::model::{ExecutionStatus, Millis, SessionId, WorkerId};

pub use caller::Caller;
pub use health::ENDED;
use submit::again;
pub use submit::quotas;
pub use tokens::{NewApiKeyError, new_api_key};

/// Paths that never fall back to the console.
pub const RESERVED: &[&str] = &["/api", "/v1", "/mcp", "/metrics", "/healthz", "/readyz"];

/// Every route there is.
///
/// A line says what differs from the rule (a caller is needed, 1 MiB of body), what the route takes, with an example, and
/// what it answers. The rest of its documentation comes from the comment above its handler and from the types.
pub fn routes(upload_bytes_max: u64) -> Vec<Route<App>> {
    vec![
        get("/healthz", health::get_health)
            .public()
            .unlimited()
            .says(200, "ok"),
        get("/readyz", health::get_readiness)
            .public()
            .unlimited()
            .answers::<health::Readiness>(200)
            .answers::<health::Readiness>(503),
        get("/metrics", health::get_metrics)
            .public()
            .sends(crate::metrics::text::CONTENT_TYPE)
            .refuses(&[Forbidden, MissingToken, InvalidToken]),
        get("/api/openapi.json", openapi::get_document).answers::<openapi::Document>(200),
        get("/docs/openapi.json", openapi::get_public_document)
            .public()
            .answers::<openapi::Document>(200),
        get("/api/version", system::get_version).answers::<system::Version>(200),
        get("/api/storage", storage::get_storage).answers::<storage::StorageView>(200),
        get("/api/settings", settings::get_settings)
            .scope("admin")
            .answers::<settings::Settings>(200),
        get("/api/engines", system::list_engines)
            .query::<bool>("versions", "`false` starts no program to ask for its version, and answers at once")
            .answers::<Vec<EngineStatus>>(200),
        post("/api/resume", system::resume)
            .says(200, "resumed")
            .refuses(&[Conflict]),
        post("/api/retention", retention::keep)
            .query::<bool>("dry_run", "Only tells what would be removed")
            .answers::<crate::retention::Report>(200)
            .refuses(&[Conflict, Held]),
        post("/api/purge", system::purge)
            .says(200, "purged")
            .refuses(&[Conflict]),
        get("/api/backup", backup::get_backup)
            .scope("admin")
            .feature("backup")
            .query::<bool>("keys", "`false` leaves the secrets out")
            .sends("application/zstd")
            .refuses(&[Conflict]),
        post("/api/auth/login", auth::log_in)
            .public()
            .rate("auth")
            .takes::<auth::Credentials>(r#"{"username": "admin", "password": "$PASSWORD"}"#)
            .answers::<auth::Tokens>(200)
            .refuses(&[InvalidCredentials]),
        post("/api/auth/refresh", auth::refresh)
            .public()
            .rate("auth")
            .takes_optional::<auth::RefreshToken>(r#"{"refresh_token": "$REFRESH_TOKEN"}"#)
            .answers::<auth::AccessToken>(200)
            .refuses(&[MissingToken, InvalidToken, ExpiredToken]),
        post("/api/auth/redeem", auth::redeem)
            .public()
            .rate("auth")
            .takes::<auth::Code>(r#"{"code": "$CODE"}"#)
            .answers::<auth::Tokens>(200)
            .refuses(&[InvalidCredentials]),
        post("/api/auth/sign-in-link", auth::create_link)
            .rate("auth")
            .answers::<auth::SignInLink>(200),
        post("/api/auth/logout", auth::log_out)
            .public()
            .rate("auth")
            .takes_optional::<auth::RefreshToken>(r#"{"refresh_token": "$REFRESH_TOKEN"}"#)
            .says(200, "logged_out")
            .refuses(&[MissingToken, InvalidToken, ExpiredToken]),
        get("/api/me", auth::get_me).answers::<auth::Me>(200),
        post("/api/me/password", auth::change_password)
            .rate("auth")
            .takes::<auth::NewPassword>(
                r#"{"old_password": "$PASSWORD", "new_password": "$NEW_PASSWORD"}"#,
            )
            .answers::<auth::Tokens>(200)
            .refuses(&[InvalidCredentials, Conflict]),
        get("/api/tokens", tokens::list_tokens)
            .scope("admin")
            .answers::<Vec<tokens::TokenView>>(200),
        post("/api/tokens", tokens::create_token)
            .makes("tokens")
            .feature("api_keys")
            .idempotent(again::<CreateApiKey>(tokens::created))
            .takes::<tokens::NewToken>(r#"{"name": "backup script", "scopes": ["read"]}"#)
            .answers::<tokens::TokenView>(201),
        delete("/api/tokens/{token_id}", tokens::delete_token).says(200, "deleted"),
        get("/api/workers", workers::list_workers)
            .rate("agents")
            .lists::<workers::WorkerView>(),
        post("/api/workers", workers::create_worker)
            .rate("agents")
            .makes("workers")
            .idempotent(again::<CreateAgent>(workers::created))
            .takes::<workers::NewWorker>(
                r#"{"name": "Assistant", "description": "General purpose assistant", "memory": "You are a helpful assistant."}"#,
            )
            .answers::<workers::WorkerView>(201)
            .refuses(&[Conflict]),
        get("/api/workers/{worker_id}", workers::get_worker)
            .rate("agents")
            .answers::<workers::WorkerView>(200),
        put("/api/workers/{worker_id}", workers::update_worker)
            .rate("agents")
            .takes::<workers::WorkerBody>(r#"{"description": "Updated description"}"#)
            .answers::<workers::WorkerView>(200)
            .refuses(&[Conflict]),
        delete("/api/workers/{worker_id}", workers::delete_worker)
            .rate("agents")
            .query::<bool>("delete_work_dir", "Removes its work directory, too, if Skep made it")
            .says(200, "deleted")
            .refuses(&[WorkDirNotOwned, Held]),
        get(
            "/api/workers/{worker_id}/executions",
            executions::list_worker_executions,
        )
        .rate("agents")
        .lists::<executions::ExecutionView>(),
        get("/api/bee", bee::get_bee).answers::<bee::BeeView>(200),
        put("/api/bee", bee::update_bee)
            .takes::<bee::BeeBody>(r#"{"memory": "Answer in one sentence."}"#)
            .answers::<bee::BeeView>(200),
        get("/api/executions", executions::list_executions)
            .query::<ExecutionStatus>("status", "Only those in this state")
            .query::<WorkerId>("worker_id", "Only those of this worker")
            .query::<SessionId>("session_id", "Only those of this chat")
            .query::<Millis>("since", "Only those made at this time or later, Unix milliseconds")
            .query::<Millis>("until", "Only those made before this time, Unix milliseconds")
            .lists::<executions::ExecutionView>(),
        get("/api/executions/{execution_id}", executions::get_execution)
            .answers::<executions::ExecutionView>(200),
        get("/api/executions/{execution_id}/logs", logs::get_log)
            .cookie()
            .query::<bool>("follow", "Keeps the answer open until the execution ends")
            .query::<u64>("offset", "While it runs: begins at this byte")
            .query::<u64>("bytes", "While it runs: at most so many")
            .serves("text/plain; charset=utf-8"),
        get(
            "/api/executions/{execution_id}/logs/pieces",
            log_pieces::list_pieces,
        )
        .query::<u64>("offset", "From the line that holds this byte on")
        .query::<u64>("limit", "At most so many, 1 to 1000")
        .answers::<Vec<log_pieces::PieceView>>(200),
        get(
            "/api/executions/{execution_id}/stream",
            streams::stream_execution,
        )
        .query::<bool>("html", streams::HTML)
        .streams(events::all),
        post(
            "/api/executions/{execution_id}/cancel",
            executions::cancel_execution,
        )
        .scope("chat")
        .says(202, "cancelling")
        .refuses(&[Conflict]),
        post(
            "/api/executions/{execution_id}/retry",
            executions::retry_execution,
        )
        .scope("chat")
        .idempotent(again::<RetryExecution>(executions::retried))
        .answers::<executions::ExecutionView>(202)
        .refuses(&[Conflict, Held]),
        get(
            "/api/sessions/{session_id}/executions",
            executions::list_session_executions,
        )
        .lists::<executions::ExecutionView>(),
        get("/api/local/sessions", sessions::list_sessions).lists::<sessions::SessionView>(),
        post("/api/local/sessions", sessions::create_session)
            .scope("chat")
            .makes("sessions")
            .idempotent(again::<CreateSession>(sessions::created))
            .takes::<sessions::NewSession>(r#"{"name": "My Chat"}"#)
            .answers::<sessions::SessionView>(201),
        get("/api/local/sessions/{session_id}", sessions::get_session)
            .answers::<sessions::SessionView>(200),
        patch("/api/local/sessions/{session_id}", sessions::update_session)
            .scope("chat")
            .takes::<sessions::ChangedSession>(r#"{"name": "Another name", "pinned": true}"#)
            .answers::<sessions::SessionView>(200),
        delete("/api/local/sessions/{session_id}", sessions::delete_session)
            .scope("chat")
            .says(200, "deleted"),
        post(
            "/api/local/sessions/{session_id}/clear",
            sessions::clear_session,
        )
        .scope("chat")
        .answers::<sessions::SessionView>(200),
        get(
            "/api/local/sessions/{session_id}/messages",
            messages::list_messages,
        )
        .query::<bool>("html", "Adds `html` to replies, their sanitised rendering")
        .lists::<messages::MessageView>(),
        post(
            "/api/local/sessions/{session_id}/messages",
            messages::post_message,
        )
        .scope("chat")
        .rate("chat")
        .idempotent(again::<PostMessage>(messages::queued))
        .takes::<messages::NewMessage>(r#"{"content": "Hello, what can you do?"}"#)
        .answers::<messages::QueuedMessage>(202)
        .refuses(&[Conflict, Held]),
        post(
            "/api/local/sessions/{session_id}/media",
            media::upload_media,
        )
        .scope("chat")
        .body_bytes_max(upload_bytes_max)
        .idempotent(again::<KeepUpload>(media::uploaded))
        .takes_file("file")
        .answers::<media::MediaView>(200),
        get(
            "/api/local/sessions/{session_id}/media/{name}",
            media::get_media,
        )
        .cookie()
        .serves("*/*"),
        get(
            "/api/local/sessions/{session_id}/stream",
            streams::stream_session,
        )
        .query::<bool>("html", streams::HTML)
        .streams(events::all),
        get("/api/stream", streams::stream_all)
            .query::<bool>("html", streams::HTML)
            .streams(events::all),
        get("/api/usage", usage::list_usage)
            .query::<usage::By>("by", "By what it is told; by day if it is not said")
            .query::<Millis>("since", "Only from the day on that this time is in, Unix milliseconds; not with `by=model`")
            .query::<Millis>("until", "Only until this time, with all of its day, Unix milliseconds; not with `by=model`")
            .query::<WorkerId>("worker_id", "Only this worker's; with `by=day`")
            .lists::<usage::UsageView>(),
        get("/api/stats/overview", usage::get_overview).answers::<usage::Overview>(200),
        get("/api/agents", agents::list_agents)
            .rate("agents")
            .lists::<agents::AgentView>(),
        post("/api/agents", agents::create_agent)
            .rate("agents")
            .makes("workers")
            .idempotent(again::<CreateAgent>(agents::created))
            .takes::<agents::NewAgent>(
                r#"{"name": "Researcher", "systemPrompt": "You look things up.", "starterPrompts": ["What is new?"]}"#,
            )
            .answers::<agents::AgentView>(201)
            .refuses(&[Conflict]),
        get("/api/agents/{agent_id}", agents::get_agent)
            .rate("agents")
            .answers::<agents::AgentView>(200),
        patch("/api/agents/{agent_id}", agents::update_agent)
            .rate("agents")
            .takes::<agents::AgentBody>(r#"{"description": "Updated description"}"#)
            .answers::<agents::AgentView>(200)
            .refuses(&[Conflict]),
        delete("/api/agents/{agent_id}", agents::delete_agent)
            .rate("agents")
            .says(200, "deleted"),
        post("/api/agents/{agent_id}/duplicate", agents::duplicate_agent)
            .rate("agents")
            .makes("workers")
            .idempotent(again::<CreateAgent>(agents::created))
            .takes_optional::<agents::NewCopy>("{}")
            .answers::<agents::AgentView>(201)
            .refuses(&[Conflict]),
        get("/api/agents/{agent_id}/tools", agents::list_agent_tools)
            .rate("agents")
            .answers::<Vec<agents::ToolView>>(200),
        post("/api/chat", chat::create_chat)
            .scope("chat")
            .rate("chat")
            .idempotent(again::<StartChat>(chat::again))
            .takes::<chat::ChatRequest>(r#"{"message": "Hello, what can you do?"}"#)
            .answers::<chat::AnswerView>(200)
            .streams(chat::events)
            .refuses(&[NotFound, Conflict, Held, TierLimit, UpstreamUnavailable]),
        get("/api/chat/{message_id}/stream", chat::stream_chat)
            .rate("chat")
            .streams(chat::events)
            .empty(204),
        post("/api/chat/{message_id}/cancel", chat::cancel_chat)
            .scope("chat")
            .rate("chat")
            .says(202, "cancelling")
            .refuses(&[Conflict]),
        get("/v1/models", v1::list_models)
            .rate("chat")
            .answers::<v1::ModelList>(200),
        get("/v1/models/{model}", v1::get_model)
            .rate("chat")
            .answers::<v1::Model>(200),
        tools(),
        post("/v1/chat/completions", v1::create_chat_completion)
            .scope("chat")
            .rate("chat")
            .takes::<v1::ChatCompletionRequest>(
                r#"{"model": "bee", "messages": [{"role": "user", "content": "Hello, what can you do?"}]}"#,
            )
            .answers::<v1::ChatCompletion>(200)
            .streams(v1::events)
            .refuses(&[NotFound, Conflict, Held, TierLimit, UpstreamUnavailable]),
        get("/api/memory", memory::list_memory)
            .query::<String>("scope", "Only `global`, `worker:<id>` or `session:<id>`")
            .lists::<memory::MemoryView>(),
        put("/api/memory/{scope}/{key}", memory::set_memory)
            .takes::<memory::NewMemory>(r#"{"value": "Green, without sugar."}"#)
            .answers::<memory::MemoryView>(200)
            .refuses(&[Conflict]),
        delete("/api/memory/{scope}/{key}", memory::delete_memory).says(200, "deleted"),
        get("/api/tasks", tasks::list_tasks).lists::<tasks::TaskView>(),
        post("/api/tasks", tasks::create_task)
            .makes("tasks")
            .idempotent(again::<CreateTask>(tasks::created))
            .takes::<tasks::NewTask>(
                r#"{"instruction": "Summarise what is new", "type": "scheduled", "cron_expr": "0 9 * * 1-5", "timezone": "Europe/Berlin"}"#,
            )
            .answers::<tasks::TaskView>(201)
            .refuses(&[Conflict]),
        post("/api/tasks/preview", tasks::preview_task)
            .takes::<tasks::Previewed>(
                r#"{"cron_expr": "0 9 * * 1-5", "timezone": "Europe/Berlin"}"#,
            )
            .answers::<tasks::Preview>(200),
        get("/api/tasks/{task_id}", tasks::get_task).answers::<tasks::TaskView>(200),
        patch("/api/tasks/{task_id}", tasks::update_task)
            .takes::<tasks::ChangedTask>(r#"{"instruction": "Summarise it in one sentence"}"#)
            .answers::<tasks::TaskView>(200),
        delete("/api/tasks/{task_id}", tasks::delete_task).says(200, "deleted"),
        post("/api/tasks/{task_id}/run", tasks::run_task)
            .idempotent(again::<RunTask>(tasks::started))
            .answers::<tasks::TaskView>(202)
            .refuses(&[Conflict, Held]),
        post("/api/tasks/{task_id}/pause", tasks::pause_task)
            .answers::<tasks::TaskView>(200)
            .refuses(&[Conflict]),
        post("/api/tasks/{task_id}/resume", tasks::resume_task)
            .answers::<tasks::TaskView>(200)
            .refuses(&[Conflict]),
        post("/api/tasks/{task_id}/cancel", tasks::cancel_task)
            .answers::<tasks::TaskView>(200)
            .refuses(&[Conflict]),
        get(
            "/api/executions/{execution_id}/permissions",
            permissions::list_permissions,
        )
        .answers::<Vec<permissions::PermissionView>>(200),
        post(
            "/api/executions/{execution_id}/permissions/{request_id}",
            permissions::answer_permission,
        )
        .idempotent(again::<AnswerPermission>(permissions::answered))
        .takes::<permissions::PermissionAnswerBody>(r#"{"decision": "allow"}"#)
        .answers::<permissions::PermissionView>(200)
        .refuses(&[Conflict]),
        delete(
            "/api/workers/{worker_id}/permissions/{tool}",
            permissions::forget_worker_permission,
        )
        .rate("agents")
        .says(200, "deleted"),
        delete("/api/bee/permissions/{tool}", permissions::forget_bee_permission)
            .says(200, "deleted"),
        get("/api/workers/{worker_id}/engine", engine_options::get_engine_options)
            .rate("agents")
            .answers::<EngineOptions>(200),
        put("/api/workers/{worker_id}/engine", engine_options::set_engine_options)
            .rate("agents")
            .takes::<engine_options::EngineOptionsBody>(
                r#"{"args": ["--verbose"], "secrets": {"API_TOKEN": "my-token"}}"#,
            )
            .answers::<EngineOptions>(200),
        get("/api/search", search::search)
            .needs_query::<String>("q", search::Q, "hello")
            .query::<String>("in", search::IN)
            .pages::<search::SearchView>(200),
    ]
}

/// The tools, for users' clients and for agents.
fn tools() -> Route<App> {
    post("/mcp", mcp::call)
        .scope("read")
        .agents()
        .query::<bool>(
            "ask",
            "Lists the tool by which an engine asks for permission, too",
        )
        .takes::<mcp::RpcRequest>(
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}"#,
        )
        .answers::<mcp::RpcAnswer>(200)
        .empty(202)
}

/// What agents reach at their own door: their tools, counted together with everybody's.
pub fn agents(routes: &[Route<App>]) -> Vec<Route<App>> {
    let mut tools = tools();
    if let Some(same) = routes.iter().find(|route| route.pattern == tools.pattern) {
        tools.metrics = same.metrics.clone();
    }
    vec![tools]
}
