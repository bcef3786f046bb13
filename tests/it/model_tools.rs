//! What a model may do with tools, and what is said when it does it wrongly.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::model::{ModelServer, Script, calls, delta, stream, text};
use crate::support::{Reply, TestServer, User, processes};

struct Talk {
    model: ModelServer,
    _server: TestServer,
    user: User,
    worker: String,
    chat: String,
}

impl Talk {
    async fn with(scripts: Vec<Script>, permissions: &str, more: &str) -> Self {
        let model = ModelServer::saying(scripts).await;
        let server = TestServer::with(&format!("{more}\n{}", model.engine("m", ""))).await;
        let user = server.log_in().await;
        let body = json!({ "name": "Ada", "engine": "m", "permissions": permissions });
        let worker = user.worker_with(&body).await;
        let chat = user.chat_with(&worker).await;
        Self {
            model,
            _server: server,
            user,
            worker,
            chat,
        }
    }

    async fn new(calling: &[(&str, &str)]) -> Self {
        Self::with(vec![calls(calling), text(&["Done."])], "", "").await
    }

    async fn ask(&self) -> Reply {
        self.user.ask(&self.chat, "Do it.").await
    }

    async fn work_dir(&self) -> PathBuf {
        let worker = self
            .user
            .read(&format!("/api/workers/{}", self.worker))
            .await;
        worker["work_dir"].as_str().unwrap().into()
    }

    /// What the model was told of its calls.
    fn told(&self) -> Vec<String> {
        let asked = self.model.asked();
        let messages = asked.last().unwrap().body["messages"]
            .as_array()
            .unwrap()
            .clone();
        let told = messages.iter().filter(|message| message["role"] == "tool");
        told.map(|message| message["content"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The events of one kind of an execution, as they are stored.
    async fn events(&self, execution: &str, kind: &str) -> Vec<Value> {
        let path = format!("/api/executions/{execution}/stream");
        let mut events = self.user.events(&path, Some(0)).await;
        let seen = events.until(|event| event.is_final(execution)).await;
        let of_kind = seen.into_iter().filter(|event| event.is(kind));
        of_kind.map(|event| event.data).collect()
    }
}

/// The answer to one call of a tool that needs no permission.
async fn told(name: &str, arguments: &str) -> String {
    let scripts = vec![calls(&[(name, arguments)]), text(&["Done."])];
    let talk = Talk::with(scripts, "allow_all", "").await;
    assert_eq!(talk.ask().await.text(), "Done.");
    talk.told().remove(0)
}

#[tokio::test]
async fn files_are_written_edited_and_read_and_the_change_is_kept() {
    let scripts = vec![
        calls(&[(
            "write_file",
            r#"{"path":"a.txt","text":"one\ntwo\nthree\n"}"#,
        )]),
        calls(&[("edit_file", r#"{"path":"a.txt","old":"two","new":"zwei"}"#)]),
        calls(&[("read_file", r#"{"path":"a.txt"}"#), ("list_files", "")]),
        text(&["Done."]),
    ];
    let talk = Talk::with(scripts, "", "").await;
    let reply = talk.ask().await;
    assert_eq!(reply.text(), "Done.");
    let work_dir = talk.work_dir().await;
    assert_eq!(
        std::fs::read_to_string(work_dir.join("a.txt")).unwrap(),
        "one\nzwei\nthree\n"
    );
    let told = talk.told();
    assert!(
        told[2].contains("zwei") && told[3].contains("a.txt"),
        "{told:?}"
    );
    let execution = reply.execution["id"].as_str().unwrap();
    let results = talk.events(execution, "tool_result").await;
    assert_eq!(results.len(), 4);
    let edited = results[1]["output"].as_str().unwrap();
    assert!(edited.contains("\n-two\n+zwei\n"), "{edited}");
    let called = talk.events(execution, "tool_call").await;
    assert_eq!(
        (&called[0]["name"], &called[0]["args"]["path"]),
        (&json!("write_file"), &json!("a.txt"))
    );
    assert_eq!(reply.execution["usage"]["input_tokens"], 400);
}

#[tokio::test]
async fn an_edit_that_is_not_clear_changes_nothing() {
    for (arguments, says) in [
        (r#"{"path":"a.txt","old":"x","new":"y"}"#, "2 times"),
        (r#"{"path":"a.txt","old":"z","new":"y"}"#, "is not in"),
        (r#"{"path":"a.txt","old":"","new":"y"}"#, "is empty"),
        (r#"{"path":"b.txt","old":"x","new":"y"}"#, "there is no"),
    ] {
        let talk = Talk::new(&[("edit_file", arguments)]).await;
        let file = talk.work_dir().await.join("a.txt");
        std::fs::write(&file, "x x").unwrap();
        talk.ask().await;
        assert!(talk.told()[0].contains(says), "{:?}", talk.told());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x x");
    }
    let talk = Talk::new(&[(
        "edit_file",
        r#"{"path":"a.txt","old":"x","new":"y","all":true}"#,
    )])
    .await;
    let file = talk.work_dir().await.join("a.txt");
    std::fs::write(&file, "x x").unwrap();
    talk.ask().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "y y");
}

#[tokio::test]
async fn calls_that_make_no_sense_are_answered_with_what_is_wrong() {
    for (name, arguments, says) in [
        ("format_disk", "{}", "there is no tool"),
        ("read_file", "{\"path\":", "are not JSON"),
        ("read_file", "[1]", "must be a JSON object"),
        ("read_file", "{}", "is missing"),
        ("read_file", "{\"path\":7}", "must be of type string"),
        (
            "read_file",
            "{\"path\":\"x\",\"mode\":\"fast\"}",
            "there is no argument",
        ),
        ("run_command", "{\"argv\":\"ls -l\"}", "of strings"),
        ("", "{}", "there is no tool"),
    ] {
        let told = told(name, arguments).await;
        assert!(told.contains(says), "{name} {arguments}: {told}");
    }
}

#[tokio::test]
async fn files_outside_are_out_of_reach() {
    for path in [
        "/etc/passwd",
        "../../keys/signing.key",
        "a/../../b",
        "link/signing.key",
    ] {
        for tool in ["read_file", "write_file", "edit_file"] {
            let mut arguments = json!({ "path": path });
            if tool == "write_file" {
                arguments["text"] = "x".into();
            }
            if tool == "edit_file" {
                arguments["old"] = "x".into();
                arguments["new"] = "y".into();
            }
            let talk = Talk::new(&[(tool, &arguments.to_string())]).await;
            let work_dir = talk.work_dir().await;
            std::os::unix::fs::symlink("../../keys", work_dir.join("link")).unwrap();
            talk.ask().await;
            assert!(
                talk.told()[0].contains("outside the work directory"),
                "{path}: {:?}",
                talk.told()
            );
        }
    }
}

/// In many pieces it is put together up to the limit; in one line it ends the run.
#[tokio::test]
async fn ten_megabytes_of_arguments_are_refused() {
    let piece = "x".repeat(64 * 1024);
    let mut events: Vec<Value> = (0..160)
        .map(|n| {
            let name = if n == 0 { "write_file" } else { "" };
            let function = json!({ "name": name, "arguments": piece });
            delta(&json!({ "tool_calls": [{ "index": 0, "id": "c", "function": function }] }))
        })
        .collect();
    events.extend(crate::support::model::finish("tool_calls"));
    let talk = Talk::with(vec![stream(&events), text(&["Done."])], "", "").await;
    assert_eq!(talk.ask().await.text(), "Done.");
    assert!(
        talk.told()[0].contains("smaller parts"),
        "{:?}",
        talk.told()
    );

    let arguments = json!({ "path": "a", "text": "x".repeat(10 << 20) }).to_string();
    let talk = Talk::new(&[("write_file", &arguments)]).await;
    let reply = talk.ask().await;
    assert!(
        reply.error().starts_with("bad_answer: "),
        "{}",
        reply.error()
    );
}

#[tokio::test]
async fn a_model_that_calls_for_ever_is_ended() {
    let endless = vec![calls(&[("list_files", "{}")])];
    let talk = Talk::with(endless, "", "[limits]\nmodel_rounds_max = 3").await;
    let reply = talk.ask().await;
    assert!(
        reply.error().starts_with("too_many_rounds: "),
        "{}",
        reply.error()
    );
    assert_eq!(talk.model.asked().len(), 3);
}

#[tokio::test]
async fn what_needs_a_permission_is_not_done_without() {
    let run = [
        ("run_command", r#"{"argv":["touch","made"]}"#),
        ("write_file", r#"{"path":"w","text":"x"}"#),
        ("list_files", "{}"),
    ];
    for (permissions, done, wrote) in [("read_only", false, false), ("allow_all", true, true)] {
        let talk = Talk::with(vec![calls(&run), text(&["Done."])], permissions, "").await;
        let reply = talk.ask().await;
        let work_dir = talk.work_dir().await;
        assert_eq!(work_dir.join("made").exists(), done, "{permissions}");
        assert_eq!(work_dir.join("w").exists(), wrote, "{permissions}");
        assert_eq!(
            talk.told()[0].contains("not done"),
            !done,
            "{:?}",
            talk.told()
        );
        let results = talk
            .events(reply.execution["id"].as_str().unwrap(), "tool_result")
            .await;
        let ok: Vec<&Value> = results.iter().map(|result| &result["ok"]).collect();
        assert_eq!(
            ok,
            [&json!(done), &json!(wrote), &json!(true)],
            "{permissions}"
        );
    }
}

/// What it cannot do it is not tempted with.
#[tokio::test]
async fn only_tools_that_could_be_used_are_offered() {
    let talk = Talk::with(vec![text(&["Done."])], "read_only", "").await;
    talk.ask().await;
    let tools = talk.model.asked()[0].body["tools"].to_string();
    assert!(
        tools.contains("read_file")
            && !tools.contains("write_file")
            && !tools.contains("fetch_url")
    );
}

#[tokio::test]
async fn a_command_has_an_end_an_exit_code_and_a_clean_environment() {
    let script = "echo out; echo err >&2; env; exit 3";
    let arguments = json!({ "argv": ["sh", "-c", script] }).to_string();
    let talk = Talk::with(
        vec![calls(&[("run_command", &arguments)]), text(&["Done."])],
        "allow_all",
        "",
    )
    .await;
    talk.ask().await;
    let told = talk.told().remove(0);
    assert!(
        told.starts_with("exit code 3\n")
            && told.contains("stdout:\nout\n")
            && told.contains("stderr:\nerr\n"),
        "{told}"
    );
    assert!(
        !told.contains("SKEP_") && told.contains("TMPDIR="),
        "{told}"
    );

    let arguments =
        json!({ "argv": ["sh", "-c", "echo begun; sleep 600"], "timeout_s": 1 }).to_string();
    let talk = Talk::with(
        vec![
            calls(&[
                ("run_command", &arguments),
                ("run_command", r#"{"argv":["no-such-program"]}"#),
            ]),
            text(&["Done."]),
        ],
        "allow_all",
        "",
    )
    .await;
    talk.ask().await;
    let told = talk.told();
    assert!(
        told[0].starts_with("stopped after 1 s") && told[0].contains("begun"),
        "{told:?}"
    );
    assert!(told[1].contains("cannot be started"), "{told:?}");
}

#[tokio::test]
async fn stop_ends_a_command_with_all_that_it_started() {
    let script = "(setsid sleep 987 &) ; trap '' TERM; sleep 986";
    let arguments = json!({ "argv": ["sh", "-c", script] }).to_string();
    let talk = Talk::with(vec![calls(&[("run_command", &arguments)])], "allow_all", "").await;
    let execution = talk.user.send(&talk.chat, "Run it.").await;
    // The shell and both of its children, one of which has left its group.
    processes::appear(&execution, 3).await;
    let cancel = format!("/api/executions/{execution}/cancel");
    talk.user.post(&cancel, &json!({})).await.expect(202);
    assert_eq!(talk.user.ended(&execution).await.status(), "cancelled");
    assert_eq!(processes::of_execution(&execution), [] as [u32; 0]);
}

#[tokio::test]
async fn fetching_is_off_and_private_addresses_stay_so() {
    let secret = ModelServer::saying([text(&["secret"])]).await;
    let arguments = json!({ "url": format!("http://{}/", secret.address) }).to_string();
    let calling = || vec![calls(&[("fetch_url", &arguments)]), text(&["Done."])];
    let talk = Talk::with(calling(), "allow_all", "").await;
    talk.ask().await;
    assert!(
        talk.told()[0].contains("fetching is off"),
        "{:?}",
        talk.told()
    );

    let model = ModelServer::saying(calling()).await;
    let server = TestServer::with(&model.engine("m", "fetch = true")).await;
    let user = server.log_in().await;
    let body = json!({ "name": "Ada", "engine": "m", "permissions": "allow_all" });
    let worker = user.worker_with(&body).await;
    let chat = user.chat_with(&worker).await;
    user.ask(&chat, "Fetch it.").await;
    assert!(
        model.asked()[1].last().contains("private address"),
        "{}",
        model.asked()[1].last()
    );
    assert!(secret.asked().is_empty());
}

/// The bee staffs the hive; a worker sees to itself.
#[tokio::test]
async fn only_the_bee_makes_workers() {
    let creating = [(
        "create_worker",
        r#"{"name":"Grace","description":"Checks proofs."}"#,
    )];
    let talk = Talk::new(&creating).await;
    talk.ask().await;
    assert!(
        talk.told()[0].contains("may not change other workers"),
        "{:?}",
        talk.told()
    );
    let model = ModelServer::saying([calls(&creating), text(&["Grace is here."])]).await;
    let settings = format!("default_engine = \"m\"\n{}", model.engine("m", ""));
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    assert_eq!(
        user.ask(&chat, "I need somebody for proofs.").await.text(),
        "Grace is here."
    );
    let workers = user.read_all("/api/workers").await;
    assert_eq!(workers[0]["name"], "Grace");
}
