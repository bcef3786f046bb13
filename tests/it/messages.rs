//! Messages: what was acknowledged is there, in order, and somebody answers.

use serde_json::{Value, json};

use crate::support::{Reply, TestServer, User, masked};

async fn post(user: &User, chat: &str, body: Value) -> crate::support::Answer {
    user.post(&format!("/api/local/sessions/{chat}/messages"), &body)
        .await
}

#[tokio::test]
async fn a_message_is_queued_and_answered_as_documented() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let queued = post(&user, &chat, json!({ "content": "help" }))
        .await
        .expect(202)
        .json();
    assert_eq!(
        masked(&queued, &server.data),
        json!({ "status": "queued", "id": "<id>", "seq": queued["seq"], "execution_id": "<id>" })
    );
    let reply = user.ended(queued["execution_id"].as_str().unwrap()).await;
    let messages = user.messages(&chat).await;
    let text = reply.text().to_owned();
    assert!(!text.is_empty());
    assert_eq!(
        masked(&json!(messages), &server.data),
        json!([
            {
                "role": "user", "content": "help", "ts": "<time>", "id": "<id>", "seq": queued["seq"],
                "author": null, "execution_id": "<id>", "media": [], "status": "completed",
                "error": null, "created_at": "<time>",
            },
            {
                "role": "bee", "content": masked(&json!(text), &server.data), "ts": "<time>", "id": "<id>",
                "seq": messages[1]["seq"], "author": { "worker_id": null, "name": "bee" },
                "execution_id": "<id>", "media": [], "status": "completed",
                "error": null, "created_at": "<time>",
            },
        ])
    );
    assert!(messages[1]["seq"].as_u64() > messages[0]["seq"].as_u64());
    assert!(messages[1]["ts"].as_u64() >= messages[0]["ts"].as_u64());
    assert_eq!(messages[0]["id"], queued["id"]);
}

#[tokio::test]
async fn what_was_said_survives_a_kill() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    for text in [
        "help",
        "one\ntwo",
        "ünïcödé 🐝",
        "<script>alert(1)</script>",
    ] {
        user.ask(&chat, text).await;
    }
    let before = user.messages(&chat).await;
    assert_eq!(before.len(), 8);
    assert_eq!(before[2]["content"], "one\ntwo");
    let server = server.kill().await.start().await;
    assert_eq!(user.at(&server).messages(&chat).await, before);
}

#[tokio::test]
async fn a_page_is_the_newest_messages_oldest_first() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    for n in 0..4 {
        user.ask(&chat, &format!("message {n}")).await;
    }
    let seqs = |rows: &Value| -> Vec<u64> {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["seq"].as_u64().unwrap())
            .collect()
    };
    let path = format!("/api/local/sessions/{chat}/messages");
    let all = seqs(&user.read(&path).await);
    assert_eq!(all.len(), 8);
    assert!(all.is_sorted());
    let mut pages = Vec::new();
    let mut next = Some(format!("{path}?limit=3"));
    while let Some(path) = next {
        let page = user.get(&path).await.expect(200);
        pages.push(seqs(&page.json()));
        next = page.next_page();
    }
    assert_eq!(
        pages,
        [all[5..].to_vec(), all[2..5].to_vec(), all[..2].to_vec()]
    );
}

#[tokio::test]
async fn bad_messages_are_refused_and_nothing_is_queued() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    for empty in ["", "  \n\t "] {
        assert_eq!(
            post(&user, &chat, json!({ "content": empty }))
                .await
                .invalid_fields(),
            ["content"]
        );
    }
    assert_eq!(
        post(&user, &chat, json!({})).await.invalid_fields(),
        ["content"]
    );
    let long = "x".repeat(512 * 1024 + 1);
    assert_eq!(
        post(&user, &chat, json!({ "content": long }))
            .await
            .invalid_fields(),
        ["content"]
    );
    assert_eq!(
        post(&user, &chat, json!({ "content": "a\u{0}" }))
            .await
            .invalid_fields(),
        ["content"]
    );
    post(&user, &chat, json!({ "content": 5 }))
        .await
        .refused(400, "bad_request");
    post(&user, &chat, json!({ "content": "x", "worker_id": "x" }))
        .await
        .refused(400, "bad_request");
    let unknown = uuid::Uuid::now_v7().to_string();
    let answer = post(
        &user,
        &chat,
        json!({ "content": "x", "worker_id": unknown }),
    )
    .await;
    assert_eq!(answer.invalid_fields(), ["worker_id"]);
    assert_eq!(user.messages(&chat).await, Vec::<Value>::new());
    assert_eq!(user.read("/api/executions").await, json!([]));
    let longest = "x".repeat(512 * 1024);
    post(&user, &chat, json!({ "content": longest }))
        .await
        .expect(202);
    assert_eq!(user.messages(&chat).await[0]["content"], longest);
}

/// Who answers, in the order that is documented; the execution says why.
#[tokio::test]
async fn a_message_reaches_whom_it_is_meant_for() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let ada = user.worker_with(&json!({ "name": "Ada", "engine": "builtin", "description": "Counts apples and pears in the orchard ledger" })).await;
    let grace = user.worker_with(&json!({ "name": "Grace Hopper", "engine": "builtin", "description": "Finds moths in relays" })).await;
    let author = |reply: &Reply| reply.message["author"]["worker_id"].clone();
    let name = |reply: &Reply| reply.message["author"]["name"].clone();

    // By id, whatever the text says.
    let chat = user.chat().await;
    let body = json!({ "content": "@Ada help", "worker_id": grace });
    let execution = user.send_with(&chat, &body).await;
    let reply = user.ended(&execution).await;
    assert_eq!(author(&reply), grace);
    // Whoever answered last goes on.
    assert_eq!(author(&user.ask(&chat, "help").await), grace);
    // Also before the answer is there.
    let first = user.send(&chat, "@Ada count to 100 slowly").await;
    let second = user.send(&chat, "help").await;
    let waiting = user.read(&format!("/api/executions/{second}")).await;
    assert_eq!(
        (&waiting["worker_id"], &waiting["routing"]),
        (&json!(ada), &json!("last"))
    );
    user.post(&format!("/api/executions/{first}/cancel"), &json!({}))
        .await;
    assert_eq!(author(&user.ended(&second).await), ada);
    // A name at the start.
    for text in ["@Ada help", "Ada, help", "ada: help"] {
        let chat = user.chat().await;
        let reply = user.ask(&chat, text).await;
        assert_eq!(author(&reply), ada, "{text}");
        assert_eq!(name(&reply), "Ada");
    }
    let chat = user.chat().await;
    assert_eq!(author(&user.ask(&chat, "@Grace Hopper help").await), grace);
    // The chat's own worker, unless somebody else is named.
    let pinned = user.chat_with(&ada).await;
    assert_eq!(author(&user.ask(&pinned, "help").await), ada);
    assert_eq!(
        author(&user.ask(&pinned, "@Grace Hopper help").await),
        grace
    );
    assert_eq!(author(&user.ask(&pinned, "help").await), ada);
    // The best match.
    let chat = user.chat().await;
    let reply = user
        .ask(&chat, "how many apples and pears are in the ledger?")
        .await;
    assert_eq!(author(&reply), ada);
    assert!(reply.execution["routing"].is_string() || reply.execution["routing"].is_object());
    // Else the bee.
    let chat = user.chat().await;
    let reply = user.ask(&chat, "help").await;
    assert_eq!(author(&reply), Value::Null);
    assert_eq!(name(&reply), "bee");
}

#[tokio::test]
async fn a_reply_is_rendered_without_anything_that_runs() {
    let server = TestServer::with(&crate::support::engine::settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let hostile = "say **bold** <script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1))";
    let reply = user.ask(&chat, hostile).await;
    assert!(
        reply.text().contains("<script>"),
        "the text is what was printed"
    );
    let rows = user
        .read(&format!("/api/local/sessions/{chat}/messages?html=true"))
        .await;
    let html = rows[1]["html"].as_str().unwrap();
    assert!(html.contains("<strong>bold</strong>"), "{html}");
    for bad in ["<script", "<img", "href=\"javascript"] {
        assert!(!html.contains(bad), "{html}");
    }
    assert!(rows[0].get("html").is_none());
}

#[tokio::test]
async fn an_attached_file_is_one_that_was_uploaded_to_this_chat() {
    let server = TestServer::with(&crate::support::engine::settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let other = user.chat_with(&worker).await;
    let uploaded = user
        .upload(&chat, "a.txt", b"the content")
        .await
        .expect(200)
        .json();
    let path = uploaded["path"].as_str().unwrap();
    let execution = user
        .send_with(&chat, &json!({ "content": "media", "media_path": path }))
        .await;
    assert_eq!(user.ended(&execution).await.text().trim(), "the content");
    let message = &user.messages(&chat).await[0];
    assert_eq!(message["media"], json!([uploaded]));
    // A file alone says enough.
    user.send_with(&chat, &json!({ "content": "", "media_path": path }))
        .await;

    let uploads = std::path::Path::new(path).parent().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", uploads.join("link.txt")).unwrap();
    std::fs::create_dir(uploads.join("dir")).unwrap();
    for bad in [
        "/etc/passwd".to_owned(),
        "a.txt".to_owned(),
        uploads.join("missing.txt").display().to_string(),
        uploads.join("link.txt").display().to_string(),
        uploads.join("dir").display().to_string(),
        uploads.join("../../keys/signing.key").display().to_string(),
        uploads.join("dir/../a.txt").display().to_string(),
        uploads.display().to_string(),
        "\u{0}".to_owned(),
    ] {
        let answer = post(
            &user,
            &chat,
            json!({ "content": "media", "media_path": bad }),
        )
        .await;
        assert_eq!(answer.invalid_fields(), ["media_path"], "{bad}");
    }
    let answer = post(
        &user,
        &other,
        json!({ "content": "media", "media_path": path }),
    )
    .await;
    assert_eq!(
        answer.invalid_fields(),
        ["media_path"],
        "it belongs to another chat"
    );
}

/// Edit and resend: what followed is hidden, what came before stays.
#[tokio::test]
async fn a_message_can_be_said_again_differently() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    user.ask(&chat, "first").await;
    let asked = user.ask(&chat, "secnod").await;
    user.ask(&chat, "third").await;
    let replaced = asked.execution["message_id"].clone();
    let mut elsewhere = user.chat_events(&chat, None).await;
    let execution = user
        .send_with(&chat, &json!({ "content": "second", "replaces": replaced }))
        .await;
    // Whoever has the chat open elsewhere learns what is gone: all that was between the two.
    let said = elsewhere.find(|event| event.is("user_message")).await;
    assert_eq!([&said.data["follows"], &said.data["seq"]], [2, 7]);
    user.ended(&execution).await;
    let said: Vec<Value> = user
        .messages(&chat)
        .await
        .into_iter()
        .filter(|m| m["role"] == "user")
        .collect();
    let said: Vec<&str> = said
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["first", "second"]);
    let foreign = user.chat().await;
    let answer = post(
        &user,
        &foreign,
        json!({ "content": "x", "replaces": replaced }),
    )
    .await;
    assert!((400..500).contains(&answer.refusal().0));
}
