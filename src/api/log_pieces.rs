//! What the index of a log knows: when each line was printed, and where.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use super::executions::find;
use super::page::PageQuery;
use crate::app::App;
use crate::execution_log::{LogReader, Piece, Stream};
use crate::http::{ApiError, Request, Response};
use crate::model::Millis;

/// A line of a log, or a part of one that is long or was printed bit by bit.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogPiece")]
pub(super) struct PieceView {
    /// Its first byte in the log.
    offset: u64,
    bytes: u32,
    /// When it was printed.
    at: Millis,
    stream: StreamView,
}

/// Where it was printed; a `note` is Skep's own.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum StreamView {
    Stdout,
    Stderr,
    Note,
}

impl From<Piece> for PieceView {
    fn from(piece: Piece) -> Self {
        Self {
            offset: piece.offset,
            bytes: piece.bytes,
            at: piece.at,
            stream: match piece.stream {
                Stream::Stdout => StreamView::Stdout,
                Stream::Stderr => StreamView::Stderr,
                Stream::Note => StreamView::Note,
            },
        }
    }
}

/// `GET /api/executions/{execution_id}/logs/pieces` -- when the lines from `?offset=` on were printed.
pub async fn list_pieces(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let execution = find(&app, req.path("execution_id")?)?;
    let offset = req.query::<u64>("offset")?.unwrap_or(0);
    let limit = PageQuery::of(&req)?.limit;
    // Without a log there is nothing to say about it.
    let Ok(reader) = LogReader::open(&app.log_path(&execution.log_path())) else {
        return Ok(Response::ok(&Vec::<PieceView>::new()));
    };
    let pieces = reader.pieces_from(offset, limit);
    let pieces = pieces.map_err(ApiError::internal)?;
    let views: Vec<PieceView> = pieces.into_iter().map(PieceView::from).collect();
    Ok(Response::ok(&views))
}
