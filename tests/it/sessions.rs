//! Chats, from the first to the last that is seen of them.

use serde_json::{Value, json};

use crate::support::user::id_of;
use crate::support::{TestServer, masked};

const SESSIONS: &str = "/api/local/sessions";

#[tokio::test]
async fn a_chat_is_created_as_documented() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let answer = user
        .post(SESSIONS, &json!({ "name": " My Chat " }))
        .await
        .expect(201);
    let session = answer.json();
    let path = format!("{SESSIONS}/{}", id_of(&session));
    assert_eq!(answer.header("location"), Some(&*path));
    assert_eq!(
        masked(&session, &server.data),
        json!({
            "id": "<id>", "name": "My Chat", "worker_id": null, "pinned": false, "archived": false, "tags": [],
            "unread": 0, "waiting": false, "last_message": null, "created_at": "<time>", "updated_at": "<time>",
        })
    );
    assert_eq!(user.read(&path).await, session);
    assert_eq!(user.read(SESSIONS).await, json!([session]));
    let server = server.kill().await.start().await;
    assert_eq!(user.at(&server).read(&path).await, session);
}

#[tokio::test]
async fn chats_are_listed_last_changed_first() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(user.chat().await);
    }
    user.ask(&ids[1], "help").await;
    let listed = |rows: Vec<Value>| -> Vec<String> { rows.iter().map(id_of).collect() };
    let expected = [&ids[1], &ids[4], &ids[3], &ids[2], &ids[0]].map(String::clone);
    assert_eq!(listed(user.read_all(SESSIONS).await), expected);
    assert_eq!(
        listed(user.read_all(&format!("{SESSIONS}?limit=2")).await),
        expected
    );
    let first = user.read(&format!("{SESSIONS}/{}", ids[1])).await;
    assert_eq!(first["last_message"]["role"], "bee");
    assert_eq!(first["unread"], 1);
    let read = user
        .patch(&format!("{SESSIONS}/{}", ids[1]), &json!({ "unread": 0 }))
        .await;
    assert_eq!(read.expect(200).json()["unread"], 0);
}

#[tokio::test]
async fn a_chat_is_renamed_pinned_and_tagged() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let worker = user.worker("Ada", "").await;
    let path = format!("{SESSIONS}/{}", user.chat().await);
    let change = json!({ "name": "Sums", "worker_id": worker, "pinned": true, "archived": true, "tags": ["a", "b"] });
    let changed = user.patch(&path, &change).await.expect(200).json();
    for field in ["name", "worker_id", "pinned", "archived", "tags"] {
        assert_eq!(changed[field], change[field], "{field}");
    }
    let kept = user.patch(&path, &json!({})).await.expect(200).json();
    assert_eq!(
        kept["worker_id"], change["worker_id"],
        "what is left out stays"
    );
    let unpinned = user
        .patch(&path, &json!({ "worker_id": null }))
        .await
        .expect(200)
        .json();
    assert_eq!(unpinned["worker_id"], Value::Null);
    assert_eq!(unpinned["name"], "Sums");

    assert_eq!(
        user.patch(&path, &json!({ "name": " " }))
            .await
            .invalid_fields(),
        ["name"]
    );
    let tags: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    assert_eq!(
        user.patch(&path, &json!({ "tags": tags }))
            .await
            .invalid_fields(),
        ["tags"]
    );
    user.patch(&path, &json!({ "pinned": "yes" }))
        .await
        .refused(400, "bad_request");
    user.patch(&path, &json!({ "worker_id": "x" }))
        .await
        .refused(400, "bad_request");
    let unknown = uuid::Uuid::now_v7().to_string();
    let answer = user.patch(&path, &json!({ "worker_id": unknown })).await;
    assert!((400..500).contains(&answer.refusal().0));
    assert_eq!(user.read(&path).await["name"], "Sums");
}

#[tokio::test]
async fn bad_chats_are_refused() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    user.post(SESSIONS, &json!({}))
        .await
        .refused(400, "bad_request");
    user.post(SESSIONS, &json!({ "name": ["x"] }))
        .await
        .refused(400, "bad_request");
    for name in ["", " ", "a\u{7}b", &"x".repeat(201)] {
        assert_eq!(
            user.post(SESSIONS, &json!({ "name": name }))
                .await
                .invalid_fields(),
            ["name"]
        );
    }
    assert_eq!(user.read(SESSIONS).await, json!([]));
    for id in [&*uuid::Uuid::now_v7().to_string(), "x", "..%2f", "%ff"] {
        let path = format!("{SESSIONS}/{id}");
        user.get(&path).await.refused(404, "not_found");
        user.patch(&path, &json!({ "name": "x" }))
            .await
            .refused(404, "not_found");
        user.delete(&path).await.refused(404, "not_found");
        user.post(&format!("{path}/clear"), &json!({}))
            .await
            .refused(404, "not_found");
        user.get(&format!("{path}/messages"))
            .await
            .refused(404, "not_found");
        user.post(&format!("{path}/messages"), &json!({ "content": "x" }))
            .await
            .refused(404, "not_found");
        user.get(&format!("{path}/stream"))
            .await
            .refused(404, "not_found");
        user.get(&format!("{path}/media/a.png"))
            .await
            .refused(404, "not_found");
        user.upload(id, "a.png", b"x")
            .await
            .refused(404, "not_found");
        user.get(&format!("/api/sessions/{id}/executions"))
            .await
            .refused(404, "not_found");
    }
}

/// Only what an address names is not found; what a body names and is not there is a field that is not acceptable.
#[tokio::test]
async fn a_body_that_names_nothing_is_refused_by_field() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let path = format!("{SESSIONS}/{chat}");
    let messages = format!("{path}/messages");
    let nobody = uuid::Uuid::now_v7();
    let body = json!({ "name": "x", "content": "x", "worker_id": nobody });
    for answer in [
        user.post(SESSIONS, &body).await,
        user.patch(&path, &body).await,
        user.post(&messages, &body).await,
    ] {
        assert_eq!(answer.invalid_fields(), ["worker_id"]);
    }
    let body = json!({ "content": "x", "replaces": nobody });
    let answer = user.post(&messages, &body).await;
    assert_eq!(answer.invalid_fields(), ["replaces"]);
}

/// Messages, replies, uploads and engine contexts go; executions and their logs stay, for whoever wants to know later.
#[tokio::test]
async fn deleting_a_chat_deletes_what_belongs_to_it() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let (chat, other) = (user.chat().await, user.chat().await);
    let reply = user.ask(&chat, "help").await;
    user.ask(&other, "help").await;
    user.upload(&chat, "a.txt", b"content").await.expect(200);
    let uploads = server.data.join("uploads").join(&chat);
    assert!(uploads.join("a.txt").exists());

    let path = format!("{SESSIONS}/{chat}");
    assert_eq!(
        user.delete(&path).await.expect(200).json(),
        json!({ "status": "deleted" })
    );
    user.get(&path).await.refused(404, "not_found");
    user.get(&format!("{path}/messages"))
        .await
        .refused(404, "not_found");
    user.delete(&path).await.refused(404, "not_found");
    assert!(!uploads.exists());
    let execution = reply.execution["id"].as_str().unwrap();
    assert_eq!(user.execution(execution).await["status"], "completed");
    user.log(execution).await.expect(200);
    assert_eq!(
        user.read(&format!("/api/sessions/{chat}/executions"))
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        user.messages(&other).await.len(),
        2,
        "the other chat is as it was"
    );

    let server = server.kill().await.start().await;
    user.at(&server).get(&path).await.refused(404, "not_found");
    assert_eq!(user.at(&server).messages(&other).await.len(), 2);
}
