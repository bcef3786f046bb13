//! What a worker may do only when the user says so: it asks, it waits, and it is answered once.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::http::Method;
use crate::support::model::{ModelServer, Script, calls, text};
use crate::support::{Answer, EventStream, Setup, TestServer, User};

/// A worker whose model calls tools, and a chat with it.
struct Talk {
    model: ModelServer,
    server: TestServer,
    user: User,
    worker: String,
    chat: String,
}

/// An execution that waits for an answer.
struct Waiting {
    execution: String,
    request: Value,
    events: EventStream,
}

impl Waiting {
    fn path(&self) -> String {
        path(&self.execution, &self.request)
    }
}

fn path(execution: &str, request: &Value) -> String {
    let id = request["request_id"].as_str().unwrap();
    format!("/api/executions/{execution}/permissions/{id}")
}

const COMMAND: (&str, &str) = ("run_command", r#"{"argv":["touch","made"]}"#);

impl Talk {
    async fn with(scripts: Vec<Script>, permissions: &str, settings: &str) -> Self {
        let model = ModelServer::saying(scripts).await;
        let settings = format!("{settings}\n{}", model.engine("m", ""));
        let server = Setup::settings(&settings).start().await;
        let user = server.log_in().await;
        let body = json!({ "name": "Ada", "engine": "m", "permissions": permissions });
        let worker = user.worker_with(&body).await;
        let chat = user.chat_with(&worker).await;
        Self {
            model,
            server,
            user,
            worker,
            chat,
        }
    }

    /// A worker in mode `ask` whose model wants to do this once.
    async fn calling(call: (&str, &str)) -> Self {
        Self::with(vec![calls(&[call]), text(&["Done."])], "ask", "").await
    }

    /// Sends a message and waits until the worker asks.
    async fn asked(&self) -> Waiting {
        let execution = self.user.send(&self.chat, "Do it.").await;
        waiting(&self.user, &execution).await
    }

    async fn answer(&self, waiting: &Waiting, decision: &str) -> Answer {
        let body = json!({ "decision": decision });
        self.user.post(&waiting.path(), &body).await
    }

    async fn work_dir(&self) -> PathBuf {
        let path = format!("/api/workers/{}", self.worker);
        let worker = self.user.read(&path).await;
        worker["work_dir"].as_str().unwrap().into()
    }

    async fn made(&self) -> bool {
        self.work_dir().await.join("made").exists()
    }

    /// What the model was told of its last call.
    fn told(&self) -> String {
        self.model.asked().last().unwrap().last()
    }

    async fn log(&self, execution: &str) -> String {
        self.user.log(execution).await.expect(200).text()
    }
}

/// A model that wants to run a command, again and again.
pub async fn asking_model() -> ModelServer {
    ModelServer::saying([calls(&[COMMAND])]).await
}

/// An execution of a new worker, or of the bee, that waits for an answer: who, which, and for what.
pub async fn asked(user: &User, engine: &str, of_worker: bool) -> (String, String, String) {
    let (worker, chat) = if of_worker {
        let name = format!("Asking {}", user.read_all("/api/workers").await.len());
        user.chat_with_engine(&name, engine).await
    } else {
        let bee = json!({ "engine": engine });
        user.put("/api/bee", &bee).await.expect(200);
        (String::new(), user.chat().await)
    };
    let execution = user.send(&chat, "Do it.").await;
    let asked = waiting(user, &execution).await;
    if !of_worker {
        let bee = json!({ "engine": "" });
        user.put("/api/bee", &bee).await.expect(200);
    }
    let request = asked.request["request_id"].as_str().unwrap().to_owned();
    (worker, execution, request)
}

/// Says "always", and then stops what would go on for ever.
pub async fn allow_always(user: &User, execution: &str, request: &str) {
    let path = format!("/api/executions/{execution}/permissions/{request}");
    let answer = json!({ "decision": "allow_always" });
    user.post(&path, &answer).await.expect(200);
    let cancel = format!("/api/executions/{execution}/cancel");
    user.post(&cancel, &json!({})).await.expect(202);
    user.ended(execution).await;
}

/// Waits until an execution asks.
async fn waiting(user: &User, execution: &str) -> Waiting {
    let path = format!("/api/executions/{execution}/stream");
    let mut events = user.events(&path, Some(0)).await;
    let asked = events.find(|event| event.is("permission_request")).await;
    Waiting {
        execution: execution.to_owned(),
        request: asked.data,
        events,
    }
}

/// Waits until an execution asks for the second time.
async fn waiting_again(user: &User, execution: &str) -> Waiting {
    let mut first = waiting(user, execution).await;
    let asked = first.events.find(|it| it.is("permission_request")).await;
    Waiting {
        request: asked.data,
        ..first
    }
}

#[tokio::test]
async fn what_is_allowed_is_done_and_everybody_is_told() {
    let talk = Talk::calling(COMMAND).await;
    let mut chat = talk.user.chat_events(&talk.chat, None).await;
    let mut asked = talk.asked().await;
    assert_eq!(asked.request["tool"], "run_command");
    assert_eq!(asked.request["effect"], "run");
    assert_eq!(asked.request["args"], json!({ "argv": ["touch", "made"] }));
    let options = json!(["allow", "allow_always", "deny"]);
    assert_eq!(asked.request["options"], options);
    let call = asked.events.seen.iter().find(|it| it.is("tool_call"));
    let call = call.expect("the call is shown before the question about it");
    assert_eq!(asked.request["call_id"], call.data["id"]);
    assert!(asked.request["expires_at"].as_u64() > asked.request["asked_at"].as_u64());

    // It waits, and says so wherever it is seen.
    let execution = talk.user.execution(&asked.execution).await;
    assert_eq!(
        (&execution["status"], &execution["waiting"]),
        (&json!("running"), &json!(true))
    );
    let session = format!("/api/local/sessions/{}", talk.chat);
    assert_eq!(talk.user.read(&session).await["waiting"], true);
    let list = format!("/api/executions/{}/permissions", asked.execution);
    assert_eq!(talk.user.read(&list).await[0]["decision"], Value::Null);
    assert!(!talk.made().await);

    let answer = talk.answer(&asked, "allow").await.expect(200).json();
    assert_eq!(
        (&answer["decision"], &answer["by"]),
        (&json!("allow"), &json!("user"))
    );
    let resolved = asked
        .events
        .find(|event| event.is("permission_resolved"))
        .await;
    assert_eq!(resolved.data["request_id"], asked.request["request_id"]);
    assert_eq!(resolved.data["decision"], "allow");
    assert!(resolved.id.is_some(), "it is stored");
    let reply = talk.user.ended(&asked.execution).await;
    assert_eq!(reply.text(), "Done.");
    assert!(talk.made().await);
    assert_eq!(reply.execution["waiting"], false);
    assert_eq!(talk.user.read(&session).await["waiting"], false);
    let log = talk.log(&asked.execution).await;
    assert!(
        log.contains("permission for run_command: the user allowed it"),
        "{log}"
    );
    let of_chat = chat.until(|event| event.is_final(&asked.execution)).await;
    for kind in ["permission_request", "permission_resolved"] {
        assert!(of_chat.iter().any(|event| event.is(kind)), "{kind}");
    }
}

#[tokio::test]
async fn what_is_denied_is_not_done_and_the_model_is_told() {
    let talk = Talk::calling(COMMAND).await;
    let asked = talk.asked().await;
    talk.answer(&asked, "deny").await.expect(200);
    let reply = talk.user.ended(&asked.execution).await;
    assert_eq!((reply.status(), reply.text()), ("completed", "Done."));
    assert!(!talk.made().await);
    assert!(talk.told().contains("the user denied it"));
    let log = talk.log(&asked.execution).await;
    assert!(log.contains("not done: the user denied it"), "{log}");
}

/// The diff is of the file as it is, before anything is done.
#[tokio::test]
async fn a_change_of_a_file_is_shown_before_it_is_made() {
    let edit = r#"{"path":"a.txt","old":"two","new":"zwei"}"#;
    let talk = Talk::calling(("edit_file", edit)).await;
    let file = talk.work_dir().await.join("a.txt");
    std::fs::write(&file, "one\ntwo\n").unwrap();
    let asked = talk.asked().await;
    assert_eq!(asked.request["effect"], "write");
    let diff = asked.request["diff"].as_str().unwrap();
    assert!(diff.contains("\n-two\n+zwei\n"), "{diff}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
    talk.answer(&asked, "allow").await.expect(200);
    talk.user.ended(&asked.execution).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nzwei\n");
}

#[tokio::test]
async fn always_is_for_one_tool_of_one_worker_until_it_is_forgotten() {
    let scripts = || {
        [0; 4]
            .map(|_| [calls(&[COMMAND]), text(&["Done."])])
            .concat()
    };
    let talk = Talk::with(scripts(), "ask", "").await;
    let asked = talk.asked().await;
    talk.answer(&asked, "allow_always").await.expect(200);
    talk.user.ended(&asked.execution).await;
    let worker = format!("/api/workers/{}", talk.worker);
    let remembered = talk.user.read(&worker).await;
    assert_eq!(remembered["always_allowed"], json!(["run_command"]));

    // Not asked again, also after a restart, and it is said why.
    let server = talk.server.restart().await;
    let talk = Talk {
        user: talk.user.at(&server),
        server,
        ..talk
    };
    let reply = talk.user.ask(&talk.chat, "Again.").await;
    assert_eq!(reply.text(), "Done.");
    let id = reply.execution["id"].as_str().unwrap();
    assert!(talk.log(id).await.contains("the user has said \"always\""));
    // Another worker has to ask.
    let body = json!({ "name": "Bob", "engine": "m", "permissions": "ask" });
    let other = talk.user.worker_with(&body).await;
    let chat = talk.user.chat_with(&other).await;
    let execution = talk.user.send(&chat, "Do it.").await;
    let asked = waiting(&talk.user, &execution).await;
    talk.answer(&asked, "deny").await.expect(200);
    talk.user.ended(&execution).await;

    let forget = format!("{worker}/permissions/run_command");
    talk.user.delete(&forget).await.expect(200);
    talk.user.delete(&forget).await.expect(404);
    let asked = talk.asked().await;
    talk.answer(&asked, "deny").await.expect(200);
    talk.user.ended(&asked.execution).await;
}

/// In the same execution, and for the bee in all its chats; what is about another tool still waits.
#[tokio::test]
async fn always_answers_what_waits_for_the_same_tool() {
    let model = asking_model().await;
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_agent.sh");
    let agent = format!("[engines.agent]\nkind = \"acp\"\nargv = [\"/bin/sh\", {agent:?}]\n");
    let server = Setup::settings(&format!("{agent}{}", model.engine("m", "")))
        .start()
        .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "agent").await;
    let execution = user.send(&chat, "twice execute").await;
    let second = waiting_again(&user, &execution).await;
    let always = json!({ "decision": "allow_always" });
    user.post(&second.path(), &always).await.expect(200);
    let reply = user.ended(&execution).await;
    assert_eq!(reply.text().matches("'optionId':'yes'").count(), 2);
    let answered = format!("/api/executions/{execution}/permissions");
    let answered = user.read_all(&answered).await;
    assert_eq!(answered.len(), 2);
    for request in answered {
        assert_eq!(request["decision"], "allow_always", "{request}");
        assert_eq!(request["by"], "user", "{request}");
    }

    let (_, ones, one) = asked(&user, "m", false).await;
    let (_, others, other) = asked(&user, "m", false).await;
    let (_, workers, workers_request) = asked(&user, "m", true).await;
    let path = format!("/api/executions/{ones}/permissions/{one}");
    user.post(&path, &always).await.expect(200);
    let of_other = format!("/api/executions/{others}/permissions");
    let of_worker = format!("/api/executions/{workers}/permissions");
    assert_eq!(user.read(&of_other).await[0]["request_id"], other);
    assert_eq!(user.read(&of_other).await[0]["decision"], "allow_always");
    let of_worker = user.read(&of_worker).await;
    assert_eq!(of_worker[0]["request_id"], workers_request);
    assert_eq!(of_worker[0]["decision"], Value::Null);
    // They go on for ever.
    for execution in [ones, others, workers] {
        let cancel = format!("/api/executions/{execution}/cancel");
        user.post(&cancel, &json!({})).await.expect(202);
        user.ended(&execution).await;
    }
}

#[tokio::test]
async fn each_mode_asks_for_what_it_says() {
    let write = ("write_file", r#"{"path":"a.txt","text":"x"}"#);
    let read = ("list_files", "{}");
    for (mode, call, asks) in [
        ("ask", write, true),
        ("ask", COMMAND, true),
        ("ask", read, false),
        ("allow_edits", write, false),
        ("allow_edits", COMMAND, true),
        ("allow_all", COMMAND, false),
        ("read_only", write, false),
        ("read_only", COMMAND, false),
    ] {
        let talk = Talk::with(vec![calls(&[call]), text(&["Done."])], mode, "").await;
        let execution = talk.user.send(&talk.chat, "Do it.").await;
        if asks {
            let asked = waiting(&talk.user, &execution).await;
            talk.answer(&asked, "allow").await.expect(200);
        }
        let reply = talk.user.ended(&execution).await;
        assert_eq!(reply.text(), "Done.", "{mode} {call:?}");
        let list = format!("/api/executions/{execution}/permissions");
        let count = talk.user.read(&list).await.as_array().unwrap().len();
        assert_eq!(count, usize::from(asks), "{mode} {call:?}");
        let refused = talk.told().contains("not done");
        assert_eq!(refused, mode == "read_only", "{}", talk.told());
    }
}

/// The built-in engine does what it is told, so it need not ask; but who may only look does only that.
#[tokio::test]
async fn the_builtin_engine_only_looks_where_it_may_only_look() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for (mode, is_written) in [("read_only", false), ("ask", true)] {
        let body = json!({ "name": mode, "engine": "builtin", "permissions": mode });
        let worker = user.worker_with(&body).await;
        let chat = user.chat_with(&worker).await;
        let reply = user.ask(&chat, "write a.txt: hello").await;
        let file = server.data.join("workers").join(&worker).join("a.txt");
        assert_eq!(file.exists(), is_written, "{}", reply.text());
        assert_eq!(reply.text().contains("read_only"), !is_written);
    }
}

/// The worker's mode counts when it asks, not when it began.
#[tokio::test]
async fn a_mode_that_changes_while_it_waits_counts_for_what_follows() {
    let twice = vec![calls(&[COMMAND, COMMAND]), text(&["Done."])];
    let talk = Talk::with(twice, "ask", "").await;
    let asked = talk.asked().await;
    let worker = format!("/api/workers/{}", talk.worker);
    let change = json!({ "permissions": "read_only" });
    talk.user.put(&worker, &change).await.expect(200);
    talk.answer(&asked, "allow").await.expect(200);
    talk.user.ended(&asked.execution).await;
    assert!(talk.told().contains("read_only"), "{}", talk.told());
}

#[tokio::test]
async fn of_two_answers_one_wins_and_the_other_is_told_so() {
    let talk = Talk::calling(COMMAND).await;
    let asked = talk.asked().await;
    let (one, other) = tokio::join!(talk.answer(&asked, "allow"), talk.answer(&asked, "deny"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let was_allowed = one.status == 200;
    talk.user.ended(&asked.execution).await;
    assert_eq!(talk.made().await, was_allowed);
    let late = talk.answer(&asked, "deny").await.expect(409).json();
    assert_eq!(late["error"], "conflict");
}

#[tokio::test]
async fn a_repeated_answer_is_the_same_answer() {
    let talk = Talk::calling(COMMAND).await;
    let asked = talk.asked().await;
    let answer = |decision: &str| {
        let call = talk.user.call(Method::Post, &asked.path());
        call.header("Idempotency-Key", "once")
            .json(&json!({ "decision": decision }))
            .send()
    };
    let first = answer("allow").await.expect(200);
    let second = answer("allow").await.expect(200);
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.json(), second.json());
    let other = answer("deny").await.expect(422).json();
    assert_eq!(other["error"], "idempotency_key_reused");
    talk.user.ended(&asked.execution).await;
}

#[tokio::test]
async fn an_answer_that_is_none_changes_nothing() {
    let talk = Talk::calling(COMMAND).await;
    let asked = talk.asked().await;
    let bad = |body: Value| {
        let path = asked.path();
        let user = &talk.user;
        async move { user.post(&path, &body).await.status }
    };
    assert_eq!(bad(json!({ "decision": "perhaps" })).await, 400);
    assert_eq!(bad(json!({})).await, 400);
    let unknown = "0198ac0d-0000-7000-8000-000000000001";
    let allow = json!({ "decision": "allow" });
    for path in [
        format!("/api/executions/{unknown}/permissions/{unknown}"),
        format!("/api/executions/{}/permissions/{unknown}", asked.execution),
        format!("/api/executions/{}/permissions/x", asked.execution),
    ] {
        talk.user.post(&path, &allow).await.expect(404);
    }
    // A key that may only chat may not allow anything: an agent could have it.
    let key = json!({ "name": "chat", "scopes": ["chat", "read"] });
    let key = talk.user.post("/api/tokens", &key).await.expect(201).json();
    let agent = talk.user.with_token(key["token"].as_str().unwrap());
    agent.post(&asked.path(), &allow).await.expect(403);
    assert_eq!(talk.user.execution(&asked.execution).await["waiting"], true);
    talk.answer(&asked, "deny").await.expect(200);
    talk.user.ended(&asked.execution).await;
}

#[tokio::test]
async fn nobody_is_asked_for_what_cannot_be_done() {
    let talk = Talk::calling(("run_command", r#"{"argv":"no list"}"#)).await;
    let reply = talk.user.ask(&talk.chat, "Do it.").await;
    assert_eq!(reply.text(), "Done.");
    assert!(talk.told().contains("argv"), "{}", talk.told());
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_denied_in_time() {
    let scripts = vec![calls(&[COMMAND]), text(&["Done."])];
    let talk = Talk::with(scripts, "ask", "permission_timeout_s = 1").await;
    let mut asked = talk.asked().await;
    let resolved = asked
        .events
        .find(|event| event.is("permission_resolved"))
        .await;
    assert_eq!(
        (&resolved.data["decision"], &resolved.data["by"]),
        (&json!("deny"), &json!("timeout"))
    );
    let reply = talk.user.ended(&asked.execution).await;
    assert_eq!(reply.text(), "Done.");
    assert!(talk.told().contains("nobody answered"), "{}", talk.told());
    talk.answer(&asked, "allow").await.expect(409);
    assert!(!talk.made().await);
}

/// Waiting for its user is none of the time that a worker has.
#[tokio::test]
async fn an_execution_does_not_time_out_while_it_waits() {
    let scripts = vec![calls(&[COMMAND]), text(&["Done."])];
    let talk = Talk::with(scripts, "ask", "permission_timeout_s = 4").await;
    let worker = format!("/api/workers/{}", talk.worker);
    let limit = json!({ "timeout_s": 3 });
    talk.user.put(&worker, &limit).await.expect(200);
    let asked = talk.asked().await;
    let reply = talk.user.ended(&asked.execution).await;
    assert_eq!((reply.text(), reply.error()), ("Done.", ""));
}

#[tokio::test]
async fn a_cancelled_execution_denies_what_it_asked() {
    let talk = Talk::calling(COMMAND).await;
    let mut asked = talk.asked().await;
    let cancel = format!("/api/executions/{}/cancel", asked.execution);
    talk.user.post(&cancel, &json!({})).await.expect(202);
    let resolved = asked
        .events
        .find(|event| event.is("permission_resolved"))
        .await;
    assert_eq!(
        (&resolved.data["decision"], &resolved.data["by"]),
        (&json!("deny"), &json!("cancelled"))
    );
    let reply = talk.user.ended(&asked.execution).await;
    assert_eq!(reply.status(), "cancelled");
    assert_eq!(reply.execution["waiting"], false);
    talk.answer(&asked, "allow").await.expect(409);
    assert!(!talk.made().await);
}

/// Promise 3: nothing that was asked before a crash is done after it.
#[tokio::test]
async fn a_request_that_waits_when_the_server_dies_is_denied_after_it() {
    let talk = Talk::calling(COMMAND).await;
    let asked = talk.asked().await;
    let server = talk.server.kill().await.start().await;
    let user = talk.user.at(&server);
    let reply = user.ended(&asked.execution).await;
    assert_eq!(
        (reply.status(), &reply.message["status"]),
        ("failed", &json!("interrupted"))
    );
    assert!(
        reply.error().starts_with("interrupted") && reply.error().contains("run_command"),
        "{}",
        reply.error()
    );
    assert_eq!(reply.execution["waiting"], false);
    let list = format!("/api/executions/{}/permissions", asked.execution);
    let request = user.read(&list).await[0].clone();
    assert_eq!(
        (&request["decision"], &request["by"]),
        (&json!("deny"), &json!("interrupted"))
    );
    let path = format!("/api/executions/{}/stream", asked.execution);
    let mut events = user.events(&path, Some(0)).await;
    events.find(|event| event.is("permission_resolved")).await;
    let answer = json!({ "decision": "allow" });
    user.post(&asked.path(), &answer).await.expect(409);
    let log = user.log(&asked.execution).await.expect(200).text();
    assert!(log.contains("run_command"), "{log}");
    let worker = user.read(&format!("/api/workers/{}", talk.worker)).await;
    let made = PathBuf::from(worker["work_dir"].as_str().unwrap()).join("made");
    assert!(!made.exists());
}

/// What an engine of its own kind asks by the protocol of its tools.
mod by_mcp {
    use super::*;
    use crate::agents::Visit;
    use skep::model::limits::PERMISSIONS_PER_EXECUTION_MAX;

    async fn visit(mode: &str) -> (TestServer, User, Visit) {
        let server = TestServer::with(&crate::support::engine::settings()).await;
        let user = server.log_in().await;
        let worker = json!({ "name": "Eve", "engine": "fake", "permissions": mode });
        let visit = Visit::begin_with(&server, &user, &worker).await;
        (server, user, visit)
    }

    fn shell() -> Value {
        json!({ "tool_name": "Bash", "input": { "command": "make" }, "tool_use_id": "toolu_1" })
    }

    fn verdict(result: &Value) -> Value {
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn an_engine_waits_for_the_users_answer() {
        let (_server, user, visit) = visit("allow_edits").await;
        for (decision, behavior) in [("deny", "deny"), ("allow_always", "allow")] {
            let (result, asked) = tokio::join!(visit.tool("ask_permission", shell()), async {
                let asked = match decision {
                    "deny" => waiting(&user, &visit.execution).await,
                    _ => waiting_again(&user, &visit.execution).await,
                };
                let body = json!({ "decision": decision });
                user.post(&asked.path(), &body).await.expect(200);
                asked
            });
            assert_eq!(asked.request["tool"], "Bash");
            assert_eq!(asked.request["call_id"], "toolu_1");
            assert_eq!(verdict(&result)["behavior"], behavior, "{result}");
        }
        // From now on nobody is asked.
        let result = visit.tool("ask_permission", shell()).await;
        assert_eq!(
            verdict(&result),
            json!({ "behavior": "allow", "updatedInput": { "command": "make" } })
        );
        visit.end(&user).await;
    }

    #[tokio::test]
    async fn the_mode_answers_where_it_can() {
        for (mode, behavior) in [("read_only", "deny"), ("allow_all", "allow")] {
            let (_server, user, visit) = visit(mode).await;
            let result = visit.tool("ask_permission", shell()).await;
            assert_eq!(verdict(&result)["behavior"], behavior, "{mode}");
            visit.end(&user).await;
        }
    }

    /// It is the engine's, not the model's, and no user's client has it.
    #[tokio::test]
    async fn the_question_is_listed_only_for_an_engine_that_asks_so() {
        let (_server, user, visit) = visit("ask").await;
        let names = visit.tool_names().await;
        assert!(!names.iter().any(|name| name == "ask_permission"));
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let listed = |call: crate::support::http::Call| call.json(&list).send();
        let own = crate::support::http::Call::new(visit.door, Method::Post, "/mcp?ask=true");
        let own = listed(own.bearer(&visit.token)).await.expect(200);
        assert!(own.text().contains("ask_permission"));
        let users = listed(user.call(Method::Post, "/mcp?ask=true")).await;
        assert!(!users.expect(200).text().contains("ask_permission"));
        let wrong = visit
            .tool("ask_permission", json!({ "tool_name": 1 }))
            .await;
        assert_eq!(wrong["isError"], true);
        visit.end(&user).await;
    }

    /// What asks without end is refused, and does not fill the log with it.
    #[tokio::test]
    async fn an_engine_that_asks_too_often_is_told_so_and_the_log_once() {
        let (server, user, visit) = visit("ask").await;
        let params = json!({ "name": "ask_permission", "arguments": shell() });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..PERMISSIONS_PER_EXECUTION_MAX {
            waiting.spawn(visit.call(&body).send());
        }
        let path = format!("/api/executions/{}/stream", visit.execution);
        let mut events = user.events(&path, Some(0)).await;
        for _ in 0..PERMISSIONS_PER_EXECUTION_MAX {
            events.find(|event| event.is("permission_request")).await;
        }
        for _ in 0..3 {
            let refused = verdict(&visit.tool("ask_permission", shell()).await);
            assert_eq!(refused["behavior"], "deny");
            let message = refused["message"].as_str().unwrap();
            assert!(message.contains("too often"), "{message}");
        }
        let cancel = format!("/api/executions/{}/cancel", visit.execution);
        user.post(&cancel, &json!({})).await.expect(202);
        while let Some(answer) = waiting.join_next().await {
            let result = answer.unwrap().expect(200).json();
            assert_eq!(verdict(&result["result"])["behavior"], "deny");
        }
        user.ended(&visit.execution).await;
        let said = server.stop().await.stderr;
        let told = said.matches("a permission could not be asked for").count();
        assert_eq!(told, 1, "{said}");
    }

    #[tokio::test]
    async fn a_cancelled_execution_waits_for_nobody() {
        let (_server, user, visit) = visit("ask").await;
        let (result, ()) = tokio::join!(
            visit.rpc(
                "tools/call",
                json!({ "name": "ask_permission", "arguments": shell() })
            ),
            async {
                waiting(&user, &visit.execution).await;
                let cancel = format!("/api/executions/{}/cancel", visit.execution);
                user.post(&cancel, &json!({})).await.expect(202);
            }
        );
        let result = result.expect(200).json();
        assert_eq!(verdict(&result["result"])["behavior"], "deny");
        assert_eq!(user.ended(&visit.execution).await.status(), "cancelled");
    }
}

/// Somebody puts a link in the place of a work directory, or removes it, while its worker runs: nothing is done where
/// the link leads, and the model is told.
#[tokio::test]
async fn a_work_directory_that_is_swapped_or_gone_meanwhile_is_not_worked_in() {
    for is_swapped in [true, false] {
        for (tool, arguments) in [("write_file", r#"{"path":"made","text":"x"}"#), COMMAND] {
            let talk = Talk::calling((tool, arguments)).await;
            let elsewhere = talk.server.home.path().join("elsewhere");
            std::fs::create_dir(&elsewhere).unwrap();
            let asked = talk.asked().await;
            let work_dir = talk.work_dir().await;
            std::fs::remove_dir_all(&work_dir).unwrap();
            if is_swapped {
                std::os::unix::fs::symlink(&elsewhere, &work_dir).unwrap();
            }
            talk.answer(&asked, "allow").await.expect(200);
            let reply = talk.user.ended(&asked.execution).await;
            assert_eq!(reply.text(), "Done.", "{}", reply.error());
            assert!(!elsewhere.join("made").exists(), "{tool}");
            let told = talk.told();
            assert!(told.contains("work directory"), "{tool}: {told}");
            // And no later turn begins there.
            if is_swapped {
                let reply = talk.user.ask(&talk.chat, "Again.").await;
                assert_eq!(reply.status(), "failed", "{tool}");
                assert!(reply.error().starts_with("work_dir"), "{}", reply.error());
            }
        }
    }
}
