//! Workers that ask each other.

use serde_json::{Value, json};

use crate::agents::{Visit, said};
use crate::support::model::{ModelServer, calls, text};
use crate::support::{PATIENCE, Setup, TestServer, User, engine};

fn question(worker: &str, question: &str) -> Value {
    json!({ "worker_id": worker, "question": question })
}

/// The executions of a worker in this state, newest first.
async fn executions(user: &User, worker: &str, status: &str) -> Vec<String> {
    let path = format!("/api/executions?worker_id={worker}&status={status}");
    let rows = user.read_all(&path).await;
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits until a worker runs something; which execution it is.
async fn runs(user: &User, worker: &str) -> String {
    let mut events = user.events("/api/stream", Some(0)).await;
    let is_its = |data: &Value| data["worker_id"] == worker && data["status"] == "running";
    let event = events
        .find(|event| event.is("status") && is_its(&event.data))
        .await;
    event.data["execution_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_worker_asks_another_one_and_goes_on_with_its_answer() {
    // One may run at once: whoever waits is in nobody's way.
    let settings = engine::settings_with("max_concurrent_executions = 1");
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let bob = user.worker("Bob", "fake").await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    let answer = ada.tool("ask_worker", question("Bob", "say seven")).await;
    assert_eq!(answer["structuredContent"]["answer"], "seven\n", "{answer}");
    let asked = answer["structuredContent"]["execution_id"].as_str();
    let execution = user.execution(asked.unwrap()).await;
    assert_eq!(execution["routing"], "consulted");
    assert_eq!(execution["session_id"], Value::Null);

    let failed = ada.tool("ask_worker", question("Bob", "crash")).await;
    assert!(said(&failed).1.contains("frobnicate"), "{failed}");
    for (who, what) in [
        ("Ada", "say me"),
        ("Nobody", "say x"),
        ("Bob", " "),
        ("bee", "help"),
    ] {
        let refused = ada.tool("ask_worker", question(who, what)).await;
        assert!(!said(&refused).0, "{who}: {refused}");
    }
    assert!(executions(&user, &bob, "pending").await.is_empty());
    ada.end(&user).await;
}

/// The user stops the one who asked: whoever it asked ends, too, and whoever that one asked.
#[tokio::test]
async fn a_stop_ends_the_whole_chain() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let bob = user.worker("Bob", "fake").await;
    let cleo = user.worker("Cleo", "fake").await;
    let ada = Visit::begin(&server, &user, "Ada").await;
    let chain = async {
        let asking = ada.tool("ask_worker", question("Bob", "visit"));
        let steps = async {
            let asked = runs(&user, &bob).await;
            user.printed(&asked, "visiting").await;
            let bob = Visit::met(&server, &bob, &asked);
            let asking = bob.tool("ask_worker", question("Cleo", "hang"));
            let steps = async {
                let asked_too = runs(&user, &cleo).await;
                user.printed(&asked_too, "hanging").await;
                let back = bob.tool("ask_worker", question("Ada", "say x")).await;
                assert!(said(&back).1.contains("waits for you"), "{back}");
                let path = format!("/api/executions/{}/cancel", ada.execution);
                user.post(&path, &json!({})).await.expect(202);
                asked_too
            };
            let (_, asked_too) = tokio::join!(asking, steps);
            [asked, asked_too]
        };
        tokio::join!(asking, steps).1
    };
    let asked = tokio::time::timeout(PATIENCE, chain).await.unwrap();
    for execution in &asked {
        assert_eq!(user.ended(execution).await.status(), "cancelled");
    }
    assert_eq!(user.ended(&ada.execution).await.status(), "cancelled");
}

/// A chain ends at its named depth.
#[tokio::test]
async fn a_chain_is_only_so_deep() {
    let server = TestServer::with(&engine::settings()).await;
    let user = server.log_in().await;
    let mut names = Vec::new();
    for name in ["B", "C", "D", "E"] {
        names.push((name, user.worker(name, "fake").await));
    }
    let first = Visit::begin(&server, &user, "A").await;
    let mut visits = vec![std::sync::Arc::new(first)];
    let mut waiting = Vec::new();
    for (name, worker) in &names[..skep::tool::consult::DEPTH_MAX] {
        let asker = visits.last().unwrap().clone();
        let asked = question(name, "visit");
        waiting.push(tokio::spawn(async move {
            asker.tool("ask_worker", asked).await
        }));
        let execution = runs(&user, worker).await;
        user.printed(&execution, "visiting").await;
        visits.push(std::sync::Arc::new(Visit::met(&server, worker, &execution)));
    }
    let deepest = visits.pop().unwrap();
    let refused = deepest.tool("ask_worker", question("E", "say x")).await;
    assert!(said(&refused).1.contains("one for the other"), "{refused}");
    std::fs::write(deepest.work_dir().join("go"), "").unwrap();
    let answer = waiting.pop().unwrap().await.unwrap();
    assert!(said(&answer).1.contains("done"), "{answer}");
}

/// A question that waits when the server dies is taken back: nobody would hear the answer.
#[tokio::test]
async fn a_restart_takes_back_what_nobody_waits_for() {
    let server = Setup::settings(&engine::settings()).start().await;
    let user = server.log_in().await;
    let bob = Visit::begin(&server, &user, "Bob").await;
    let ada = std::sync::Arc::new(Visit::begin(&server, &user, "Ada").await);
    let (asking, asked) = (ada.clone(), question("Bob", "say x"));
    let call = tokio::spawn(async move {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "ask_worker", "arguments": asked } });
        asking.call(&body).try_send().await
    });
    let path = format!("/api/executions?worker_id={}&status=pending", bob.worker);
    let mut events = user.events("/api/stream", Some(0)).await;
    let is_queued = |data: &Value| data["worker_id"] == bob.worker && data["queue_position"] == 1;
    events
        .find(|event| event.is("status") && is_queued(&event.data))
        .await;
    let pending = user.read_all(&path).await;
    let id = pending[0]["id"].as_str().unwrap().to_owned();
    let server = server.kill().await.start().await;
    call.abort();
    let user = user.at(&server);
    let reply = user.ended(&id).await;
    assert_eq!(reply.status(), "cancelled");
}

/// A model that answers over HTTP asks with the same tool, and a stop reaches whom it asked.
#[tokio::test]
async fn a_model_asks_a_worker_and_a_stop_reaches_that_one() {
    let question = |what: &str| format!(r#"{{"worker": "Bob", "question": "{what}"}}"#);
    let (seven, hang) = (question("say seven"), question("hang"));
    let model = ModelServer::saying([
        calls(&[("ask_worker", seven.as_str())]),
        text(&["It says seven."]),
        calls(&[("ask_worker", hang.as_str())]),
    ]);
    let model = model.await;
    let server = TestServer::with(&engine::settings_with(&model.engine("m", ""))).await;
    let user = server.log_in().await;
    let bob = user.worker("Bob", "fake").await;
    let (_, chat) = user.chat_with_engine("Ada", "m").await;
    assert_eq!(user.ask(&chat, "Ask Bob.").await.text(), "It says seven.");
    let told = &model.asked()[1].body["messages"];
    assert_eq!(
        told.as_array().unwrap().last().unwrap()["content"],
        "seven\n"
    );

    let asking = user.send(&chat, "Ask Bob again.").await;
    let path = format!("/api/executions?worker_id={bob}");
    let mut events = user.events("/api/stream", Some(0)).await;
    let is_asked = |data: &Value| data["worker_id"] == bob && data["status"] == "running";
    for _ in 0..2 {
        events
            .find(|event| event.is("status") && is_asked(&event.data))
            .await;
    }
    let asked = user.read_all(&path).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    user.printed(&asked, "hanging").await;
    let cancel = format!("/api/executions/{asking}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    assert_eq!(user.ended(&asked).await.status(), "cancelled");
    assert_eq!(user.ended(&asking).await.status(), "cancelled");
}
