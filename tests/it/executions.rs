//! Executions: lists, filters, and what may be asked of one.

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::user::id_of;
use crate::support::{TestServer, User, masked};

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(id_of).collect()
}

/// Two workers and two chats; the executions in the order in which they were made.
async fn some(user: &User) -> (String, String, Vec<String>) {
    let (ada, chat) = user.chat_with_engine("Ada", "fake").await;
    let (_, other) = user.chat_with_engine("Grace", "fake").await;
    let mut made = Vec::new();
    for (chat, message) in [
        (&chat, "say 1"),
        (&other, "say 2"),
        (&chat, "crash"),
        (&chat, "say 3"),
    ] {
        made.push(id_of(&user.ask(chat, message).await.execution));
    }
    (ada, chat, made)
}

#[tokio::test]
async fn an_execution_tells_everything_as_documented() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let reply = user.ask(&chat, "say hello").await;
    let execution = reply.execution;
    assert_eq!(
        masked(&execution, &server.data),
        json!({
            "id": "<id>", "worker_id": "<id>", "worker_name": "Ada", "session_id": "<id>", "message_id": "<id>",
            "task_id": null, "trigger_input": "say hello", "status": "completed", "waiting": false, "stopping": false, "result": "hello\n", "error": null,
            "routing": execution["routing"], "engine": "fake", "model": null, "engine_session_id": null, "pid": null,
            "log_path": execution["log_path"].as_str().unwrap().replace(&id_of(&execution), "<id>"),
            "log_bytes": 6, "usage": { "input_tokens": null, "output_tokens": null, "cost_usd": null },
            "retry_of": null, "created_at": "<time>", "started_at": "<time>", "completed_at": "<time>",
        })
    );
    assert_eq!(execution["worker_id"], worker.as_str());
    assert_eq!(execution["session_id"], chat.as_str());
    let log = server.data.join(execution["log_path"].as_str().unwrap());
    assert_eq!(std::fs::read(&log).unwrap(), b"hello\n");
    assert!(
        std::fs::metadata(&log).unwrap().permissions().readonly(),
        "sealed"
    );
    let times =
        ["created_at", "started_at", "completed_at"].map(|name| execution[name].as_u64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    assert_eq!(user.read("/api/executions").await, json!([]));
    let (ada, chat, made) = some(&user).await;
    let newest_first: Vec<String> = made.iter().rev().cloned().collect();
    let list = async |query: &str| ids(&user.read_all(&format!("/api/executions{query}")).await);
    assert_eq!(list("").await, newest_first);
    assert_eq!(list("?limit=1").await, newest_first, "page by page");
    assert_eq!(list("?status=failed").await, [made[2].clone()]);
    assert_eq!(list("?status=running").await, Vec::<String>::new());
    let adas = [&made[3], &made[2], &made[0]].map(String::clone);
    assert_eq!(list(&format!("?worker_id={ada}")).await, adas);
    assert_eq!(list(&format!("?worker_id={ada}&limit=2")).await, adas);
    assert_eq!(list(&format!("?session_id={chat}&limit=1")).await, adas);
    assert_eq!(
        list(&format!("?session_id={chat}&status=completed&limit=1")).await,
        [made[3].clone(), made[0].clone()]
    );
    let created = user.execution(&made[2]).await["created_at"]
        .as_u64()
        .unwrap();
    let since = list(&format!("?since={created}")).await;
    assert!(since.contains(&made[2]) && since.contains(&made[3]) && !since.contains(&made[0]));
    let until = list(&format!("?until={created}")).await;
    assert!(until.contains(&made[0]) && until.contains(&made[1]) && !until.contains(&made[3]));

    assert_eq!(
        ids(&user
            .read_all(&format!("/api/workers/{ada}/executions?limit=2"))
            .await),
        adas,
        "newest first"
    );
    let oldest_first: Vec<String> = adas.iter().rev().cloned().collect();
    for query in ["", "?limit=1", "?limit=2"] {
        let rows = user
            .read_all(&format!("/api/sessions/{chat}/executions{query}"))
            .await;
        assert_eq!(ids(&rows), oldest_first, "oldest first");
    }
    let unknown = uuid::Uuid::now_v7();
    assert_eq!(
        list(&format!("?worker_id={unknown}")).await,
        Vec::<String>::new()
    );
    for bad in [
        "status=done",
        "worker_id=x",
        "session_id=x",
        "since=yesterday",
        "until=-1",
        "limit=1001",
        "cursor=x",
    ] {
        user.get(&format!("/api/executions?{bad}"))
            .await
            .refused(400, "bad_request");
    }
}

/// A token in the query does not come back in the link to the next page.
#[tokio::test]
async fn the_link_to_the_next_page_keeps_the_filters_and_no_token() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (ada, _, _) = some(&user).await;
    let path = format!(
        "/api/executions?worker_id={ada}&token={}&limit=1",
        user.access
    );
    let page = server
        .call(crate::support::Method::Get, &path)
        .send()
        .await
        .expect(200);
    let next = page.next_page().unwrap();
    assert!(next.contains(&ada) && next.contains("limit=1"), "{next}");
    assert!(!next.contains("token"), "{next}");
}

#[tokio::test]
async fn unknown_executions_are_not_found_and_final_ones_stay_final() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    for id in [&*uuid::Uuid::now_v7().to_string(), "x", "%2e%2e"] {
        let path = format!("/api/executions/{id}");
        for suffix in ["", "/logs", "/stream"] {
            user.get(&format!("{path}{suffix}"))
                .await
                .refused(404, "not_found");
        }
        for suffix in ["/cancel", "/retry"] {
            user.post(&format!("{path}{suffix}"), &json!({}))
                .await
                .refused(404, "not_found");
        }
        user.get(&format!("/api/sessions/{id}/executions"))
            .await
            .refused(404, "not_found");
    }
    let (_, _, made) = some(&user).await;
    user.post(&format!("/api/executions/{}/cancel", made[0]), &json!({}))
        .await
        .refused(409, "conflict");
    assert_eq!(user.execution(&made[0]).await["status"], "completed");
}

/// Also one that went well may be asked for again, and the answer takes the place of the old one.
#[tokio::test]
async fn a_retry_is_a_new_execution_of_the_same_message() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.ask(&chat, "count").await.execution;
    let path = format!("/api/executions/{}/retry", id_of(&first));
    let retried = user.post(&path, &json!({})).await.expect(202).json();
    assert_ne!(retried["id"], first["id"]);
    assert_eq!(
        (&retried["retry_of"], &retried["message_id"]),
        (&first["id"], &first["message_id"])
    );
    let reply = user.ended(&id_of(&retried)).await;
    assert_eq!(reply.text(), "run 2");
    let contents: Vec<Value> = user
        .messages(&chat)
        .await
        .iter()
        .map(|m| m["content"].clone())
        .collect();
    assert_eq!(contents, ["count", "run 2\n"]);
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    user.post(&path, &json!({})).await.refused(404, "not_found");
}
