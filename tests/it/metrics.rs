//! What whoever watches is told: `/metrics`, `/readyz` and the log's lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Method, Setup, TestServer};

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

/// Reads Prometheus' text, strictly: every sample belongs to a family that was announced, with help and type.
fn parse(text: &str) -> Samples {
    let mut kinds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = Samples::new();
    let mut current = "";
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(!help.is_empty() && helped.insert(name), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "{line}");
            current = name;
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap();
            let family = match kinds[current] {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or_default(),
                "counter" => {
                    assert!(name.ends_with("_total"), "{line}");
                    name
                }
                _ => name,
            };
            assert_eq!(family, current, "{line}");
            let value: f64 = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line}");
        }
    }
    samples
}

async fn scrape(server: &TestServer) -> Samples {
    let answer = server.call(Method::Get, "/metrics").send().await;
    let answer = answer.expect(200);
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    parse(&answer.text())
}

#[track_caller]
fn value(samples: &Samples, series: &str) -> f64 {
    match samples.get(series) {
        Some(value) => *value,
        None => panic!("no {series} in {samples:#?}"),
    }
}

/// Each figure moves with what it is of.
#[tokio::test]
async fn what_happens_is_counted() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    user.ask(&chat, "help").await;
    for _ in 0..3 {
        user.get("/api/me").await.expect(200);
    }
    user.get(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    user.get("/api/nothing/at/all").await.expect(404);
    server.call(Method::Get, "/").send().await.expect(200);
    let stream = user.call(Method::Get, "/api/stream").open().await;

    let samples = scrape(&server).await;
    let requests = |method: &str, route: &str, status: u16| {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        value(&samples, &format!("skep_http_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("GET", "/api/me", 200), 3.0);
    assert!(requests("GET", "/api/local/sessions/{session_id}", 200) >= 1.0);
    assert_eq!(requests("GET", "console", 200), 1.0);
    assert_eq!(requests("any", "none", 404), 1.0);
    let of_me = "method=\"GET\",route=\"/api/me\"";
    let count = format!("skep_http_request_duration_seconds_count{{{of_me}}}");
    assert_eq!(value(&samples, &count), 3.0);
    let all = format!("skep_http_request_duration_seconds_bucket{{{of_me},le=\"+Inf\"}}");
    assert_eq!(value(&samples, &all), 3.0);
    assert!(
        samples.keys().all(|series| !series.contains(&chat)),
        "a path"
    );

    assert_eq!(
        value(
            &samples,
            "skep_executions_ended_total{status=\"completed\"}"
        ),
        1.0
    );
    assert_eq!(value(&samples, "skep_executions{state=\"running\"}"), 0.0);
    assert_eq!(value(&samples, "skep_streams"), 1.0);
    assert!(value(&samples, "skep_http_connections") >= 2.0);
    let batches = value(&samples, "skep_journal_batch_commands_count");
    assert!(batches >= 5.0);
    assert_eq!(
        value(&samples, "skep_journal_sync_duration_seconds_count"),
        batches
    );
    assert!(value(&samples, "skep_journal_sync_duration_seconds_sum") > 0.0);
    assert_eq!(value(&samples, "skep_panics_total"), 0.0);
    assert_eq!(value(&samples, "skep_ready"), 1.0);
    assert_eq!(value(&samples, "skep_snapshots"), 0.0);
    assert!(value(&samples, "skep_disk_free_bytes") > 0.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        value(
            &samples,
            &format!("skep_build_info{{version=\"{version}\"}}")
        ),
        1.0
    );
    if cfg!(target_os = "linux") {
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
            "process_cpu_seconds_total",
        ] {
            assert!(value(&samples, name) > 0.0, "{name}");
        }
    }
    drop(stream);
}

/// However many paths are asked for, the number of series is that of the routes.
#[tokio::test]
async fn paths_make_no_series() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let ask = async |from: u32| {
        for n in from..from + 50 {
            user.get(&format!("/api/local/sessions/{n}"))
                .await
                .expect(404);
            user.get(&format!("/api/x{n}")).await.expect(404);
            let call = user.call(Method::Put, &format!("/api/x{n}"));
            call.send().await.expect(404);
        }
        scrape(&server).await
    };
    // The second look has the series of the first look itself.
    ask(0).await;
    let before: Vec<String> = ask(100).await.into_keys().collect();
    let after: Vec<String> = ask(200).await.into_keys().collect();
    assert_eq!(before, after);
}

/// This machine may look; others, and whoever comes through a proxy, need the token.
#[tokio::test]
async fn metrics_are_for_this_machine_or_the_token() {
    let server = TestServer::start().await;
    let metrics = || server.call(Method::Get, "/metrics");
    metrics().send().await.expect(200);
    for (name, text) in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
    ] {
        let answer = metrics().header(name, text).send().await;
        answer.refused(403, "forbidden");
    }
    let behind = Setup::default().arg("--behind-proxy").start().await;
    let answer = behind.call(Method::Get, "/metrics").send().await;
    assert!(
        answer.refused(403, "forbidden")["message"]
            .as_str()
            .unwrap()
            .contains("metrics_token")
    );

    let token = "a-token-for-metrics-only";
    let setup = Setup::settings(&format!("metrics_token = \"{token}\"\n"));
    let server = setup.arg("--behind-proxy").start().await;
    let metrics = || server.call(Method::Get, "/metrics");
    metrics().send().await.refused(401, "missing_token");
    metrics()
        .bearer("a-token-for-metrics-onlx")
        .send()
        .await
        .refused(401, "invalid_token");
    let answer = metrics()
        .bearer(token)
        .header("X-Forwarded-For", "203.0.113.9");
    parse(&answer.send().await.expect(200).text());
    // It opens nothing else, and is nowhere to be read.
    let me = server.call(Method::Get, "/api/me").bearer(token);
    me.send().await.refused(401, "invalid_token");
    assert!(!server.stop().await.stderr.contains(token));
}

#[tokio::test]
async fn a_bad_metrics_token_is_refused_and_not_shown() {
    let data = tempfile::tempdir().unwrap();
    for setup in [
        Setup::settings("metrics_token = \"short-secret\"\n"),
        Setup::default().env("SKEP_METRICS_TOKEN", "short-secret"),
    ] {
        let (_, stderr) = setup.fails_to_start(data.path()).await;
        assert!(stderr.contains("at least 16"), "{stderr}");
        assert!(!stderr.contains("short-secret"), "{stderr}");
        let _ = std::fs::remove_file(data.path().join("skep.toml"));
    }
}

/// Part by part, so that nobody has to guess what fails.
#[tokio::test]
async fn readiness_names_each_part() {
    let server = TestServer::start().await;
    let ready = server
        .call(Method::Get, "/readyz")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(ready["status"], "ready");
    let parts: Vec<&Value> = ready["parts"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = parts
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["journal", "tables", "disk", "queue"]);
    for part in parts {
        assert_eq!((&part["ok"], &part["reason"]), (&json!(true), &Value::Null));
    }
}

/// A line for each request, which a program can read, and no secret in it.
#[tokio::test]
async fn a_request_is_one_line_of_json() {
    let server = Setup::default()
        .arg("--log-format")
        .arg("json")
        .start()
        .await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let call = server
        .call(
            Method::Get,
            &format!("/api/local/sessions/{chat}?token={}", user.access),
        )
        .header("X-Request-Id", "asked-by-a-test");
    let length = call.send().await.expect(200).body.len();
    let (code, access) = (server.code.clone(), user.access.clone());
    let stderr = server.stop().await.stderr;
    assert!(
        !stderr.contains(&code) && !stderr.contains(&access),
        "a secret"
    );
    let lines: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let of_request: Vec<&Value> = lines
        .iter()
        .map(|line| &line["fields"])
        .filter(|fields| fields["request.id"] == "asked-by-a-test")
        .collect();
    let [line] = of_request[..] else {
        panic!("{of_request:?}")
    };
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/api/local/sessions/{session_id}");
    assert_eq!(line["path"], format!("/api/local/sessions/{chat}"));
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], length);
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
}
