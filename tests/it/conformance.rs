//! Every sentence of the two documents that this API joins, and the tests that hold it: OpenBee's endpoints and Bee Flow's
//! conventions. Where a sentence can be read in more than one way, the line says how it was read.

use std::path::Path;

use crate::support::{TestServer, contract};

/// How a sentence is kept.
enum Kept {
    /// By these tests: of a file beside this one, or of one that is named from the root.
    By(&'static [&'static str]),
    /// Not at all yet: there is nothing at this path but a 404, which [`what_is_not_served_says_so`] holds. Why.
    NotServed(&'static str, &'static str),
    /// It asks nothing of a server: why.
    Beside(&'static str),
}
use Kept::{Beside, By, NotServed};

/// A section, a sentence in short, how it was read where that was not plain, and what keeps it.
type Line = (&'static str, &'static str, &'static str, Kept);

/// OpenBee: the endpoints.
const ENDPOINTS: &[Line] = &[
    (
        "Authentication",
        "all endpoints are under /api/",
        "the endpoints of the seed; health and documentation are beside them",
        By(&["conformance::endpoints_are_under_api_and_carry_no_version"]),
    ),
    (
        "Authentication",
        "every /api/* but /api/auth/* needs a JWT",
        "an API key does as well; the document itself is under /docs, too",
        By(&["auth::every_route_but_the_public_ones_asks_for_a_token"]),
    ),
    (
        "Authentication",
        "by Authorization: Bearer or the token query parameter",
        "the header wins",
        By(&["auth::the_query_may_carry_the_token_and_the_header_wins"]),
    ),
    (
        "Login",
        "POST /api/auth/login {username, password} -> 200 {access_token, refresh_token, expires_in}",
        "",
        By(&[
            "auth::login_answers_with_tokens_as_documented",
            "auth::a_wrong_password_and_an_unknown_user_are_answered_alike",
        ]),
    ),
    (
        "Refresh Token",
        "POST /api/auth/refresh {refresh_token} -> 200 {access_token, expires_in}",
        "the refresh token stays good; the answer holds no new one",
        By(&["auth::a_refresh_token_gives_access_tokens_and_stays_good"]),
    ),
    (
        "Create Worker",
        "POST /api/workers -> 201 and the worker",
        "",
        By(&["workers::a_worker_keeps_everything_it_was_given"]),
    ),
    (
        "Create Worker",
        "only name is required",
        "",
        By(&["workers::a_worker_is_created_with_nothing_but_a_name"]),
    ),
    (
        "List Workers",
        "GET /api/workers -> 200, an array",
        "a bare array, of at most 1000 rows and paged beyond",
        By(&["workers::lists_are_arrays_and_newest_first"]),
    ),
    (
        "Get Worker",
        "GET /api/workers/:id -> 200, one worker",
        "",
        By(&[
            "workers::a_worker_keeps_everything_it_was_given",
            "workers::unknown_and_malformed_ids_are_not_found",
        ]),
    ),
    (
        "Update Worker",
        "PUT /api/workers/:id: all optional, patch semantics -> 200",
        "what is absent stays, \"\" clears",
        By(&["workers::a_change_touches_what_is_given_and_nothing_else"]),
    ),
    (
        "Delete Worker",
        "DELETE /api/workers/:id -> 200 {\"status\":\"deleted\"}",
        "",
        By(&["workers::a_directory_is_removed_only_if_skep_made_it"]),
    ),
    (
        "Delete Worker",
        "?delete_work_dir=true removes the directory, too",
        "only one that Skep made; else 409 and nothing is deleted",
        By(&["workers::a_directory_is_removed_only_if_skep_made_it"]),
    ),
    (
        "List All Executions",
        "GET /api/executions -> 200, an array",
        "",
        By(&["executions::lists_are_filtered_and_paged"]),
    ),
    (
        "Get Execution",
        "GET /api/executions/:id -> 200, one execution",
        "",
        By(&["executions::an_execution_tells_everything_as_documented"]),
    ),
    (
        "Get Execution Logs",
        "GET /api/executions/:id/logs -> 200, plain text",
        "",
        By(&["logs::a_final_log_is_immutable_and_says_so"]),
    ),
    (
        "Get Execution Logs",
        "a completed log has Cache-Control: public, max-age=3600",
        "and immutable; completed is any final state",
        By(&[
            "logs::a_final_log_is_immutable_and_says_so",
            "logs::a_running_log_is_shown_so_far_and_followed_to_its_end",
        ]),
    ),
    (
        "List Worker Executions",
        "GET /api/workers/:id/executions -> 200, an array of that worker's",
        "",
        By(&["executions::lists_are_filtered_and_paged"]),
    ),
    (
        "List Session Executions",
        "GET /api/sessions/:sessionId/executions -> 200, an array of that chat's",
        "",
        By(&["executions::lists_are_filtered_and_paged"]),
    ),
    (
        "Create Session",
        "POST /api/local/sessions {name} -> 201 {id, name, created_at, updated_at}",
        "more fields are allowed",
        By(&["sessions::a_chat_is_created_as_documented"]),
    ),
    (
        "List Sessions",
        "GET /api/local/sessions -> 200, an array",
        "last changed first",
        By(&["sessions::chats_are_listed_last_changed_first"]),
    ),
    (
        "Delete Session",
        "removes messages, replies and contexts with it -> 200 {\"status\":\"deleted\"}",
        "executions and their logs stay",
        By(&["sessions::deleting_a_chat_deletes_what_belongs_to_it"]),
    ),
    (
        "Send Message",
        "POST …/messages -> 202 {\"status\":\"queued\"}",
        "only once it is on disk",
        By(&[
            "messages::a_message_is_queued_and_answered_as_documented",
            "messages::what_was_said_survives_a_kill",
        ]),
    ),
    (
        "Send Message",
        "only content is required",
        "it may be empty where there is media",
        By(&[
            "messages::bad_messages_are_refused_and_nothing_is_queued",
            "messages::an_attached_file_is_one_that_was_uploaded_to_this_chat",
        ]),
    ),
    (
        "Send Message",
        "media_path is within the chat's upload directory",
        "else 422: outside, missing or a link",
        By(&["messages::an_attached_file_is_one_that_was_uploaded_to_this_chat"]),
    ),
    (
        "Get Messages",
        "GET …/messages -> 200, user and bee messages {role, content, ts}, sorted by time",
        "a page is the newest ones, oldest first",
        By(&[
            "messages::a_message_is_queued_and_answered_as_documented",
            "messages::a_page_is_the_newest_messages_oldest_first",
        ]),
    ),
    (
        "Upload Media",
        "POST …/media, multipart with a file field -> 200 {path}",
        "",
        By(&["media::a_file_goes_up_and_comes_down"]),
    ),
    (
        "Stream Replies",
        "GET …/stream is SSE of the replies",
        "a reply is an event without a name; more events have names",
        By(&["streams::a_chat_is_seen_as_documented"]),
    ),
    (
        "everywhere",
        "times are Unix milliseconds, ids UUIDs",
        "UUIDv7",
        By(&[
            "executions::an_execution_tells_everything_as_documented",
            "sessions::a_chat_is_created_as_documented",
        ]),
    ),
];

/// Bee Flow: the conventions.
const CONVENTIONS: &[Line] = &[
    (
        "API",
        "REST and SSE; the frontend is one client, others can be built",
        "the console speaks the public API alone",
        By(&[
            "openapi::what_is_documented_is_what_is_served",
            "openapi::the_commands_of_the_documentation_work_as_they_are",
        ]),
    ),
    (
        "API",
        "base URLs: hosted, self-hosted, local",
        "",
        Beside("it says where others serve theirs; ours is the address that is printed at start"),
    ),
    (
        "Versioning",
        "no version in the URL",
        "",
        By(&["conformance::endpoints_are_under_api_and_carry_no_version"]),
    ),
    (
        "Versioning",
        "breaking changes are announced, tagged, few; a version is pinned by the image",
        "",
        Beside("a promise of the maintainers about releases"),
    ),
    (
        "Deprecation policy",
        "a deprecated endpoint works on for 6 months and goes in the first major version after its sunset",
        "",
        Beside("a promise of the maintainers about releases"),
    ),
    (
        "Deprecation policy",
        "it returns Deprecation: <date> and Sunset: <date>",
        "Deprecation as in RFC 9745, @ and Unix seconds; Sunset is an HTTP date",
        By(&["src/http/tests::a_deprecated_route_says_so_on_every_answer"]),
    ),
    (
        "Error format",
        "every error is {error, message, details, requestId}",
        "from any layer; details may be null",
        By(&[
            "http::unknown_paths_are_not_found_in_json_and_pages_are_the_console",
            "http::nonsense_on_the_wire_harms_nobody",
            "conformance::every_refusal_of_every_route_is_one_shape",
        ]),
    ),
    (
        "Error format",
        "requestId begins with req_",
        "a valid X-Request-Id of the client is kept",
        By(&["http::a_request_id_of_the_client_is_kept_when_it_is_one"]),
    ),
    (
        "Error format",
        "400: body or query is malformed",
        "well-formed and not acceptable is 422",
        By(&["http::bodies_are_bounded_typed_and_parsed"]),
    ),
    (
        "Error format",
        "401: missing or invalid auth",
        "",
        By(&[
            "auth::every_route_but_the_public_ones_asks_for_a_token",
            "auth::forged_and_worn_out_tokens_are_refused",
        ]),
    ),
    (
        "Error format",
        "402: tier_limit with details {tier, limit, current}",
        "details also name the resource",
        By(&[
            "tiers::one_too_many_is_402_and_says_why",
            "tiers::a_limit_holds_against_a_race",
        ]),
    ),
    (
        "Error format",
        "403: license_feature_required",
        "forbidden, origin_not_allowed and host_not_allowed are 403, too",
        By(&["tiers::what_the_tier_leaves_out_is_403_and_says_so"]),
    ),
    (
        "Error format",
        "404: not found or the wrong tenant",
        "there is one account; nothing tells what is another's from what is not there",
        By(&[
            "workers::unknown_and_malformed_ids_are_not_found",
            "executions::unknown_executions_are_not_found_and_final_ones_stay_final",
        ]),
    ),
    (
        "Error format",
        "409: conflict, such as a duplicate idempotency key",
        "409 only while the first request runs; afterwards its answer is given again",
        By(&[
            "idempotency::a_request_that_still_runs_is_not_begun_again",
            "idempotency::a_key_is_for_one_body_and_one_route",
        ]),
    ),
    (
        "Error format",
        "409: conflict",
        "a wrong state, a name that is taken",
        By(&[
            "workers::names_are_unique_whatever_their_case",
            "executions::unknown_executions_are_not_found_and_final_ones_stay_final",
        ]),
    ),
    (
        "Error format",
        "422: semantic validation failed, such as an invalid cron",
        "",
        By(&["workers::bad_workers_are_refused_by_field"]),
    ),
    (
        "Error format",
        "422: an invalid cron",
        "",
        By(&["tasks::what_is_no_task_is_refused_and_nothing_is_created"]),
    ),
    (
        "Error format",
        "429: rate-limited, with Retry-After",
        "",
        By(&["rate_limits::whoever_asks_too_often_is_told_when_to_come_back"]),
    ),
    (
        "Error format",
        "500: requestId lets us trace it",
        "",
        By(&[
            "src/http/tests::the_cause_of_a_failure_stays_inside",
            "conventions::an_error_is_found_in_the_log_by_its_id",
        ]),
    ),
    (
        "Error format",
        "503: the model provider is down or overloaded",
        "a message was answered 202 by then: its execution and its reply say upstream_unavailable",
        By(&[
            "model_failures::a_server_that_is_not_there_is_said_to_be_so",
            "model_failures::a_server_that_is_busy_is_asked_again_when_it_says",
        ]),
    ),
    (
        "Rate limits",
        "per IP and per user",
        "both must have room",
        By(&[
            "rate_limits::a_user_is_limited_wherever_they_ask_from",
            "rate_limits::one_address_does_not_exhaust_another",
        ]),
    ),
    (
        "Rate limits",
        "/api/chat 60/min, burst 120",
        "also posting messages",
        By(&["rate_limits::every_family_has_its_documented_default"]),
    ),
    (
        "Rate limits",
        "/api/agents 120/min, burst 200",
        "also /api/workers",
        By(&["rate_limits::every_family_has_its_documented_default"]),
    ),
    (
        "Rate limits",
        "/api/knowledge/* 30/min, burst 60",
        "",
        NotServed("/api/knowledge", "there are no knowledge bases"),
    ),
    (
        "Rate limits",
        "/auth/* 30/min, burst 60",
        "/api/auth",
        By(&["rate_limits::every_family_has_its_documented_default"]),
    ),
    (
        "Rate limits",
        "/api/automation/webhook/* 600/min, burst 1200",
        "",
        NotServed("/api/automation/webhook", "there is no automation"),
    ),
    (
        "Rate limits",
        "set by RATE_LIMIT_* in the environment",
        "or in skep.toml; in memory, so without Redis",
        By(&["rate_limits::limits_are_set_and_switched_off"]),
    ),
    (
        "Idempotency",
        "every POST that creates takes an optional Idempotency-Key",
        "or queues",
        By(&[
            "idempotency::every_post_that_makes_something_makes_it_once",
            "agents_api::an_agent_is_made_once_for_each_key_and_within_the_tier",
            "chat::a_question_is_asked_once_for_each_key",
            "idempotency::an_upload_that_is_sent_again_is_one_file",
            "idempotency::a_key_is_for_one_body_and_one_route",
        ]),
    ),
    (
        "Idempotency",
        "the first answer is kept 24 h and replayed",
        "refusals are not kept",
        By(&[
            "idempotency::each_key_has_one_effect_whenever_the_server_is_killed",
            "idempotency::refusals_are_judged_anew",
            "src/store/idempotency::an_outcome_is_kept_for_a_day",
        ]),
    ),
    (
        "Idempotency",
        "use a UUID per operation",
        "",
        Beside("advice to clients"),
    ),
    (
        "CORS",
        "the hosted service allows https://beeflow.ai",
        "",
        Beside("it speaks of another server"),
    ),
    (
        "CORS",
        "self-hosted: CORS_ALLOWED_ORIGINS, separated by commas",
        "empty is the same origin only",
        By(&["http::only_our_own_names_and_pages_are_answered"]),
    ),
    (
        "CORS",
        "for embedded chat, list every parent origin",
        "the list is also frame-ancestors",
        By(&[
            "tests/it/attacks/origins::the_console_is_shown_in_nobody_elses_frame",
            "tests/browser/cross_origin::a_page_on_the_list_uses_the_api_and_frames_the_console",
            "tests/browser/cross_origin::a_page_that_is_not_on_the_list_does_nothing",
        ]),
    ),
    (
        "families",
        "/api/agents",
        "an agent is a worker, its system prompt the worker's memory; times in RFC 3339",
        By(&[
            "agents_api::an_agent_has_the_documented_shape_and_is_a_worker",
            "agents_api::a_change_touches_what_is_given_and_null_clears",
            "agents_api::bad_agents_are_refused_by_field",
            "agents_api::a_copy_is_an_agent_of_its_own",
            "agents_api::a_deleted_agent_is_a_deleted_worker",
            "agents_api::the_tools_say_which_of_them_the_agent_may_use",
        ]),
    ),
    (
        "families",
        "/api/chat, whole",
        "a conversation is a chat; what fails is 503 with the engine's word in the details, what was stopped 409",
        By(&[
            "chat::an_answer_comes_whole_with_its_conversation",
            "chat::a_conversation_may_be_brought_along",
            "chat::what_cannot_be_asked_is_refused_and_begins_nothing",
        ]),
    ),
    (
        "families",
        "/api/chat as events: token, tool_call, tool_result, tool_error, progress, done, error",
        "no `citation` before there is knowledge; `percent` is null, since no engine says it",
        By(&[
            "chat::an_answer_comes_as_it_is_written_with_its_tools",
            "chat::a_tool_that_fails_and_a_run_that_fails_say_so",
            "chat::a_stream_ends_with_its_conversation",
        ]),
    ),
    (
        "families",
        "/api/chat: ids <messageId>:<n>, Last-Event-ID resumes; closing does not stop, cancel does",
        "numbers grow by more than one; behind the last event there is 204",
        By(&[
            "chat::an_answer_comes_as_it_is_written_with_its_tools",
            "chat::a_stream_is_taken_up_after_a_kill",
            "chat::a_run_goes_on_without_its_reader_until_it_is_cancelled",
        ]),
    ),
    (
        "families",
        "/api/knowledge",
        "",
        NotServed(
            "/api/knowledge",
            "there are no knowledge bases: nothing reads, cuts and finds documents yet; agents keep their ids",
        ),
    ),
    (
        "families",
        "/api/automation",
        "",
        NotServed(
            "/api/automation",
            "there is no automation: tasks start workers when they are due, and nothing else does",
        ),
    ),
];

/// A line that names a test which is not there would pretend.
#[test]
fn every_sentence_names_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (document, lines) in [("OpenBee", ENDPOINTS), ("Bee Flow", CONVENTIONS)] {
        for (section, sentence, reading, kept) in lines {
            let line = format!("{document}, {section}: {sentence}");
            match kept {
                By(tests) => {
                    assert!(!tests.is_empty(), "{line}");
                    for test in *tests {
                        let (module, name) = test.split_once("::").expect("module::test");
                        let file = match module.contains('/') {
                            true => format!("{module}.rs"),
                            false => format!("tests/it/{module}.rs"),
                        };
                        let source = std::fs::read_to_string(root.join(file))
                            .unwrap_or_else(|error| panic!("{line}: {module}: {error}"));
                        let (before, _) = source
                            .split_once(&format!("fn {name}() {{"))
                            .unwrap_or_else(|| panic!("{line}: there is no test {test}"));
                        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
                        assert!(attributes.contains("test"), "{line}: {test} is no test");
                    }
                }
                NotServed(path, why) => assert!(path.starts_with('/') && !why.is_empty(), "{line}"),
                Beside(why) => assert!(!why.is_empty() && reading.is_empty(), "{line}"),
            }
        }
    }
}

/// What is part of the contract and not served is 404 like any path that is not there, whatever is asked of it, and is in
/// no document: a client sees at once that it cannot count on it.
#[tokio::test]
async fn what_is_not_served_says_so() {
    use crate::support::Method::{Delete, Get, Patch, Post};
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut paths: Vec<&str> = [ENDPOINTS, CONVENTIONS]
        .iter()
        .flat_map(|lines| lines.iter())
        .filter_map(|(.., kept)| match kept {
            NotServed(path, _) => Some(*path),
            _ => None,
        })
        .collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let documented = contract::document()["paths"].as_object().unwrap().keys();
        let served: Vec<_> = documented.filter(|known| known.starts_with(path)).collect();
        assert!(served.is_empty(), "{served:?} is served: name its tests");
        for path in [
            path.to_owned(),
            format!("{path}/019ac0de-0000-7000-8000-000000000001"),
        ] {
            user.get(&path).await.refused(404, "not_found");
            for method in [Get, Post, Patch, Delete] {
                let call = user.call(method, &path).json(&serde_json::json!({}));
                call.send().await.refused(404, "not_found");
            }
        }
    }
}

#[test]
fn endpoints_are_under_api_and_carry_no_version() {
    let paths = contract::document()["paths"].as_object().unwrap();
    let beside = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs/openapi.json",
        "/mcp",
    ];
    for path in paths.keys().filter(|path| !beside.contains(&path.as_str())) {
        // OpenAI's clients are given a base address that ends in /v1.
        assert!(
            path.starts_with("/api/") || path.starts_with("/v1/"),
            "{path}"
        );
        let mut steps = path.split('/').skip(2);
        let is_version = |step: &str| {
            let number = step.strip_prefix('v').unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        assert!(!steps.any(is_version), "{path}");
    }
}

/// One shape, whatever the route and whoever refuses: no token, an unknown thing, another origin, too much.
#[tokio::test]
async fn every_refusal_of_every_route_is_one_shape() {
    use crate::support::http::Call;
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let unknown = "019ac0de-0000-7000-8000-000000000001";
    for (path, methods) in contract::document()["paths"].as_object().unwrap() {
        let concrete: Vec<&str> = path
            .split('/')
            .map(|step| if step.starts_with('{') { unknown } else { step })
            .collect();
        let concrete = concrete.join("/");
        for (name, operation) in methods.as_object().unwrap() {
            let method = match name.as_str() {
                "get" => crate::support::Method::Get,
                "post" => crate::support::Method::Post,
                "put" => crate::support::Method::Put,
                "patch" => crate::support::Method::Patch,
                "delete" => crate::support::Method::Delete,
                other => panic!("{other} is none of ours"),
            };
            let call = |token: bool| -> Call {
                match token {
                    true => user.call(method, &concrete),
                    false => server.call(method, &concrete),
                }
            };
            if operation["x-scope"].is_string() {
                assert_eq!(call(false).send().await.refusal().0, 401, "{name} {path}");
            }
            let foreign = call(true).header("Origin", "https://elsewhere.example");
            foreign.send().await.refused(403, "origin_not_allowed");
            let rebound = call(true).header("Host", "elsewhere.example");
            rebound.send().await.refused(403, "host_not_allowed");
            if path.contains("_id}") && operation.get("requestBody").is_none() {
                call(true).send().await.refused(404, "not_found");
            }
        }
    }
}
