//! A fault of Skep's own, in the middle of a run: its chat and its worker go on, and what was printed is kept.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use skep::command::{CreateSession, PostMessage};
use skep::data_dir::DataDir;
use skep::disk::Disk;
use skep::engine::process::Patience;
use skep::engine::{Engine, EngineError, EngineEvent, Engines, Run, Turn};
use skep::execution_log::Stream;
use skep::feed::Feed;
use skep::guard::Guards;
use skep::journal::{Journal, SYNC_INLINE_MAX, WriterLimits, materialise};
use skep::model::{Execution, Ids, Message, Routing, SessionId};
use skep::store::{StoreError, executions, messages};
use skep::supervisor::{Parts, Supervisor, SupervisorLimits, Wake};

const NOW: u64 = 1_795_305_600_000;

/// Prints, says something, and panics where it was told to.
struct Panics;

impl Engine for Panics {
    fn name(&self) -> &str {
        "builtin"
    }

    fn run<'a>(
        &'a self,
        turn: &'a Turn,
        run: &'a mut Run,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            run.log.line(Stream::Stdout, b"printed\n").unwrap();
            let text = "half an answer".to_owned();
            run.events.send(EngineEvent::Text { text }).await.unwrap();
            if turn.prompt == "panic" {
                // The supervisor has the text before the fault, as it would have in a long run.
                run.events.reserve_many(256).await.unwrap();
                panic!("as it was told to");
            }
            let result = EngineEvent::Result { text: None };
            run.events.send(result).await.unwrap();
            Ok(())
        })
    }
}

struct Hive {
    parts: Parts,
    supervisor: Arc<Supervisor>,
    supervising: tokio::task::JoinHandle<()>,
}

impl Hive {
    fn open(root: &Path) -> Self {
        let data = Arc::new(DataDir::open(root).unwrap());
        let opened = materialise::open(&Disk::real(), &data, 1 << 20, NOW).unwrap();
        let store = opened.store.clone();
        let feed = Feed::new(0);
        let wake = Arc::new(Wake::default());
        let (shown, woken) = (feed.clone(), wake.clone());
        let observer = Arc::new(move |added: &[skep::command::Added]| {
            shown.publish(added);
            woken.see(added);
        });
        let limits = WriterLimits {
            batch_commands_max: 16,
            commands_waiting_max: 16,
            segment_bytes_min: 1 << 20,
            segment_age_max: Duration::from_secs(86_400),
            checkpoint_dirty_bytes: 1 << 20,
            sync_inline_max: SYNC_INLINE_MAX,
        };
        let journal =
            Journal::start(opened, Disk::real(), &data, limits, || NOW, observer).unwrap();
        let guards = Arc::new(Guards::running(PathBuf::from(env!("CARGO_BIN_EXE_skep"))));
        let builtin = Arc::new(Panics);
        let http = skep::config::Config::default().http_parts(None, None);
        let engines = Engines::new([], "builtin", builtin, guards, Patience::default(), http);
        let engines = Arc::new(engines);
        let parts = || Parts {
            data: data.clone(),
            store: store.clone(),
            journal: journal.clone(),
            feed: feed.clone(),
            engines: engines.clone(),
            limits: SupervisorLimits {
                concurrent_max: 4,
                timeout: Duration::from_secs(60),
                log_bytes_max: 1 << 20,
                permission_timeout: Duration::from_secs(60),
            },
            clock: || NOW,
            wake: wake.clone(),
            mcp_url: None,
        };
        let supervisor = Supervisor::new(parts(), false);
        Self {
            parts: parts(),
            supervising: tokio::spawn(supervisor.clone().supervise()),
            supervisor,
        }
    }

    /// Posts a message and waits for its end: the execution and its reply.
    async fn ask(&self, session_id: SessionId, content: &str) -> (Execution, Message) {
        let post = PostMessage {
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
        };
        let id = self.parts.journal.submit(post).await.unwrap().execution_id;
        let look = || {
            let found = self.parts.store.read(|tx| {
                let execution = executions::get(tx, id)?.unwrap();
                let reply = messages::find_by_id(tx, execution.reply_id)?;
                Ok::<_, StoreError>((execution, reply))
            });
            let (execution, reply) = found.unwrap();
            execution
                .status
                .is_final()
                .then(|| (execution, reply.unwrap()))
        };
        crate::support::eventually("its end", crate::support::PATIENCE, look).await
    }
}

#[tokio::test]
async fn a_panic_in_a_run_ends_that_run_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let hive = Hive::open(&root.path().join("hive"));
    let session = CreateSession {
        id: Ids.next(),
        name: "chat".to_owned(),
        worker_id: None,
        at: NOW,
    };
    let chat = session.id;
    hive.parts.journal.submit(session).await.unwrap();
    for (content, is_well) in [("panic", false), ("go on", true), ("panic", false)] {
        let (execution, reply) = hive.ask(chat, content).await;
        assert_eq!(reply.content, "half an answer", "{content}");
        match is_well {
            true => assert_eq!(execution.error, None),
            false => assert!(execution.error.as_ref().unwrap().starts_with("internal:")),
        }
        // Sealed like any other: on disk, with its length, and read-only.
        let log = hive.parts.data.root().join(execution.log_path());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.starts_with("printed\n"), "{text}");
        assert_eq!(execution.log_bytes, text.len() as u64, "{content}");
        let metadata = std::fs::metadata(&log).unwrap();
        assert!(metadata.permissions().readonly(), "{content}");
    }
    hive.supervisor.close().await;
    hive.supervising.await.unwrap();
    hive.parts.journal.close().await;
}
