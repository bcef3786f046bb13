//! The log of an execution: immutable once it is final, followed while it runs.

use std::io;
use std::sync::Arc;

use futures_util::stream;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use jiff::Timestamp;

use super::caller::require;
use super::error::shutting_down;
use super::executions::find;
use crate::app::App;
use crate::config::Age;
use crate::execution_log::{LogFollower, LogReader};
use crate::feed::Feed;
use crate::http::{ApiError, Body, ErrorCode, FileAnswer, Request, Response};
use crate::model::{Execution, ExecutionId, Millis};
use crate::store::events::Scope;
use crate::store::pruned;

const TEXT: &str = "text/plain; charset=utf-8";

/// `GET /api/executions/{execution_id}/logs` -- what the engine printed, byte for byte. `?follow=true` goes on until it ends.
///
/// While it runs, `?offset=` and `?bytes=` are what a range is once it is final: whoever lost the connection goes on where
/// it was.
pub async fn get_log(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    let caller = require(&req)?;
    let follow = req.query::<bool>("follow")?.unwrap_or(false);
    let (offset, bytes) = (req.query::<u64>("offset")?, req.query::<u64>("bytes")?);
    let offset = offset.unwrap_or(0);
    let mut execution = find(&app, req.path("execution_id")?)?;
    if !execution.status.is_final() {
        if !follow {
            return so_far(&app, &execution, offset, bytes.unwrap_or(u64::MAX));
        }
        match started(&app, &req, execution.id, offset).await? {
            Started::Follows(follower) => return Ok(following(follower, caller.over(app))),
            Started::Ended(ended) => execution = *ended,
        }
    }
    if let Some(at) = app.store.read(|tx| pruned::log(tx, execution.id))? {
        return Err(removed(execution.completed_at.unwrap_or(at), at));
    }
    let path = app.log_path(&execution.log_path());
    let Ok(reader) = LogReader::open(&path) else {
        // It was cancelled in the queue, or could not start: it printed nothing.
        return Ok(
            Response::text("").with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        );
    };
    let length = reader.len().map_err(ApiError::internal)?;
    let name = format!("{}.log", execution.id);
    let ended = execution.completed_at.and_then(|at| i64::try_from(at).ok());
    let answer = FileAnswer::new(reader.into_file(), length, TEXT)
        .etag(&format!("{}-{length}", execution.id))
        .cache_control("public, max-age=3600, immutable")
        .inline(&name);
    let answer = match ended.and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        Some(at) => answer.modified(at),
        None => answer,
    };
    answer.answer(&req)
}

fn removed(ended: Millis, at: Millis) -> ApiError {
    let age = Age::between(ended, at).in_words().unwrap_or_default();
    ApiError::new(
        ErrorCode::NotFound,
        format!("The log was removed after {age}"),
    )
}

fn so_far(app: &App, execution: &Execution, offset: u64, bytes: u64) -> Result<Response, ApiError> {
    let Ok(reader) = LogReader::open(&app.log_path(&execution.log_path())) else {
        return Ok(
            Response::text("").with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        );
    };
    let length = reader.len().map_err(ApiError::internal)?;
    let mut response =
        Response::text("").with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let begin = offset.min(length);
    let bytes = bytes.min(length - begin);
    response.set_body(Body::file(reader.into_file(), begin, bytes));
    Ok(response.uncompressed())
}

enum Started {
    Follows(LogFollower),
    Ended(Box<Execution>),
}

/// Waits until the execution runs, which gives a log to follow, or has ended without.
async fn started(
    app: &Arc<App>,
    req: &Request,
    id: ExecutionId,
    offset: u64,
) -> Result<Started, ApiError> {
    let mut subscription = Feed::subscribe(&app.feed, Scope::Execution(id));
    loop {
        if let Some(length) = app.supervisor.log_length(id)
            && let Ok(reader) = LogReader::open(&app.log_path(&find(app, id)?.log_path()))
        {
            return Ok(Started::Follows(reader.follow(offset, length)));
        }
        let execution = find(app, id)?;
        if execution.status.is_final() {
            return Ok(Started::Ended(Box::new(execution)));
        }
        tokio::select! {
            () = subscription.woken() => {}
            () = req.closing().cancelled() => return Err(shutting_down()),
        }
    }
}

/// Ends early, and not as if this were all, when the caller may not be answered any longer.
fn following(follower: LogFollower, over: impl Future<Output = ()> + Send + 'static) -> Response {
    let bytes = stream::unfold(
        (follower, Some(Box::pin(over))),
        |(mut follower, over)| async move {
            let mut over = over?;
            tokio::select! {
                next = follower.next() => Some((next.transpose()?, (follower, Some(over)))),
                () = &mut over => {
                    let ended = io::Error::other("the token is over");
                    Some((Err(ended), (follower, None)))
                }
            }
        },
    );
    Response::stream(TEXT, bytes).with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}
