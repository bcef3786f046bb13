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
    Ok(Response::ok(&done.map_err(refused)?))
}

/// Why nothing was removed, or no more.
pub(super) fn refused(error: Error) -> ApiError {
    match error {
        Error::BackupRuns => ApiError::conflict(
            "A backup is being taken, or something is being removed already; try again later",
        ),
        Error::Store(error) => error.into(),
        Error::Submit(error) => error.into(),
        Error::Io(error) => ApiError::internal(error),
    }
}
