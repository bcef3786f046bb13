//! What executions came to: summed up as they end, the same after every kind of start, and bounded where it is told to be.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::{Setup, TestServer, User};

async fn start() -> (TestServer, User) {
    let server = Setup::settings(&settings()).start().await;
    let user = server.log_in().await;
    (server, user)
}

fn now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    age.as_millis().try_into().unwrap()
}

/// The rows without how long it took.
async fn usage(user: &User, query: &str) -> Vec<Value> {
    let mut rows = user.read_all(&format!("/api/usage{query}")).await;
    for row in &mut rows {
        let run_ms = row.as_object_mut().unwrap().remove("run_ms");
        assert!(run_ms.unwrap().is_u64());
    }
    rows
}

/// Two runs with tokens and cost, one that fails, one that is stopped while it waits.
async fn some_use(user: &User) -> (String, String) {
    let (worker, chat) = user.chat_with_engine("Ada", "fake-events").await;
    user.ask(&chat, "tools").await;
    user.ask(&chat, "tools").await;
    let failed = user.send(&chat, "fail").await;
    user.ended(&failed).await;
    let running = user.send(&chat, "hang").await;
    user.running(&running).await;
    let waiting = user.send(&chat, "say never").await;
    for execution in [&waiting, &running] {
        let cancel = format!("/api/executions/{execution}/cancel");
        user.post(&cancel, &json!({})).await.expect(202);
        user.ended(execution).await;
    }
    let bee = user.chat().await;
    user.ask(&bee, "help").await;
    (worker, chat)
}

#[tokio::test]
async fn usage_is_told_by_day_by_worker_and_by_model() {
    let (_server, user) = start().await;
    assert_eq!(usage(&user, "").await, [] as [Value; 0]);
    let (worker, _) = some_use(&user).await;
    let sums = |row: &Value| {
        let fields = [
            "executions",
            "completed",
            "failed",
            "cancelled",
            "input_tokens",
        ];
        fields.map(|field| row[field].as_u64().unwrap())
    };
    // A test at midnight has two days.
    let days = usage(&user, "?by=day").await;
    let executions: u64 = days
        .iter()
        .map(|day| day["executions"].as_u64().unwrap())
        .sum();
    assert_eq!((executions, days[0]["worker_id"].is_null()), (6, true));
    assert!(
        days[0]["day"].as_str().unwrap().starts_with("20"),
        "{days:?}"
    );

    let workers = usage(&user, "?by=worker").await;
    assert_eq!(workers[0]["worker_id"], *worker);
    assert_eq!(workers[0]["worker_name"], "Ada");
    assert_eq!(sums(&workers[0]), [5, 2, 1, 2, 14]);
    assert_eq!(workers[0]["cost_usd"], 1.0);
    assert_eq!(workers[1]["worker_id"], Value::Null);
    assert_eq!(workers[1]["worker_name"], "bee");
    assert_eq!(sums(&workers[1])[..2], [1, 1]);

    let models = usage(&user, "?by=model").await;
    let named: Vec<(&Value, &Value)> = models
        .iter()
        .map(|row| (&row["engine"], &row["model"]))
        .collect();
    assert!(
        named.contains(&(&json!("fake-events"), &json!("fake-1"))),
        "{named:?}"
    );
    let executions: u64 = models
        .iter()
        .map(|row| row["executions"].as_u64().unwrap())
        .sum();
    assert_eq!(executions, 6);

    // Of one worker, and of some days.
    let own = usage(&user, &format!("?by=day&worker_id={worker}")).await;
    let own: u64 = own
        .iter()
        .map(|day| day["executions"].as_u64().unwrap())
        .sum();
    assert_eq!(own, 5);
    let tomorrow = now() + 24 * 3600 * 1000;
    for query in [
        format!("?since={tomorrow}"),
        format!("?by=worker&since={tomorrow}"),
        "?until=1".to_owned(),
        "?by=worker&until=1000".to_owned(),
        format!("?since={tomorrow}&until=5"),
    ] {
        assert_eq!(usage(&user, &query).await, [] as [Value; 0], "{query}");
    }
    let all = usage(&user, &format!("?by=worker&until={tomorrow}")).await;
    assert_eq!(all, workers);

    // Page by page.
    for by in ["worker", "model"] {
        let whole = usage(&user, &format!("?by={by}")).await;
        assert_eq!(usage(&user, &format!("?by={by}&limit=1")).await, whole);
    }
    for bad in [
        "?by=moon",
        "?by=model&since=1",
        "?by=worker&worker_id=1",
        "?since=x",
        "?limit=0",
    ] {
        let refused = user.get(&format!("/api/usage{bad}")).await;
        refused.refused(400, "bad_request");
    }
}

#[tokio::test]
async fn the_overview_counts_what_there_is_and_was() {
    let (_server, user) = start().await;
    let (_, chat) = some_use(&user).await;
    let running = user.send(&chat, "hang").await;
    user.running(&running).await;
    user.send(&chat, "say later").await;
    let task = json!({ "type": "scheduled", "instruction": "help", "cron_expr": "0 0 1 1 *" });
    user.post("/api/tasks", &task).await.expect(201);
    let overview = user.read("/api/stats/overview").await;
    for (field, count) in [
        ("workers", 1),
        ("sessions", 2),
        ("tasks", 1),
        ("executions", 8),
        ("running", 1),
        ("pending", 1),
        ("messages", 14),
    ] {
        assert_eq!(overview[field], count, "{field}: {overview}");
    }
    let periods = &overview["usage"];
    for period in ["last_7_days", "last_30_days", "all"] {
        assert_eq!(periods[period]["executions"], 6, "{overview}");
        assert_eq!(periods[period]["cost_usd"], 1.0, "{overview}");
    }
    assert!(periods["today"]["executions"].as_u64().unwrap() <= 6);
}

/// Whatever a start begins from, the sums are the same; also those of what was removed since.
#[tokio::test]
async fn sums_survive_a_kill_and_the_loss_of_the_tables_and_of_the_executions() {
    let text = format!("{}[retention]\nexecutions_age = \"1s\"\n", settings());
    let server = Setup::settings(&text).start().await;
    let user = server.log_in().await;
    some_use(&user).await;
    let mut told = Vec::new();
    for by in ["day", "worker", "model"] {
        told.push(usage(&user, &format!("?by={by}")).await);
    }
    let mut stopped = server.kill().await;
    for loses_tables in [false, true] {
        if loses_tables {
            std::fs::remove_file(stopped.data.join("hive.redb")).unwrap();
        }
        let server = stopped.start().await;
        let user = user.at(&server);
        for (by, told) in ["day", "worker", "model"].iter().zip(&told) {
            assert_eq!(&usage(&user, &format!("?by={by}")).await, told);
        }
        let gone = async {
            while !user.read_all("/api/executions").await.is_empty() {
                user.post("/api/retention", &json!({})).await.expect(200);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, gone)
            .await
            .expect("they go");
        assert_eq!(usage(&user, "").await, told[0]);
        stopped = server.kill().await;
    }
}

#[tokio::test]
async fn a_worker_that_has_cost_what_it_may_begins_nothing_more() {
    let (_server, user) = start().await;
    let body = json!({ "name": "Ada", "engine": "fake-events", "daily_cost_max": 0.75 });
    let worker = user.worker_with(&body).await;
    let path = format!("/api/workers/{worker}");
    let before = user.read(&path).await;
    assert_eq!(before["daily_cost_max"], 0.75);
    assert_eq!(before["cost_today"], 0.0);
    let chat = user.chat_with(&worker).await;
    // 0.50 is below it, 1.00 is not.
    for _ in 0..2 {
        assert_eq!(user.ask(&chat, "tools").await.status(), "completed");
    }
    assert_eq!(user.read(&path).await["cost_today"], 1.0);
    let refused = user.send(&chat, "tools").await;
    let refused = user.ended(&refused).await;
    assert_eq!(refused.status(), "failed");
    let error = refused.error();
    assert!(error.starts_with("daily_cost_max: "), "{error}");
    for told in [
        "Ada has cost 1.00",
        "may cost 0.75",
        "raise its daily_cost_max",
        "midnight (UTC)",
    ] {
        assert!(error.contains(told), "{error}");
    }
    // Another worker is not concerned, and neither is this one once it may cost more.
    let (_, other) = user.chat_with_engine("Grace", "fake-events").await;
    assert_eq!(user.ask(&other, "tools").await.status(), "completed");
    user.put(&path, &json!({ "daily_cost_max": 5 }))
        .await
        .expect(200);
    assert_eq!(user.ask(&chat, "tools").await.status(), "completed");
    let cleared = user.put(&path, &json!({ "daily_cost_max": null })).await;
    assert_eq!(cleared.expect(200).json()["daily_cost_max"], Value::Null);
    let kept = user
        .put(&path, &json!({ "daily_cost_max": 3 }))
        .await
        .expect(200);
    assert_eq!(kept.json()["daily_cost_max"], 3.0);
    let kept = user
        .put(&path, &json!({ "description": "x" }))
        .await
        .expect(200);
    assert_eq!(kept.json()["daily_cost_max"], 3.0);
    for bad in [json!(-1), json!(1_000_001)] {
        let refused = user.put(&path, &json!({ "daily_cost_max": bad })).await;
        assert_eq!(refused.invalid_fields(), ["daily_cost_max"]);
    }
}
