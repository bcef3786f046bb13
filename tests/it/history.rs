//! A hundred readers that come and go while the server is killed under them: each sees every stored event once, in order.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::random::Random;
use crate::support::{Event, EventStream, Method, PATIENCE, TestServer, User, number_from};

const READERS: u64 = 100;
const CHATS: usize = 4;
const LAST_WORDS: &str = "the end";

/// What a reader has seen, and the checker of it.
#[derive(Default, Clone, PartialEq, Debug)]
struct History {
    /// Id, name and what it says that can never change.
    events: Vec<(u64, String, Value)>,
    ends: usize,
}

impl History {
    /// Takes a stored event in; transient ones are not history.
    fn take(&mut self, event: &Event) {
        let Some(id) = event.id else { return };
        assert!(!event.is("reset"), "a reset, which loses what was between");
        let after = self.events.last().map_or(0, |(id, ..)| *id);
        assert!(id > after, "{id} after {after}");
        let data = &event.data;
        if event.is("user_message") && data["content"] == LAST_WORDS {
            self.ends += 1;
        }
        let what = json!([
            data["session_id"],
            data["execution_id"],
            data["status"],
            data["content"]
        ]);
        self.events.push((id, event.name.clone(), what));
    }

    fn last_id(&self) -> u64 {
        self.events.last().map_or(0, |(id, ..)| *id)
    }

    fn is_missing_nothing_of(&self, all: &Self, who: &str) {
        let ids = |history: &Self| -> BTreeSet<u64> {
            history.events.iter().map(|(id, ..)| *id).collect()
        };
        let (mine, theirs) = (ids(self), ids(all));
        let missed: Vec<&u64> = theirs.difference(&mine).collect();
        let invented: Vec<&u64> = mine.difference(&theirs).collect();
        assert!(
            missed.is_empty() && invented.is_empty(),
            "{who} missed {missed:?} and saw {invented:?} that is not there"
        );
        assert!(self == all, "{who} saw something else under the same ids");
    }
}

/// Reads everything from the first event on, through as many connections as it takes; `ends` last words are the end.
async fn read(user: User, path: String, ends: usize, seed: u64) -> (History, u64) {
    let mut random = Random::new(seed);
    let mut history = History::default();
    let mut connections = 0;
    while history.ends < ends {
        let last_id = history.last_id().to_string();
        let call = user
            .call(Method::Get, &path)
            .header("Last-Event-ID", &last_id);
        let Some(mut stream) = EventStream::try_open(call).await else {
            // The server is away; it comes back at the same address.
            tokio::time::sleep(std::time::Duration::from_millis(random.below(20))).await;
            continue;
        };
        connections += 1;
        let until = history.events.len() as u64 + 1 + random.below(60);
        while history.ends < ends && (history.events.len() as u64) < until {
            match stream.next().await {
                Some(event) => history.take(&event),
                None => break,
            }
        }
    }
    (history, connections)
}

/// Posts until it was told that it is done, however often the server goes away meanwhile.
async fn post(user: &User, chat: &str, content: &str) {
    let path = format!("/api/local/sessions/{chat}/messages");
    let body = json!({ "content": content });
    let begun = std::time::Instant::now();
    loop {
        let sent = user.call(Method::Post, &path).json(&body).try_send().await;
        if sent.is_ok_and(|answer| answer.status == 202) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the server does not come back");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_come_and_go_see_every_event_once_in_order() {
    let kills = number_from("SKEP_TEST_STREAM_KILLS", 3);
    let (mut random, seed) = Random::seeded();
    let mut server = TestServer::start().await;
    let user = server.log_in().await;
    let mut chats = Vec::new();
    for _ in 0..CHATS {
        chats.push(user.chat().await);
    }
    let scope = |reader: u64| match reader % 5 {
        4 => ("/api/stream".to_owned(), CHATS),
        n => {
            let chat = &chats[usize::try_from(n).unwrap()];
            (format!("/api/local/sessions/{chat}/stream"), 1)
        }
    };
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (path, ends) = scope(reader);
            tokio::spawn(read(user.clone(), path, ends, random.next()))
        })
        .collect();
    let (posted, mut count) = tokio::sync::watch::channel(0_u64);
    let posters: Vec<_> = chats
        .iter()
        .map(|chat| {
            let (user, chat, posted) = (user.clone(), chat.clone(), posted.clone());
            tokio::spawn(async move {
                for n in 0..10 * kills {
                    post(&user, &chat, &format!("message {n}")).await;
                    posted.send_modify(|count| *count += 1);
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        let due = kill * 10 * CHATS as u64 - 20;
        count.wait_for(|count| *count >= due).await.unwrap();
        server = server.kill().await.start_at_same_address().await;
    }
    for poster in posters {
        poster.await.unwrap();
    }
    for chat in &chats {
        post(&user, chat, LAST_WORDS).await;
    }
    let mut connections = 0;
    let mut reference: Vec<Option<History>> = vec![None; 5];
    for (reader, history) in (0..).zip(readers) {
        let (seen, opened) = history
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        connections += opened;
        let slot = &mut reference[(reader % 5) as usize];
        if slot.is_none() {
            *slot = Some(in_one_go(&user, scope(reader)).await);
        }
        let who = format!("seed {seed}, reader {reader} of {:?}", scope(reader));
        seen.is_missing_nothing_of(slot.as_ref().unwrap(), &who);
    }
    assert!(connections > 3 * READERS, "{connections} connections");
    server.stop().await;
}

/// The same on one connection, when all is over.
async fn in_one_go(user: &User, (path, ends): (String, usize)) -> History {
    let mut stream = user.events(&path, Some(0)).await;
    let mut history = History::default();
    while history.ends < ends {
        history.take(&stream.next().await.expect("everything is there"));
    }
    history
}
