//! What agents keep in mind.

use serde_json::{Value, json};

use crate::support::{Setup, TestServer, masked};

const MEMORY: &str = "/api/memory";
const RECALL: &str = "[engines.recall]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"printf %s \\\"$SKEP_MEMORY\\\"\"]\n";

#[tokio::test]
async fn an_entry_is_set_listed_replaced_and_forgotten() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let worker = user.worker("Ada", "").await;
    let chat = user.chat().await;
    let paths = [
        format!("{MEMORY}/global/tea"),
        format!("{MEMORY}/worker:{worker}/tea"),
        format!("{MEMORY}/session:{chat}/a%20key"),
    ];
    for path in &paths {
        user.put(path, &json!({ "value": "green" }))
            .await
            .expect(200);
    }
    let again = user
        .put(&paths[0], &json!({ "value": "black" }))
        .await
        .expect(200)
        .json();
    assert_eq!(
        masked(&again, &server.data),
        json!({ "scope": "global", "key": "tea", "value": "black", "created_at": "<time>", "updated_at": "<time>" })
    );
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    let all = user.read_all(&format!("{MEMORY}?limit=1")).await;
    let scopes: Vec<&Value> = all.iter().map(|entry| &entry["scope"]).collect();
    let expected = [
        json!("global"),
        json!(format!("session:{chat}")),
        json!(format!("worker:{worker}")),
    ];
    assert_eq!(
        scopes,
        expected.iter().collect::<Vec<_>>(),
        "last changed first"
    );
    let of_chat = user.read(&format!("{MEMORY}?scope=session:{chat}")).await;
    assert_eq!(of_chat[0]["key"], "a key");
    user.delete(&paths[0]).await.expect(200);
    user.delete(&paths[0]).await.refused(404, "not_found");
    // They go with whom they belong to.
    user.delete(&format!("/api/workers/{worker}"))
        .await
        .expect(200);
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    assert_eq!(user.read(MEMORY).await, json!([]));
}

#[tokio::test]
async fn bad_entries_are_refused() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let global = |key: &str| format!("{MEMORY}/global/{key}");
    let put = async |path: &str, value: &str| user.put(path, &json!({ "value": value })).await;
    for (key, value, field) in [
        ("%20", "x", "key"),
        (&*"k".repeat(101), "x", "key"),
        ("a%0ab", "x", "key"),
        ("k", " ", "value"),
        ("k", &*"v".repeat(8 * 1024 + 1), "value"),
    ] {
        assert_eq!(put(&global(key), value).await.invalid_fields(), [field]);
    }
    let nobody = uuid::Uuid::now_v7();
    for scope in [
        "mine",
        "worker:x",
        &*format!("worker:{nobody}"),
        &*format!("session:{nobody}"),
    ] {
        put(&format!("{MEMORY}/{scope}/k"), "x")
            .await
            .refused(404, "not_found");
    }
    user.get(&format!("{MEMORY}?scope=mine"))
        .await
        .refused(400, "bad_request");
    for n in 0..200 {
        put(&global(&n.to_string()), "x").await.expect(200);
    }
    put(&global("another"), "x").await.refused(409, "conflict");
    put(&global("7"), "another").await.expect(200);
}

#[tokio::test]
async fn agents_see_the_entries_of_their_scopes() {
    let server = Setup::settings(RECALL).start().await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "recall").await;
    let (other, _) = user.chat_with_engine("Grace", "recall").await;
    for scope in [
        "global".to_owned(),
        format!("worker:{worker}"),
        format!("session:{chat}"),
        format!("worker:{other}"),
    ] {
        let value = json!({ "value": format!("of {scope}") });
        user.put(&format!("{MEMORY}/{scope}/k"), &value)
            .await
            .expect(200);
    }
    let said = user.ask(&chat, "What do you know?").await;
    let text = said.text();
    for scope in [
        "global".to_owned(),
        format!("worker:{worker}"),
        format!("session:{chat}"),
    ] {
        assert!(text.contains(&format!("of {scope}")), "{text}");
    }
    assert!(!text.contains(&other), "{text}");
    // What changes is known in the next turn.
    let path = format!("{MEMORY}/global/k");
    user.put(&path, &json!({ "value": "changed" }))
        .await
        .expect(200);
    assert!(user.ask(&chat, "And now?").await.text().contains("changed"));
}
