//! Both ways to the writer, mixed and alone.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::queue::PAYLOAD_INLINE_BYTES_MAX;
use super::writer_tests::{
    Hive, NOW, a_failed_sync_ends_all_writing, a_full_disk_refuses_and_goes_on, limits, post,
    replay_gives_the_same_tables, what_was_answered_is_there_after_a_crash,
};
use super::{SubmitError, WriterLimits};
use crate::command::{self, Added, CreateSession, Panic};
use crate::model::Ids;
use crate::store::{executions, meta};

/// These promises hold on both ways: queued for the journal's thread, and written at once on the caller's.
macro_rules! on_both_ways {
    ($($promise:ident),+ $(,)?) => {
        mod queued {$(
            #[tokio::test]
            async fn $promise() {
                super::$promise().await;
            }
        )+}
        mod at_once {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                super::$promise().await;
            }
        )+}
    };
}
on_both_ways!(
    replay_gives_the_same_tables,
    what_was_answered_is_there_after_a_crash,
    a_failed_sync_ends_all_writing,
    a_full_disk_refuses_and_goes_on,
    a_panic_is_an_answer,
);

/// Whoever writes on its own thread is told of a panic and lives on; so do the tables.
async fn a_panic_is_an_answer() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    let session = hive.session("chat").await;
    let bad = hive
        .journal
        .submit(Panic {
            after_writing: session,
        })
        .await;
    assert!(matches!(bad, Err(SubmitError::Internal(_))), "{bad:?}");
    let posted = hive.journal.submit(post(session, "one")).await.unwrap();
    assert_eq!(posted.seq, 1);
    hive.remade_the_same(root.path()).await;
}

/// A lone change costs no second thread; many at once share syncs; both ways mixed lose nothing and keep the order of
/// each caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lone_and_crowded_changes_keep_their_order() {
    const CALLERS: u64 = 8;
    const EACH: u64 = 60;
    let root = TempDir::new().unwrap();
    let writers = Arc::new(Mutex::new(Vec::new()));
    let seen = writers.clone();
    let hive = Hive::open_with(root.path(), move |_: &[Added]| {
        let thread = std::thread::current();
        seen.lock().unwrap().push(thread.name() == Some("journal"));
    });
    let session = hive.session("alone").await;
    for seq in 1..=EACH {
        let posted = hive.journal.submit(post(session, "alone")).await.unwrap();
        assert_eq!(posted.seq, seq);
    }
    // What is written at once is shown by a task that follows.
    while (writers.lock().unwrap().len() as u64) < EACH + 1 {
        tokio::task::yield_now().await;
    }
    let lone = std::mem::take(&mut *writers.lock().unwrap());
    assert!(
        lone.contains(&false),
        "a lone change was never written at once"
    );
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let journal = hive.journal.clone();
            tokio::spawn(async move {
                let id = Ids.next();
                let create = CreateSession {
                    id,
                    name: "crowded".to_owned(),
                    worker_id: None,
                    at: NOW,
                };
                journal.submit(create).await.unwrap();
                for seq in 1..=EACH {
                    let posted = journal.submit(post(id, "crowded")).await.unwrap();
                    assert_eq!(posted.seq, seq);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let queued = executions::queue_length(&hive.store.view().unwrap()).unwrap();
    assert_eq!(queued, (CALLERS + 1) * EACH);
    hive.remade_the_same(root.path()).await;
}

/// Which threads showed a change: `true` is the journal's own.
type Shown = tokio::sync::mpsc::UnboundedReceiver<bool>;

fn watched(root: &std::path::Path, limits: WriterLimits) -> (Hive, Shown) {
    let (sender, shown) = tokio::sync::mpsc::unbounded_channel();
    let hive = Hive::open_within(root, limits, move |_: &[Added]| {
        let _ = sender.send(std::thread::current().name() == Some("journal"));
    });
    (hive, shown)
}

/// A disk that takes its time would hold up the other tasks of a runtime's thread.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_slow_disk_on_a_thread_of_the_runtime() {
    let root = TempDir::new().unwrap();
    let limits = WriterLimits {
        sync_inline_max: Duration::ZERO,
        ..limits()
    };
    let (hive, mut shown) = watched(root.path(), limits);
    // How long the disk takes is known once it was asked.
    let session = hive.session("chat").await;
    shown.recv().await.unwrap();
    for _ in 0..20 {
        hive.journal.submit(post(session, "text")).await.unwrap();
        assert!(shown.recv().await.unwrap(), "on a thread of the runtime");
    }
    hive.close().await;
}

/// At the limit a change is written where it was asked for, if nobody is before it; one byte more never is.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_is_left_to_the_journals_thread() {
    const ROUNDS: usize = 500;
    let root = TempDir::new().unwrap();
    let (hive, mut shown) = watched(root.path(), limits());
    let session = hive.session("chat").await;
    shown.recv().await.unwrap();
    let of_bytes = |bytes: usize| {
        let length = |text: &str| command::encode(&post(session, text).into()).unwrap().len();
        // Nearly as long already, so that lengths take as many bytes.
        let near = "x".repeat(bytes - 1_000);
        let text = "x".repeat(near.len() + bytes - length(&near));
        assert_eq!(length(&text), bytes);
        text
    };
    let (largest, too_large) = (
        of_bytes(PAYLOAD_INLINE_BYTES_MAX),
        of_bytes(PAYLOAD_INLINE_BYTES_MAX + 1),
    );
    for _ in 0..20 {
        hive.journal
            .submit(post(session, &too_large))
            .await
            .unwrap();
        assert!(shown.recv().await.unwrap(), "on a thread of the runtime");
    }
    // The journal's thread may still look after what it wrote; then a change waits for it.
    let mut is_at_once = false;
    for _ in 0..ROUNDS {
        hive.journal.submit(post(session, &largest)).await.unwrap();
        is_at_once = !shown.recv().await.unwrap();
        if is_at_once {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(is_at_once, "never at once");
    hive.close().await;
}

/// The journal's thread makes checkpoints also of what others wrote.
#[tokio::test(flavor = "multi_thread")]
async fn lone_changes_come_to_a_checkpoint() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    let session = hive.session("chat").await;
    let position = || {
        let position = hive.store.read(|tx| meta::get(tx, meta::POSITION));
        position
            .unwrap()
            .map_or(0, |(_, _, seq): (u64, u64, u64)| seq)
    };
    let text = "x".repeat(50_000);
    let begin = position();
    let bytes = limits().checkpoint_dirty_bytes as usize;
    for _ in 0..=2 * bytes / text.len() {
        hive.journal.submit(post(session, &text)).await.unwrap();
    }
    assert!(position() > begin, "more than is due and no checkpoint");
    hive.close().await;
}
