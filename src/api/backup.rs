//! The backup, as a download.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue};
use tokio::sync::{Semaphore, mpsc};

use super::caller::require;
use crate::app::App;
use crate::backup::{self, Manifest, archive, source};
use crate::http::{ApiError, Request, Response};

/// Backups that are taken at once.
const BACKUPS_MAX: usize = 2;
/// Bytes of the archive that are sent as one piece.
const PIECE_BYTES: usize = 128 << 10;
/// Pieces that wait for the client.
const PIECES_MAX: usize = 4;

static ROOM: Semaphore = Semaphore::const_new(BACKUPS_MAX);

/// `GET /api/backup` -- everything as one archive, taken while the server runs; `?keys=false` leaves the secrets out.
///
/// An answer that breaks off is no backup, and `skep restore` says so.
pub async fn get_backup(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let with_keys = req.query::<bool>("keys")?.unwrap_or(true);
    let room = ROOM
        .try_acquire()
        .map_err(|_| ApiError::conflict("Two backups are being taken already; wait for one"))?;
    let kept = app.keeper.keep_files().await;
    let name = backup::file_name(app.now());
    let manifest = Manifest::new(app.now(), with_keys);
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let _room = (room, kept);
        let out = Pieces {
            piece: Vec::with_capacity(PIECE_BYTES),
            pieces: pieces.clone(),
        };
        let written = archive::Writer::begin(out, &manifest).and_then(|mut writer| {
            let notes = source::read(app.data.root(), with_keys, &mut writer)?;
            let mut out = writer.finish()?;
            out.flush().map_err(backup::BackupError::Output)?;
            Ok(notes)
        });
        match written {
            Ok(notes) => {
                for note in notes {
                    tracing::warn!(note, "a backup is not complete");
                }
            }
            // Nobody listens any more: nothing to report, and nobody to report it to.
            Err(_) if pieces.is_closed() => {}
            Err(error) => {
                tracing::error!(%error, "a backup could not be taken");
                let _ = pieces.blocking_send(Err(io::Error::other(error.to_string())));
            }
        }
    });
    let bytes = stream::unfold(received, |mut received| async {
        received.recv().await.map(|piece| (piece, received))
    });
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    Ok(Response::stream("application/zstd", bytes)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(
            CONTENT_DISPOSITION,
            disposition.map_err(ApiError::internal)?,
        ))
}

/// Hands an archive on piece by piece, and waits while the client is slow.
struct Pieces {
    piece: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.pieces
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
