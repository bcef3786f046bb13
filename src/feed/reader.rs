//! One stream's way through the feed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::live::{LiveReply, Offset};
use super::shared::Question;
use super::{Feed, Subscription};
use crate::model::limits::REPLY_BYTES_MAX;
use crate::model::{Event, ExecutionId, SessionId};
use crate::store::events::{self, Scope};
use crate::store::{Store, StoreError};

/// How many stored events are read at once; the only ones a reader holds.
const EVENTS_READ_AT_ONCE: usize = 64;

/// The shortest time between two deltas of one reader: at most 30 a second.
const DELTA_INTERVAL: Duration = Duration::from_millis(33);

/// The longest delta: what a slow reader holds of a running reply.
const DELTA_BYTES_MAX: usize = 64 << 10;
/// A piece that was cut may be shorter by a character that did not fit.
const MAX_CHAR_BYTES: usize = 4;

/// What a stream shows next.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A stored event with its id.
    Stored(u64, Arc<Event>),
    /// The position that the client gave cannot be served: fetch the history, go on from this id.
    Reset(u64),
    /// The reply so far, once after connecting.
    Partial {
        /// Whose reply.
        execution_id: ExecutionId,
        /// Its chat.
        session_id: Option<SessionId>,
        /// The text so far.
        text: String,
    },
    /// The next piece of a running reply.
    Delta {
        /// Whose reply.
        execution_id: ExecutionId,
        /// Its chat.
        session_id: Option<SessionId>,
        /// Bytes of the reply before this piece.
        offset: usize,
        /// The piece.
        text: String,
    },
    /// The next piece of what an engine thinks.
    Thinking {
        /// Whose.
        execution_id: ExecutionId,
        /// Its chat.
        session_id: Option<SessionId>,
        /// The piece.
        text: String,
    },
}

/// Reads a scope of the feed from a position on, for ever.
pub struct Reader {
    store: Arc<Store>,
    feed: Arc<Feed>,
    subscription: Subscription,
    scope: Scope,
    position: u64,
    ready: VecDeque<Item>,
    offsets: HashMap<ExecutionId, Offset>,
    live_seen: u64,
    next_delta: Instant,
}

impl Reader {
    /// A reader that shows what comes after `last_event`; without one, what comes from now on.
    pub fn new(
        store: Arc<Store>,
        feed: Arc<Feed>,
        scope: Scope,
        last_event: Option<u64>,
    ) -> Result<Self, StoreError> {
        let subscription = feed.subscribe(scope);
        // What the store shows already is no news, though the feed may tell of it only in a moment.
        let newest = store.read(events::last_id)?;
        let mut ready = VecDeque::new();
        let position = match last_event {
            Some(id) if id > newest => {
                ready.push_back(Item::Reset(newest));
                newest
            }
            Some(id) => id,
            None => newest,
        };
        let mut offsets = HashMap::new();
        for reply in feed.live(scope) {
            let (text, thinking, at) = reply.after(Offset::default(), REPLY_BYTES_MAX);
            ready.push_back(Item::Partial {
                execution_id: reply.execution_id,
                session_id: reply.session_id,
                text,
            });
            if !thinking.is_empty() {
                ready.push_back(thought(&reply, thinking));
            }
            offsets.insert(reply.execution_id, at);
        }
        Ok(Self {
            store,
            feed,
            subscription,
            scope,
            position,
            ready,
            offsets,
            live_seen: 0,
            next_delta: Instant::now(),
        })
    }

    /// What comes next. Safe to drop while it waits: nothing is taken before it is returned.
    pub async fn next(&mut self) -> Result<Item, StoreError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            let tick = *self.subscription.ticks.borrow_and_update();
            if tick.event > self.position {
                self.read_stored(tick.event)?;
                continue;
            }
            if tick.live != self.live_seen {
                if Instant::now() >= self.next_delta {
                    if self.read_live() {
                        self.live_seen = tick.live;
                        self.next_delta = Instant::now() + DELTA_INTERVAL;
                    }
                } else {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.next_delta) => {}
                        // A stored event does not wait for the next delta.
                        _ = self.subscription.ticks.wait_for(|now| now.event > tick.event) => {}
                    }
                }
                continue;
            }
            // The sender lives in the feed, which this reader holds, so this never fails.
            let _ = self.subscription.ticks.changed().await;
        }
    }

    fn read_stored(&mut self, newest: u64) -> Result<(), StoreError> {
        let (scope, position) = (self.scope, self.position);
        let question = Question {
            scope,
            position,
            version: self.store.version(),
        };
        let events = self.feed.last_answer.get_or_ask(question, || {
            let events = self
                .store
                .read(|tx| events::list_after(tx, scope, position, EVENTS_READ_AT_ONCE))?;
            let shared = events.into_iter().map(|(id, event)| (id, Arc::new(event)));
            Ok::<_, StoreError>(shared.collect())
        })?;
        // Fewer than asked for: there is nothing else up to the tick, whatever was deleted in between.
        self.position = match events.last() {
            Some((id, _)) if events.len() == EVENTS_READ_AT_ONCE => *id,
            last => newest.max(last.map_or(0, |(id, _)| *id)),
        };
        self.ready.extend(
            events
                .iter()
                .map(|(id, event)| Item::Stored(*id, event.clone())),
        );
        Ok(())
    }

    /// Takes the next piece of each running reply; tells whether that was all there is.
    fn read_live(&mut self) -> bool {
        let mut is_all = true;
        let replies = self.feed.live(self.scope);
        self.offsets
            .retain(|id, _| replies.iter().any(|reply| reply.execution_id == *id));
        for reply in replies {
            let offset = self.offsets.entry(reply.execution_id).or_default();
            let (text, thinking, at) = reply.after(*offset, DELTA_BYTES_MAX);
            is_all &= text.len() + MAX_CHAR_BYTES <= DELTA_BYTES_MAX;
            if !thinking.is_empty() {
                self.ready.push_back(thought(&reply, thinking));
            }
            if !text.is_empty() {
                self.ready.push_back(Item::Delta {
                    execution_id: reply.execution_id,
                    session_id: reply.session_id,
                    offset: offset.text,
                    text,
                });
            }
            *offset = at;
        }
        is_all
    }
}

fn thought(reply: &LiveReply, text: String) -> Item {
    Item::Thinking {
        execution_id: reply.execution_id,
        session_id: reply.session_id,
        text,
    }
}
