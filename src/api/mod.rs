//! The endpoints, one file per resource; [`routes`] is the whole API on one page.
//!
//! Owns what clients send and see. Must never know bytes of the store or of the journal: a stored record never goes on
//! the wire, and a request body never goes in a table. Start reading at [`routes`], then at any handler: who, what,
//! allowed, do, answer.

mod auth;
mod backup;
mod bee;
mod caller;
mod error;
mod executions;
mod logs;
mod media;
mod messages;
mod page;
mod sessions;
mod streams;
mod system;
mod tokens;
mod work_dir;
mod workers;

use crate::app::App;
use crate::http::{Route, delete, get, patch, post, put};

pub use caller::Caller;
pub use tokens::{NewApiKeyError, new_api_key};

/// Paths that never fall back to the console.
pub const RESERVED: &[&str] = &["/api", "/v1", "/mcp", "/metrics", "/healthz", "/readyz"];

/// Every route there is.
pub fn routes(upload_bytes_max: u64) -> Vec<Route<App>> {
    vec![
        get("/healthz", system::get_health).public().unlimited(),
        get("/readyz", system::get_readiness).public().unlimited(),
        get("/api/version", system::get_version),
        get("/api/engines", system::list_engines),
        post("/api/resume", system::resume),
        post("/api/purge", system::purge),
        get("/api/backup", backup::get_backup).scope("admin"),
        post("/api/auth/login", auth::log_in).public().rate("auth"),
        post("/api/auth/refresh", auth::refresh)
            .public()
            .rate("auth"),
        post("/api/auth/redeem", auth::redeem).public().rate("auth"),
        post("/api/auth/logout", auth::log_out)
            .public()
            .rate("auth"),
        get("/api/me", auth::get_me),
        post("/api/me/password", auth::change_password).rate("auth"),
        get("/api/tokens", tokens::list_tokens).scope("admin"),
        post("/api/tokens", tokens::create_token).idempotent(),
        delete("/api/tokens/{token_id}", tokens::delete_token),
        get("/api/workers", workers::list_workers).rate("agents"),
        post("/api/workers", workers::create_worker)
            .rate("agents")
            .idempotent(),
        get("/api/workers/{worker_id}", workers::get_worker).rate("agents"),
        put("/api/workers/{worker_id}", workers::update_worker).rate("agents"),
        delete("/api/workers/{worker_id}", workers::delete_worker).rate("agents"),
        get(
            "/api/workers/{worker_id}/executions",
            executions::list_worker_executions,
        )
        .rate("agents"),
        get("/api/bee", bee::get_bee),
        put("/api/bee", bee::update_bee),
        get("/api/executions", executions::list_executions),
        get("/api/executions/{execution_id}", executions::get_execution),
        get("/api/executions/{execution_id}/logs", logs::get_log).cookie(),
        get(
            "/api/executions/{execution_id}/stream",
            streams::stream_execution,
        ),
        post(
            "/api/executions/{execution_id}/cancel",
            executions::cancel_execution,
        )
        .scope("chat"),
        post(
            "/api/executions/{execution_id}/retry",
            executions::retry_execution,
        )
        .scope("chat")
        .idempotent(),
        get(
            "/api/sessions/{session_id}/executions",
            executions::list_session_executions,
        ),
        get("/api/local/sessions", sessions::list_sessions),
        post("/api/local/sessions", sessions::create_session)
            .scope("chat")
            .idempotent(),
        get("/api/local/sessions/{session_id}", sessions::get_session),
        patch("/api/local/sessions/{session_id}", sessions::update_session).scope("chat"),
        delete("/api/local/sessions/{session_id}", sessions::delete_session).scope("chat"),
        post(
            "/api/local/sessions/{session_id}/clear",
            sessions::clear_session,
        )
        .scope("chat"),
        get(
            "/api/local/sessions/{session_id}/messages",
            messages::list_messages,
        ),
        post(
            "/api/local/sessions/{session_id}/messages",
            messages::post_message,
        )
        .scope("chat")
        .rate("chat")
        .idempotent(),
        post(
            "/api/local/sessions/{session_id}/media",
            media::upload_media,
        )
        .scope("chat")
        .body_bytes_max(upload_bytes_max),
        get(
            "/api/local/sessions/{session_id}/media/{name}",
            media::get_media,
        )
        .cookie(),
        get(
            "/api/local/sessions/{session_id}/stream",
            streams::stream_session,
        ),
        get("/api/stream", streams::stream_all),
    ]
}
