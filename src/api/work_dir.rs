//! Work directories: which ones a worker may have, and which ones Skep may remove.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::app::App;
use crate::data_dir::make_dir;
use crate::http::{ApiError, ErrorCode};
use crate::model::limits::PATH_BYTES_MAX;
use crate::model::{Invalid, WorkDir, Worker, WorkerId};
use crate::store::{StoreError, workers};

/// The directory of a worker as the client wants it, made if it is not there; `""` is Skep's own choice.
pub fn prepare(app: &App, id: WorkerId, wanted: &str) -> Result<WorkDir, ApiError> {
    if wanted.is_empty() {
        make_dir(&app.data.work_dir(id, &WorkDir::Own))?;
        return Ok(WorkDir::Own);
    }
    let path = checked(app, wanted)?;
    let created = create(&path)?;
    // Whatever a link on the way led to is judged once more, now that everything exists.
    if let Err(fault) = check_place(app, &resolved(&path)) {
        if created.is_some() {
            let _ = fs::remove_dir(&path);
        }
        return Err(fault.into());
    }
    Ok(WorkDir::Given {
        path: path.to_string_lossy().into_owned(),
        created,
    })
}

/// Takes back what [`prepare`] made, if it is still empty.
pub fn undo(app: &App, id: WorkerId, work_dir: &WorkDir) {
    match work_dir {
        WorkDir::Own
        | WorkDir::Given {
            created: Some(_), ..
        } => {
            let _ = fs::remove_dir(app.data.work_dir(id, work_dir));
        }
        WorkDir::Given { created: None, .. } => {}
    }
}

/// Whether Skep may remove a worker's directory: it made it, it is still the same one, and nobody else works there.
pub fn check_owned(app: &App, worker: &Worker) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        Err(ApiError::new(
            ErrorCode::WorkDirNotOwned,
            format!("The work directory is not removed, and neither is the worker: {why}"),
        ))
    };
    let path = app.data.work_dir(worker.id, &worker.work_dir);
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ApiError::internal(error)),
    };
    if !metadata.is_dir() {
        return refuse("it is a link or a file");
    }
    match &worker.work_dir {
        WorkDir::Own => {}
        WorkDir::Given {
            created: Some(inode),
            ..
        } if *inode == metadata.ino() => {}
        WorkDir::Given { .. } => return refuse("Skep did not make it"),
    }
    let path = resolved(&path);
    let is_shared = app.store.read(|tx| {
        let others = workers::list(tx, None, usize::MAX)?.rows;
        Ok::<_, StoreError>(others.iter().any(|other| {
            other.id != worker.id
                && resolved(&app.data.work_dir(other.id, &other.work_dir)).starts_with(&path)
        }))
    })?;
    if is_shared {
        refuse("another worker works there")
    } else {
        Ok(())
    }
}

fn checked(app: &App, wanted: &str) -> Result<PathBuf, ApiError> {
    let path = Path::new(wanted);
    if wanted.len() > PATH_BYTES_MAX || wanted.contains('\0') {
        return Err(refused("is too long, or holds a NUL character").into());
    }
    if !path.is_absolute() {
        return Err(refused("must be an absolute path").into());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("must not hold ..").into());
    }
    let path: PathBuf = path.components().collect();
    check_place(app, &resolved(&path))?;
    Ok(path)
}

/// The root, the home directory, and the data directory with what is above and below it can be nobody's.
fn check_place(app: &App, path: &Path) -> Result<(), Invalid> {
    let data = app.data.root();
    if path.parent().is_none() {
        return Err(refused("must not be the root directory"));
    }
    if path.starts_with(data) || data.starts_with(path) {
        return Err(refused(
            "must not be the data directory, inside it or above it",
        ));
    }
    let home = std::env::var_os("HOME").map(|home| resolved(Path::new(&home)));
    if home.is_some_and(|home| home == path) {
        return Err(refused(
            "must not be the home directory itself; a directory in it is fine",
        ));
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let mut existing = path;
    let mut missing = Vec::new();
    loop {
        if let Ok(found) = fs::canonicalize(existing) {
            return missing
                .iter()
                .rev()
                .fold(found, |path, part| path.join(part));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// Makes the directory; its inode, if it was not there before.
fn create(path: &Path) -> Result<Option<u64>, ApiError> {
    if path.is_dir() {
        return Ok(None);
    }
    let made = fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path);
    let inode = made
        .and_then(|()| fs::symlink_metadata(path))
        .map(|metadata| metadata.ino());
    inode
        .map(Some)
        .map_err(|error| refused(&format!("could not be created: {error}")).into())
}

fn refused(message: &str) -> Invalid {
    Invalid::new("work_dir", message)
}
