//! Engines: what they are started with, and what they can find.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::server::PASSWORD;
use crate::support::{Setup, TestServer};

/// Whatever the user or a model wrote, it is the value of an option of ours, or input; it is never an option.
#[tokio::test]
async fn no_name_path_or_message_becomes_an_option() {
    let home = tempfile::tempdir().unwrap();
    // It keeps its arguments, each ended by a NUL, and its input.
    let stub = home.path().join("stub");
    let script = "#!/bin/sh\nprintf '%s\\0' \"$@\" >argv\ncat >input\n";
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings: String = ["claude", "codex", "opencode"]
        .iter()
        .map(|name| format!("[engines.{name}]\nargv = [{stub:?}]\n"))
        .collect();
    let server = TestServer::with(&settings).await;
    let user = server.log_in().await;
    let evil = "--dangerously-skip-permissions";
    for engine in ["claude", "codex", "opencode"] {
        let work_dir = server.home.path().join(format!("-{engine}"));
        let body = json!({
            "name": format!("{evil} {engine}"), "engine": engine, "model": "x --yolo",
            "description": "-x\n--config=a=b", "memory": "\"\n--config=sandbox_mode=\"danger\"\n'",
            "work_dir": work_dir,
        });
        let worker = user.worker_with(&body).await;
        let chat = user.chat_with(&worker).await;
        let uploaded = user
            .upload(&chat, "--settings=x", b"x")
            .await
            .expect(200)
            .json();
        let media = uploaded["path"].as_str().unwrap();
        for message in [
            "--help",
            "-p",
            "-",
            "@/etc/passwd",
            "--config=a=b -- x",
            "/exit",
            "$(id)\n`id`",
        ] {
            let body = json!({ "content": message, "media_path": media });
            let execution = user.send_with(&chat, &body).await;
            user.ended(&execution).await;
            let argv = std::fs::read(work_dir.join("argv")).unwrap();
            let argv = String::from_utf8(argv).unwrap();
            let argv: Vec<&str> = argv.trim_end_matches('\0').split('\0').collect();
            let ours = [
                "--print",
                "--output-format=stream-json",
                "--include-partial-messages",
                "--verbose",
                "--strict-mcp-config",
                "--allowedTools=mcp__skep",
                "--permission-prompt-tool=mcp__skep__ask_permission",
                "--permission-mode=acceptEdits",
                "exec",
                "--json",
                "--skip-git-repo-check",
                "--config=sandbox_mode=\"danger-full-access\"",
                "--config=sandbox_mode=\"workspace-write\"",
                "--config=approval_policy=\"never\"",
                "run",
                "--format=json",
                "--thinking",
                "-",
            ];
            let valued = [
                "--append-system-prompt-file=/",
                "--add-dir=/",
                "--mcp-config=/",
                "--config=mcp_servers.skep.",
                "--file=/",
                "--model=",
                "--config=developer_instructions=\"",
            ];
            for argument in &argv {
                let is_valued = valued.iter().any(|start| argument.starts_with(start));
                assert!(
                    ours.contains(argument) || is_valued,
                    "{argument:?} among {argv:?}"
                );
            }
            // Inside a quoted value it stays: a quote or a line end of the user's own is escaped.
            for quoted in argv
                .iter()
                .filter_map(|a| a.strip_prefix("--config=developer_instructions="))
            {
                let text: String = serde_json::from_str(quoted).unwrap();
                assert!(text.contains("--config=sandbox_mode=\"danger\""), "{text}");
            }
            let input = std::fs::read_to_string(work_dir.join("input")).unwrap();
            assert!(input.contains(message), "the message is input: {input:?}");
        }
    }
}

/// Neither an engine nor the guard above it, whose memory an engine may read, is given a secret of the server, also
/// where nothing keeps it from looking.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_secret_is_in_the_environment_of_an_engine_or_its_guard() {
    let settings = "[engines.look]\nkind = \"command\"\nargv = [\"/bin/sh\", \"-c\", \
        \"tr '\\\\0' '\\\\n' </proc/$PPID/environ; tr '\\\\0' '\\\\n' </proc/$PPID/cmdline; env; ls -l /proc/$PPID/fd\"]\nconfine = false";
    let server = Setup::settings(settings)
        .env("SECRET_OF_THE_USER", "hush-hush")
        .env("AWS_SECRET_ACCESS_KEY", "hush-hush")
        .env("DATABASE_URL", "hush-hush")
        .start()
        .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "look").await;
    let reply = user.ask(&chat, "look").await;
    assert_eq!(reply.status(), "completed", "{}", reply.error());
    let seen = reply.text();
    assert!(seen.contains("SKEP_WORKER=Ada"), "{seen}");
    let control = std::fs::read_to_string(server.data.join("control.json")).unwrap();
    let control: serde_json::Value = serde_json::from_str(&control).unwrap();
    let mut secrets = vec![
        PASSWORD.to_owned(),
        "hush-hush".to_owned(),
        user.access.clone(),
    ];
    secrets.push(control["key"].as_str().unwrap().to_owned());
    for secret in secrets {
        assert!(!seen.contains(&secret), "{secret} in {seen}");
    }
    for name in ["SKEP_PASSWORD", "SKEP_DATA", "signing.key", "control.json"] {
        assert!(!seen.contains(name), "{name} in {seen}");
    }
}
