//! A request that is sent again with its key is answered again and not done again: at once, after a restart, and when the
//! server was killed while nobody knew whether it had been done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::user::id_of;
use crate::support::{Answer, Method, TestServer, User};

fn keyed(user: &User, path: &str, key: &str) -> Call {
    user.call(Method::Post, path).header("Idempotency-Key", key)
}

async fn post(user: &User, path: &str, key: &str, body: &Value) -> Answer {
    keyed(user, path, key).json(body).send().await
}

/// The same answer but for its own request id.
#[track_caller]
fn is_replay(first: &Answer, again: &Answer) {
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.status, first.status, "{}", again.text());
    assert_eq!(again.text(), first.text());
    for header in ["location", "content-type"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
}

#[tokio::test]
async fn every_post_that_makes_something_makes_it_once() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let said = user.ask(&chat, "help").await;
    let messages = format!("/api/local/sessions/{chat}/messages");
    let retry = format!(
        "/api/executions/{}/retry",
        said.execution["id"].as_str().unwrap()
    );
    let calls = [
        ("/api/workers", json!({ "name": "Ada", "memory": "m" })),
        ("/api/local/sessions", json!({ "name": "Once" })),
        (retry.as_str(), json!({})),
        (messages.as_str(), json!({ "content": "once" })),
    ];
    let mut firsts = Vec::new();
    for (path, body) in &calls {
        let first = post(&user, path, "\"k-1\"", body).await;
        assert!(matches!(first.status, 201 | 202), "{}", first.text());
        // Quotes are no part of the key.
        is_replay(&first, &post(&user, path, "k-1", body).await);
        firsts.push(first);
    }
    let last = firsts.last().unwrap().json();
    user.ended(last["execution_id"].as_str().unwrap()).await;
    // What they made has changed or gone meanwhile; the answer is the first one all the same.
    let worker = firsts[0].header("location").unwrap().to_owned();
    user.put(&worker, &json!({ "name": "Grace" }))
        .await
        .expect(200);
    user.delete(firsts[1].header("location").unwrap())
        .await
        .expect(200);
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    for ((path, body), first) in calls.iter().zip(&firsts) {
        is_replay(first, &post(&user, path, "k-1", body).await);
    }
    assert_eq!(user.read("/api/workers").await.as_array().unwrap().len(), 1);
    assert_eq!(
        user.read("/api/local/sessions")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let said: Vec<Value> = user.messages(&chat).await;
    let by_user = said.iter().filter(|message| message["role"] == "user");
    assert_eq!(by_user.count(), 2);
    let executions = user.read("/api/executions").await;
    assert_eq!(executions.as_array().unwrap().len(), 3);
}

/// What is shown once is not kept to be shown again.
#[tokio::test]
async fn a_secret_is_null_when_it_is_asked_for_again() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let body = json!({ "name": "script", "scopes": ["read"] });
    let first = post(&user, "/api/tokens", "k", &body).await.expect(201);
    let again = post(&user, "/api/tokens", "k", &body).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    let mut expected = first.json();
    let secret = expected["token"].take();
    assert_eq!(again.json(), expected);
    assert_eq!(user.read("/api/tokens").await.as_array().unwrap().len(), 1);
    let stopped = server.stop().await;
    let secret = secret.as_str().unwrap().as_bytes();
    for entry in std::fs::read_dir(stopped.data.join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

#[tokio::test]
async fn a_key_is_for_one_body_and_one_route() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let sessions = "/api/local/sessions";
    post(&user, sessions, "k", &json!({ "name": "A" }))
        .await
        .expect(201);
    post(&user, sessions, "k", &json!({ "name": "B" }))
        .await
        .refused(422, "idempotency_key_reused");
    // On another path it is another key, and without one every request is a new one.
    post(&user, "/api/workers", "k", &json!({ "name": "A" }))
        .await
        .expect(201);
    for _ in 0..2 {
        user.post(sessions, &json!({ "name": "A" }))
            .await
            .expect(201);
    }
    let long = "k".repeat(256);
    for bad in ["", "\"\"", "a b", "\u{e9}", long.as_str()] {
        let body = json!({ "name": "C" });
        post(&user, sessions, bad, &body)
            .await
            .refused(400, "bad_request");
    }
    let longest = "k".repeat(255);
    post(&user, sessions, &longest, &json!({ "name": "D" }))
        .await
        .expect(201);
    assert_eq!(user.read(sessions).await.as_array().unwrap().len(), 4);
    // Where nothing is made, the header means nothing.
    let login = server
        .call(Method::Post, "/api/auth/login")
        .header("Idempotency-Key", "a b");
    login
        .json(&json!({}))
        .send()
        .await
        .refused(400, "bad_request");
}

/// A refusal is no outcome: what stood in the way may be gone.
#[tokio::test]
async fn refusals_are_judged_anew() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let ada = json!({ "name": "Ada" });
    let first = user.post("/api/workers", &ada).await.expect(201);
    post(&user, "/api/workers", "k", &ada)
        .await
        .refused(409, "conflict");
    post(&user, "/api/workers", "v", &json!({ "name": "" }))
        .await
        .refused(422, "validation_failed");
    user.delete(first.header("location").unwrap())
        .await
        .expect(200);
    let made = post(&user, "/api/workers", "k", &ada).await.expect(201);
    assert_eq!(made.header("idempotent-replayed"), None);
    is_replay(&made, &post(&user, "/api/workers", "k", &ada).await);
    post(&user, "/api/workers", "v", &json!({ "name": "Grace" }))
        .await
        .expect(201);
}

/// The second of two at once is told to wait, and is answered when it comes back.
#[tokio::test]
async fn a_request_that_still_runs_is_not_begun_again() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    // The first has its turn from its head on; the rest of its body does not come yet. That the
    // server asks for the body (RFC 9110 10.1.1) says that the turn is taken.
    let body = json!({ "name": "Ada" }).to_string();
    let head = format!(
        "POST /api/workers HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: k\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
        server.address,
        user.access,
        body.len()
    );
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut socket = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; CONTINUE.len()];
    let asking = socket.read_exact(&mut asked);
    tokio::time::timeout(crate::support::PATIENCE, asking)
        .await
        .expect("the server asks for the body")
        .unwrap();
    assert_eq!(asked, CONTINUE.as_bytes());
    socket.write_all(&body.as_bytes()[..5]).await.unwrap();
    let ada = json!({ "name": "Ada" });
    let waiting = post(&user, "/api/workers", "k", &ada).await;
    waiting.refused(409, "idempotency_in_progress");
    assert_eq!(waiting.header("retry-after"), Some("1"));
    socket.write_all(&body.as_bytes()[5..]).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    let again = post(&user, "/api/workers", "k", &ada).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

/// A form has another boundary each time it is sent; the file is what counts.
#[tokio::test]
async fn an_upload_that_is_sent_again_is_one_file() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let path = format!("/api/local/sessions/{chat}/media");
    let form = |boundary: &str, name: &str, content: &str| {
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--{boundary}--\r\n"
        );
        (format!("multipart/form-data; boundary={boundary}"), body)
    };
    let upload = |key: &'static str, boundary: &'static str, name: &str, content: &str| {
        let (content_type, body) = form(boundary, name, content);
        keyed(&user, &path, key).body(&content_type, body).send()
    };
    let first = upload("k", "one", "a.txt", "hello").await.expect(200);
    is_replay(&first, &upload("k", "two", "a.txt", "hello").await);
    upload("k", "one", "a.txt", "other")
        .await
        .refused(422, "idempotency_key_reused");
    upload("k", "one", "b.txt", "hello")
        .await
        .refused(422, "idempotency_key_reused");
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    let (content_type, body) = form("three", "a.txt", "hello");
    let again = keyed(&user, &path, "k")
        .body(&content_type, body)
        .send()
        .await;
    is_replay(&first, &again);
    let files = std::fs::read_dir(server.data.join("uploads").join(&chat)).unwrap();
    assert_eq!(files.count(), 1);
}

/// What one client asked for under each key, and what it was told.
#[derive(Default)]
struct Ledger {
    /// (path, body) by key.
    asked: BTreeMap<String, (String, Value)>,
    told: BTreeMap<String, String>,
}

/// Posts under fresh keys until the server is gone; every third is sent twice at once.
async fn client(user: User, name: String, chat: String, ledger: Arc<Mutex<Ledger>>) {
    for n in 0..40 {
        let key = format!("{name}-{n}");
        let (path, body) = match n % 3 {
            0 => ("/api/workers".to_owned(), json!({ "name": key })),
            1 => ("/api/local/sessions".to_owned(), json!({ "name": key })),
            _ => (
                format!("/api/local/sessions/{chat}/messages"),
                json!({ "content": key }),
            ),
        };
        let asked = (path.clone(), body.clone());
        ledger.lock().unwrap().asked.insert(key.clone(), asked);
        let call = || keyed(&user, &path, &key).json(&body).try_send();
        let (one, other) = match n % 4 {
            3 => tokio::join!(call(), call()),
            _ => (call().await, Err(std::io::Error::other("not sent"))),
        };
        for answer in [one, other].into_iter().flatten() {
            if matches!(answer.status, 200..=299) {
                let told = answer.text();
                let before = ledger
                    .lock()
                    .unwrap()
                    .told
                    .insert(key.clone(), told.clone());
                assert!(before.is_none_or(|before| before == told));
            }
        }
    }
}

/// The server is killed again and again while clients do not know what became of their last requests. Each sends all of
/// its requests again, and each key has had exactly one effect, the one it was told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_has_one_effect_whenever_the_server_is_killed() {
    let mut server = TestServer::start().await;
    let mut user = server.log_in().await;
    let chat = user.chat().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for kill in 0..6_u64 {
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let name = format!("{kill}-{n}");
                tokio::spawn(client(user.clone(), name, chat.clone(), ledger.clone()))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + kill * 37)).await;
        let stopped = server.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        server = stopped.start().await;
        user = user.at(&server);
    }
    let Ledger { asked, told } = std::mem::take(&mut *ledger.lock().unwrap());
    assert!(told.len() > 20, "only {} were answered", told.len());
    for (key, (path, body)) in &asked {
        let answer = post(&user, path, key, body).await;
        assert!(
            matches!(answer.status, 201 | 202),
            "{key}: {}",
            answer.text()
        );
        match told.get(key) {
            Some(told) => {
                assert_eq!(answer.text(), *told, "{key}");
                assert_eq!(answer.header("idempotent-replayed"), Some("true"));
            }
            // Nobody knew; now it is done, before the kill or after it.
            None => is_replay_of_unknown(&answer),
        }
    }
    let names = |rows: Vec<Value>, field: &str| -> Vec<String> {
        let named = rows
            .iter()
            .map(|row| row[field].as_str().unwrap().to_owned());
        let mut names: Vec<String> = named.filter(|name| asked.contains_key(name)).collect();
        names.sort();
        names
    };
    let mut done = names(user.read_all("/api/workers").await, "name");
    done.extend(names(user.read_all("/api/local/sessions").await, "name"));
    let mut messages = user.messages(&chat).await;
    messages.retain(|message| message["role"] == "user");
    done.extend(names(messages, "content"));
    done.sort();
    let expected: Vec<String> = asked.keys().cloned().collect();
    assert_eq!(done, expected, "each key has exactly one effect");
    server.stop().await;
}

#[track_caller]
fn is_replay_of_unknown(answer: &Answer) {
    let is_made = answer.json();
    assert!(!id_of(&is_made).is_empty());
}
