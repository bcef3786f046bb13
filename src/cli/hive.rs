//! The hive that a subcommand works on: through its server when one runs, else opened directly.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::system_clock;
use crate::backup::BackupError;
use crate::command::Submit;
use crate::config::{Config, ConfigError, data_dir};
use crate::data_dir::{DataDir, DataDirError};
use crate::disk::Disk;
use crate::http::CancellationToken;
use crate::journal::{Journal, SubmitError, materialise};
use crate::retention::{self, Keeper, Report};
use crate::run::{Control, pace, writer_limits};
use crate::store::Store;

use super::control::{self, ControlError};

/// How long a server that is starting or stopping is waited for.
const BETWEEN_STATES: Duration = Duration::from_secs(10);
/// How often is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Why a subcommand could not do its work; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum HiveError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing to work on.
    #[error(
        "there is no hive in {}; say where it is with --data, or start `skep` once to make one",
        .0.display()
    )]
    Missing(PathBuf),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The journal or the tables cannot be brought up.
    #[error("{0}; `skep verify` says more")]
    Open(#[from] materialise::Error),
    /// The change could not be made.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The server said no, or nothing.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A backup could not be written, read or unpacked.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// What is due could not be removed.
    #[error(transparent)]
    Retention(#[from] retention::Error),
    /// A copy does nothing by itself.
    #[error("this is a copy of another hive: start it and confirm it first")]
    Held,
    /// Something is damaged; what and where was said before.
    #[error("{0}")]
    Damaged(&'static str),
    /// The system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A hive, one way or the other.
pub enum Hive {
    /// A server has it.
    Running(Control),
    /// Nobody has it but us.
    Stopped(Box<Stopped>),
}

/// A hive without a server. Everything that was changed is on disk; [`Stopped::close`] ends in peace.
pub struct Stopped {
    data: DataDir,
    journal: Journal,
    store: Arc<Store>,
    config: Config,
    runtime: tokio::runtime::Runtime,
}

impl Hive {
    /// Finds out who has the data directory. A server that is just starting or stopping is waited for.
    pub fn open(data: Option<PathBuf>) -> Result<Self, HiveError> {
        let root = existing(data)?;
        let deadline = Instant::now() + BETWEEN_STATES;
        loop {
            match DataDir::open(&root) {
                Ok(data) => {
                    return Stopped::open(data).map(|stopped| Self::Stopped(stopped.into()));
                }
                Err(error @ DataDirError::InUse { .. }) => {
                    if let Some(control) = control::read(&root) {
                        return Ok(Self::Running(control));
                    }
                    if Instant::now() >= deadline {
                        return Err(error.into());
                    }
                    std::thread::sleep(LOOK_INTERVAL);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The server that has the data directory. One that is just starting is not waited for.
pub fn running(data: Option<PathBuf>) -> Result<Control, HiveError> {
    let root = existing(data)?;
    let stopped = || {
        let message = "the server does not run; start it with `skep`, then try again";
        HiveError::Io(std::io::Error::other(message))
    };
    match DataDir::open(&root) {
        Ok(_) => Err(stopped()),
        Err(DataDirError::InUse { .. }) => control::read(&root).ok_or_else(stopped),
        Err(error) => Err(error.into()),
    }
}

impl Stopped {
    fn open(data: DataDir) -> Result<Self, HiveError> {
        let config = Config::load(data.root(), |name| std::env::var_os(name), &[])?;
        let disk = Disk::real();
        let opened =
            materialise::open(&disk, &data, config.limits.redb_cache_bytes, system_clock())?;
        let store = opened.store.clone();
        let journal = Journal::start(
            opened,
            disk,
            &data,
            writer_limits(&config),
            system_clock,
            Arc::new(|_| {}),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self {
            data,
            journal,
            store,
            config,
            runtime,
        })
    }

    /// Makes a change; on disk when this returns.
    pub fn submit<C: Submit>(&self, change: C) -> Result<C::Outcome, HiveError> {
        Ok(self.runtime.block_on(self.journal.submit(change))?)
    }

    /// Removes what is kept no longer, or tells what that is. A copy that nobody confirmed is left alone.
    pub fn retain(&self, dry_run: bool) -> Result<Report, HiveError> {
        if self.data.is_copy() && !dry_run {
            return Err(HiveError::Held);
        }
        let closing = CancellationToken::new();
        Ok(self
            .runtime
            .block_on(self.keeper().pass(dry_run, &closing))?)
    }

    fn keeper(&self) -> Arc<Keeper> {
        Arc::new(Keeper::new(
            self.store.clone(),
            self.journal.clone(),
            self.data.root(),
            self.config.retention.clone(),
            pace(&self.config),
            system_clock,
        ))
    }

    /// Removes from disk what was deleted.
    pub fn purge(&self) -> Result<(), HiveError> {
        let closing = CancellationToken::new();
        self.runtime.block_on(self.keeper().forget(&closing))?;
        self.runtime.block_on(self.journal.purge())?;
        // Its terms are of what was deleted, too; the next start makes it anew.
        match std::fs::remove_dir_all(self.data.search()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes the tables durable and closes the journal.
    pub fn close(self) {
        self.runtime.block_on(self.journal.close());
    }
}

/// The data directory that was asked for, which must hold a hive already.
pub fn existing(data: Option<PathBuf>) -> Result<PathBuf, HiveError> {
    let root = data_dir(data, |name| std::env::var_os(name))?;
    match is_hive(&root) {
        true => Ok(root),
        false => Err(HiveError::Missing(root)),
    }
}

/// Whether there is a hive in this directory.
pub fn is_hive(root: &Path) -> bool {
    root.join("journal").is_dir() || root.join("snapshots").is_dir()
}
