//! What runs, in which order, and that nothing of it is left when it should not be.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::support::engine::{settings, settings_with};
use crate::support::server::signal;
use crate::support::{PATIENCE, Setup, TestServer, User, eventually, processes};

/// The longest that anything of an engine may outlive the server.
const ORPHANS_GONE: Duration = Duration::from_secs(5);

async fn work_dir(user: &User, worker: &str) -> PathBuf {
    let worker = user.read(&format!("/api/workers/{worker}")).await;
    PathBuf::from(worker["work_dir"].as_str().unwrap())
}

async fn status(user: &User, execution: &str) -> String {
    user.execution(execution).await["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Lets an engine that waits go on.
fn go(work_dir: &std::path::Path) {
    std::fs::write(work_dir.join("go"), "").unwrap();
}

async fn cancel(user: &User, execution: &str) -> crate::support::Answer {
    user.post(&format!("/api/executions/{execution}/cancel"), &json!({}))
        .await
}

#[tokio::test]
async fn a_worker_does_one_thing_at_a_time_first_come_first_served() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let worker = user.worker("Ada", "fake").await;
    let path = format!("/api/workers/{worker}");
    let mut events = user.events("/api/stream", None).await;
    let mut queued = Vec::new();
    for n in 0..3 {
        let chat = user.chat_with(&worker).await;
        queued.push(user.send(&chat, &format!("wait {n}")).await);
    }
    user.printed(&queued[0], "waiting").await;
    let busy = user.read(&path).await;
    assert_eq!(
        (&busy["status"], &busy["queue_length"]),
        (&json!("working"), &json!(2))
    );
    assert_eq!(status(&user, &queued[1]).await, "pending");
    go(&work_dir(&user, &worker).await);
    let last = queued[2].clone();
    let seen = events.until(|event| event.is_final(&last)).await;
    let steps: Vec<(usize, String)> = seen
        .iter()
        .filter(|event| event.is("status") && event.data["status"] != "pending")
        .map(|event| {
            let n = queued
                .iter()
                .position(|id| event.data["execution_id"] == id.as_str())
                .unwrap();
            (n, event.data["status"].as_str().unwrap().to_owned())
        })
        .collect();
    let expected: Vec<(usize, String)> = (0..3)
        .flat_map(|n| [(n, "running".to_owned()), (n, "completed".to_owned())])
        .collect();
    assert_eq!(steps, expected);
    let idle = user.read(&path).await;
    assert_eq!(
        (&idle["status"], &idle["queue_length"]),
        (&json!("idle"), &json!(0))
    );
}

#[tokio::test]
async fn the_turns_of_a_chat_keep_their_order_whoever_answers() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let slow = user.worker("Slow", "fake").await;
    let quick = user.worker("Quick", "fake").await;
    let chat = user.chat().await;
    let first = user.send(&chat, "@Slow wait").await;
    user.printed(&first, "waiting").await;
    let second = user.send(&chat, "@Quick say second").await;
    // The quick one is free, and answers elsewhere meanwhile.
    let elsewhere = user.chat_with(&quick).await;
    assert_eq!(
        user.ask(&elsewhere, "say elsewhere").await.text(),
        "elsewhere"
    );
    assert_eq!(status(&user, &second).await, "pending");
    go(&work_dir(&user, &slow).await);
    assert_eq!(user.ended(&second).await.text(), "second");
    assert_eq!(status(&user, &first).await, "completed");
    let texts: Vec<Value> = user
        .messages(&chat)
        .await
        .iter()
        .map(|m| m["content"].clone())
        .collect();
    assert_eq!(texts[2], "waiting \ndone\n");
    assert_eq!(texts[3], "second\n");
}

#[tokio::test]
async fn no_more_run_at_once_than_the_settings_say() {
    let server = TestServer::with(&settings_with("max_concurrent_executions = 2")).await;
    let user = server.log_in().await;
    let mut running = Vec::new();
    for name in ["a", "b", "c"] {
        let (worker, chat) = user.chat_with_engine(name, "fake").await;
        let execution = user.send(&chat, "wait").await;
        running.push((worker, execution));
    }
    user.printed(&running[0].1, "waiting").await;
    user.printed(&running[1].1, "waiting").await;
    assert_eq!(status(&user, &running[2].1).await, "pending");
    go(&work_dir(&user, &running[1].0).await);
    user.printed(&running[2].1, "waiting").await;
    assert_eq!(status(&user, &running[0].1).await, "running");
    for (worker, execution) in &running {
        go(&work_dir(&user, worker).await);
        assert_eq!(user.ended(execution).await.status(), "completed");
    }
}

/// The bee is no bottleneck: it answers every chat at once.
#[tokio::test]
async fn the_bee_runs_once_per_chat() {
    let server = TestServer::with(&settings_with("default_engine = \"fake\"")).await;
    let user = server.log_in().await;
    let (one, two) = (user.chat().await, user.chat().await);
    let first = user.send(&one, "wait").await;
    let second = user.send(&two, "wait").await;
    user.printed(&first, "waiting").await;
    user.printed(&second, "waiting").await;
    let queued = user.send(&one, "say next").await;
    assert_eq!(status(&user, &queued).await, "pending");
    for execution in [&first, &second, &queued] {
        cancel(&user, execution).await;
        user.ended(execution).await;
    }
}

#[tokio::test]
async fn what_waits_is_cancelled_at_once() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.send(&chat, "wait").await;
    user.printed(&first, "waiting").await;
    let second = user.send(&chat, "count").await;
    let answer = cancel(&user, &second).await.expect(202);
    assert_eq!(answer.json(), json!({ "status": "cancelling" }));
    let reply = user.ended(&second).await;
    assert_eq!(
        (reply.status(), &reply.message["status"]),
        ("cancelled", &json!("cancelled"))
    );
    cancel(&user, &second).await.refused(409, "conflict");
    go(&work_dir(&user, &worker).await);
    assert_eq!(user.ended(&first).await.status(), "completed");
    assert!(
        !work_dir(&user, &worker).await.join("runs").exists(),
        "it never ran"
    );
}

#[tokio::test]
async fn a_cancelled_run_keeps_its_text_and_the_next_message_works() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    for engine in ["fake", "fake-events"] {
        let (_, chat) = user.chat_with_engine(engine, engine).await;
        let execution = user.send(&chat, "hang").await;
        user.printed(&execution, "hanging").await;
        assert!(user.execution(&execution).await["pid"].as_u64().is_some());
        cancel(&user, &execution).await.expect(202);
        let reply = user.ended(&execution).await;
        assert_eq!(reply.status(), "cancelled", "{engine}");
        assert_eq!(reply.message["status"], "cancelled");
        assert_eq!(reply.text(), "hanging");
        assert_eq!(reply.execution["pid"], Value::Null);
        assert_eq!(reply.execution["result"], Value::Null);
        assert_eq!(processes::of_execution(&execution), [0; 0]);
        cancel(&user, &execution).await.refused(409, "conflict");
        assert_eq!(user.ask(&chat, "say again").await.text(), "again");
    }
}

/// Whichever moment of a start it meets: on its way from the queue, between its start and its process, or in it.
#[tokio::test]
async fn no_cancel_is_lost() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (mut random, seed) = crate::support::random::Random::seeded();
    for round in 0..6 {
        let runs = (0..4).map(async |n| {
            let name = format!("w{round}-{n}");
            let (_, chat) = user.chat_with_engine(&name, "fake").await;
            (user.send(&chat, "hang").await, chat)
        });
        let waits: Vec<u64> = (0..4).map(|_| random.below(30)).collect();
        let runs = futures_util::future::join_all(runs).await;
        let cancels = runs
            .iter()
            .zip(waits)
            .map(async |((execution, chat), wait)| {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                cancel(&user, execution).await.expect(202);
                let reply = user.ended(execution).await;
                assert_eq!(reply.status(), "cancelled", "seed {seed}");
                assert_eq!(processes::of_execution(execution), [0; 0]);
                assert_eq!(user.ask(chat, "say next").await.text(), "next");
            });
        futures_util::future::join_all(cancels).await;
    }
}

/// Children that hold the pipes, one that does not listen, and a daemon that has thrown its environment away.
#[tokio::test]
async fn cancelling_ends_the_whole_tree() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "family").await;
    user.printed(&execution, "family").await;
    processes::appear(&execution, 6).await;
    cancel(&user, &execution).await.expect(202);
    assert_eq!(user.ended(&execution).await.status(), "cancelled");
    assert_eq!(
        processes::of_execution(&execution),
        [0; 0],
        "when it is told, it is so"
    );
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

#[tokio::test]
async fn an_engine_that_does_not_listen_is_killed_all_the_same() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "stubborn").await;
    user.printed(&execution, "stubborn").await;
    let begun = std::time::Instant::now();
    cancel(&user, &execution).await.expect(202);
    assert_eq!(user.ended(&execution).await.status(), "cancelled");
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(processes::of_execution(&execution), [0; 0]);
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

#[tokio::test]
async fn what_an_engine_leaves_behind_ends_with_it() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    for (message, text) in [("family leave", "family"), ("orphans", "left alone")] {
        let execution = user.send(&chat, message).await;
        let reply = user.ended(&execution).await;
        assert_eq!((reply.status(), reply.text()), ("completed", text));
        assert_eq!(processes::of_execution(&execution), [0; 0]);
    }
}

#[tokio::test]
async fn a_run_ends_at_its_time_limit_and_says_so() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let body = json!({ "name": "Ada", "engine": "fake", "timeout_s": 1 });
    let worker = user.worker_with(&body).await;
    let chat = user.chat_with(&worker).await;
    let reply = user.ask(&chat, "hang").await;
    assert_eq!(reply.status(), "failed");
    assert!(reply.error().starts_with("timeout"), "{}", reply.error());
    assert_eq!(reply.message["status"], "failed");
    assert_eq!(reply.text(), "hanging", "the text it had is kept");
    assert_eq!(
        user.read(&format!("/api/workers/{worker}")).await["status"],
        "error"
    );
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
    assert_eq!(
        user.read(&format!("/api/workers/{worker}")).await["status"],
        "idle"
    );
}

/// Each failure is told in the chat, not only in the API, and the next message works.
#[tokio::test]
async fn failures_are_told_in_the_chat_and_the_next_message_works() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    for (message, error) in [("crash", "--frobnicate"), ("segfault", "kill")] {
        let reply = user.ask(&chat, message).await;
        assert_eq!(
            (reply.status(), &reply.message["status"]),
            ("failed", &json!("failed"))
        );
        assert!(
            reply.error().contains(error),
            "{message}: {}",
            reply.error()
        );
        assert_eq!(reply.message["error"], reply.execution["error"]);
        let log = user
            .log(reply.execution["id"].as_str().unwrap())
            .await
            .expect(200)
            .text();
        assert!(log.contains(error), "{log}");
        assert_eq!(user.ask(&chat, "say next").await.text(), "next");
    }
    // A program that is not there, and a directory that went away.
    let path = format!("/api/workers/{worker}");
    user.put(&path, &json!({ "engine": "missing" }))
        .await
        .expect(200);
    let reply = user.ask(&chat, "say x").await;
    assert_eq!(reply.status(), "failed");
    assert!(
        reply.error().starts_with("engine_missing"),
        "{}",
        reply.error()
    );
    user.put(&path, &json!({ "engine": "fake" }))
        .await
        .expect(200);
    let elsewhere = server.home.path().join("elsewhere");
    user.put(&path, &json!({ "work_dir": elsewhere }))
        .await
        .expect(200);
    std::fs::remove_dir(&elsewhere).unwrap();
    let reply = user.ask(&chat, "say x").await;
    assert!(reply.error().contains("elsewhere"), "{}", reply.error());
    std::fs::create_dir(&elsewhere).unwrap();
    assert_eq!(
        user.ask(&chat, "pwd").await.text(),
        elsewhere.canonicalize().unwrap().to_str().unwrap()
    );
}

#[tokio::test]
async fn an_engine_that_fails_half_way_keeps_what_it_said() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let reply = user.ask(&chat, "fail").await;
    assert_eq!(reply.status(), "failed");
    assert_eq!(reply.text(), "half an answer");
    assert_eq!(reply.error(), "not_signed_in: Sign in first.");
}

#[tokio::test]
async fn events_of_an_engine_are_kept_and_shown() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let mut events = user.chat_events(&chat, None).await;
    let execution = user.send(&chat, "tools").await;
    let seen = events.until(|event| event.is_final(&execution)).await;
    let reply = user.ended(&execution).await;
    assert_eq!(reply.text(), "before after");
    assert_eq!(reply.execution["engine_session_id"], "engine-session-1");
    assert_eq!(reply.execution["model"], "fake-1");
    assert_eq!(
        reply.execution["usage"],
        json!({ "input_tokens": 7, "output_tokens": 11, "cost_usd": 0.5 })
    );
    let of = |name: &str| {
        let found = seen.iter().find(|event| event.is(name));
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let call = of("tool_call");
    assert_eq!(
        [
            &call.data["execution_id"],
            &call.data["id"],
            &call.data["name"],
            &call.data["args"]
        ],
        [
            &json!(execution),
            &json!("t1"),
            &json!("read_file"),
            &json!({ "path": "a.txt" })
        ]
    );
    let result = of("tool_result");
    assert_eq!(
        (&result.data["id"], &result.data["ok"]),
        (&json!("t1"), &json!(true))
    );
    assert_eq!(result.data["output"], "content");
    assert_eq!(of("usage").data["output_tokens"], 11);
    assert_eq!(of("message").data["author"]["worker_id"], worker);

    // What is no event is in the log and harms nobody.
    let noise = user.ask(&chat, "noise").await;
    assert_eq!(noise.text(), "kept");
    let log = user
        .log(noise.execution["id"].as_str().unwrap())
        .await
        .text();
    assert!(
        log.contains("this is no event\n{\"type\":\"dance\"}\n"),
        "{log}"
    );
}

#[tokio::test]
async fn what_an_engine_thinks_is_shown_while_it_thinks() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let mut events = user.chat_events(&chat, None).await;
    let execution = user.send(&chat, "ponder").await;
    let thought = events.find(|event| event.is("thinking")).await;
    assert_eq!(thought.data["execution_id"], execution);
    assert_eq!((&thought.data["text"], thought.id), (&json!("hmm"), None));
    go(&work_dir(&user, &worker).await);
    assert_eq!(user.ended(&execution).await.text(), "42");
}

#[tokio::test]
async fn an_engine_that_stays_after_its_answer_has_answered() {
    let server = TestServer::with(&settings_with(
        "[limits]\nexit_after_result_s = 1\nstop_grace_s = 1",
    ))
    .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let execution = user.send(&chat, "linger").await;
    let reply = user.ended(&execution).await;
    assert_eq!((reply.status(), reply.text()), ("completed", "answered"));
    assert_eq!(processes::of_execution(&execution), [0; 0]);
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

#[tokio::test]
async fn hostile_output_is_kept_and_harms_nobody() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let reply = user.ask(&chat, "garbage").await;
    assert_eq!(
        (reply.status(), reply.text()),
        ("completed", "a\u{fffd}\u{fffd}b")
    );
    let log = user.log(reply.execution["id"].as_str().unwrap()).await;
    assert_eq!(log.body, b"a\xff\xfeb\n", "every byte it printed");

    // 100 MB without a newline: all of it in the log, next to none of it in memory.
    let reply = user.ask(&chat, "long 100000000").await;
    assert_eq!(reply.status(), "completed", "{}", reply.error());
    let text = reply.text();
    assert!(
        text.len() <= 2 << 20 && text.starts_with("xxx"),
        "{}",
        text.len()
    );
    assert!(reply.execution["log_bytes"].as_u64() >= Some(100_000_005));
    let peak = peak_kib(server.pid());
    assert!(peak < 200 * 1024, "{peak} KiB");
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
    let (_, chat) = user.chat_with_engine("Grace", "fake-events").await;
    let reply = user.ask(&chat, "long 100000000").await;
    assert_eq!(
        (reply.status(), reply.text()),
        ("completed", "end"),
        "{}",
        reply.error()
    );
    let peak = peak_kib(server.pid());
    assert!(peak < 200 * 1024, "{peak} KiB");
}

fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_log_that_is_full_ends_its_run_with_a_clear_error() {
    let server = TestServer::with(&settings_with("log_bytes_max = 65536")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let reply = user.ask(&chat, "flood 1000000").await;
    assert_eq!(reply.status(), "failed");
    assert!(reply.error().starts_with("log_full"), "{}", reply.error());
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

/// An engine sees what it is told and nothing of the server: no secret, no descriptor, no shell between.
#[tokio::test]
async fn an_engine_inherits_nothing_of_the_server() {
    let setup = crate::support::Setup::settings(&settings()).env("SECRET_OF_THE_USER", "hush");
    let server = setup.start().await;
    let user = server.log_in().await;
    let body = json!({ "name": "Ada", "engine": "fake", "memory": "Be $HOME `brief`." });
    let worker = user.worker_with(&body).await;
    let chat = user.chat_with(&worker).await;
    let reply = user.ask(&chat, "env").await;
    let text = reply.text();
    for line in [
        "SKEP_WORKER=Ada".to_owned(),
        "SKEP_MEMORY=Be $HOME `brief`.".to_owned(),
        format!("SKEP_SESSION={chat}"),
        format!("SKEP_EXECUTION={}", reply.execution["id"].as_str().unwrap()),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    for secret in ["hush", "SKEP_PASSWORD", "CARGO", "SKEP_DATA"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let fds: Vec<String> = user
        .ask(&chat, "fds")
        .await
        .text()
        .lines()
        .map(str::to_owned)
        .collect();
    // 3 is the listing's own.
    assert_eq!(fds, ["0", "1", "2", "3"]);
    let quoted = "say $(id) `id` \"x\" 'y' ; exit 1 \\ -- *";
    assert_eq!(user.ask(&chat, quoted).await.text(), &quoted[4..]);
}

#[tokio::test]
async fn deleting_a_worker_stops_what_it_runs_and_what_waits_for_it() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    let queued = user.send(&chat, "count").await;
    let path = format!("/api/workers/{worker}");
    user.put(&path, &json!({ "work_dir": server.home.path().join("x") }))
        .await
        .refused(409, "conflict");
    user.delete(&format!("{path}?delete_work_dir=true"))
        .await
        .expect(200);
    assert_eq!(processes::of_execution(&running), [0; 0]);
    for execution in [&running, &queued] {
        assert_eq!(user.ended(execution).await.status(), "cancelled");
        user.log(execution).await.expect(200);
    }
    let found = user
        .read(&format!("/api/executions?worker_id={worker}"))
        .await;
    assert_eq!(found.as_array().unwrap().len(), 2, "executions stay");
    // The chat goes on with somebody else.
    assert_eq!(
        user.ask(&chat, "help").await.message["author"]["name"],
        "bee"
    );
}

#[tokio::test]
async fn deleting_a_chat_stops_what_runs_in_it() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    let queued = user.send(&chat, "count").await;
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    assert_eq!(processes::of_execution(&running), [0; 0]);
    for execution in [&running, &queued] {
        assert_eq!(user.ended(execution).await.status(), "cancelled");
    }
}

/// What was running is shown as interrupted with its text and can be retried; what waited runs; nothing runs twice.
#[tokio::test]
async fn nothing_outlives_a_killed_server_and_the_next_start_settles() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    processes::appear(&running, 6).await;
    let waiting = user.send(&chat, "count").await;
    let stopped = server.kill().await;
    processes::are_gone(&running, ORPHANS_GONE).await;

    let server = stopped.start().await;
    let user = user.at(&server);
    let reply = user.ended(&running).await;
    assert_eq!((reply.status(), reply.error()), ("failed", "interrupted"));
    assert_eq!(
        (&reply.message["status"], reply.text()),
        (&json!("interrupted"), "family")
    );
    assert_eq!(reply.execution["pid"], Value::Null);
    let log = user.log(&running).await.expect(200);
    assert!(log.text().starts_with("family\n"), "{}", log.text());
    assert!(log.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(user.ended(&waiting).await.text(), "run 1");
    let runs = std::fs::read_to_string(work_dir(&user, &worker).await.join("runs")).unwrap();
    assert_eq!(runs, "run\n");
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

/// Nor when the guard sleeps in that moment: the server, which would wake it, cannot any more.
#[tokio::test]
async fn nothing_outlives_a_killed_server_whose_guard_was_stopped() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    processes::appear(&running, 6).await;
    let guard = guard_of(server.pid());
    signal(server.pid(), Signal::STOP);
    signal(guard, Signal::STOP);
    server.kill().await;
    processes::are_gone(&running, ORPHANS_GONE).await;
}

#[tokio::test]
async fn an_interrupted_message_is_retried_on_request() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.send(&chat, "wait here").await;
    user.printed(&first, "waiting here").await;
    user.post(&format!("/api/executions/{first}/retry"), &json!({}))
        .await
        .refused(409, "conflict");
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    assert_eq!(user.ended(&first).await.error(), "interrupted");
    go(&work_dir(&user, &worker).await);
    let retried = user
        .post(&format!("/api/executions/{first}/retry"), &json!({}))
        .await
        .expect(202)
        .json();
    assert_eq!(retried["retry_of"], first.as_str());
    assert_eq!(retried["trigger_input"], "wait here");
    let second = retried["id"].as_str().unwrap();
    let reply = user.ended(second).await;
    assert_eq!(
        (reply.status(), reply.text()),
        ("completed", "waiting here\ndone")
    );
    let contents: Vec<Value> = user
        .messages(&chat)
        .await
        .iter()
        .map(|m| m["content"].clone())
        .collect();
    assert_eq!(
        contents,
        ["wait here", "waiting here\ndone\n"],
        "the old reply is hidden"
    );
    assert_eq!(user.execution(&first).await["error"], "interrupted");
}

/// A server that is told to stop takes its engines with it, well within the patience of a service manager.
#[tokio::test]
async fn a_polite_stop_leaves_nothing_either() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    processes::appear(&running, 6).await;
    let begun = std::time::Instant::now();
    let stopped = server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(processes::of_execution(&running), [0; 0]);
    let server = stopped.start().await;
    let reply = user.at(&server).ended(&running).await;
    assert_eq!(
        (reply.status(), reply.error(), reply.text()),
        ("failed", "interrupted", "family")
    );
}

/// The guard is killed, as an out-of-memory killer might: what it guarded is found and ended all the same.
#[tokio::test]
async fn an_engine_does_not_outlive_its_killed_guard() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    let tree = processes::appear(&running, 6).await;
    let guard = guard_of(server.pid());
    signal(guard, Signal::KILL);
    let reply = user.ended(&running).await;
    assert_eq!(reply.status(), "failed");
    processes::are_gone(&running, PATIENCE).await;
    assert!(!tree.is_empty());
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
}

fn guard_of(server: u32) -> u32 {
    *guards_of(server).first().expect("a guard")
}

fn guards_of(server: u32) -> Vec<u32> {
    let children = std::fs::read_dir(format!("/proc/{server}/task"))
        .unwrap()
        .flatten()
        .flat_map(|task| {
            let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            text.split_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap())
                .collect::<Vec<_>>()
        });
    let is_guard = |pid: &u32| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains("guard")
    };
    children.filter(is_guard).collect()
}

/// The guard that waits for the next engine is missed by nobody when it is killed or stopped, and never outlives the
/// server.
#[tokio::test]
async fn the_guard_that_waits_is_replaced_and_goes_with_the_server() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    assert_eq!(user.ask(&chat, "say one").await.text(), "one");
    let first = waiting_guard(&server).await;
    assert_eq!(user.ask(&chat, "say two").await.text(), "two");
    let killed = waiting_guard(&server).await;
    assert_ne!(first, killed, "it was used");
    signal(killed, Signal::KILL);
    eventually("the guard is dead", PATIENCE, || is_gone(killed)).await;
    assert_eq!(user.ask(&chat, "say three").await.text(), "three");
    signal(waiting_guard(&server).await, Signal::STOP);
    assert_eq!(user.ask(&chat, "say four").await.text(), "four");
    let waiting = waiting_guard(&server).await;
    let stopped = server.stop().await;
    assert!(is_gone(waiting).is_some(), "a server that ended left it");

    let server = stopped.start().await;
    let user = user.at(&server);
    assert_eq!(user.ask(&chat, "say five").await.text(), "five");
    let waiting = waiting_guard(&server).await;
    server.kill().await;
    eventually("the guard is gone", ORPHANS_GONE, || is_gone(waiting)).await;
}

/// The guard of a server that runs nothing.
async fn waiting_guard(server: &TestServer) -> u32 {
    eventually("a guard that waits", PATIENCE, || {
        guards_of(server.pid()).first().copied()
    })
    .await
}

/// `Some` for a process that is no more, or only its name.
fn is_gone(pid: u32) -> Option<()> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    (stat.is_empty() || stat.contains(") Z ")).then_some(())
}

/// The server may have ten thousand streams open; an engine has the limit that Skep was started with.
#[tokio::test]
async fn the_server_raises_its_limit_of_open_files_and_engines_do_not_inherit_that() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.or(maximum).unwrap_or(1 << 20) - 1;
    let lowered = Rlimit {
        current: Some(soft),
        maximum,
    };
    setrlimit(Resource::Nofile, lowered).unwrap();
    let engine =
        "[engines.limit]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"ulimit -Sn\"]\n";
    let server = TestServer::with(engine).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let limits = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let hard = maximum.map_or("unlimited".to_owned(), |hard| hard.to_string());
    let words: Vec<&str> = limits.split_whitespace().collect();
    assert_eq!(words[3..5], [&hard, &hard]);

    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "limit").await;
    // The second one's guard waited for it.
    for _ in 0..2 {
        assert_eq!(
            user.ask(&chat, "how many?").await.text().trim(),
            soft.to_string()
        );
    }
}

/// What a killed server left among the temporary files goes at the next start: of this hive alone, and directories alone.
#[tokio::test]
async fn temporary_directories_of_a_killed_server_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup::settings(&settings()).env("TMPDIR", temp.path().to_str().unwrap());
    let server = setup.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "hang").await;
    user.running(&execution).await;
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(temp.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let own = eventually("a directory for the run", PATIENCE, || {
        names().into_iter().find(|name| name.contains(&execution))
    })
    .await;
    let stopped = server.kill().await;
    let (prefix, _) = own.split_at(own.find(&execution).unwrap());
    // One of a run that the tables know as ended, one of another hive, and names that are none of ours.
    let left = format!(
        "{prefix}{}",
        execution.replace(|c: char| c.is_ascii_digit(), "0")
    );
    std::fs::create_dir_all(temp.path().join(&left).join("deep/er")).unwrap();
    let other = format!("skep-{}-{execution}", "0".repeat(32));
    let strange = format!("{prefix}strange");
    for name in [&other, &strange] {
        std::fs::create_dir(temp.path().join(name)).unwrap();
    }
    let link = format!(
        "{prefix}{}",
        execution.replace(|c: char| c.is_ascii_digit(), "1")
    );
    std::os::unix::fs::symlink(temp.path().join(&strange), temp.path().join(&link)).unwrap();
    let _server = stopped.start().await;
    let mut expected = vec![link, other, strange];
    expected.sort();
    eventually("only what is not ours is left", PATIENCE, || {
        (names() == expected).then_some(())
    })
    .await;
}
