//! Removing what is old or too much, now.

use std::sync::Arc;

use super::caller::require;
use super::error::held;
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::retention::Error;

/// `POST /api/retention` -- removes what `[retention]` keeps no longer, without waiting for the next time.
pub async fn keep(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let dry_run = req.query::<bool>("dry_run")?.unwrap_or(false);
    if app.is_held() && !dry_run {
        return Err(held());
    }
    let done = app.keeper.pass(dry_run, req.closing()).await;
    match done {
        Ok(report) => Ok(Response::ok(&report)),
        Err(Error::BackupRuns) => Err(ApiError::conflict(
            "A backup is being taken, or something is being removed already; try again later",
        )),
        Err(Error::Store(error)) => Err(error.into()),
        Err(Error::Submit(error)) => Err(error.into()),
        Err(Error::Io(error)) => Err(ApiError::internal(error)),
    }
}
