//! Full-text search over chats, messages and executions.
//!
//! Owns `search/` in the data directory: an inverted index in a redb file of its own. It is disposable: what is lost,
//! damaged, copied or of another version is made anew from the store, in the background. Must never know HTTP, and no
//! change waits for it: it follows the feed from the position that it keeps in the same transaction as the terms. It holds
//! no texts, only terms; what is found is read from the store again, so nothing that was deleted is ever shown. Start
//! reading at [`Search`], then [`index`].

mod document;
mod excerpt;
mod finding;
mod follow;
mod index;
mod postings;
mod query;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, Semaphore, watch};

pub use document::{Kind, Kinds};
pub use excerpt::Piece;
pub use finding::{Found, Hit};
pub use index::IndexError;
pub use query::Query;

use crate::feed::Feed;
use crate::store::Store;
use index::Index;

/// The index, whoever keeps it up to date, and whoever asks.
pub struct Search {
    index: Index,
    store: Arc<Store>,
    feed: Arc<Feed>,
    progress: watch::Sender<Progress>,
    /// Somebody asks and would like what is new.
    wanted: Notify,
    /// The file has to be made anew.
    is_stale: AtomicBool,
    questions: Semaphore,
}

/// How far the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// The last event that it holds.
    position: u64,
    /// Whether it has yet to take what was there before that.
    is_walking: bool,
}

impl Search {
    /// A search whose files are in `folder`; nothing is opened before it is needed. `questions_max` are answered at a time.
    pub fn new(
        folder: PathBuf,
        cache_bytes: usize,
        questions_max: usize,
        store: Arc<Store>,
        feed: Arc<Feed>,
    ) -> Arc<Self> {
        Arc::new(Self {
            index: Index::new(folder, cache_bytes),
            store,
            feed,
            progress: watch::Sender::new(Progress {
                position: 0,
                is_walking: true,
            }),
            wanted: Notify::new(),
            is_stale: AtomicBool::new(false),
            questions: Semaphore::new(questions_max),
        })
    }

    /// Removes every term from disk; the index is then made anew.
    pub fn clear(&self) -> Result<(), IndexError> {
        // Whoever is just writing writes to a file that has no name any more.
        self.is_stale.store(true, Ordering::Release);
        self.index.reset()?;
        self.wanted.notify_one();
        Ok(())
    }
}
