//! The server is killed again and again under load: what was acknowledged is there, once, in order.
//!
//! `SKEP_TEST_KILLS` says how often (15 if it does not), `SKEP_TEST_SEED` from which seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Call, Method};
use crate::support::user::id_of;
use crate::support::{TestServer, User, eventually};

/// What clients were told is kept.
#[derive(Default)]
struct Ledger {
    /// Messages of each chat in the order in which one client posted them, with their executions.
    messages: BTreeMap<String, Vec<(String, String)>>,
    workers: BTreeMap<String, String>,
    /// Url and content.
    uploads: Vec<(String, String)>,
    deleted: Vec<String>,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.workers.extend(other.workers);
        self.uploads.extend(other.uploads);
        self.deleted.extend(other.deleted);
    }
}

/// xorshift: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// One client: posts until the server is gone. Only what was answered enters the ledger.
async fn client(user: User, name: String, ledger: Arc<Mutex<Ledger>>) {
    let post = async |path: String, body: Value| -> Option<Value> {
        let answer = user
            .call(Method::Post, &path)
            .json(&body)
            .try_send()
            .await
            .ok()?;
        matches!(answer.status, 200..=299).then(|| answer.json())
    };
    let Some(chat) = post("/api/local/sessions".to_owned(), json!({ "name": name })).await else {
        return;
    };
    let chat = id_of(&chat);
    ledger
        .lock()
        .unwrap()
        .messages
        .entry(chat.clone())
        .or_default();
    for n in 0..60 {
        let text = format!("{name} says {n}");
        let path = format!("/api/local/sessions/{chat}/messages");
        let Some(queued) = post(path, json!({ "content": text })).await else {
            return;
        };
        let execution = queued["execution_id"].as_str().unwrap().to_owned();
        ledger
            .lock()
            .unwrap()
            .messages
            .get_mut(&chat)
            .unwrap()
            .push((text, execution));
        if n % 8 == 3 {
            let worker = format!("{name} worker {n}");
            let Some(made) = post("/api/workers".to_owned(), json!({ "name": worker })).await
            else {
                return;
            };
            ledger.lock().unwrap().workers.insert(id_of(&made), worker);
        }
        if n % 8 == 5 {
            let content = format!("{name} uploads {n}").repeat(50);
            let path = format!("/api/local/sessions/{chat}/media");
            let call = user
                .call(Method::Post, &path)
                .file("file", "f.txt", content.as_bytes());
            let Ok(answer) = Call::try_send(call).await else {
                return;
            };
            if answer.status == 200 {
                let url = answer.json()["url"].as_str().unwrap().to_owned();
                ledger.lock().unwrap().uploads.push((url, content));
            }
        }
        if n % 8 == 7 {
            let Some(short) =
                post("/api/local/sessions".to_owned(), json!({ "name": "short" })).await
            else {
                return;
            };
            let path = format!("/api/local/sessions/{}", id_of(&short));
            let Ok(answer) = user.call(Method::Delete, &path).try_send().await else {
                return;
            };
            if answer.status == 200 {
                ledger.lock().unwrap().deleted.push(path);
            }
        }
    }
}

async fn is_kept(user: &User, ledger: &Ledger, when: &str) {
    for (chat, posted) in &ledger.messages {
        let messages = user.messages(chat).await;
        let seqs: Vec<u64> = messages
            .iter()
            .map(|m| m["seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{when}: {seqs:?}");
        let said: Vec<&str> = messages
            .iter()
            .filter(|m| m["role"] == "user")
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = posted.iter().map(|(text, _)| text.as_str()).collect();
        // One more may be there: stored, and killed before it could say so.
        assert!(
            said.starts_with(&expected),
            "{when}: {expected:?} in {said:?}"
        );
        assert!(said.len() <= expected.len() + 1, "{when}: {said:?}");
    }
    let workers: BTreeMap<String, String> = user
        .read_all("/api/workers")
        .await
        .iter()
        .map(|worker| (id_of(worker), worker["name"].as_str().unwrap().to_owned()))
        .collect();
    for (id, name) in &ledger.workers {
        assert_eq!(workers.get(id), Some(name), "{when}");
        assert!(user.read(&format!("/api/workers/{id}")).await["work_dir"].is_string());
    }
    for (url, content) in &ledger.uploads {
        assert_eq!(user.get(url).await.expect(200).text(), *content, "{when}");
    }
    for path in &ledger.deleted {
        user.get(path).await.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill() {
    let kills = number_from("SKEP_TEST_KILLS").unwrap_or(15);
    let seed =
        number_from("SKEP_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    let mut random = Random(seed);
    let mut server = TestServer::start().await;
    let mut user = server.log_in().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut of_all = Ledger::default();
    for kill in 0..kills {
        let clients: Vec<_> = (0..6)
            .map(|n| tokio::spawn(client(user.clone(), format!("{kill}-{n}"), ledger.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + random.next() % 300)).await;
        let stopped = server.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        server = stopped.start().await;
        user = user.at(&server);
        let of_this_life = std::mem::take(&mut *ledger.lock().unwrap());
        let when = format!("seed {seed}, after kill {kill}");
        is_kept(&user, &of_this_life, &when).await;
        settled(&user, &of_this_life, &when).await;
        of_all.add(of_this_life);
    }
    let when = format!("seed {seed}, in the end");
    is_kept(&user, &of_all, &when).await;
    let acknowledged: usize = of_all.messages.values().map(Vec::len).sum();
    let expected = usize::try_from(kills).unwrap() * 5;
    assert!(
        acknowledged > expected,
        "only {acknowledged} messages were acknowledged"
    );
    server.stop().await;
}

/// Every message has one execution, which ended once, was never left as running, and told the chat.
async fn settled(user: &User, ledger: &Ledger, when: &str) {
    for (chat, posted) in &ledger.messages {
        let Some((_, last)) = posted.last() else {
            continue;
        };
        user.ended(last).await;
        let messages = user.messages(chat).await;
        let executions = user
            .read_all(&format!("/api/sessions/{chat}/executions"))
            .await;
        for (text, execution) in posted {
            let found: Vec<&Value> = executions
                .iter()
                .filter(|e| e["id"] == execution.as_str())
                .collect();
            assert_eq!(found.len(), 1, "{when}: {text}");
            let status = found[0]["status"].as_str().unwrap();
            let is_interrupted = status == "failed" && found[0]["error"] == "interrupted";
            assert!(
                status == "completed" || is_interrupted,
                "{when}: {text}: {}",
                found[0]
            );
            let replies = messages
                .iter()
                .filter(|m| m["role"] == "bee" && m["execution_id"] == execution.as_str())
                .count();
            assert_eq!(replies, 1, "{when}: {text}");
        }
        // And the stream tells the same, each event once.
        let mut events = user.chat_events(chat, Some(0)).await;
        let seen = events.until(|event| event.is_final(last)).await;
        let ids: Vec<u64> = seen.iter().filter_map(|event| event.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{when}: {ids:?}");
        let told = seen.iter().filter(|event| event.is("user_message")).count();
        assert!(told >= posted.len(), "{when}: {told} of {}", posted.len());
    }
}

/// Nothing of a kill is left lying about: no half uploads, no temporary files of the journal.
#[tokio::test]
async fn a_kill_leaves_no_litter() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let writing = tokio::spawn(client(user.clone(), "client".to_owned(), ledger.clone()));
    let seen = ledger.clone();
    eventually("some uploads", crate::support::PATIENCE, || {
        (seen.lock().unwrap().uploads.len() > 2).then_some(())
    })
    .await;
    let stopped = server.kill().await;
    writing.await.unwrap();
    let server = stopped.start().await;
    let user = user.at(&server);
    let ledger = std::mem::take(&mut *ledger.lock().unwrap());
    settled(&user, &ledger, "after the kill").await;
    let data = server.stop().await.data;
    for folder in ["journal", "snapshots", "keys"] {
        let Ok(entries) = std::fs::read_dir(data.join(folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.ends_with(".tmp"), "{folder}/{name}");
        }
    }
}
