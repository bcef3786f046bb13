//! The writer, driven through its handle on a real directory.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::{FREE_BYTES_MIN, Health, Journal, SubmitError, WriterLimits, materialise};
use crate::command::{
    Added, CreateAccount, CreateSession, CreateWorker, DeleteSession, DeleteWorker, Ending,
    FinishExecution, Panic, PostMessage, RecordEvent, Refusal, RetryExecution, StartExecution,
    UpdateSession,
};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::disk::faulty::FaultyDisk;
use crate::model::{
    Account, EventBody, ExecutionId, ExecutionStatus, Ids, Routing, SessionId, Usage, WorkDir,
    Worker,
};
use crate::store::{Store, StoreError, copy, events, executions, messages, sessions, workers};

const CACHE: usize = 1 << 20;
pub(super) const NOW: u64 = 1_795_305_600_000;

pub(super) struct Hive {
    pub(super) data: DataDir,
    pub(super) store: Arc<Store>,
    pub(super) journal: Journal,
    added: Arc<Mutex<Vec<Added>>>,
}

pub(super) fn limits() -> WriterLimits {
    WriterLimits {
        batch_commands_max: 64,
        commands_waiting_max: 1024,
        segment_bytes_min: 1 << 20,
        segment_age_max: Duration::from_secs(86_400),
        checkpoint_dirty_bytes: 1 << 20,
        // However slow the disk is, both ways are tried.
        sync_inline_max: Duration::MAX,
    }
}

impl Hive {
    pub(super) fn open(root: &Path) -> Self {
        Self::open_with(root, |_| {})
    }

    pub(super) fn open_with(
        root: &Path,
        observer: impl Fn(&[Added]) + Send + Sync + 'static,
    ) -> Self {
        Self::open_within(root, limits(), observer)
    }

    pub(super) fn open_within(
        root: &Path,
        limits: WriterLimits,
        observer: impl Fn(&[Added]) + Send + Sync + 'static,
    ) -> Self {
        let data = DataDir::open(root).unwrap();
        let opened = materialise::open(&Disk::real(), &data, CACHE, NOW).unwrap();
        let store = opened.store.clone();
        let added = Arc::new(Mutex::new(Vec::new()));
        let seen = added.clone();
        let observer = Arc::new(move |events: &[Added]| {
            observer(events);
            seen.lock().unwrap().extend_from_slice(events);
        });
        let journal =
            Journal::start(opened, Disk::real(), &data, limits, || NOW, observer).unwrap();
        Self {
            data,
            store,
            journal,
            added,
        }
    }

    fn digest(&self) -> [u8; 32] {
        copy::digest(&self.store.view().unwrap()).unwrap()
    }

    /// Takes the tables away: the journal must give the same ones again.
    pub(super) async fn remade_the_same(self, root: &Path) {
        let before = self.digest();
        let data = self.close().await;
        std::fs::remove_file(data.hive()).unwrap();
        drop(data);
        let again = Self::open(root);
        assert_eq!(again.digest(), before);
        again.close().await;
    }

    pub(super) async fn close(self) -> DataDir {
        self.journal.close().await;
        self.data
    }

    pub(super) async fn session(&self, name: &str) -> SessionId {
        let id = Ids.next();
        self.journal
            .submit(CreateSession {
                id,
                name: name.to_owned(),
                worker_id: None,
                at: NOW,
            })
            .await
            .unwrap();
        id
    }
}

fn worker(name: &str) -> Worker {
    Worker {
        id: Ids.next(),
        name: name.to_owned(),
        description: String::new(),
        memory: String::new(),
        work_dir: WorkDir::Own,
        engine: String::new(),
        model: String::new(),
        permissions: String::new(),
        timeout_s: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(super) fn post(session_id: SessionId, content: &str) -> PostMessage {
    PostMessage {
        id: Ids.next(),
        session_id,
        content: content.to_owned(),
        media: Vec::new(),
        replaces: None,
        execution_id: Ids.next(),
        reply_id: Ids.next(),
        worker_id: None,
        routing: Routing::Default,
        at: NOW,
    }
}

fn finish(id: ExecutionId, text: &str) -> FinishExecution {
    FinishExecution {
        id,
        ending: Ending::Completed,
        text: text.to_owned(),
        error: None,
        usage: Usage::default(),
        log_bytes: 3,
        at: NOW + 1,
    }
}

/// Waits until streams were told of every change so far: one batch is shown before the next is begun, and one that is
/// refused shows nothing.
async fn all_was_shown(journal: &Journal) {
    let nothing = DeleteSession {
        id: Ids.next(),
        at: NOW,
    };
    assert!(journal.submit(nothing).await.is_err());
}

/// What streams were told of.
type Told = Arc<Mutex<Vec<Added>>>;

/// A journal on a disk of its own, while the tables stay on the real one.
fn on_faulty_disk(root: &Path) -> (FaultyDisk, Arc<Store>, Journal, Told) {
    let faulty = FaultyDisk::new();
    let dirs: Vec<&Path> = root.ancestors().collect();
    for dir in dirs.into_iter().rev() {
        faulty.disk().create_dir(dir).unwrap();
    }
    let data = DataDir::open(root).unwrap();
    let opened = materialise::open(&faulty.disk(), &data, CACHE, NOW).unwrap();
    let store = opened.store.clone();
    let added = Arc::new(Mutex::new(Vec::new()));
    let seen = added.clone();
    let observer = Arc::new(move |events: &[Added]| seen.lock().unwrap().extend_from_slice(events));
    let journal = Journal::start(opened, faulty.disk(), &data, limits(), || NOW, observer).unwrap();
    (faulty, store, journal, added)
}

/// A copy by hand: a child process would hold this one's locks until it runs `cp`.
fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Some of everything, refusals included.
async fn live(hive: &Hive) {
    let journal = &hive.journal;
    let account = Account {
        username: "admin".to_owned(),
        password_hash: "hash".to_owned(),
        password_generated: true,
        epoch: 0,
        created_at: NOW,
    };
    journal
        .submit(CreateAccount {
            account: account.clone(),
        })
        .await
        .unwrap();
    assert!(matches!(
        journal.submit(CreateAccount { account }).await,
        Err(SubmitError::Refused(Refusal::WrongState(_)))
    ));
    let ada = worker("Ada");
    journal
        .submit(CreateWorker {
            worker: ada.clone(),
        })
        .await
        .unwrap();
    assert_eq!(
        journal
            .submit(CreateWorker {
                worker: worker("ADA")
            })
            .await
            .unwrap_err(),
        SubmitError::Refused(Refusal::NameTaken {
            noun: "worker",
            name: "ADA".to_owned()
        })
    );
    let (kept, gone) = (hive.session("kept").await, hive.session("gone").await);
    for session in [kept, gone] {
        for round in 0..20 {
            let mut message = post(session, &format!("message {round}"));
            message.worker_id = (round % 2 == 0).then_some(ada.id);
            let posted = journal.submit(message).await.unwrap();
            let id = posted.execution_id;
            journal
                .submit(StartExecution {
                    id,
                    engine: "builtin".to_owned(),
                    at: NOW,
                })
                .await
                .unwrap();
            let body = EventBody::ToolResult {
                id: "1".to_owned(),
                ok: true,
                output: "out".to_owned(),
            };
            journal
                .submit(RecordEvent { id, body, at: NOW })
                .await
                .unwrap();
            journal.submit(finish(id, "reply")).await.unwrap();
            let again = RetryExecution {
                of: id,
                id: Ids.next(),
                reply_id: Ids.next(),
                at: NOW,
            };
            if round == 19 {
                journal.submit(again).await.unwrap();
            }
        }
    }
    let renamed = crate::command::SessionPatch {
        name: Some("renamed".to_owned()),
        ..Default::default()
    };
    journal
        .submit(UpdateSession {
            id: kept,
            patch: renamed,
            at: NOW + 5,
        })
        .await
        .unwrap();
    journal
        .submit(DeleteSession {
            id: gone,
            at: NOW + 6,
        })
        .await
        .unwrap();
    let missing = journal
        .submit(DeleteSession {
            id: gone,
            at: NOW + 6,
        })
        .await;
    assert_eq!(
        missing.unwrap_err(),
        SubmitError::Refused(Refusal::NotFound("session"))
    );
    journal
        .submit(DeleteWorker {
            id: ada.id,
            at: NOW + 7,
        })
        .await
        .unwrap();
}

/// The journal alone gives the same tables, byte for byte, also after refusals.
pub(super) async fn replay_gives_the_same_tables() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    live(&hive).await;
    hive.remade_the_same(root.path()).await;
}

/// A snapshot and what followed it give the same tables as the journal they stand for.
#[tokio::test]
async fn a_snapshot_and_the_rest_give_the_same_tables() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    live(&hive).await;
    hive.journal.purge().await.unwrap();
    let session = hive.session("after the snapshot").await;
    let before = hive.digest();
    let data = hive.close().await;
    assert_eq!(std::fs::read_dir(data.snapshots()).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_dir(data.journal()).unwrap().count(),
        1,
        "older segments are gone"
    );
    std::fs::remove_file(data.hive()).unwrap();
    drop(data);
    let again = Hive::open(root.path());
    assert_eq!(again.digest(), before);
    assert!(
        again
            .store
            .read(|tx| sessions::get(tx, session))
            .unwrap()
            .is_some()
    );
    again.close().await;
}

/// A command that panics is refused alone; the others of its batch are done.
#[tokio::test]
async fn a_panic_takes_nobody_else_down() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    let session = hive.session("chat").await;
    let (first, bad, second) = tokio::join!(
        hive.journal.submit(post(session, "one")),
        hive.journal.submit(Panic {
            after_writing: session
        }),
        hive.journal.submit(post(session, "two")),
    );
    assert!(matches!(bad, Err(SubmitError::Internal(_))), "{bad:?}");
    assert_eq!((first.unwrap().seq, second.unwrap().seq), (1, 2));
    let name = hive
        .store
        .read(|tx| sessions::get(tx, session))
        .unwrap()
        .unwrap()
        .name;
    assert_eq!(name, "chat", "what the panicking command wrote is gone");
    hive.remade_the_same(root.path()).await;
}

/// Whatever is not redb's own file of this place is set aside and made anew.
#[tokio::test]
async fn tables_are_trusted_only_where_they_were_written() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    live(&hive).await;
    let before = hive.digest();
    let path = hive.data.hive();
    drop(hive.close().await);
    let original = std::fs::read(&path).unwrap();
    // As many records, and none of ours.
    let elsewhere = TempDir::new().unwrap();
    let other = Hive::open(elsewhere.path());
    live(&other).await;
    let foreign = std::fs::read(other.close().await.hive()).unwrap();
    type Spoil<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let spoil: [Spoil<'_>; 5] = [
        (
            "the tables of another hive",
            Box::new(|| {
                std::fs::remove_file(&path).unwrap();
                std::fs::write(path.with_extension("other"), "x").unwrap();
                std::fs::write(&path, &foreign).unwrap();
            }),
        ),
        (
            "another file of the same bytes",
            Box::new(|| {
                std::fs::remove_file(&path).unwrap();
                // Something else takes the old inode, as on a busy disk.
                std::fs::write(path.with_extension("other"), "x").unwrap();
                std::fs::write(&path, &original).unwrap();
            }),
        ),
        (
            "truncated",
            Box::new(|| {
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(4096)
                    .unwrap()
            }),
        ),
        ("empty", Box::new(|| std::fs::write(&path, "").unwrap())),
        ("gone", Box::new(|| std::fs::remove_file(&path).unwrap())),
    ];
    for (what, spoil) in spoil {
        spoil();
        let again = Hive::open(root.path());
        assert_eq!(again.digest(), before, "{what}");
        drop(again.close().await);
    }
}

/// A crash loses nothing that was answered: the tables are at their last checkpoint, the journal has the rest.
pub(super) async fn what_was_answered_is_there_after_a_crash() {
    let root = TempDir::new().unwrap();
    let crashed = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    live(&hive).await;
    let before = hive.digest();
    // What a kill would leave: the files as they are now, with nothing closed.
    copy_dir(root.path(), &crashed.path().join("hive"));
    let again = Hive::open(&crashed.path().join("hive"));
    assert!(again.data.is_copy());
    assert_eq!(again.digest(), before);
    again.close().await;
    hive.close().await;
}

/// One step is one step: a reply, its execution's final state and the events of both are there together.
#[tokio::test]
async fn a_reply_and_its_execution_end_in_one_step() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    let session = hive.session("chat").await;
    let posted = hive.journal.submit(post(session, "hello")).await.unwrap();
    let id = posted.execution_id;
    hive.journal
        .submit(StartExecution {
            id,
            engine: "builtin".to_owned(),
            at: NOW,
        })
        .await
        .unwrap();
    all_was_shown(&hive.journal).await;
    hive.added.lock().unwrap().clear();
    hive.journal.submit(finish(id, "hi there")).await.unwrap();
    all_was_shown(&hive.journal).await;
    let execution = hive
        .store
        .read(|tx| executions::get(tx, id))
        .unwrap()
        .unwrap();
    assert_eq!(execution.status, ExecutionStatus::Completed);
    let reply = hive
        .store
        .read(|tx| messages::last(tx, session))
        .unwrap()
        .unwrap();
    assert_eq!((reply.content.as_str(), reply.seq), ("hi there", 2));
    let newest = hive.store.read(events::last_id).unwrap();
    let shown: Vec<u64> = hive
        .added
        .lock()
        .unwrap()
        .iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(shown, [newest - 1, newest], "the reply, then the state");
    let twice = hive.journal.submit(finish(id, "again")).await;
    assert!(matches!(
        twice,
        Err(SubmitError::Refused(Refusal::WrongState(_)))
    ));
    hive.close().await;
}

/// A failed sync is final: no change is taken, reading goes on.
pub(super) async fn a_failed_sync_ends_all_writing() {
    let root = TempDir::new().unwrap();
    let (faulty, store, journal, added) = on_faulty_disk(root.path());
    let ada = worker("Ada");
    journal
        .submit(CreateWorker {
            worker: ada.clone(),
        })
        .await
        .unwrap();
    // The first batch is followed by a checkpoint, whose sync would be the one that fails; the second is not.
    let create = CreateWorker {
        worker: worker("Barbara"),
    };
    journal.submit(create).await.unwrap();
    all_was_shown(&journal).await;
    added.lock().unwrap().clear();
    faulty.fail_next_sync(rustix::io::Errno::IO);
    for name in ["Grace", "Edsger"] {
        let refused = journal
            .submit(CreateWorker {
                worker: worker(name),
            })
            .await;
        assert!(
            matches!(refused, Err(SubmitError::ReadOnly(_))),
            "{name}: {refused:?}"
        );
    }
    assert!(matches!(*journal.health().borrow(), Health::ReadOnly(_)));
    assert!(added.lock().unwrap().is_empty(), "streams were told");
    let found = store
        .read(|tx| Ok::<_, StoreError>((workers::get(tx, ada.id)?, workers::count(tx)?)))
        .unwrap();
    assert_eq!(found, (Some(ada), 2));
    journal.close().await;
}

/// A full disk refuses, loses nothing, and goes on once there is room.
pub(super) async fn a_full_disk_refuses_and_goes_on() {
    let root = TempDir::new().unwrap();
    let (faulty, store, journal, _) = on_faulty_disk(root.path());
    let session = Ids.next();
    journal
        .submit(CreateSession {
            id: session,
            name: "chat".to_owned(),
            worker_id: None,
            at: NOW,
        })
        .await
        .unwrap();
    faulty.set_capacity(Some(24 << 20));
    let text = "x".repeat(200_000);
    let mut kept = 0;
    let refusal = loop {
        match journal.submit(post(session, &text)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1000, "the disk never fills");
    };
    assert_eq!(refusal, SubmitError::StorageFull);
    // What is left is for the tables, and for the logs of what runs.
    let left = faulty.disk().free_bytes(root.path()).unwrap();
    assert!(left >= FREE_BYTES_MIN / 2, "{left} bytes are left");
    assert_eq!(*journal.health().borrow(), Health::StorageFull);
    let rows = store
        .read(|tx| messages::list(tx, session, None, 1000))
        .unwrap()
        .rows;
    assert_eq!(rows.len(), kept);
    faulty.set_capacity(None);
    let posted = journal.submit(post(session, "room again")).await.unwrap();
    assert_eq!(posted.seq, kept as u64 + 1);
    assert_eq!(*journal.health().borrow(), Health::Good);
    journal.close().await;
}
