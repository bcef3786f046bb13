//! How the server is: for service managers, load balancers and whoever draws curves of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HOST, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::app::{App, sha256};
use crate::http::{ApiError, ErrorCode, Request, Response};
use crate::journal::{FREE_BYTES_MIN, Health};
use crate::metrics::text::{CONTENT_TYPE as METRICS_TYPE, Text};
use crate::metrics::{PANICS, Process};
use crate::model::ExecutionStatus;
use crate::store::executions;

/// Whether the server is of use.
#[derive(Serialize, JsonSchema)]
pub(super) struct Readiness {
    status: ReadyWord,
    /// Whether this is a copy that waits for its confirmation.
    held: bool,
    /// What is in the way: of the first part that has something.
    reason: Option<&'static str>,
    parts: Vec<ReadyPart>,
}

#[derive(Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ReadyWord {
    Ready,
    /// It reads, writes and shows, and runs nothing.
    Held,
    /// No change is taken until there is space.
    StorageFull,
    /// No change is taken: the disk failed.
    ReadOnly,
    /// The tables cannot be read.
    TablesFailed,
}

/// One part of the server, and why it does not work if it does not.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct ReadyPart {
    name: &'static str,
    ok: bool,
    reason: Option<&'static str>,
}

/// `GET /healthz` -- the process answers.
pub async fn get_health(_app: Arc<App>, _req: Request) -> Result<Response, ApiError> {
    Ok(Response::ok(&json!({ "status": "ok" })))
}

/// `GET /readyz` -- whether changes are taken, part by part, and whether this is a copy that waits for its
/// confirmation.
pub async fn get_readiness(app: Arc<App>, _req: Request) -> Result<Response, ApiError> {
    let health = app.journal.health().borrow().clone();
    let part = |name, reason: Option<&'static str>| ReadyPart {
        name,
        ok: reason.is_none(),
        reason,
    };
    let journal = match &health {
        Health::Good => None,
        Health::StorageFull => Some("the disk is full; freeing space is enough"),
        Health::ReadOnly(_) => Some("the disk failed to keep a change; the log says more"),
    };
    let tables = app.store.read(executions::queue_length).err();
    let free = free_bytes(&app).unwrap_or(u64::MAX);
    let held = app.is_held();
    let parts = [
        part("journal", journal),
        part(
            "tables",
            tables.is_some().then_some("the tables cannot be read"),
        ),
        part(
            "disk",
            (free < FREE_BYTES_MIN).then_some("there is less room than a change needs"),
        ),
        part(
            "queue",
            held.then_some("this is a copy of another hive; its queue waits for POST /api/resume"),
        ),
    ];
    let word = match health {
        Health::ReadOnly(_) => ReadyWord::ReadOnly,
        Health::StorageFull => ReadyWord::StorageFull,
        Health::Good if free < FREE_BYTES_MIN => ReadyWord::StorageFull,
        Health::Good if tables.is_some() => ReadyWord::TablesFailed,
        Health::Good if held => ReadyWord::Held,
        Health::Good => ReadyWord::Ready,
    };
    // A held copy answers and takes changes; what is due waits for a person, not for a load balancer.
    let status = match word {
        ReadyWord::Ready | ReadyWord::Held => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let readiness = Readiness {
        status: word,
        held,
        reason: parts.iter().find_map(|part| part.reason),
        parts: parts.into(),
    };
    Ok(Response::json(status, &readiness))
}

/// `GET /metrics` -- everything that is counted, for Prometheus. Asked with the token of its own, or from this machine
/// without a proxy between.
pub async fn get_metrics(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    may_read_metrics(&app, &req)?;
    let text = tokio::task::spawn_blocking(move || metrics(&app))
        .await
        .map_err(ApiError::internal)??;
    let mut response = Response::new(StatusCode::OK)
        .with_header(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.set_body(text.into());
    Ok(response)
}

fn may_read_metrics(app: &App, req: &Request) -> Result<(), ApiError> {
    if let Some(expected) = &app.config.metrics_token {
        let token = req.header(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        return match token {
            None => Err(ApiError::missing_token()),
            Some(token) if sha256(token).ct_eq(&sha256(expected.reveal())).into() => Ok(()),
            Some(_) => Err(ApiError::invalid_token()),
        };
    }
    let through_proxy = app.config.behind_proxy
        || !app.config.trusted_proxies.is_empty()
        || req.headers().contains_key(FORWARDED)
        || ["x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"]
            .iter()
            .any(|name| req.headers().contains_key(*name));
    match is_loopback(req.peer()) && !through_proxy && names_loopback(req) {
        true => Ok(()),
        false => Err(ApiError::new(
            ErrorCode::Forbidden,
            "Metrics are for this machine; set metrics_token to read them from elsewhere or through a proxy",
        )),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether the request was addressed to this machine as such, and not to a public name that a proxy passes on.
fn names_loopback(req: &Request) -> bool {
    let authority = req.uri().authority().map(|authority| authority.as_str());
    let Some(host) = authority.or_else(|| req.header(HOST)) else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(is_loopback)
        || name.trim_matches(['[', ']']).parse().is_ok_and(is_loopback)
}

fn free_bytes(app: &App) -> Option<u64> {
    let stat = rustix::fs::statvfs(app.data.root()).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn metrics(app: &App) -> Result<String, ApiError> {
    let mut text = Text::default();
    text.family("skep_build_info", "gauge", "The version that runs.");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.sample("skep_build_info", &version, 1.0);
    app.metrics.requests.write(&mut text);
    let connections = app.metrics.connections.load(Ordering::Relaxed);
    let help = "Connections that are open.";
    text.gauge("skep_http_connections", help, connections as f64);
    let streams = app.config.limits.streams_max - app.streams.available_permits();
    let help = "Event streams that are open.";
    text.gauge("skep_streams", help, streams as f64);
    app.journal.metrics().write(&mut text);
    let (pending, running) = app.store.read(|tx| {
        Ok::<_, crate::store::StoreError>((
            executions::queue_length(tx)?,
            executions::count_running(tx)?,
        ))
    })?;
    let name = "skep_executions";
    text.family(name, "gauge", "Executions that wait or run.");
    for (state, count) in [("pending", pending), ("running", running)] {
        text.sample(name, &[("state", state)], count as f64);
    }
    let name = "skep_executions_ended_total";
    text.family(name, "counter", "Executions that ended.");
    for (status, count) in ENDED.iter().zip(&app.metrics.ended) {
        text.sample(name, &[("status", status.1)], count.get() as f64);
    }
    let panics = PANICS.load(Ordering::Relaxed) as f64;
    text.counter("skep_panics_total", "Faults that were caught.", panics);
    if let Some(free) = free_bytes(app) {
        let help = "Room on the disk of the data directory.";
        text.gauge("skep_disk_free_bytes", help, free as f64);
    }
    snapshots(app, &mut text);
    let ready = *app.journal.health().borrow() == Health::Good;
    let help = "Whether changes are taken.";
    text.gauge("skep_ready", help, f64::from(u8::from(ready)));
    Process::look().write(&mut text);
    Ok(text.into_string())
}

/// How an execution can end, in the order in which it is counted.
pub const ENDED: [(ExecutionStatus, &str); 3] = [
    (ExecutionStatus::Completed, "completed"),
    (ExecutionStatus::Failed, "failed"),
    (ExecutionStatus::Cancelled, "cancelled"),
];

/// The snapshots that are there: two, usually.
fn snapshots(app: &App, text: &mut Text) {
    // Before the first one there is no directory, either.
    let entries = std::fs::read_dir(app.data.snapshots());
    let metadata = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "snap"))
        .filter_map(|entry| entry.metadata().ok());
    let made: Vec<_> = metadata
        .filter_map(|metadata| {
            let age = metadata.modified().ok()?;
            age.duration_since(std::time::UNIX_EPOCH).ok()
        })
        .collect();
    text.gauge("skep_snapshots", "Snapshots on disk.", made.len() as f64);
    if let Some(newest) = made.iter().max() {
        let name = "skep_snapshot_newest_timestamp_seconds";
        let help = "When the newest snapshot was made, in seconds since 1970.";
        text.gauge(name, help, newest.as_secs_f64());
    }
}
