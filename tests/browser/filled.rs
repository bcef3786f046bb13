//! A data directory with one long chat, quickly: through the journal's own writer, before a server has it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skep::command::{CreateSession, Ending, FinishExecution, PostMessage, StartExecution};
use skep::data_dir::DataDir;
use skep::disk::Disk;
use skep::journal::{Journal, SYNC_INLINE_MAX, WriterLimits, materialise};
use skep::model::{Ids, Routing, SessionId, Usage};

/// Long ago, so that a chat that is made now stands above it.
const NOW: u64 = 1_780_000_000_000;
const REPLY: &str = "It is done: the **figures** are in `report.md`.\n\n| month | sold |\n|---|---|\n| May | 12 |\n\n\
    ```rust\nfn main() { println!(\"{}\", 42); }\n```\n\nShall I go on?";

/// Makes a chat of so many messages, half of them replies.
pub async fn chat(data: &Path, messages: usize) -> SessionId {
    let data = DataDir::open(data).unwrap();
    let opened = materialise::open(&Disk::real(), &data, 4 << 20, NOW).unwrap();
    let limits = WriterLimits {
        batch_commands_max: 64,
        commands_waiting_max: 1024,
        segment_bytes_min: 64 << 20,
        segment_age_max: Duration::from_secs(86_400),
        checkpoint_dirty_bytes: 64 << 20,
        sync_inline_max: SYNC_INLINE_MAX,
    };
    let journal = Journal::start(
        opened,
        Disk::real(),
        &data,
        limits,
        || NOW,
        Arc::new(|_| {}),
    )
    .unwrap();
    let session_id = Ids.next();
    let name = "A long chat".to_owned();
    let created = journal.submit(CreateSession {
        id: session_id,
        name,
        worker_id: None,
        at: NOW,
    });
    created.await.unwrap();
    // Each step of all turns at once, so that many share a batch.
    let posts = (0..messages / 2).map(|turn| PostMessage {
        id: Ids.next(),
        session_id,
        content: format!("question {turn}"),
        media: Vec::new(),
        replaces: None,
        execution_id: Ids.next(),
        reply_id: Ids.next(),
        worker_id: None,
        routing: Routing::Default,
        at: NOW + turn as u64 * 1000,
    });
    // Many turns at once share a batch; they are taken in the order in which they are handed in.
    for turns in posts.collect::<Vec<_>>().chunks(256) {
        let said = turns.iter().map(async |post| {
            let (id, at) = (post.execution_id, post.at);
            let start = StartExecution {
                id,
                engine: "builtin".to_owned(),
                at,
            };
            let finish = FinishExecution {
                id,
                ending: Ending::Completed,
                text: REPLY.to_owned(),
                error: None,
                usage: Usage::default(),
                log_bytes: 0,
                at: at + 500,
            };
            let turn = futures_util::future::join3(
                journal.submit(post.clone()),
                journal.submit(start),
                journal.submit(finish),
            );
            let (posted, started, finished) = turn.await;
            posted.unwrap();
            started.unwrap();
            finished.unwrap();
        });
        futures_util::future::join_all(said).await;
    }
    journal.close().await;
    session_id
}
