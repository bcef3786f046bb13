//! Full-text search over chats, messages and executions.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::caller::require;
use super::page::{self, PageQuery};
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::model::{ExecutionId, MessageId, Millis, Role, SessionId, WorkerId};
use crate::search::{Hit, Kind, Kinds, Piece, Query};
use crate::store::walk::Record;

/// What `q` is.
pub(super) const Q: &str =
    "Words that must all be there, the last one perhaps unfinished; a phrase in double quotes";
/// What `in` is.
pub(super) const IN: &str = "Only these, with commas between: `sessions` (names of chats), `messages`, `executions`. All when left out";

/// What was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Search")]
pub(super) struct SearchView {
    /// The best first.
    results: Vec<HitView>,
    /// Whether something that is stored cannot be found yet: the index is being made, or is behind.
    indexing: bool,
}

/// Something that was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchResult")]
struct HitView {
    kind: KindView,
    /// Of the chat, the message or the execution.
    id: String,
    session_id: Option<SessionId>,
    #[schemars(example = &"My Chat")]
    session_name: Option<String>,
    message_id: Option<MessageId>,
    /// The message's place in its chat.
    seq: Option<u64>,
    execution_id: Option<ExecutionId>,
    role: Option<Role>,
    /// The worker that wrote or ran it; `null` is the bee, or the user.
    worker_id: Option<WorkerId>,
    /// Its name then; `null` is the user.
    author: Option<String>,
    created_at: Millis,
    /// How well it fits, to be compared within one answer.
    score: f32,
    /// Where the console shows it.
    #[schemars(example = &"/chats/019ac0de-0000-7000-8000-000000000001#m=019ac0de-0000-7000-8000-000000000002")]
    url: String,
    /// The part of the text in which it was found. Plain text, never HTML.
    excerpt: Vec<PieceView>,
}

/// What it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KindView {
    /// A chat, by its name.
    Session,
    /// A message.
    Message,
    /// An execution.
    Execution,
}

/// A piece of plain text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SearchPiece")]
struct PieceView {
    #[schemars(example = &"Hello")]
    text: String,
    /// Whether it is what was looked for.
    #[serde(rename = "match")]
    is_match: bool,
}

impl From<Piece> for PieceView {
    fn from(piece: Piece) -> Self {
        Self {
            text: piece.text,
            is_match: piece.is_match,
        }
    }
}

fn view(hit: Hit, base_path: &str) -> HitView {
    let Hit {
        record,
        session,
        score,
        excerpt,
    } = hit;
    let excerpt = excerpt.into_iter().map(PieceView::from).collect();
    let session_id = session.as_ref().map(|session| session.id);
    let session_name = session.map(|session| session.name);
    match record {
        Record::Session(session) => HitView {
            kind: KindView::Session,
            id: session.id.to_string(),
            session_id: Some(session.id),
            session_name: Some(session.name),
            message_id: None,
            seq: None,
            execution_id: None,
            role: None,
            worker_id: session.worker_id,
            author: None,
            created_at: session.created_at,
            score,
            url: format!("{base_path}/chats/{}", session.id),
            excerpt,
        },
        Record::Message(message) => HitView {
            kind: KindView::Message,
            id: message.id.to_string(),
            session_id,
            session_name,
            message_id: Some(message.id),
            seq: Some(message.seq),
            execution_id: message.execution_id,
            role: Some(message.role),
            worker_id: message.worker_id,
            author: Some(message.author).filter(|name| !name.is_empty()),
            created_at: message.created_at,
            score,
            url: format!("{base_path}/chats/{}#m={}", message.session_id, message.id),
            excerpt,
        },
        Record::Execution(execution) => HitView {
            kind: KindView::Execution,
            id: execution.id.to_string(),
            session_id,
            session_name,
            message_id: execution.message_id,
            seq: None,
            execution_id: Some(execution.id),
            role: None,
            worker_id: execution.worker_id,
            author: Some(execution.worker_name),
            created_at: execution.created_at,
            score,
            url: format!("{base_path}/executions/{}", execution.id),
            excerpt,
        },
    }
}

/// `GET /api/search` -- finds chats, messages and executions by what is in them, the best first.
///
/// It finds what was stored before it was asked, unless it says `indexing`. Parameters of the page are those of lists.
pub async fn search(app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    let text = req
        .query_text("q")
        .ok_or_else(|| ApiError::bad_request("q: is missing; say what to look for"))?;
    let bytes_max = app.config.limits.search_query_bytes_max;
    if text.len() > bytes_max {
        return Err(ApiError::bad_request(format!(
            "q: must be at most {bytes_max} bytes"
        )));
    }
    let kinds = kinds(req.query_text("in").as_deref())?;
    let page = PageQuery::of(&req)?;
    let query = Query::parse(&text);
    let found = app
        .search
        .find(query, kinds, page.cursor, page.limit)
        .await?;
    let base_path = app.config.base_path.as_str();
    let results = found.hits.into_iter().map(|hit| view(hit, base_path));
    let answer = SearchView {
        results: results.collect(),
        indexing: found.is_indexing,
    };
    Ok(page::linked(&req, Response::ok(&answer), found.next))
}

fn kinds(text: Option<&str>) -> Result<Kinds, ApiError> {
    let text = text.filter(|text| !text.is_empty());
    let words = text.unwrap_or("sessions,messages,executions").split(',');
    words
        .map(str::trim)
        .try_fold(Kinds::default(), |kinds, word| {
            Ok(kinds.with(match word {
                "sessions" => Kind::Session,
                "messages" => Kind::Message,
                "executions" => Kind::Execution,
                _ => {
                    return Err(ApiError::bad_request(
                        "in: must be of sessions, messages and executions, with commas between",
                    ));
                }
            }))
        })
}
