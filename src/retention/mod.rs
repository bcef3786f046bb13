//! What is removed because it is old or there is too much of it: `[retention]`.
//!
//! Owns when that happens and how much goes at once. Must never know HTTP. The tables say first that something is gone,
//! by a command, and only then its file is removed: what a crash leaves in between, the next pass finds, since nothing in
//! the tables has it. Start reading at [`Keeper::pass`].

mod files;
mod plan;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio_util::sync::CancellationToken;

use crate::command::{PruneExecutions, PruneLogs, PruneUploads};
use crate::config::Retention;
use crate::journal::{Journal, SubmitError};
use crate::model::Millis;
use crate::store::{Store, StoreError};
use plan::Plan;

/// Executions that go in one command: each may have many events, and others wait meanwhile.
const EXECUTIONS_AT_ONCE: usize = 32;
/// Logs or uploads that go in one command.
const FILES_AT_ONCE: usize = 256;
/// How long nothing came into an empty directory or left it before it is removed.
const EMPTY_GRACE_MS: Millis = 3_600_000;
/// The pause before a pass goes on with what the last one left.
const GOES_ON_AFTER: Duration = Duration::from_secs(1);

/// Why a pass ended early. What it had done is done; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A command could not be stored.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The files cannot be listed or removed.
    #[error("the files could not be listed or removed: {0}")]
    Io(#[from] io::Error),
    /// A backup is being taken, and whatever its journal speaks of must stay until it has it.
    #[error("a backup is being taken; nothing is removed meanwhile")]
    BackupRuns,
}

/// What went, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Executions.
    pub executions: Sum,
    /// Logs, also those of the executions.
    pub logs: Sum,
    /// Uploads.
    pub uploads: Sum,
    /// Files that belonged to nothing any more.
    pub orphans: Sum,
}

/// How many, how large and how old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// When the oldest was made or ended.
    pub oldest: Option<Millis>,
    /// When the newest was made or ended.
    pub newest: Option<Millis>,
}

impl Sum {
    fn add(&mut self, at: Millis, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
    }
}

/// What a pass did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Retention")]
pub struct Report {
    /// What went, or would.
    #[serde(flatten)]
    pub removed: Removed,
    /// Whether that was all that is due; a pass removes a bounded number.
    pub complete: bool,
    /// Whether nothing was removed, because only that was asked.
    pub dry_run: bool,
}

/// How often is looked, and how much goes at once.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The time after the start.
    pub after_start: Duration,
    /// The time between two looks.
    pub interval: Duration,
    /// What goes at once, of each kind.
    pub removed_max: usize,
}

/// The one who removes.
pub struct Keeper {
    store: Arc<Store>,
    journal: Journal,
    root: std::path::PathBuf,
    retention: Retention,
    pace: Pace,
    clock: fn() -> Millis,
    /// Held by a pass alone, and by backups together.
    files: Arc<RwLock<()>>,
}

impl Keeper {
    /// Of the hive in the directory `root`.
    pub fn new(
        store: Arc<Store>,
        journal: Journal,
        root: &std::path::Path,
        retention: Retention,
        pace: Pace,
        clock: fn() -> Millis,
    ) -> Self {
        Self {
            store,
            journal,
            root: root.to_owned(),
            retention,
            pace,
            clock,
            files: Arc::default(),
        }
    }

    /// While this is held no file goes.
    pub async fn keep_files(&self) -> OwnedRwLockReadGuard<()> {
        self.files.clone().read_owned().await
    }

    /// Looks after it until `closing`, unless nothing is ever removed. Whoever is held waits.
    pub async fn run(self: Arc<Self>, is_held: impl Fn() -> bool, closing: CancellationToken) {
        if !self.retention.is_on() {
            return;
        }
        let mut pause = self.pace.after_start;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = closing.cancelled() => return,
            }
            pause = self.pace.interval;
            if is_held() {
                continue;
            }
            match self.pass(false, &closing).await {
                Ok(report) if report.complete => {}
                Ok(_) => pause = pause.min(GOES_ON_AFTER),
                Err(error @ Error::BackupRuns) => tracing::info!(%error),
                Err(error) => {
                    tracing::warn!(%error, "what is due to be removed could not be; it is tried again");
                }
            }
        }
    }

    /// Removes what is due, or tells what would be. It ends early, between two steps, when `closing` is cancelled.
    pub async fn pass(
        self: &Arc<Self>,
        dry_run: bool,
        closing: &CancellationToken,
    ) -> Result<Report, Error> {
        let _alone = match dry_run {
            true => None,
            false => {
                let alone = self.files.clone().try_write_owned();
                Some(alone.map_err(|_| Error::BackupRuns)?)
            }
        };
        let now = (self.clock)();
        let keeper = self.clone();
        let plan = blocking(move || keeper.plan(now)).await?;
        let report = Report {
            removed: plan.removed.clone(),
            complete: plan.is_complete,
            dry_run,
        };
        if dry_run {
            return Ok(report);
        }
        for ids in plan.executions.chunks(EXECUTIONS_AT_ONCE) {
            if closing.is_cancelled() {
                break;
            }
            let ids = ids.to_vec();
            self.journal.submit(PruneExecutions { ids }).await?;
        }
        for ids in plan.logs.chunks(FILES_AT_ONCE) {
            let ids = ids.to_vec();
            self.journal.submit(PruneLogs { ids, at: now }).await?;
        }
        for files in plan.uploads.chunks(FILES_AT_ONCE) {
            let files = files.to_vec();
            self.journal.submit(PruneUploads { files, at: now }).await?;
        }
        let (keeper, closing) = (self.clone(), closing.clone());
        blocking(move || keeper.remove_files(&plan, &closing)).await?;
        let Removed {
            executions,
            logs,
            uploads,
            orphans,
        } = &report.removed;
        tracing::info!(
            executions = executions.count,
            logs = logs.count,
            uploads = uploads.count,
            orphans = orphans.count,
            bytes = logs.bytes + uploads.bytes + orphans.bytes,
            complete = report.complete,
            "what is kept no longer was removed"
        );
        Ok(report)
    }

    /// Removes the executions of chats that were deleted, with their logs: what was said there is in both. Then the files
    /// that belong to nothing any more.
    pub async fn forget(self: &Arc<Self>, closing: &CancellationToken) -> Result<(), Error> {
        let alone = self.files.clone().try_write_owned();
        let _alone = alone.map_err(|_| Error::BackupRuns)?;
        let mut walk = Some(None);
        while let Some(after) = walk {
            let keeper = self.clone();
            let (ids, next) =
                blocking(move || Ok(plan::of_deleted_chats(&keeper.store, after)?)).await?;
            for ids in ids.chunks(EXECUTIONS_AT_ONCE) {
                let ids = ids.to_vec();
                self.journal.submit(PruneExecutions { ids }).await?;
            }
            walk = next.map(Some);
        }
        let (keeper, closing) = (self.clone(), closing.clone());
        blocking(move || {
            let orphans = plan::orphans(&keeper.store, &keeper.root)?;
            keeper.remove_files(&orphans, &closing)
        })
        .await
    }

    fn plan(&self, now: Millis) -> Result<Plan, Error> {
        let max = self.pace.removed_max;
        plan::plan(&self.store, &self.root, &self.retention, now, max)
    }

    /// Removes those files of a plan that nothing in the tables has any more: a command may have left some alone.
    fn remove_files(&self, plan: &Plan, closing: &CancellationToken) -> Result<(), Error> {
        for (id, file) in &plan.log_files {
            if closing.is_cancelled() {
                return Ok(());
            }
            if plan::is_log_gone(&self.store, *id)? {
                // First, so that a crash leaves what the next pass looks for.
                let index = plan::index_of(file);
                files::remove(&self.root, "logs", &index)?;
                files::remove(&self.root, "logs", file)?;
            }
        }
        for (session, file) in &plan.upload_files {
            if closing.is_cancelled() {
                return Ok(());
            }
            if plan::is_upload_gone(&self.store, *session, &file.name)? {
                files::remove(&self.root, "uploads", file)?;
            }
        }
        let settled = (self.clock)().saturating_sub(EMPTY_GRACE_MS);
        for part in ["logs", "uploads"] {
            files::remove_empty(&self.root, part, settled)?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)?
}
