//! A question and its answer: look up, rank, read again from the store, cut out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redb::{ReadOnlyTable, ReadableDatabase};

use super::document::{Kind, Kinds, load, text_of};
use super::excerpt::{Piece, excerpt};
use super::index::{DOCUMENTS, IndexError, POSTINGS, read_state_in};
use super::postings;
use super::query::{Query, Unit};
use super::{Progress, Search};
use crate::model::{Session, SessionId};
use crate::store::page::{KEYS_SCANNED_MAX, PAGE_BYTES_MAX};
use crate::store::walk::Record;
use crate::store::{Cursor, StoreError, events, sessions};

/// How long a question waits for what was stored before it was asked.
const PATIENCE: Duration = Duration::from_millis(500);
/// Documents that one unit of a query is looked up in, the newest first.
const DOCUMENTS_MAX: usize = 250_000;
/// Terms that a beginning of a word stands for.
const PREFIX_TERMS_MAX: usize = 200;
/// What the rest of a word costs when only its beginning was given.
const PREFIX_FACTOR: f32 = 0.6;
/// The name of a chat says more of it than a word in one of its messages.
const SESSION_FACTOR: f32 = 1.5;

/// What was found: a page, the best first.
#[derive(Debug, Default)]
pub struct Found {
    /// The page.
    pub hits: Vec<Hit>,
    /// Present when there may be more.
    pub next: Option<Cursor>,
    /// Whether something that is stored is not in the index yet.
    pub is_indexing: bool,
}

/// One of them.
#[derive(Debug)]
pub struct Hit {
    /// The row.
    pub record: Record,
    /// Its chat, if there is one.
    pub session: Option<Session>,
    /// How well it fits: only to be compared with others of the same answer.
    pub score: f32,
    /// Where it fits.
    pub excerpt: Vec<Piece>,
}

impl Search {
    /// Answers a question. An index that is not up to date, or not there, is said and no error.
    pub async fn find(
        self: &Arc<Self>,
        query: Query,
        kinds: Kinds,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let asked_at = self.store.read(events::last_id)?;
        let is_there = |progress: &Progress| progress.position >= asked_at && !progress.is_walking;
        let mut progress = self.progress.subscribe();
        self.wanted.notify_one();
        let _ = tokio::time::timeout(PATIENCE, progress.wait_for(is_there)).await;
        if query.is_empty() {
            return Ok(Found {
                is_indexing: !is_there(&self.progress.borrow()),
                ..Found::default()
            });
        }
        let _turn = self.questions.acquire().await;
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            this.look_up(&query, kinds, after, limit, asked_at)
        });
        let reason = match asked.await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(IndexError::Store(error))) => return Err(error),
            Ok(Err(IndexError::Io(error))) => error.to_string(),
            Ok(Err(IndexError::Damaged(reason))) => {
                self.is_stale.store(true, Ordering::Release);
                reason
            }
            // A damaged redb file may make redb panic.
            Err(_) => {
                self.is_stale.store(true, Ordering::Release);
                "it is damaged".to_owned()
            }
        };
        tracing::warn!(reason, "the search index could not be asked");
        self.wanted.notify_one();
        Ok(Found {
            is_indexing: true,
            ..Found::default()
        })
    }

    fn look_up(
        &self,
        query: &Query,
        kinds: Kinds,
        after: Option<Cursor>,
        limit: usize,
        asked_at: u64,
    ) -> Result<Found, IndexError> {
        let database = self.index.database()?;
        let tx = database.begin_read()?;
        let state = read_state_in(&tx)?;
        let mut found = Found {
            is_indexing: state.walk.is_some() || state.position < asked_at,
            ..Found::default()
        };
        let ranked = rank(&tx.open_table(POSTINGS)?, query, kinds, state.documents)?;
        let documents = tx.open_table(DOCUMENTS)?;
        let after = after.map_or((u64::MAX, u128::MAX), |cursor| (cursor.major, cursor.minor));
        let left = ranked.iter().skip_while(|ranked| ranked.place() >= after);
        self.store.read(|rows| {
            let mut chats: HashMap<SessionId, Option<Session>> = HashMap::new();
            let (mut last, mut bytes) = (None, 0);
            for (looked_at, ranked) in left.enumerate() {
                let is_full = found.hits.len() == limit || bytes >= PAGE_BYTES_MAX;
                if is_full || looked_at == KEYS_SCANNED_MAX {
                    found.next = last;
                    break;
                }
                let (major, minor) = ranked.place();
                last = Some(Cursor { major, minor });
                let Some(key) = documents.get(ranked.document)? else {
                    continue;
                };
                let Some(record) = load(rows, key.value())? else {
                    continue;
                };
                let Some(text) = text_of(&record) else {
                    continue;
                };
                bytes += text.len();
                if !query.has_phrases(&text) {
                    continue;
                }
                let session = match &record {
                    Record::Session(_) => None,
                    Record::Message(message) => Some(message.session_id),
                    Record::Execution(execution) => execution.session_id,
                };
                let session = match session {
                    Some(id) => match chats.get(&id) {
                        Some(chat) => chat.clone(),
                        None => chats.entry(id).or_insert(sessions::get(rows, id)?).clone(),
                    },
                    None => None,
                };
                found.hits.push(Hit {
                    excerpt: excerpt(&text, query),
                    score: ranked.score,
                    session,
                    record,
                });
            }
            Ok(found)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    document: u32,
    score: f32,
}

impl Ranked {
    /// What pages are cut by: the score, then the newest.
    fn place(&self) -> (u64, u128) {
        // Scores are above 0, and the bits of such numbers sort as the numbers do.
        (self.score.to_bits().into(), self.document.into())
    }
}

type Postings = ReadOnlyTable<(&'static str, u32), &'static [u8]>;

/// The documents that hold every unit, the best first.
fn rank(
    table: &Postings,
    query: &Query,
    kinds: Kinds,
    documents: u32,
) -> Result<Vec<Ranked>, IndexError> {
    let mut all: Option<Vec<Ranked>> = None;
    for unit in &query.units {
        let mut holding = holding(table, unit, kinds)?;
        let count = holding.len() as f32;
        let rarity = (1.0 + ((documents as f32).max(count) - count + 0.5) / (count + 0.5)).ln();
        holding.iter_mut().for_each(|ranked| ranked.score *= rarity);
        let both = match all {
            None => holding,
            Some(before) => in_both(before, &holding),
        };
        if both.is_empty() {
            return Ok(both);
        }
        all = Some(both);
    }
    let mut ranked = all.unwrap_or_default();
    for ranked in &mut ranked {
        if ranked.document & 3 == Kind::Session as u32 {
            ranked.score *= SESSION_FACTOR;
        }
    }
    ranked.sort_unstable_by_key(|ranked| std::cmp::Reverse(ranked.place()));
    Ok(ranked)
}

/// Both are in the order of their documents.
fn in_both(mut before: Vec<Ranked>, holding: &[Ranked]) -> Vec<Ranked> {
    let mut holding = holding.iter().peekable();
    before.retain_mut(|ranked| {
        while holding
            .next_if(|other| other.document < ranked.document)
            .is_some()
        {}
        match holding.peek() {
            Some(other) if other.document == ranked.document => {
                ranked.score += other.score;
                true
            }
            _ => false,
        }
    });
    before
}

/// The documents that hold a unit, in the order of their numbers.
fn holding(table: &Postings, unit: &Unit, kinds: Kinds) -> Result<Vec<Ranked>, IndexError> {
    let mut found = Vec::new();
    match unit {
        Unit::Word(word) => collect(table, word, kinds, 1.0, &mut found)?,
        Unit::Prefix(prefix) => {
            for term in terms_with(table, prefix)? {
                let factor = if term == *prefix { 1.0 } else { PREFIX_FACTOR };
                collect(table, &term, kinds, factor, &mut found)?;
            }
        }
    }
    found.sort_unstable_by_key(|ranked| ranked.document);
    found.dedup_by(|next, kept| {
        let is_same = next.document == kept.document;
        if is_same {
            kept.score = kept.score.max(next.score);
        }
        is_same
    });
    Ok(found)
}

fn collect(
    table: &Postings,
    term: &str,
    kinds: Kinds,
    factor: f32,
    found: &mut Vec<Ranked>,
) -> Result<(), IndexError> {
    for row in table.range((term, 0)..=(term, u32::MAX))?.rev() {
        if found.len() >= DOCUMENTS_MAX {
            break;
        }
        let (key, chunk) = row?;
        let postings = postings::decode(chunk.value(), key.value().1);
        found.extend(postings.filter(|(document, _)| kinds.have(*document)).map(
            |(document, weight)| Ranked {
                document,
                score: factor * postings::score(weight),
            },
        ));
    }
    Ok(())
}

fn terms_with(table: &Postings, prefix: &str) -> Result<Vec<String>, IndexError> {
    let mut terms = Vec::new();
    let mut from = prefix.to_owned();
    while terms.len() < PREFIX_TERMS_MAX {
        let Some(row) = table.range((from.as_str(), 0)..)?.next() else {
            break;
        };
        let term = row?.0.value().0.to_owned();
        if !term.starts_with(prefix) {
            break;
        }
        // No term holds a NUL, so this is before any other.
        from = format!("{term}\0");
        terms.push(term);
    }
    Ok(terms)
}
