//! The settings that people ask for: where this is, who reaches it, and what it keeps to.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use crate::app::App;
use crate::command::conditional::Resource;
use crate::http::{ApiError, Request, Response};
use crate::store::StoreError;

/// What `skep.toml`, the environment and the command line came to; no secrets.
#[derive(Serialize, JsonSchema)]
pub(super) struct Settings {
    /// The data directory.
    #[schemars(example = &"/home/user/.skep")]
    data_dir: String,
    /// The address that it listens on.
    #[schemars(example = &"127.0.0.1:8080")]
    listen: String,
    /// Where users open the console.
    #[schemars(example = &"http://127.0.0.1:8080")]
    url: String,
    reach: Reach,
    /// The engine of the bee and of workers that name none.
    #[schemars(example = &"auto")]
    default_engine: String,
    /// Executions that run at once.
    max_concurrent_executions: usize,
    /// The time an execution may run, seconds.
    execution_timeout_s: u64,
    /// The size of an execution's log at which it is ended.
    log_bytes_max: u64,
    /// The size of one uploaded file.
    upload_bytes_max: u64,
    /// Whether requests are limited by address and user.
    rate_limited: bool,
    tier: TierView,
    retention: RetentionView,
}

/// Who can reach it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Reach {
    /// Only this machine.
    Loopback,
    /// Other machines, by TLS of its own.
    Tls,
    /// Other machines, by a proxy in front, or by the address that `public_url` names.
    Proxy,
}

/// The tier that the owner set.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tier")]
struct TierView {
    #[schemars(example = &"unlimited")]
    name: String,
    resources: Vec<ResourceView>,
    /// What it includes; `null` is everything.
    features: Option<Vec<String>>,
}

/// How many there are of something.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TierResource")]
struct ResourceView {
    /// Of what: `workers`, `sessions`, `tokens` or `tasks`.
    #[schemars(example = &"workers")]
    name: &'static str,
    current: u64,
    /// How many there may be; `null` is any number.
    limit: Option<u64>,
}

/// What is kept for how long; `null` is for ever, or any size.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RetentionSettings")]
struct RetentionView {
    /// As in the settings: `90d`.
    executions_age: Option<String>,
    logs_age: Option<String>,
    logs_bytes: Option<u64>,
    uploads_age: Option<String>,
    uploads_bytes: Option<u64>,
}

/// `GET /api/settings` -- what this server runs with.
pub async fn get_settings(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let config = &app.config;
    let resources = app.store.read(|tx| {
        let view = |resource: Resource| {
            Ok::<_, StoreError>(ResourceView {
                name: resource.as_str(),
                current: resource.count(tx)?,
                limit: config.tier.limits.get(resource.as_str()).copied(),
            })
        };
        Resource::ALL.into_iter().map(view).collect()
    });
    let retention = &config.retention;
    let age = |age: crate::config::Age| age.in_words().map(|_| age.to_string());
    let bytes = |bytes: u64| (bytes > 0).then_some(bytes);
    let reach = if config.tls_cert.is_some() {
        Reach::Tls
    } else if config.behind_proxy || config.public_url.is_some() {
        Reach::Proxy
    } else {
        Reach::Loopback
    };
    Ok(Response::ok(&Settings {
        data_dir: app.data.root().to_string_lossy().into_owned(),
        listen: app.address.to_string(),
        url: app.public_url.clone(),
        reach,
        default_engine: config.default_engine.clone(),
        max_concurrent_executions: config.max_concurrent_executions,
        execution_timeout_s: config.execution_timeout_s,
        log_bytes_max: config.log_bytes_max,
        upload_bytes_max: config.upload_bytes_max,
        rate_limited: config.rate_limit.enabled,
        tier: TierView {
            name: config.tier.name.clone(),
            resources: resources?,
            features: config.tier.features.clone(),
        },
        retention: RetentionView {
            executions_age: age(retention.executions_age),
            logs_age: age(retention.logs_age),
            logs_bytes: bytes(retention.logs_bytes),
            uploads_age: age(retention.uploads_age),
            uploads_bytes: bytes(retention.uploads_bytes),
        },
    }))
}
