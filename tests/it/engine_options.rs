//! What a worker's engine is started with beside what the settings say.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Setup, TestServer};

const SHOW: &str = "[engines.show]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \"echo \\\"$0 $*\\\"; echo \\\"$PLAIN ${#TOKEN}\\\"\", \"show\"]\n";

#[tokio::test]
async fn arguments_variables_and_secrets_reach_the_engine_of_one_worker() {
    let server = Setup::settings(SHOW).start().await;
    let user = server.log_in().await;
    let key = server.data.join("keys/my-token");
    std::fs::write(&key, "hidden-value\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (worker, chat) = user.chat_with_engine("Ada", "show").await;
    let path = format!("/api/workers/{worker}/engine");
    let nothing = json!({ "args": [], "env": {}, "secrets": {}, "mcp_servers": {} });
    assert_eq!(user.read(&path).await, nothing);

    let some = json!({ "args": ["--one", "t w o"], "env": { "PLAIN": "seen" } });
    user.put(&path, &some).await.expect(200);
    let secret = json!({ "secrets": { "TOKEN": "my-token" } });
    let set = user.put(&path, &secret).await.expect(200).json();
    let all = json!({ "args": ["--one", "t w o"], "env": { "PLAIN": "seen" }, "secrets": { "TOKEN": "my-token" }, "mcp_servers": {} });
    assert_eq!(set, all, "what is absent stays");

    let reply = user.ask(&chat, "go").await;
    let said = "show --one t w o\nseen 12";
    assert_eq!(reply.text(), said, "{}", reply.error());
    let (_, other) = user.chat_with_engine("Bob", "show").await;
    assert_eq!(user.ask(&other, "go").await.text().trim(), "show \n 0");

    // The value is not in the journal.
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    assert_eq!(user.read(&path).await, all);
    for entry in std::fs::read_dir(server.data.join("journal")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let needle = b"hidden-value";
        assert!(!bytes.windows(needle.len()).any(|at| at == needle));
    }

    // One that is not there is said before anything runs.
    user.put(&path, &json!({ "secrets": { "TOKEN": "no-such-key" } }))
        .await
        .expect(200);
    let reply = user.ask(&chat, "go").await;
    assert_eq!(reply.status(), "failed");
    assert!(
        reply.error().contains("there is no key no-such-key"),
        "{}",
        reply.error()
    );
    user.delete(&format!("/api/workers/{worker}"))
        .await
        .expect(200);
    user.get(&path).await.expect(404);
}

#[tokio::test]
async fn options_that_cannot_be_used_are_refused_by_field() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let worker = user.worker("Ada", "").await;
    let path = format!("/api/workers/{worker}/engine");
    for (field, body) in [
        ("args", json!({ "args": vec!["x"; 65] })),
        ("env", json!({ "env": { "SKEP_PASSWORD": "x" } })),
        ("secrets", json!({ "secrets": { "A": "signing.key" } })),
        (
            "mcp_servers",
            json!({ "mcp_servers": { "skep": { "argv": ["x"] } } }),
        ),
    ] {
        let answer = user.put(&path, &body).await.expect(422).json();
        assert_eq!(answer["details"]["errors"][0]["field"], field, "{answer}");
    }
    user.put(&path, &json!({ "args": "x" })).await.expect(400);
    let nobody = "/api/workers/00000000-0000-7000-8000-000000000000/engine";
    user.put(nobody, &json!({})).await.expect(404);
}

/// Each command line is told of a server in its own configuration, and of its token by a variable's name.
#[tokio::test]
async fn servers_of_tools_are_told_to_the_command_line() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_agent.sh");
    let engine = format!("[engines.mine]\nkind = \"acp\"\nargv = [\"/bin/sh\", {program:?}]\n");
    let server = Setup::settings(&engine).start().await;
    let user = server.log_in().await;
    std::fs::write(server.data.join("keys/k"), "secret-of-k").unwrap();
    let (worker, chat) = user.chat_with_engine("Ada", "mine").await;
    let servers = json!({ "mcp_servers": {
        "near": { "argv": ["/bin/near", "--x"], "env": { "A": "b" } },
        "far": { "url": "https://far.example.org/mcp", "key": "k" },
    } });
    let path = format!("/api/workers/{worker}/engine");
    user.put(&path, &servers).await.expect(200);
    let told = user.ask(&chat, "place").await;
    let told = told.text();
    assert!(
        told.contains("'command':'/bin/near'") && told.contains("'args':['--x']"),
        "{told}"
    );
    // This agent takes none over HTTP.
    assert!(!told.contains("far.example.org"), "{told}");
}
