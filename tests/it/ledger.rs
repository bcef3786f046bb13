//! The ledger of a load: what clients were told is kept, and how each kind of it is read back.
//!
//! A further kind of change is a variant of [`Kept`], its reading in [`Kept::is_kept`] and a step of [`client`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::User;
use crate::support::http::{Call, Method};
use crate::support::user::id_of;

/// Something that a client was told is done.
pub enum Kept {
    Worker { id: String, name: String },
    Renamed { chat: String, name: String },
    Token { id: String, token: String },
    Revoked { token: String },
    Upload { url: String, content: String },
    Log { execution: String, bytes: Vec<u8> },
    Deleted { path: String },
}

impl Kept {
    pub async fn is_kept(&self, user: &User, when: &str) {
        match self {
            Self::Worker { id, name } => {
                let worker = user.read(&format!("/api/workers/{id}")).await;
                assert_eq!(worker["name"], name.as_str(), "{when}");
                assert!(worker["work_dir"].is_string(), "{when}: {worker}");
            }
            Self::Renamed { chat, name } => {
                let session = user.read(&format!("/api/local/sessions/{chat}")).await;
                assert_eq!(session["name"], name.as_str(), "{when}");
            }
            Self::Token { token, .. } => {
                user.with_token(token).get("/api/workers").await.expect(200);
            }
            Self::Revoked { token } => {
                user.with_token(token)
                    .get("/api/workers")
                    .await
                    .refused(401, "invalid_token");
            }
            Self::Upload { url, content } => {
                assert_eq!(user.get(url).await.expect(200).text(), *content, "{when}");
            }
            Self::Log { execution, bytes } => {
                let log = user.log(execution).await.expect(200);
                assert!(log.body == *bytes, "{when}: the log of {execution}");
            }
            Self::Deleted { path } => {
                user.get(path).await.refused(404, "not_found");
            }
        }
    }
}

/// What clients were told is kept.
#[derive(Default)]
pub struct Ledger {
    /// Messages of each chat in the order in which one client posted them, with their executions.
    pub messages: BTreeMap<String, Vec<(String, String)>>,
    pub kept: Vec<Kept>,
}

impl Ledger {
    pub fn add(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.kept.extend(other.kept);
    }

    /// Reads everything back.
    pub async fn is_kept(&self, user: &User, when: &str) {
        for (chat, posted) in &self.messages {
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
        for kept in &self.kept {
            kept.is_kept(user, when).await;
        }
    }

    /// Waits until every message has had its one execution, and its one reply; notes a log of each chat.
    pub async fn settles(&mut self, user: &User, when: &str) {
        for (chat, posted) in &self.messages {
            let Some((_, last)) = posted.last() else {
                continue;
            };
            user.ended(last).await;
            are_settled(user, chat, posted, when).await;
            let bytes = user.log(last).await.expect(200).body;
            self.kept.push(Kept::Log {
                execution: last.clone(),
                bytes,
            });
        }
        // There may be a hundred API keys at most, and a long run makes more.
        for kept in &mut self.kept {
            if let Kept::Token { id, token } = kept {
                user.delete(&format!("/api/tokens/{id}")).await.expect(200);
                let token = std::mem::take(token);
                *kept = Kept::Revoked { token };
            }
        }
    }
}

/// Every message has one execution, which ended once, was never left as running, and told the chat.
async fn are_settled(user: &User, chat: &str, posted: &[(String, String)], when: &str) {
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
    let (_, last) = posted.last().unwrap();
    let mut events = user.chat_events(chat, Some(0)).await;
    let seen = events.until(|event| event.is_final(last)).await;
    let ids: Vec<u64> = seen.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{when}: {ids:?}");
    let told = seen.iter().filter(|event| event.is("user_message")).count();
    assert!(told >= posted.len(), "{when}: {told} of {}", posted.len());
}

/// One client: goes on until the server is gone. Only what was answered enters the ledger.
pub async fn client(user: User, name: String, ledger: Arc<Mutex<Ledger>>) {
    // `None`: the server is gone, and what was asked of it may have happened or not.
    let _ = post_until_it_is_gone(&user, &name, &ledger).await;
}

async fn post_until_it_is_gone(user: &User, name: &str, ledger: &Mutex<Ledger>) -> Option<()> {
    let keep = |kept: Kept| ledger.lock().unwrap().kept.push(kept);
    let chat = new_chat(user, name).await?;
    let entry = (chat.clone(), Vec::new());
    ledger.lock().unwrap().messages.extend([entry]);
    let sessions = "/api/local/sessions";
    for n in 0..60 {
        let text = format!("{name} says {n}");
        let body = json!({ "content": text });
        let messages = format!("{sessions}/{chat}/messages");
        let queued = done(user.call(Method::Post, &messages).json(&body)).await?;
        let execution = queued["execution_id"].as_str().unwrap().to_owned();
        ledger
            .lock()
            .unwrap()
            .messages
            .get_mut(&chat)?
            .push((text, execution));
        match n % 8 {
            1 => {
                let name = format!("{name} renamed {n}");
                let chat = new_chat(user, "to be renamed").await?;
                let call = user.call(Method::Patch, &format!("{sessions}/{chat}"));
                done(call.json(&json!({ "name": name }))).await?;
                keep(Kept::Renamed { chat, name });
            }
            3 => {
                let name = format!("{name} worker {n}");
                let call = user.call(Method::Post, "/api/workers");
                let id = id_of(&done(call.json(&json!({ "name": name }))).await?);
                keep(Kept::Worker { id, name });
            }
            4 if n < 8 => {
                let body = json!({ "name": name, "scopes": ["read"] });
                let made = done(user.call(Method::Post, "/api/tokens").json(&body)).await?;
                let token = made["token"].as_str().unwrap().to_owned();
                let id = id_of(&made);
                keep(Kept::Token { id, token });
            }
            5 => {
                let content = format!("{name} uploads {n}").repeat(50);
                let call = user.call(Method::Post, &format!("{sessions}/{chat}/media"));
                let made = done(call.file("file", "f.txt", content.as_bytes())).await?;
                let url = made["url"].as_str().unwrap().to_owned();
                keep(Kept::Upload { url, content });
            }
            7 => {
                let path = format!("{sessions}/{}", new_chat(user, "short").await?);
                done(user.call(Method::Delete, &path)).await?;
                keep(Kept::Deleted { path });
            }
            _ => {}
        }
    }
    Some(())
}

async fn new_chat(user: &User, name: &str) -> Option<String> {
    let call = user.call(Method::Post, "/api/local/sessions");
    Some(id_of(&done(call.json(&json!({ "name": name }))).await?))
}

/// What was answered to a call that was answered well.
async fn done(call: Call) -> Option<Value> {
    let answer = call.try_send().await.ok()?;
    matches!(answer.status, 200..=299).then(|| answer.json())
}
