//! Tasks: what is due starts, once, whatever dies meanwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::user::id_of;
use crate::support::{PATIENCE, Setup, TestServer, User, masked};

const TASKS: &str = "/api/tasks";

fn now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    age.as_millis().try_into().unwrap()
}

async fn create(user: &User, body: &Value) -> Value {
    user.post(TASKS, body).await.expect(201).json()
}

/// The task once it is in a state.
async fn becomes(user: &User, id: &str, status: &str) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let task = user.read(&format!("{TASKS}/{id}")).await;
        if task["status"] == status {
            return task;
        }
        assert!(tokio::time::Instant::now() < deadline, "{status}: {task}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// How many executions are runs of this task.
async fn runs(user: &User, id: &str) -> usize {
    let executions = user.read_all("/api/executions").await;
    executions.iter().filter(|row| row["task_id"] == id).count()
}

#[tokio::test]
async fn a_task_is_created_as_documented_and_starts_at_once() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let body = json!({ "type": "immediate", "instruction": "help", "session_id": chat });
    let answer = user.post(TASKS, &body).await.expect(201);
    let task = answer.json();
    let path = format!("{TASKS}/{}", id_of(&task));
    assert_eq!(answer.header("location"), Some(&*path));
    let mut shown = masked(&task, &server.data);
    for masked_away in ["session_id", "next_run_at"] {
        shown.as_object_mut().unwrap().remove(masked_away);
    }
    assert_eq!(
        shown,
        json!({
            "id": "<id>", "worker_id": null, "message_id": null, "instruction": "help", "type": "immediate",
            "status": "pending", "scheduled_at": null, "cron_expr": null, "timezone": null,
            "last_execution_id": null, "created_at": "<time>", "updated_at": "<time>",
        })
    );
    let done = becomes(&user, &id_of(&task), "completed").await;
    assert_eq!(done["next_run_at"], Value::Null);
    let execution = done["last_execution_id"].as_str().unwrap();
    let execution = user.execution(execution).await;
    assert_eq!(execution["task_id"], task["id"]);
    // It was said in its chat, and answered there.
    let messages = user.messages(&chat).await;
    let contents: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(contents, ["user", "bee"]);
    assert_eq!(messages[0]["id"], done["message_id"]);
    assert_eq!(user.read(TASKS).await, json!([done]));
    user.delete(&path).await.expect(200);
    user.get(&path).await.refused(404, "not_found");
    // Its executions stay.
    user.execution(execution["id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn what_is_no_task_is_refused_and_nothing_is_created() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let cron = |cron: &str, zone: &str| json!({ "type": "scheduled", "instruction": "x", "cron_expr": cron, "timezone": zone });
    for (body, field) in [
        (cron("every day", "UTC"), "cron_expr"),
        (cron("* * * * * *", "UTC"), "cron_expr"),
        (cron("0 0 30 2 *", "UTC"), "cron_expr"),
        (cron("* * * * *", "Mars/Olympus"), "timezone"),
        (
            json!({ "type": "scheduled", "instruction": "x" }),
            "cron_expr",
        ),
        (
            json!({ "type": "countdown", "instruction": "x" }),
            "scheduled_at",
        ),
        (
            json!({ "type": "countdown", "instruction": "x", "scheduled_at": now() }),
            "scheduled_at",
        ),
        (
            json!({ "type": "countdown", "instruction": "x", "scheduled_at": 253_402_300_800_000_u64 }),
            "scheduled_at",
        ),
        (
            json!({ "type": "immediate", "instruction": " " }),
            "instruction",
        ),
        (
            json!({ "type": "immediate", "instruction": "x".repeat(16 * 1024 + 1) }),
            "instruction",
        ),
    ] {
        assert_eq!(
            user.post(TASKS, &body).await.invalid_fields(),
            [field],
            "{body}"
        );
    }
    let nobody = uuid::Uuid::now_v7().to_string();
    for field in ["worker_id", "session_id"] {
        let body = json!({ "type": "immediate", "instruction": "x", field: nobody });
        assert_eq!(user.post(TASKS, &body).await.invalid_fields(), [field]);
    }
    user.post(TASKS, &json!({ "type": "sometimes", "instruction": "x" }))
        .await
        .refused(400, "bad_request");
    user.get(&format!("{TASKS}/{nobody}"))
        .await
        .refused(404, "not_found");
    assert_eq!(user.read(TASKS).await, json!([]));
}

#[tokio::test]
async fn a_preview_shows_the_next_five_times() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let path = format!("{TASKS}/preview");
    let body = json!({ "cron_expr": "*/5 * * * *", "timezone": "Europe/Berlin" });
    let shown = user.post(&path, &body).await.expect(200).json();
    let times: Vec<u64> = serde_json::from_value(shown["next_runs"].clone()).unwrap();
    assert_eq!(times.len(), 5);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 300_000));
    assert!(times.iter().all(|at| at % 300_000 == 0));
    let bad = user
        .post(&path, &json!({ "cron_expr": "61 * * * *" }))
        .await;
    assert_eq!(bad.invalid_fields(), ["cron_expr"]);
}

#[tokio::test]
async fn a_scheduled_task_is_run_paused_resumed_and_cancelled() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let body = json!({ "type": "scheduled", "instruction": "help", "cron_expr": "0 0 1 1 *" });
    let task = create(&user, &body).await;
    let id = id_of(&task);
    assert_eq!(task["timezone"], "UTC");
    let act = async |action: &str| {
        user.post(&format!("{TASKS}/{id}/{action}"), &json!({}))
            .await
    };

    let started = act("run").await.expect(202).json();
    assert_eq!(
        started["next_run_at"], task["next_run_at"],
        "its schedule stays"
    );
    becomes(&user, &id, "pending").await;
    assert_eq!(runs(&user, &id).await, 1);

    let paused = act("pause").await.expect(200).json();
    assert_eq!(
        (&paused["status"], &paused["next_run_at"]),
        (&json!("paused"), &Value::Null)
    );
    act("pause").await.refused(409, "conflict");
    let resumed = act("resume").await.expect(200).json();
    assert_eq!(resumed["next_run_at"], task["next_run_at"]);
    act("resume").await.refused(409, "conflict");

    let patch = json!({ "cron_expr": "0 0 2 1 *", "instruction": "list workers" });
    let path = format!("{TASKS}/{id}");
    let changed = user.patch(&path, &patch).await.expect(200).json();
    assert_ne!(changed["next_run_at"], task["next_run_at"]);
    let bad = user.patch(&path, &json!({ "cron_expr": "x" })).await;
    assert_eq!(bad.invalid_fields(), ["cron_expr"]);

    assert_eq!(
        act("cancel").await.expect(200).json()["status"],
        "cancelled"
    );
    act("cancel").await.refused(409, "conflict");
    act("run").await.refused(409, "conflict");
}

#[tokio::test]
async fn cancelling_a_task_stops_what_runs_of_it() {
    let slow = "[engines.slow]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"echo so far; exec sleep 600\"]\n";
    let server = Setup::settings(slow).start().await;
    let user = server.log_in().await;
    let worker = user.worker("Slow", "slow").await;
    let body = json!({ "type": "immediate", "instruction": "x", "worker_id": worker });
    let id = id_of(&create(&user, &body).await);
    let task = becomes(&user, &id, "running").await;
    let execution = task["last_execution_id"].as_str().unwrap();
    user.printed(execution, "so far").await;
    user.post(&format!("{TASKS}/{id}/run"), &json!({}))
        .await
        .refused(409, "conflict");
    user.post(&format!("{TASKS}/{id}/cancel"), &json!({}))
        .await
        .expect(200);
    assert_eq!(user.ended(execution).await.status(), "cancelled");
    assert_eq!(
        becomes(&user, &id, "cancelled").await["last_execution_id"],
        execution
    );
    // A worker's tasks go with it.
    user.delete(&format!("/api/workers/{worker}"))
        .await
        .expect(200);
    user.get(&format!("{TASKS}/{id}"))
        .await
        .refused(404, "not_found");
}

/// Killed before it is due, and after.
#[tokio::test]
async fn a_due_time_starts_one_execution_over_kills() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut ids = Vec::new();
    for ahead in [1200, 1500, 2500] {
        let body =
            json!({ "type": "countdown", "instruction": "help", "scheduled_at": now() + ahead });
        ids.push(id_of(&create(&user, &body).await));
    }
    // The first one has started, or is about to; the others are missed, or come.
    becomes_due(&user, &ids[0]).await;
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let user = user.at(&server);
    for id in &ids {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while runs(&user, id).await == 0 {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    for id in &ids {
        assert_eq!(runs(&user, id).await, 1);
        let task = user.read(&format!("{TASKS}/{id}")).await;
        assert_eq!(task["next_run_at"], Value::Null);
    }
}

async fn becomes_due(user: &User, id: &str) {
    let task = user.read(&format!("{TASKS}/{id}")).await;
    let due = task["scheduled_at"].as_u64().unwrap();
    while now() < due {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_time_that_was_missed_is_made_up_for_once() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let at = now() + 1100;
    let body = json!({ "type": "countdown", "instruction": "help", "scheduled_at": at, "session_id": chat });
    let id = id_of(&create(&user, &body).await);
    // Deleting its chat does not kill it; it goes on without one.
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    let stopped = server.kill().await;
    while now() <= at {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let server = stopped.start().await;
    let user = user.at(&server);
    let task = becomes(&user, &id, "completed").await;
    assert_eq!(task["session_id"], Value::Null);
    assert_eq!(runs(&user, &id).await, 1);
}

#[tokio::test]
async fn a_task_is_created_once_however_often_it_is_asked_for() {
    let server = TestServer::with("[tier]\nname = \"free\"\n[tier.limits]\ntasks = 1\n").await;
    let user = server.log_in().await;
    let body = json!({ "type": "scheduled", "instruction": "x", "cron_expr": "0 0 1 1 *" });
    let post = || {
        user.call(crate::support::Method::Post, TASKS)
            .header("Idempotency-Key", "k")
            .json(&body)
    };
    let first = post().send().await.expect(201);
    let again = post().send().await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.text(), again.text());
    assert_eq!(user.read(TASKS).await.as_array().unwrap().len(), 1);
    user.post(TASKS, &body).await.refused(402, "tier_limit");
    let server = server.kill().await.start().await;
    assert_eq!(user.at(&server).read(TASKS).await, json!([first.json()]));
}
