//! What a hive lives through before it is kept for ever. What is added to Skep is added here.

use serde_json::{Value, json};

use crate::agents::{Visit, said};
use crate::permission;
use crate::support::user::id_of;
use crate::support::{Method, TestServer, User};

/// Nobody will open the directory after this time, so nothing in it comes due.
const NEVER: u64 = 253_370_764_800_000;

/// One of each thing that the first version's hive could hold; an API key of it.
pub async fn live(user: &User) -> String {
    let twice = user.read_all("/api/workers").await.len();
    let name = |name: &str| format!("{name} {twice}");
    let ada = json!({
        "name": name("Ada"), "description": "Writes things down", "memory": "Prefers short answers.",
        "engine": "echo", "model": "small", "timeout_s": 60,
    });
    let ada = user.worker_with(&ada).await;
    let gone = user.worker(&name("Gone"), "echo").await;
    let path = format!("/api/workers/{gone}?delete_work_dir=true");
    user.delete(&path).await.expect(200);
    user.put(
        "/api/bee",
        &json!({ "engine": "builtin", "memory": name("Be brief.") }),
    )
    .await
    .expect(200);

    // One execution of each final state; the fifth, an interrupted one, needs a server that dies.
    let chat = user.chat_with(&ada).await;
    let uploaded = user
        .upload(&chat, "a note.txt", b"content")
        .await
        .expect(200);
    let uploaded = json!({ "content": "Look at this", "media_path": uploaded.json()["path"] });
    let execution = user.send_with(&chat, &uploaded).await;
    assert_eq!(user.ended(&execution).await.status(), "completed");
    let events = user.worker(&name("Events"), "events").await;
    let said = concat!(
        "{\"type\":\"session\",\"id\":\"s-1\"}\n",
        "{\"type\":\"tool_call\",\"id\":\"1\",\"name\":\"read\",\"args\":{\"path\":\"a.txt\"}}\n",
        "{\"type\":\"tool_result\",\"id\":\"1\",\"ok\":true,\"output\":\"content\"}\n",
        "{\"type\":\"text\",\"text\":\"It says *content*.\"}\n",
        "{\"type\":\"usage\",\"input_tokens\":10,\"output_tokens\":2,\"cost_usd\":0.25}\n",
    );
    let events_chat = user.chat_with(&events).await;
    assert_eq!(user.ask(&events_chat, said).await.status(), "completed");
    let broken = user.worker(&name("Broken"), "broken").await;
    let broken_chat = user.chat_with(&broken).await;
    let failed = user.ask(&broken_chat, "Write a poem").await;
    assert_eq!(failed.status(), "failed");
    let again = format!("/api/executions/{}/retry", id_of(&failed.execution));
    let again = user.post(&again, &json!({})).await.expect(202).json();
    user.ended(&id_of(&again)).await;
    let slow = user.worker(&name("Slow"), "slow").await;
    let slow_chat = user.chat_with(&slow).await;
    let running = user.send(&slow_chat, "Take your time").await;
    let waiting = user.send(&slow_chat, "And this after it").await;
    user.printed(&running, "so far").await;
    for execution in [waiting, running] {
        let path = format!("/api/executions/{execution}/cancel");
        user.post(&path, &json!({})).await.expect(202);
        assert_eq!(user.ended(&execution).await.status(), "cancelled");
    }

    // What is done to chats: an edit, another name, tags, a fresh context, an end.
    let messages = user.messages(&chat).await;
    let edit = json!({ "content": "Rather this", "replaces": messages[0]["id"] });
    let execution = user.send_with(&chat, &edit).await;
    user.ended(&execution).await;
    let patch = json!({ "name": "Notes", "pinned": true, "tags": ["kept", "old"], "unread": 0 });
    user.patch(&format!("/api/local/sessions/{chat}"), &patch)
        .await
        .expect(200);
    user.post(
        &format!("/api/local/sessions/{slow_chat}/clear"),
        &json!({}),
    )
    .await
    .expect(200);
    let patch = json!({ "archived": true });
    user.patch(&format!("/api/local/sessions/{slow_chat}"), &patch)
        .await
        .expect(200);
    let deleted = user.chat().await;
    user.ask(&deleted, "help").await;
    user.delete(&format!("/api/local/sessions/{deleted}"))
        .await
        .expect(200);
    user.put(
        &format!("/api/workers/{broken}"),
        &json!({ "memory": "Has no ink." }),
    )
    .await
    .expect(200);

    let key = json!({ "name": name("script"), "scopes": ["read"], "expires_at": null });
    let revoked = user.post("/api/tokens", &key).await.expect(201).json();
    user.delete(&format!("/api/tokens/{}", id_of(&revoked)))
        .await
        .expect(200);
    let kept = user.post("/api/tokens", &key).await.expect(201).json();
    kept["token"].as_str().unwrap().to_owned()
}

/// One of each thing that came later: tasks, memory entries, permissions, agents, engine options, conversations of other
/// protocols, and what a running agent does by its token.
pub async fn later(server: &TestServer, user: &User) {
    let twice = user.read_all("/api/workers").await.len();
    let name = |name: &str| format!("{name} {twice}");
    let (ada, chat) = user.chat_with_engine(&name("Ada"), "echo").await;

    // A task on each part of its way. What is scheduled is paused: it would come due some day.
    let task = async |more: Value| {
        let mut task = json!({ "instruction": "Water the plants", "worker_id": ada });
        task.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = user.post("/api/tasks", &task).await.expect(201).json();
        format!("/api/tasks/{}", id_of(&made))
    };
    let once = json!({ "type": "countdown", "scheduled_at": NEVER });
    let again = json!({ "type": "scheduled", "cron_expr": "0 9 * * 1-5", "timezone": "Europe/Berlin", "session_id": chat });
    task(once.clone()).await;
    for (more, change) in [(&once, "cancel"), (&again, "pause"), (&again, "run")] {
        let path = task(more.clone()).await;
        let changed = user.post(&format!("{path}/{change}"), &json!({})).await;
        if change == "run" {
            let execution = changed.expect(202).json()["last_execution_id"].clone();
            user.ended(execution.as_str().unwrap()).await;
            user.post(&format!("{path}/pause"), &json!({}))
                .await
                .expect(200);
            let instruction = json!({ "instruction": "Water them twice" });
            user.patch(&path, &instruction).await.expect(200);
        } else {
            changed.expect(200);
        }
    }
    user.delete(&task(once).await).await.expect(200);

    // Memory entries of each scope, one changed, one gone.
    let (of_worker, of_chat) = (format!("worker:{ada}"), format!("session:{chat}"));
    for (scope, value) in [
        ("global", "Green"),
        (&of_worker, "Black"),
        (&of_chat, "None"),
        ("global", "White"),
    ] {
        for key in ["tea", "gone"] {
            let path = format!("/api/memory/{scope}/{key}-{twice}");
            user.put(&path, &json!({ "value": value }))
                .await
                .expect(200);
            if key == "gone" {
                user.delete(&path).await.expect(200);
            }
        }
    }

    // Asked for, and allowed for always, or never answered.
    let (_, execution, request) = permission::asked(user, "asking", true).await;
    permission::allow_always(user, &execution, &request).await;
    let (_, execution, _) = permission::asked(user, "asking", false).await;
    let cancel = format!("/api/executions/{execution}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    user.ended(&execution).await;

    // An agent with everything, its copy, and what an engine is started with.
    let agent = json!({
        "name": name("Researcher"), "systemPrompt": "You look things up.", "starterPrompts": ["What is new?"],
        "tools": ["read_file"], "knowledgeBaseIds": ["none-yet"], "engine": "echo",
    });
    let agent = user.post("/api/agents", &agent).await.expect(201).json();
    let path = format!("/api/agents/{}", id_of(&agent));
    user.patch(&path, &json!({ "description": "Reads" }))
        .await
        .expect(200);
    user.post(&format!("{path}/duplicate"), &json!({}))
        .await
        .expect(201);
    let path = format!("/api/workers/{}", id_of(&agent));
    user.put(&path, &json!({ "daily_cost_max": 2.5 }))
        .await
        .expect(200);
    let options =
        json!({ "args": ["-u"], "env": { "PLAIN": "seen" }, "secrets": { "TOKEN": "my-token" } });
    user.put(&format!("{path}/engine"), &options)
        .await
        .expect(200);

    // Asked in the words of other protocols, once for each key.
    let chat = user
        .call(Method::Post, "/api/chat")
        .header("Idempotency-Key", &format!("key-{twice}"));
    chat.json(&json!({ "message": "help" }))
        .send()
        .await
        .expect(200);
    let messages = json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "help" }]);
    let asked = json!({ "model": "bee", "messages": messages });
    user.post("/v1/chat/completions", &asked).await.expect(200);

    // What a running agent does.
    let visit = Visit::begin(server, user, &name("Visitor")).await;
    for (tool, arguments) in [
        ("send_message", json!({ "content": "half done" })),
        ("save_memory", json!({ "key": "visited", "value": "once" })),
        (
            "ask_worker",
            json!({ "worker_id": ada, "question": "Who is there?" }),
        ),
        ("clear_worker_session", json!({})),
    ] {
        let result = visit.tool(tool, arguments).await;
        assert!(said(&result).0, "{tool}: {result}");
    }
    let planned = json!({ "instruction": "Come again", "scheduled_at": NEVER });
    let planned = visit.tool("create_task", planned).await;
    let planned = json!({ "task_id": planned["structuredContent"]["id"] });
    assert!(said(&visit.tool("mark_task_complete", planned).await).0);
    visit.end(user).await;
}
