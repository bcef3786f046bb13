//! The OpenAPI document: it is complete, it is true, and the commands that it shows work as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::permission;
use crate::support::engine::settings;
use crate::support::server::PASSWORD;
use crate::support::user::id_of;
use crate::support::{Method, PATIENCE, Setup, TestServer, User, contract, schema};

/// Every operation with its method and path.
fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = contract::document()["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &'static Value)| {
        let methods = methods.as_object().unwrap().iter();
        let path = path.clone();
        methods
            .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn the_document_is_served_to_callers_and_to_readers() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let document = user.read("/api/openapi.json").await;
    assert_eq!(&document, contract::document());
    assert_eq!(document["openapi"], "3.1.0");
    let anonymous = server.call(Method::Get, "/api/openapi.json").send().await;
    anonymous.refused(401, "missing_token");
    let shown = server.call(Method::Get, "/docs/openapi.json").send().await;
    assert_eq!(shown.expect(200).json(), document);
}

/// Other routes would be undocumented answers to a client, and other operations promises that nobody keeps.
#[tokio::test]
async fn what_is_documented_is_what_is_served() {
    let routes: BTreeSet<(String, String)> = skep::api::routes(1)
        .iter()
        .map(|route| (route.method.to_string(), route.pattern.to_owned()))
        .collect();
    let documented: BTreeSet<(String, String)> = operations()
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    assert_eq!(documented, routes);

    let server = TestServer::start().await;
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in documented {
        let of_path = methods.entry(path).or_default();
        if method == "GET" {
            of_path.insert("HEAD".to_owned());
        }
        of_path.insert(method);
    }
    for (path, documented) in methods {
        let path = path.replace(['{', '}'], "");
        let answer = server.call(Method::Options, &path).send().await;
        let served = answer.expect(204);
        let served = served.header("allow").unwrap().split(", ");
        let served: BTreeSet<String> = served.map(str::to_owned).collect();
        assert_eq!(served, documented, "{path}");
    }
}

/// A parameter that a handler reads and nobody documented, or the other way round, is found by its name.
#[test]
fn the_query_that_is_read_is_the_query_that_is_documented() {
    let mut read = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.replace(char::is_whitespace, "");
            for word in ["req.query", "req.query_text"] {
                for rest in source.split(word).skip(1) {
                    // `::<u64>("since")` or `("status")`.
                    let call = rest.split_once("(\"").filter(|(before, _)| {
                        before.is_empty() || (before.starts_with("::<") && before.ends_with('>'))
                    });
                    read.extend(
                        call.and_then(|(_, name)| Some(name.split_once('"')?.0.to_owned())),
                    );
                }
            }
        }
    }
    let parameters = operations()
        .into_iter()
        .flat_map(|(_, _, operation)| operation["parameters"].as_array().unwrap().iter());
    let documented: BTreeSet<String> = parameters
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        read.len() > 5,
        "the reading of the sources finds nothing: {read:?}"
    );
    assert_eq!(read, documented);
}

#[test]
fn examples_fit_their_schemas() {
    let root = contract::document();
    for (method, path, operation) in operations() {
        let judge = |content: &Value, what: &str| {
            for (content_type, content) in content.as_object().into_iter().flatten() {
                let at = format!("{method} {path}: {what}");
                assert!(
                    content_type != "application/json" || content.get("schema").is_some(),
                    "{at}"
                );
                if let Some(example) = content.get("example") {
                    schema::check(&content["schema"], example, root, &at).unwrap();
                }
            }
        };
        judge(&operation["requestBody"]["content"], "body");
        let mut good = 0;
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_good = status.starts_with('2');
            good += usize::from(is_good);
            judge(&response["content"], status);
            if is_good && response["content"].get("application/json").is_some() {
                assert!(
                    response["content"]["application/json"]["example"].is_object()
                        || response["content"]["application/json"]["example"].is_array(),
                    "{method} {path} {status} has no example"
                );
            }
        }
        assert!(good > 0, "{method} {path} never answers well");
        let says = operation["description"].as_str().unwrap();
        assert!(says.len() > 5, "{method} {path} says {says:?}");
    }
}

#[test]
fn every_event_of_a_stream_is_described() {
    let streams = operations().into_iter().filter(|(_, _, operation)| {
        operation["responses"]["200"]["content"]
            .get("text/event-stream")
            .is_some()
    });
    let mut count = 0;
    for (_, path, operation) in streams {
        let content = &operation["responses"]["200"]["content"]["text/event-stream"];
        let events = content["x-events"].as_array().unwrap();
        assert!(!events.is_empty(), "{path}");
        for event in events {
            assert!(
                event["schema"].is_object() && event["description"].is_string(),
                "{event}"
            );
        }
        count += 1;
    }
    assert!(count >= 3);
}

/// What a reader of the documentation pastes into a shell.
fn source(operation: &Value) -> &str {
    operation["x-codeSamples"][0]["source"].as_str().unwrap()
}

/// The variables that commands name, with values that make sense on a server with something in it.
async fn variables(server: &TestServer, user: &User) -> BTreeMap<&'static str, String> {
    let key = json!({ "name": "docs", "scopes": ["admin"] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    let other = json!({ "name": "other", "scopes": ["read"] });
    let other = user.post("/api/tokens", &other).await.expect(201).json();
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = id_of(&user.ask(&chat, "say hello").await.execution);
    let file = server.home.path().join("hello.txt");
    std::fs::write(&file, "hello").unwrap();
    user.upload(&chat, "note.txt", b"a note").await.expect(200);
    BTreeMap::from([
        ("ORIGIN", format!("http://{}", server.address)),
        ("TOKEN", key["token"].as_str().unwrap().to_owned()),
        ("TOKEN_ID", id_of(&other)),
        ("WORKER_ID", worker),
        ("SESSION_ID", chat),
        ("EXECUTION_ID", execution),
        ("NAME", "note.txt".to_owned()),
        ("MODEL", "Ada".to_owned()),
        ("SCOPE", "global".to_owned()),
        ("KEY", "tea".to_owned()),
        ("FILE", file.to_str().unwrap().to_owned()),
        ("CODE", server.code.clone()),
        ("PASSWORD", PASSWORD.to_owned()),
        ("NEW_PASSWORD", "another password".to_owned()),
        ("REFRESH_TOKEN", user.refresh.clone()),
    ])
}

/// When to run it: what takes something away comes last.
fn order(method: &str, operation: &Value) -> u8 {
    match (operation["operationId"].as_str().unwrap(), method) {
        ("change_password", _) => 5,
        ("log_out", _) => 4,
        ("delete_session" | "delete_worker", _) => 6,
        (_, "GET") => 0,
        (_, "DELETE") => 3,
        _ => 1,
    }
}

fn shell(source: &str, server: &TestServer, variables: &BTreeMap<&str, String>) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", source])
        .current_dir(server.home.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Every command of the documentation, run by a shell as it is shown.
#[tokio::test]
async fn the_commands_of_the_documentation_work_as_they_are() {
    let found = std::process::Command::new("curl").arg("--version").output();
    assert!(
        found.is_ok(),
        "curl is needed to try what the documentation shows"
    );
    let model = permission::asking_model().await;
    let settings = settings() + &model.engine("asking", "");
    let server = Setup::settings(&settings).start().await;
    let user = server.log_in().await;
    let mut variables = variables(&server, &user).await;
    // The code of the link was used to sign in.
    let restarted = server.restart().await;
    let server = restarted;
    let user = user.at(&server);
    variables.insert("ORIGIN", format!("http://{}", server.address));
    variables.insert("CODE", server.code.clone());
    let mut all = operations();
    all.sort_by_key(|(method, _, operation)| order(method, operation));
    for (method, path, operation) in all {
        let name = operation["operationId"].as_str().unwrap();
        let source = source(operation);
        let mut variables = variables.clone();
        if name == "cancel_execution" {
            let (_, chat) = user.chat_with_engine("Slow", "fake").await;
            let running = user.send(&chat, "hang").await;
            user.running(&running).await;
            variables.insert("EXECUTION_ID", running);
        }
        if name.ends_with("_permission") {
            let (worker, execution, request) =
                permission::asked(&user, "asking", path.contains("{worker_id}")).await;
            if name.starts_with("forget") {
                permission::allow_always(&user, &execution, &request).await;
            }
            variables.insert("WORKER_ID", worker);
            variables.insert("EXECUTION_ID", execution);
            variables.insert("REQUEST_ID", request);
            variables.insert("TOOL", "run_command".to_owned());
        }
        if path.contains("{agent_id}") {
            let agent = json!({ "name": format!("Agent of {name}") });
            let agent = user.post("/api/agents", &agent).await.expect(201);
            variables.insert("AGENT_ID", id_of(&agent.json()));
        }
        if path.contains("{message_id}") {
            let chat = user.chat_with(&user.worker(name, "fake").await).await;
            let execution = user.send(&chat, "hang").await;
            user.running(&execution).await;
            variables.insert("MESSAGE_ID", id_of(&user.messages(&chat).await[0]));
        }
        if path.contains("{task_id}") {
            let task =
                json!({ "type": "scheduled", "instruction": "help", "cron_expr": "0 0 1 1 *" });
            let task = id_of(&user.post("/api/tasks", &task).await.expect(201).json());
            if name == "resume_task" {
                let pause = format!("/api/tasks/{task}/pause");
                user.post(&pause, &json!({})).await.expect(200);
            }
            variables.insert("TASK_ID", task);
        }
        let mut command = shell(source, &server, &variables);
        let content = &operation["responses"]["200"]["content"];
        // What answers as JSON, too, does so unless it is asked otherwise.
        if content.get("text/event-stream").is_some() && content.get("application/json").is_none() {
            let mut child = command.spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let first = timeout(PATIENCE, lines.next_line()).await;
            let first = first
                .expect("a stream says at once that it is there")
                .unwrap();
            assert_eq!(first.as_deref(), Some(": connected"), "{source}");
            continue;
        }
        let output = timeout(PATIENCE, command.output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{source} does not end"))
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = || {
            format!(
                "{method} {path}: {said}{}\n{source}",
                String::from_utf8_lossy(&output.stderr)
            )
        };
        if name == "resume" {
            // This hive is no copy, and the answer says so.
            assert!(said.contains("\"conflict\""), "{}", told());
            continue;
        }
        assert!(output.status.success(), "{}", told());
        let content = operation["responses"].as_object().unwrap();
        let good = content.iter().find(|(status, _)| status.starts_with('2'));
        if let Some(json) = good.and_then(|(_, good)| good["content"].get("application/json")) {
            let answer = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{}", told()));
            let fits = schema::check(&json["schema"], &answer, contract::document(), &path);
            fits.unwrap_or_else(|fault| panic!("{fault}: {}", told()));
        }
    }
}

/// A page for people, made of nothing that comes from elsewhere; the console leads to it.
#[tokio::test]
async fn the_documentation_is_a_page_of_its_own() {
    let server = TestServer::start().await;
    let page = server.call(Method::Get, "/docs").send().await.expect(200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("/docs/docs.js"), "{}", page.text());
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    for part in ["/docs/docs.js", "/docs/docs.css"] {
        let part = server.call(Method::Get, part).send().await.expect(200);
        assert!(!part.text().contains("://"), "nothing comes from elsewhere");
    }
}
