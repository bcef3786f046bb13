//! Files of a chat: up, down, and as attachments.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::caller::require;
use super::sessions;
use super::submit::{repeated, submit_as};
use crate::app::App;
pub use crate::attachment::safe_name;
use crate::attachment::{PARTIAL_PREFIX, media, place};
use crate::command::{KeepUpload, Uploaded};
use crate::data_dir::make_dir;
use crate::disk::{Disk, DiskFile, PRIVATE_FILE_MODE};
use crate::http::{ApiError, ErrorCode, FileAnswer, Request, Response};
use crate::journal::SubmitError;
use crate::journal::error::is_storage_full;
use crate::model::{Invalid, Media, Millis, SessionId};
use crate::store::{StoreError, pruned};

/// A file of a chat.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Media")]
pub(super) struct MediaView {
    /// The absolute path, which is what `media_path` of a message takes.
    #[schemars(
        example = &"/home/user/.skep/uploads/019ac0de-0000-7000-8000-000000000001/photo.png"
    )]
    path: String,
    #[schemars(example = &"photo.png")]
    name: String,
    /// Bytes.
    size: u64,
    #[schemars(example = &"image/png")]
    content_type: String,
    /// Where to fetch it.
    #[schemars(
        example = &"/api/local/sessions/019ac0de-0000-7000-8000-000000000001/media/photo.png"
    )]
    url: String,
    /// When the file was removed because it was old or there was too much; `null` while it is there.
    removed_at: Option<Millis>,
}

pub(super) fn view(
    app: &App,
    session: SessionId,
    media: &Media,
    removed_at: Option<Millis>,
) -> MediaView {
    let name: String = media
        .name
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    MediaView {
        path: app
            .data
            .uploads(session)
            .join(&media.name)
            .to_string_lossy()
            .into_owned(),
        name: media.name.clone(),
        size: media.size,
        content_type: media.content_type.clone(),
        url: format!(
            "{}/api/local/sessions/{session}/media/{name}",
            app.config.base_path
        ),
        removed_at,
    }
}

/// When a file of a chat was removed.
pub(super) fn removed_at(
    app: &App,
    session: SessionId,
    name: &str,
) -> Result<Option<Millis>, StoreError> {
    app.store.read(|tx| pruned::upload(tx, session, name))
}

/// `POST /api/local/sessions/{session_id}/media` -- keeps a file, streamed to disk; it is there when this answers.
pub async fn upload_media(app: Arc<App>, mut req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let session = sessions::find(&app, req.path("session_id")?)?;
    let mut parts = req.multipart()?;
    while let Some(mut part) = parts.next_field().await? {
        if part.name() != Some("file") {
            continue;
        }
        let name = safe_name(part.file_name().unwrap_or_default());
        let mut partial = Partial::create(&Disk::real(), &app.data.incoming())?;
        while let Some(chunk) = part.chunk().await? {
            partial.write(&chunk).await?;
        }
        let fingerprint = partial.fingerprint(&name);
        if let Some(answer) = repeated::<KeepUpload>(&app, &req, &fingerprint, uploaded)? {
            return Ok(answer);
        }
        let dir = app.data.uploads(session.id);
        // A file that was placed and not told of, because the server was killed in between, is the one that is sent again.
        let placed = req
            .once()
            .filter(|_| is_free(&app, session.id, &name))
            .and_then(|_| tokio::task::block_in_place(|| same_file(&dir, &name, &partial)));
        let kept = match placed {
            Some(media) => Ok(media),
            None => {
                let is_free = |name: &str| is_free(&app, session.id, name);
                partial.keep(&dir, &name, is_free).await
            }
        };
        // The chat may have been deleted meanwhile, with its directory and all that was uploaded before.
        if let Err(error) = sessions::find(&app, session.id) {
            if let Ok(media) = kept {
                let _ = fs::remove_file(dir.join(&media.name));
            }
            let _ = fs::remove_dir(&dir);
            return Err(error);
        }
        let keep = KeepUpload {
            session_id: session.id,
            media: kept?,
        };
        return match req.once() {
            Some(_) => uploaded(&app, submit_as(&app, &req, fingerprint, keep).await?),
            None => Ok(Response::ok(&view(&app, session.id, &keep.media, None))),
        };
    }
    Err(ApiError::bad_request(
        "file: is missing; send multipart/form-data with a part named \"file\"",
    ))
}

pub(super) fn uploaded(app: &App, uploaded: Uploaded) -> Result<Response, ApiError> {
    let Uploaded { session_id, media } = uploaded;
    let removed_at = removed_at(app, session_id, &media.name)?;
    Ok(Response::ok(&view(app, session_id, &media, removed_at)))
}

/// Whether a name may be given: messages still speak of what was removed by its name.
fn is_free(app: &App, session: SessionId, name: &str) -> bool {
    matches!(removed_at(app, session, name), Ok(None))
}

/// The file of this name, if it has the same content. Its other names do not count: they were given because it was not.
fn same_file(dir: &Path, name: &str, partial: &Partial) -> Option<Media> {
    let (file, size) = open(dir, name).filter(|(_, size)| *size == partial.size)?;
    let mut hash = Sha256::new();
    io::copy(&mut io::BufReader::new(file), &mut HashWriter(&mut hash)).ok()?;
    (hash.finalize() == partial.sha256.clone().finalize()).then(|| media(name.to_owned(), size))
}

/// What is written is hashed.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file on its way in; dropped before it is kept, it leaves nothing behind.
struct Partial {
    disk: Disk,
    path: PathBuf,
    file: DiskFile,
    size: u64,
    /// What comes next, until it is worth a write.
    gathered: Vec<u8>,
    sha256: Sha256,
}

/// What is written at once.
const WRITE_BYTES: usize = 256 * 1024;

impl Partial {
    fn create(disk: &Disk, dir: &Path) -> Result<Self, ApiError> {
        let path = dir.join(format!("{PARTIAL_PREFIX}{}", Uuid::now_v7()));
        let file = disk.create_new(&path, PRIVATE_FILE_MODE);
        Ok(Self {
            disk: disk.clone(),
            file: file.map_err(write_error)?,
            path,
            size: 0,
            gathered: Vec::new(),
            sha256: Sha256::new(),
        })
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        self.size += chunk.len() as u64;
        self.sha256.update(chunk);
        self.gathered.extend_from_slice(chunk);
        match self.gathered.len() >= WRITE_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        let bytes = std::mem::take(&mut self.gathered);
        let (file, at) = (self.file.clone(), self.size - bytes.len() as u64);
        let written = blocking(move || file.write_all_at(&bytes, at).map(|()| bytes)).await?;
        self.gathered = written;
        self.gathered.clear();
        Ok(())
    }

    /// What tells this upload from another one; the name is the one asked for.
    fn fingerprint(&self, name: &str) -> [u8; 32] {
        let mut hash = self.sha256.clone();
        hash.update(name.as_bytes());
        hash.update((name.len() as u64).to_be_bytes());
        hash.finalize().into()
    }

    async fn keep(
        mut self,
        dir: &Path,
        name: &str,
        is_free: impl Fn(&str) -> bool,
    ) -> Result<Media, ApiError> {
        self.flush().await?;
        let file = self.file.clone();
        blocking(move || file.sync_all()).await?;
        make_dir(dir)?;
        let placed = match place(&self.path, dir, name, &is_free) {
            // An empty directory may have been removed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(dir)?;
                place(&self.path, dir, name, &is_free)
            }
            placed => placed,
        };
        let name = placed.map_err(write_error)?;
        let (disk, dir) = (self.disk.clone(), dir.to_owned());
        blocking(move || disk.sync_dir(&dir)).await?;
        Ok(media(name, self.size))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it is kept there is nothing under this name.
        let _ = self.disk.remove_file(&self.path);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(ApiError::internal)?.map_err(write_error)
}

fn write_error(error: io::Error) -> ApiError {
    if is_storage_full(&error) {
        SubmitError::StorageFull.into()
    } else {
        ApiError::internal(error)
    }
}

/// `GET /api/local/sessions/{session_id}/media/{name}` -- shown where that is safe, else a download.
pub async fn get_media(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let session = sessions::find(&app, req.path("session_id")?)?;
    let name: String = req.path("name")?;
    if let Some(at) = removed_at(&app, session.id, &name)? {
        let at = i64::try_from(at).ok();
        let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
        let day = at.map(|at| at.strftime("%Y-%m-%d").to_string());
        return Err(ApiError::new(
            ErrorCode::NotFound,
            format!("The file was removed on {}", day.unwrap_or_default()),
        ));
    }
    let missing = || ApiError::not_found("file");
    let (file, size) = open(&app.data.uploads(session.id), &name).ok_or_else(missing)?;
    let content_type = mime_guess::from_path(&name).first_or_octet_stream();
    let modified = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok();
    let is_shown = match (
        content_type.type_().as_str(),
        content_type.subtype().as_str(),
    ) {
        ("image", "svg") | ("image", "svg+xml") => false,
        ("image" | "audio" | "video", _) | ("application", "pdf") => true,
        _ => false,
    };
    // Whatever is no picture, sound or document is bytes: no browser may find a page in it.
    let content_type = match is_shown {
        true => content_type.essence_str(),
        false => "application/octet-stream",
    };
    let answer = FileAnswer::new(file, size, content_type).cache_control("private, max-age=3600");
    let answer = if is_shown {
        answer.inline(&name)
    } else {
        answer.attachment(&name)
    };
    match modified.and_then(|at| Timestamp::try_from(at).ok()) {
        Some(at) => answer
            .etag(&format!("{size}-{}", at.as_nanosecond()))
            .modified(at)
            .answer(&req),
        None => answer.answer(&req),
    }
}

/// The file that a message's `media_path` means: one that was uploaded to this chat, and nothing else.
pub(super) fn attached(app: &App, session: SessionId, path: &str) -> Result<Media, ApiError> {
    let refused = || {
        Invalid::new(
            "media_path",
            "must be the path of a file that was uploaded to this chat",
        )
    };
    let dir = app.data.uploads(session);
    let path = Path::new(path);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(refused)?;
    if path.parent() != Some(dir.as_path()) {
        return Err(refused().into());
    }
    if removed_at(app, session, name)?.is_some() {
        return Err(refused().into());
    }
    let (_, size) = open(&dir, name).ok_or_else(refused)?;
    Ok(media(name.to_owned(), size))
}

/// A regular file of a chat; links and what is not complete yet do not count.
fn open(dir: &Path, name: &str) -> Option<(File, u64)> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return None;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = options
        .read(true)
        .custom_flags(flags)
        .open(dir.join(name))
        .ok()?;
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An upload is told of once the disk has it: if it does not, there is an error and no file.
    #[tokio::test]
    async fn an_upload_that_is_not_on_disk_is_none() {
        use crate::disk::faulty::FaultyDisk;
        use rustix::io::Errno;
        let faulty = FaultyDisk::new();
        let home = tempfile::tempdir().unwrap();
        let dirs: Vec<&Path> = home.path().ancestors().collect();
        for dir in dirs.into_iter().rev() {
            faulty.disk().create_dir(dir).unwrap();
        }
        let place = home.path().join("chat");
        let begin = async || {
            let mut partial = Partial::create(&faulty.disk(), home.path()).unwrap();
            partial.write(&[b'x'; 1000]).await.unwrap();
            partial
        };
        let partial = begin().await;
        let bytes = || faulty.paths().iter().find_map(|path| faulty.content(path));
        faulty.fail_next_sync(Errno::IO);
        let refused = partial.keep(&place, "a.txt", |_| true).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Internal);
        assert_eq!(bytes(), None, "the partial file stays");
        assert!(!place.exists());
        faulty.set_capacity(Some(WRITE_BYTES as u64 + 1000));
        let mut partial = begin().await;
        partial.write(&[b'x'; WRITE_BYTES - 1000]).await.unwrap();
        let refused = partial.write(&[b'x'; WRITE_BYTES]).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::StorageFull);
    }

    #[test]
    fn a_link_is_no_upload() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real.txt"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.txt")).unwrap();
        assert!(open(dir.path(), "real.txt").is_some());
        for name in ["link.txt", "missing", ".upload-x", "../real.txt", ""] {
            assert!(open(dir.path(), name).is_none(), "{name}");
        }
    }
}
