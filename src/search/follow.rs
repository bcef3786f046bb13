//! Keeping the index up to date: first what was there before it, then one event after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::document::{execution_key, key_of, load, message_key, session_key, text_of};
use super::index::{Batch, IndexError, read_state};
use super::{Progress, Search};
use crate::feed::Subscription;
use crate::model::{Event, EventBody, ExecutionStatus, SessionId};
use crate::store::events::{self, Scope};
use crate::store::walk::{self, Record, Walk};
use crate::store::{ReadTx, Store};

/// How long changes are gathered, so that many share one transaction; a question does not wait for that.
const GATHER: Duration = Duration::from_secs(1);
/// The file is closed when nobody has used it for so long.
const REST_AFTER: Duration = Duration::from_secs(20);
/// How long a full disk, or whatever it is, is left alone.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Rows or events that are read from the store at once.
const ROWS_READ_AT_ONCE: usize = 128;
/// Transactions of which one is synced, so that redb can use its pages again.
const COMMITS_PER_SYNC: u32 = 32;

impl Search {
    /// Follows the feed until `closing` is cancelled.
    pub async fn follow(self: Arc<Self>, closing: CancellationToken) {
        let mut news = self.feed.subscribe(Scope::All);
        // A start has other things to do first.
        tokio::select! {
            () = closing.cancelled() => return,
            () = self.wanted.notified() => {}
            () = tokio::time::sleep(GATHER) => {}
        }
        let mut is_told = false;
        loop {
            if let Err(error) = self.clone().catch_up_aside(&closing).await {
                if !is_told {
                    tracing::warn!(%error, "search does not see what is new until this is mended");
                }
                is_told = true;
                tokio::select! {
                    () = closing.cancelled() => return,
                    // Somebody would like to know whether it is mended.
                    () = async { tokio::join!(self.wanted.notified(), tokio::time::sleep(GATHER)); } => continue,
                    () = tokio::time::sleep(AFTER_FAILURE) => continue,
                }
            }
            is_told = false;
            tokio::select! {
                () = closing.cancelled() => break,
                () = self.wanted.notified() => {}
                () = self.has_news(&mut news) => tokio::select! {
                    () = closing.cancelled() => break,
                    () = self.wanted.notified() => {}
                    () = tokio::time::sleep(GATHER) => {}
                },
                () = tokio::time::sleep(REST_AFTER), if self.index.is_open() => self.rest().await,
            }
        }
        self.rest().await;
    }

    async fn rest(self: &Arc<Self>) {
        let this = self.clone();
        let _ = tokio::task::spawn_blocking(move || this.index.rest()).await;
    }

    async fn has_news(&self, news: &mut Subscription) {
        while self.feed.last_event() <= self.progress.borrow().position {
            news.woken().await;
        }
    }

    /// Catches up on a thread of its own, which makes way for all others and ends when there is nothing to do.
    async fn catch_up_aside(
        self: Arc<Self>,
        closing: &CancellationToken,
    ) -> Result<(), IndexError> {
        let Progress {
            position,
            is_walking,
        } = *self.progress.borrow();
        let is_stale = self.is_stale.load(Ordering::Acquire);
        if !is_stale && !is_walking && position >= self.store.read(events::last_id)? {
            return Ok(());
        }
        let (told, outcome) = oneshot::channel();
        let closing = closing.clone();
        let thread = std::thread::Builder::new().name("search".to_owned());
        thread
            .spawn(move || {
                #[cfg(target_os = "linux")]
                let _ = rustix::process::nice(10);
                // A damaged redb file may make redb panic.
                let outcome = catch_unwind(AssertUnwindSafe(|| self.catch_up(&closing)));
                let _ = told.send(
                    match outcome {
                        Ok(outcome) => outcome,
                        Err(_) => Err(IndexError::Damaged("it is damaged".to_owned())),
                    }
                    .inspect_err(|error| {
                        if let IndexError::Damaged(_) = error {
                            self.is_stale.store(true, Ordering::Release);
                        }
                    }),
                );
            })
            .map_err(IndexError::Io)?;
        outcome.await.unwrap_or(Ok(()))
    }

    fn catch_up(&self, closing: &CancellationToken) -> Result<(), IndexError> {
        if self.is_stale.swap(false, Ordering::AcqRel) {
            self.index.reset()?;
        }
        let mut commits = 0;
        while !closing.is_cancelled() {
            let database = self.index.database()?;
            let state = read_state(&database)?;
            let newest = self.store.read(events::last_id)?;
            if state.position > newest {
                tracing::info!("the search index is of another hive and made anew");
                self.index.reset()?;
                continue;
            }
            if state.walk.is_none() && state.position == newest {
                self.report(state.position, false);
                return self.sweep(state.executions);
            }
            let mut batch = Batch::begin(&database)?;
            if batch.state.walk == Some(Walk::Begin) {
                // What comes while it walks is taken again afterwards.
                batch.state.position = newest;
            }
            self.fill(&mut batch, closing)?;
            if batch.is_worn() {
                tracing::info!("much was removed: the search index is made anew");
                drop(batch);
                self.index.reset()?;
                continue;
            }
            commits += 1;
            let state = batch.commit(commits % COMMITS_PER_SYNC == 0)?;
            self.report(state.position, state.walk.is_some());
        }
        Ok(())
    }

    fn report(&self, position: u64, is_walking: bool) {
        self.progress.send_replace(Progress {
            position,
            is_walking,
        });
    }

    /// Takes what is next until the batch is full or there is nothing left.
    fn fill(&self, batch: &mut Batch, closing: &CancellationToken) -> Result<(), IndexError> {
        while !batch.is_full() && !closing.is_cancelled() {
            if let Some(walk) = batch.state.walk.take() {
                let step = |tx: &ReadTx| walk::step(tx, &walk, ROWS_READ_AT_ONCE);
                let (records, next) = self.store.read(step)?;
                for record in &records {
                    put(batch, record)?;
                }
                batch.state.walk = next;
                continue;
            }
            let position = batch.state.position;
            let taken = self.store.read(|tx| {
                let events = events::list_after(tx, Scope::All, position, ROWS_READ_AT_ONCE)?;
                for (id, event) in &events {
                    take(batch, tx, event)?;
                    batch.state.position = *id;
                }
                Ok::<_, IndexError>(events.len())
            })?;
            if taken < ROWS_READ_AT_ONCE {
                break;
            }
        }
        Ok(())
    }

    /// Removes the executions that the store has no more: nothing tells of them.
    fn sweep(&self, indexed: u64) -> Result<(), IndexError> {
        if indexed <= self.store.read(walk::executions)? {
            return Ok(());
        }
        let mut batch = Batch::begin(&*self.index.database()?)?;
        let mut after = 0;
        loop {
            let ids = batch.executions_after(after, ROWS_READ_AT_ONCE)?;
            let Some(last) = ids.last() else { break };
            after = *last;
            for id in ids {
                if !has_execution(&self.store, id)? {
                    batch.remove(execution_key(id))?;
                }
            }
        }
        batch.commit(false)?;
        Ok(())
    }
}

fn has_execution(store: &Store, id: u128) -> Result<bool, IndexError> {
    store.read(|tx| Ok(walk::has_execution(tx, id)?))
}

fn put(batch: &mut Batch, record: &Record) -> Result<(), IndexError> {
    match text_of(record) {
        Some(text) => batch.put(key_of(record), &text),
        None => batch.remove(key_of(record)),
    }
}

/// What an event changes.
fn take(batch: &mut Batch, tx: &ReadTx, event: &Event) -> Result<(), IndexError> {
    let key = match (&event.body, event.session_id, event.execution_id) {
        (EventBody::UserMessage { seq }, Some(session), _) => {
            remove_replaced(batch, tx, session, *seq)?;
            message_key(session, *seq)
        }
        (EventBody::Reply { seq }, Some(session), _) => message_key(session, *seq),
        (EventBody::Session, Some(session), _) => session_key(session),
        (EventBody::Deleted, Some(session), _) => {
            batch.remove_messages(session)?;
            return batch.remove(session_key(session));
        }
        (EventBody::Status { status, .. }, _, Some(id)) if *status != ExecutionStatus::Running => {
            execution_key(id.as_u128())
        }
        _ => return Ok(()),
    };
    match load(tx, key)? {
        Some(record) => put(batch, &record),
        None => batch.remove(key),
    }
}

/// An edited message hides the one it replaces and what followed: they are right before it.
fn remove_replaced(
    batch: &mut Batch,
    tx: &ReadTx,
    session: SessionId,
    seq: u64,
) -> Result<(), IndexError> {
    for before in (1..seq).rev() {
        let key = message_key(session, before);
        let is_hidden = matches!(load(tx, key)?, Some(Record::Message(message)) if message.hidden);
        if !is_hidden {
            break;
        }
        batch.remove(key)?;
    }
    Ok(())
}
