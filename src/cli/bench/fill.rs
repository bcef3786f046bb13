//! A hive with many messages, quickly: through the journal's own writer, without HTTP, engines and logs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::app::system_clock;
use crate::command::{CreateSession, Ending, FinishExecution, PostMessage, StartExecution};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::journal::{Journal, SubmitError, materialise};
use crate::model::{Ids, Routing, SessionId, Usage};
use crate::run::writer_limits;

/// Chats that are filled at the same time.
pub const CHATS: usize = 64;
/// What a person writes, and what is answered.
pub const MESSAGE: &str = "a message of an ordinary length, as people write them";
const REPLY: &str = "An answer is longer as a rule: it says what was done, where it can be found, and what is left to do. \
                     Then it asks whether that was what was meant, or gives an example of what could be done instead.";

/// Fills a directory that no server has with so many messages, half of them replies, in [`CHATS`] chats; the chats.
/// Every message goes the way it goes in a server: posted, its execution started, finished with the reply.
pub async fn fill(root: &Path, messages: usize) -> io::Result<Vec<SessionId>> {
    let data = DataDir::open(root).map_err(io::Error::other)?;
    let config = Config::default();
    let disk = Disk::real();
    let opened = materialise::open(&disk, &data, config.limits.redb_cache_bytes, system_clock());
    let opened = opened.map_err(io::Error::other)?;
    let limits = writer_limits(&config);
    let journal = Journal::start(opened, disk, &data, limits, system_clock, Arc::new(|_| {}))?;
    let data = Arc::new(data);
    let mut chats = Vec::with_capacity(CHATS);
    let mut filling = JoinSet::new();
    for number in 0..CHATS {
        let id: SessionId = Ids.next();
        chats.push(id);
        let turns = turns(messages / 2, number);
        let journal = journal.clone();
        filling.spawn(async move { fill_chat(&journal, id, turns).await });
    }
    while let Some(filled) = filling.join_next().await {
        filled
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
    }
    journal.close().await;
    drop(data);
    Ok(chats)
}

/// How many of `all` fall to one chat.
fn turns(all: usize, number: usize) -> usize {
    all / CHATS + usize::from(number < all % CHATS)
}

async fn fill_chat(journal: &Journal, id: SessionId, turns: usize) -> Result<(), SubmitError> {
    let chat = CreateSession {
        id,
        name: "Filled".to_owned(),
        worker_id: None,
        at: system_clock(),
    };
    journal.submit(chat).await?;
    for _ in 0..turns {
        let post = PostMessage {
            id: Ids.next(),
            session_id: id,
            content: MESSAGE.to_owned(),
            media: Vec::new(),
            replaces: None,
            execution_id: Ids.next(),
            reply_id: Ids.next(),
            worker_id: None,
            routing: Routing::Default,
            at: system_clock(),
        };
        let posted = journal.submit(post).await?;
        let start = StartExecution {
            id: posted.execution_id,
            engine: "builtin".to_owned(),
            at: system_clock(),
        };
        journal.submit(start).await?;
        let finish = FinishExecution {
            id: posted.execution_id,
            ending: Ending::Completed,
            text: REPLY.to_owned(),
            error: None,
            usage: Usage::default(),
            log_bytes: 0,
            at: system_clock(),
        };
        journal.submit(finish).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_falls_to_one_chat() {
        for all in [0, 1, CHATS - 1, CHATS, 1_000, 500_000] {
            assert_eq!(
                (0..CHATS).map(|number| turns(all, number)).sum::<usize>(),
                all
            );
        }
    }
}
