//! The conventions of errors: every code there is, reached as a client reaches it, with its status and what goes with it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::http::{Call, nothing};
use crate::support::token::{claims, now_s, signed};
use crate::support::{Answer, Method, Setup, User};

/// Codes that are reached where the server can be brought there: the file and the test.
const ELSEWHERE: [(&str, &str, &str); 7] = [
    (
        "idempotency_in_progress",
        "tests/it/idempotency.rs",
        "a_request_that_still_runs_is_not_begun_again",
    ),
    (
        "held",
        "tests/it/copies.rs",
        "a_copy_taken_while_writing_holds_what_was_acknowledged_before",
    ),
    (
        "internal",
        "src/http/tests.rs",
        "the_cause_of_a_failure_stays_inside",
    ),
    (
        "storage_full",
        "tests/it/full_disk.rs",
        "writes_are_refused_and_the_rest_goes_on",
    ),
    (
        "read_only",
        "tests/it/conventions.rs",
        "a_journal_that_fails_takes_no_writes_and_still_reads",
    ),
    (
        "shutting_down",
        "tests/it/conventions.rs",
        "who_waits_when_the_server_goes_down_is_told_so",
    ),
    ("overloaded", "tests/it/streams.rs", "streams_are_bounded"),
];

/// Codes of the contract whose routes or engines do not exist yet.
const NOT_YET: [&str; 2] = ["invalid_signature", "upstream_unavailable"];

const SETTINGS: &str = "[rate_limit]\nchat = \"6/2\"\n\
    [tier]\nname = \"pro\"\nfeatures = [\"api_keys\"]\n[tier.limits]\nsessions = 1\n";

/// Every refusal that a client can bring about by itself.
async fn refusals(
    user: &User,
    call: impl Fn(Method, &str) -> Call,
    expired: &str,
) -> Vec<(u16, &'static str, Answer)> {
    let own = |method, path: &str| user.call(method, path);
    let chat = user.chat().await;
    let messages = format!("/api/local/sessions/{chat}/messages");
    let execution = user.ask(&chat, "help").await.execution["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let read_only = user
        .post("/api/tokens", &json!({ "name": "r", "scopes": ["read"] }))
        .await;
    let read_only = read_only.expect(201).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let outside = tempfile::tempdir().unwrap();
    let given = user
        .worker_with(&json!({ "name": "Ada", "work_dir": outside.path().to_str().unwrap() }))
        .await;
    let keyed = |body: Value| {
        own(Method::Post, "/api/workers")
            .header("Idempotency-Key", "k")
            .json(&body)
    };
    keyed(json!({ "name": "Grace" })).send().await.expect(201);
    let login = json!({ "username": "admin", "password": "wrong" });
    let large = json!({ "name": "x".repeat(1 << 20) });
    user.post(&messages, &json!({ "content": "" }))
        .await
        .refused(422, "validation_failed");
    let calls = [
        (
            400,
            "invalid_json",
            own(Method::Post, "/api/workers").body("application/json", "{"),
        ),
        (400, "bad_request", own(Method::Get, "/api/workers?limit=x")),
        (
            400,
            "bad_request",
            own(Method::Post, "/api/workers").json(&nothing()),
        ),
        (401, "missing_token", call(Method::Get, "/api/me")),
        (
            401,
            "invalid_token",
            call(Method::Get, "/api/me").bearer("x"),
        ),
        (
            401,
            "expired_token",
            call(Method::Get, "/api/me").bearer(expired),
        ),
        (
            401,
            "invalid_credentials",
            call(Method::Post, "/api/auth/login").json(&login),
        ),
        (
            402,
            "tier_limit",
            own(Method::Post, "/api/local/sessions").json(&json!({ "name": "x" })),
        ),
        (
            403,
            "license_feature_required",
            own(Method::Get, "/api/backup"),
        ),
        (
            403,
            "forbidden",
            call(Method::Delete, &format!("/api/workers/{given}")).bearer(&read_only),
        ),
        (
            403,
            "origin_not_allowed",
            own(Method::Get, "/api/me").header("Origin", "https://evil.example"),
        ),
        (
            403,
            "host_not_allowed",
            own(Method::Get, "/api/me").header("Host", "evil.example"),
        ),
        (404, "not_found", own(Method::Get, "/api/nowhere")),
        (
            404,
            "not_found",
            own(
                Method::Get,
                &format!("/api/workers/{}", uuid::Uuid::now_v7()),
            ),
        ),
        (
            405,
            "method_not_allowed",
            own(Method::Patch, "/api/workers"),
        ),
        (
            413,
            "payload_too_large",
            own(Method::Post, "/api/workers").json(&large),
        ),
        (
            414,
            "uri_too_long",
            own(Method::Get, &format!("/api/workers?x={}", "x".repeat(9000))),
        ),
        (
            415,
            "unsupported_media_type",
            own(Method::Post, "/api/workers").body("text/plain", "{}"),
        ),
        (
            431,
            "headers_too_large",
            own(Method::Get, "/api/me").header("X", &"x".repeat(40_000)),
        ),
        (
            416,
            "range_not_satisfiable",
            own(Method::Get, &format!("/api/executions/{execution}/logs"))
                .header("Range", "bytes=99999999-"),
        ),
        (
            409,
            "conflict",
            own(Method::Post, "/api/workers").json(&json!({ "name": "ADA" })),
        ),
        (
            409,
            "work_dir_not_owned",
            own(
                Method::Delete,
                &format!("/api/workers/{given}?delete_work_dir=true"),
            ),
        ),
        (
            422,
            "validation_failed",
            own(Method::Post, "/api/workers").json(&json!({ "name": "bee" })),
        ),
        (
            422,
            "idempotency_key_reused",
            keyed(json!({ "name": "Alan" })),
        ),
        (
            429,
            "rate_limited",
            own(Method::Post, &messages).json(&json!({ "content": "" })),
        ),
        // Nothing that anybody understands.
        (400, "bad_request", call(Method::Get, "/ nonsense")),
    ];
    let mut answers = Vec::new();
    for (status, code, call) in calls {
        answers.push((status, code, call.send().await));
    }
    answers
}

#[tokio::test]
async fn every_error_code_is_reached_with_its_status() {
    let setup = Setup::settings(SETTINGS).env("RATE_LIMIT_ENABLED", "true");
    let server = setup.start().await;
    let user = server.log_in().await;
    let mut old = claims(&user.access);
    old["exp"] = (now_s() - 1).into();
    let expired = signed(&server, &old);
    let mut reached = BTreeSet::new();
    for (status, code, answer) in
        refusals(&user, |method, path| server.call(method, path), &expired).await
    {
        // The body, the request id in both places, `WWW-Authenticate` and `Retry-After` are looked at in there.
        answer.refused(status, code);
        assert_eq!(answer.header("allow").is_some(), status == 405, "{code}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{code}"
        );
        reached.insert(code);
    }
    for (code, file, test) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.contains(&format!("fn {test}(")),
            "{code}: {test} is not in {file}"
        );
        reached.insert(code);
    }
    reached.extend(NOT_YET);
    let all: BTreeSet<&str> = skep::http::ErrorCode::ALL
        .iter()
        .map(|code| code.as_str())
        .collect();
    assert_eq!(reached, all);
}

/// The id that a client gives is the id of the answer, of the error in it and of the log.
#[tokio::test]
async fn an_error_is_found_in_the_log_by_its_id() {
    let server = Setup::default().start().await;
    let call = server
        .call(Method::Get, "/api/me")
        .header("X-Request-Id", "trace-1.2_x");
    let answer = call.send().await;
    let body = answer.refused(401, "missing_token");
    assert_eq!(body["requestId"], "trace-1.2_x");
    let made = server.call(Method::Get, "/api/me").send().await;
    let id = made.header("x-request-id").unwrap().to_owned();
    let shape = id.strip_prefix("req_2").expect(&id);
    assert!(
        shape.len() == "0261122T101530Z_9f3kq2".len() && shape.contains("Z_"),
        "{id}"
    );
    let stderr = server.stop().await.stderr;
    for id in ["trace-1.2_x", &id] {
        assert!(stderr.contains(&format!("request.id={id}")), "{stderr}");
    }
}

/// What was written stays readable, nothing is taken that might not be kept, and the next start goes on.
#[tokio::test]
async fn a_journal_that_fails_takes_no_writes_and_still_reads() {
    let server = Setup::default().start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    // The next segment's place is taken, whatever its number.
    let journal = server.data.join("journal");
    let first = std::fs::read_dir(&journal).unwrap().flatten();
    let first = first.map(|entry| entry.file_name().into_string().unwrap());
    let digits = first
        .filter_map(|name| Some(name.strip_suffix(".seg")?.len()))
        .next()
        .expect("there is a segment");
    let taken: Vec<_> = (2..100)
        .map(|seq| journal.join(format!("{seq:0digits$}.seg")))
        .filter(|path| !path.exists())
        .collect();
    for path in &taken {
        std::fs::create_dir(path).unwrap();
    }
    let purge = user.post("/api/purge", &json!({})).await;
    assert_eq!(purge.status, 500, "{}", purge.text());
    for path in ["/api/workers", "/api/local/sessions"] {
        let refused = user.post(path, &json!({ "name": "Late" })).await;
        refused.refused(503, "read_only");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(user.read_all("/api/local/sessions").await.len(), 1);
    let ready = server.call(Method::Get, "/readyz").send().await;
    assert_eq!(ready.expect(503).json()["status"], "read_only");

    let stopped = server.stop().await;
    for path in &taken {
        std::fs::remove_dir(path).unwrap();
    }
    let server = stopped.start().await;
    let user = user.at(&server);
    user.read(&format!("/api/local/sessions/{chat}")).await;
    user.worker("Next", "builtin").await;
}

#[tokio::test]
async fn who_waits_when_the_server_goes_down_is_told_so() {
    let server = Setup::settings(&crate::support::engine::settings())
        .start()
        .await;
    let user = server.log_in().await;
    user.worker("Slow", "fake").await;
    let mut events = user.events("/api/stream", None).await;
    let body = json!({ "model": "Slow", "messages": [{ "role": "user", "content": "hang" }] });
    let call = user.call(Method::Post, "/v1/chat/completions").json(&body);
    let waiting = tokio::spawn(async move { call.send().await });
    events
        .find(|event| event.is("status") && event.data["status"] == "running")
        .await;
    let stopped = server.stop().await;
    assert!(stopped.status.success());
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"]["code"], "shutting_down");
    assert_eq!(answer.header("retry-after"), Some("5"));
}
