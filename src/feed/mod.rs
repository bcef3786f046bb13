//! The feed: stored events and running replies on their way to streams.
//!
//! Owns who is woken when, and the text of replies that are still being written. Must never know SSE, requests or
//! what an event means. There is no buffer of events for any reader: a reader asks the store for what follows its
//! position, so a slow one loses nothing and costs nothing, and those who ask the same share one answer. Start reading
//! at [`Feed`], then [`reader`].

pub mod frames;
pub mod live;
pub mod reader;
pub mod shared;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use live::LiveReply;
pub use reader::{Item, Reader};

use self::shared::LastAnswer;
use crate::command::Added;
use crate::model::{ExecutionId, SessionId};
use crate::store::events::Scope;

/// What a reader is woken with: the newest durable event of its scope, and a count of changes of running replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    /// The id of the newest durable event.
    pub event: u64,
    /// Grows whenever a running reply of the scope grows.
    pub live: u64,
}

/// Who waits for what, and the replies that are being written.
pub struct Feed {
    all: watch::Sender<Tick>,
    scopes: Mutex<HashMap<ScopeKey, watch::Sender<Tick>>>,
    live: Mutex<Vec<Arc<LiveReply>>>,
    last_answer: LastAnswer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ScopeKey {
    Session(SessionId),
    Execution(ExecutionId),
}

impl ScopeKey {
    fn of(scope: Scope) -> Option<Self> {
        match scope {
            Scope::All => None,
            Scope::Session(id) => Some(Self::Session(id)),
            Scope::Execution(id) => Some(Self::Execution(id)),
        }
    }
}

/// A place in the feed that is woken; leaving it is dropping it.
pub struct Subscription {
    feed: Arc<Feed>,
    key: Option<ScopeKey>,
    ticks: watch::Receiver<Tick>,
}

impl Feed {
    /// A feed whose newest durable event is `last_event`.
    pub fn new(last_event: u64) -> Arc<Self> {
        Arc::new(Self {
            all: watch::Sender::new(Tick {
                event: last_event,
                live: 0,
            }),
            scopes: Mutex::default(),
            live: Mutex::default(),
            last_answer: LastAnswer::default(),
        })
    }

    /// The id of the newest durable event.
    pub fn last_event(&self) -> u64 {
        self.all.borrow().event
    }

    /// Begins to be woken for a scope.
    pub fn subscribe(self: &Arc<Self>, scope: Scope) -> Subscription {
        let key = ScopeKey::of(scope);
        let ticks = match key {
            None => self.all.subscribe(),
            Some(key) => {
                let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
                let tick = Tick {
                    event: self.last_event(),
                    live: 0,
                };
                scopes
                    .entry(key)
                    .or_insert_with(|| watch::Sender::new(tick))
                    .subscribe()
            }
        };
        Subscription {
            feed: self.clone(),
            key,
            ticks,
        }
    }

    /// Wakes the readers of events that have just become durable.
    pub fn publish(&self, added: &[Added]) {
        let Some(newest) = added.iter().map(|event| event.id).max() else {
            return;
        };
        // First, because whoever begins to wait for a scope that nobody waited for starts with this: later, it could
        // come between the two and be told by neither.
        self.all
            .send_modify(|tick| tick.event = tick.event.max(newest));
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        for event in added {
            let keys = [
                event.session_id.map(ScopeKey::Session),
                event.execution_id.map(ScopeKey::Execution),
            ];
            for key in keys.into_iter().flatten() {
                if let Some(ticks) = scopes.get(&key) {
                    ticks.send_modify(|tick| tick.event = tick.event.max(event.id));
                }
            }
        }
    }

    /// Begins a running reply; it is shown until it is ended.
    pub fn begin_reply(
        self: &Arc<Self>,
        execution_id: ExecutionId,
        session_id: Option<SessionId>,
    ) -> Arc<LiveReply> {
        let reply = Arc::new(LiveReply::new(execution_id, session_id));
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reply.clone());
        reply
    }

    /// Ends a running reply: its whole text is durable, or there will be none.
    pub fn end_reply(&self, execution_id: ExecutionId) {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|reply| reply.execution_id != execution_id);
    }

    /// Wakes the readers of a running reply that has grown.
    pub fn touch(&self, reply: &LiveReply) {
        {
            let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = [
                reply.session_id.map(ScopeKey::Session),
                Some(ScopeKey::Execution(reply.execution_id)),
            ];
            for key in keys.into_iter().flatten() {
                if let Some(ticks) = scopes.get(&key) {
                    ticks.send_modify(|tick| tick.live += 1);
                }
            }
        }
        self.all.send_modify(|tick| tick.live += 1);
    }

    /// The replies of a scope that are being written.
    pub fn live(&self, scope: Scope) -> Vec<Arc<LiveReply>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let shows = |reply: &&Arc<LiveReply>| match scope {
            Scope::All => true,
            Scope::Session(id) => reply.session_id == Some(id),
            Scope::Execution(id) => reply.execution_id == id,
        };
        live.iter().filter(shows).cloned().collect()
    }
}

impl Subscription {
    /// Waits for anything new.
    pub async fn woken(&mut self) {
        // The sender lives in the feed, which this holds, so this never fails.
        let _ = self.ticks.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut scopes = self
            .feed
            .scopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // This receiver still counts.
        if scopes
            .get(&key)
            .is_some_and(|ticks| ticks.receiver_count() <= 1)
        {
            scopes.remove(&key);
        }
    }
}
