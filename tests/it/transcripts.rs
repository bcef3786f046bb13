//! What real command lines printed, and what Skep understands of it. `tests/real/run.sh` records it anew.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use skep::engine::EngineEvent;
use skep::engine::cli::Dialect;
use skep::engine::process::Parser;
use skep::engine::settings::EngineSettings;
use skep::execution_log::Stream;

fn transcripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcripts")
}

fn parser(engine: &str) -> Box<dyn Parser> {
    let settings = EngineSettings::default().named(engine).unwrap();
    let dialect = Dialect::of_engine(&settings).unwrap();
    (dialect.parser)(&settings)
}

fn feed(parser: &mut dyn Parser, file: &Path, stream: Stream) -> Vec<EngineEvent> {
    let mut events = Vec::new();
    let printed = std::fs::read(file).unwrap_or_default();
    for line in printed.split(|byte| *byte == b'\n') {
        parser.line(stream, line, &mut events);
    }
    events
}

/// What a transcript means, one line an event, with pieces of the same kind joined and session ids left out.
fn meaning(engine: &str, name: &str) -> Vec<String> {
    let mut parser = parser(engine);
    let file = |ending| transcripts().join(engine).join(format!("{name}.{ending}"));
    let mut events = feed(&mut *parser, &file("stderr"), Stream::Stderr);
    assert!(events.is_empty(), "stderr is no reply");
    events.extend(feed(&mut *parser, &file("jsonl"), Stream::Stdout));
    let mut lines: Vec<String> = Vec::new();
    for event in events {
        let (kind, said) = match event {
            EngineEvent::Text { text } => ("text ", text),
            EngineEvent::Thinking { text } => ("thinking ", text),
            EngineEvent::ToolCall { name, args, .. } => ("call ", format!("{name} {args}")),
            EngineEvent::ToolResult { ok, output, .. } => ("answer ", format!("{ok} {output}")),
            EngineEvent::Usage(usage) => (
                "usage ",
                format!("{:?} {:?}", usage.input_tokens, usage.output_tokens),
            ),
            EngineEvent::Session { id, .. } => {
                assert!(!id.is_empty());
                ("session", String::new())
            }
            EngineEvent::Result { text } => ("result", text.unwrap_or_default()),
            EngineEvent::Error { error, message } => ("error ", format!("{error}: {message}")),
        };
        match lines.last_mut() {
            Some(last) if last.starts_with(kind) && matches!(kind, "text " | "thinking ") => {
                last.push_str(&said);
            }
            _ => lines.push(format!("{kind}{said}")),
        }
    }
    if parser.resume_failed() {
        lines.push("resume failed".to_owned());
    }
    lines
}

const HELLO: &str = "text Hello from the scripted model: añ€🐝.";
const ENGINES: [&str; 3] = ["claude", "codex", "opencode"];

#[test]
fn a_plain_answer_of_a_real_model() {
    for engine in ENGINES {
        for name in ["plain", "resumed"] {
            let lines = meaning(engine, name);
            let kinds: Vec<&str> = lines
                .iter()
                .map(|line| line.split(' ').next().unwrap())
                .collect();
            assert_eq!(
                kinds,
                ["session", "text", "usage", "result"],
                "{engine} {name}"
            );
        }
    }
}

#[test]
fn a_message_that_looks_like_an_option_is_answered() {
    for engine in ENGINES {
        let usage = "usage Some(1234) Some(56)";
        assert_eq!(
            meaning(engine, "option"),
            ["session", HELLO, usage, "result"],
            "{engine}"
        );
    }
}

#[test]
fn a_tool_call_stands_between_what_was_said() {
    for (engine, call, answer) in [
        (
            "claude",
            r#"call Bash {"command":"echo from the tool","description":"Says where it comes from"}"#,
            "answer true from the tool",
        ),
        (
            "codex",
            r#"call shell {"command":"/bin/bash -lc 'echo from the tool'"}"#,
            "answer true from the tool\n",
        ),
        (
            "opencode",
            r#"call bash {"command":"echo from the tool"}"#,
            "answer true from the tool\n",
        ),
    ] {
        let lines: Vec<String> = meaning(engine, "tool")
            .into_iter()
            .filter(|line| !line.starts_with("usage"))
            .collect();
        let second = "text \n\nThe tool answered.";
        assert_eq!(
            lines,
            [
                "session",
                "text I call a tool.",
                call,
                answer,
                second,
                "result"
            ],
            "{engine}"
        );
        // The tokens of both requests.
        let usage = "usage Some(2468) Some(112)".to_owned();
        assert!(meaning(engine, "tool").contains(&usage), "{engine}");
    }
}

#[test]
fn thinking_is_told_from_speaking() {
    for engine in ENGINES {
        let lines = meaning(engine, "thinking");
        assert_eq!(
            lines[1].trim_end(),
            "thinking Let me think about it.",
            "{engine}"
        );
        assert_eq!(lines[2], HELLO, "{engine}");
    }
}

/// The first run says that its session is gone, the second one answers; nothing of the first is taken for a reply.
#[test]
fn a_session_that_is_gone_is_noticed() {
    for engine in ENGINES {
        let lines = meaning(engine, "dead_session");
        assert_eq!(lines.last().unwrap(), "resume failed", "{engine}");
        assert!(
            !lines.iter().any(|line| line.starts_with("error")),
            "{engine} {lines:?}"
        );
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("text")).count(),
            1,
            "{engine}"
        );
    }
}

#[test]
fn a_refused_key_says_how_to_sign_in() {
    for (engine, how) in [
        ("claude", "/login"),
        ("codex", "codex login"),
        ("opencode", "opencode auth login"),
    ] {
        let lines = meaning(engine, "refused_key");
        let error = lines.iter().find(|line| line.starts_with("error")).unwrap();
        assert!(
            error.starts_with("error not_signed_in: ") && error.contains(how),
            "{error}"
        );
        assert!(
            !lines.iter().any(|line| line.starts_with("text")),
            "{engine}"
        );
    }
}

#[test]
fn an_error_of_the_model_server_is_no_reply() {
    for engine in ENGINES {
        let lines = meaning(engine, "bad_request");
        let error = lines.iter().find(|line| line.starts_with("error")).unwrap();
        assert!(error.starts_with("error engine_error: "), "{error}");
        assert!(error.contains("scripted failure 400"), "{error}");
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("text") || line == "result")
        );
    }
}

const AGENTS: [&str; 2] = ["codex-acp", "opencode-acp"];

/// The same turns as agents tell them, and as Gemini does: told piece by piece, their thoughts or not.
#[test]
fn agents_and_gemini_are_understood_as_the_others_are() {
    for engine in AGENTS.into_iter().chain(["gemini"]) {
        let said = |name: &str, kind: &str| {
            let lines = meaning(engine, name).into_iter();
            lines
                .filter(|line| line.starts_with(kind))
                .collect::<Vec<_>>()
        };
        for name in ["option", "dead_session", "thinking"] {
            assert_eq!(said(name, "text"), [HELLO], "{engine} {name}");
            assert_eq!(said(name, "result"), ["result"], "{engine} {name}");
        }
        assert!(!said("option", "session").is_empty(), "{engine}");
        let tool = ["text I call a tool.", "text \n\nThe tool answered."];
        assert_eq!(said("tool", "text"), tool, "{engine}");
        assert_eq!(said("tool", "call").len(), 1, "{engine}");
        assert!(
            said("tool", "call")[0].contains("echo from the tool"),
            "{engine}"
        );
        assert!(
            said("tool", "answer")[0].starts_with("answer true"),
            "{engine}"
        );
        for (name, status) in [("refused_key", "401"), ("bad_request", "400")] {
            let error = said(name, "error").concat();
            assert!(
                error.contains(&format!("scripted failure {status}")),
                "{engine} {error}"
            );
            assert_eq!(said(name, "result"), [""; 0], "{engine} {name}");
        }
        assert_eq!(
            said("stopped", "text")[0],
            "text I call a tool.",
            "{engine}"
        );
        assert_eq!(said("stopped", "result"), [""; 0], "{engine}");
    }
    assert_eq!(meaning("gemini-acp", "option")[1], HELLO);
    for engine in AGENTS {
        let lines = meaning(engine, "resumed");
        let answered = lines.contains(&"text \n\nThe tool answered.".to_owned());
        assert!(answered, "{engine} {lines:?}");
    }
}

#[test]
fn what_was_said_before_a_stop_stands() {
    for engine in ENGINES {
        let lines = meaning(engine, "stopped");
        assert_eq!(lines[1], "text I call a tool.", "{engine}");
        assert!(
            !lines
                .iter()
                .any(|line| line == "result" || line.starts_with("error"))
        );
    }
}

/// Torn at any byte, and with the lines of one engine fed to another: nothing panics, nothing is made up.
#[test]
fn no_bytes_make_a_parser_panic() {
    let all = || ENGINES.into_iter().chain(AGENTS).chain(["gemini"]);
    for engine in all() {
        for directory in all() {
            for file in std::fs::read_dir(transcripts().join(directory)).unwrap() {
                let printed = std::fs::read(file.unwrap().path()).unwrap();
                let mut parser = parser(engine);
                let mut events = Vec::new();
                for line in printed.split(|byte| *byte == b'\n') {
                    for cut in (0..line.len()).step_by(7) {
                        parser.line(Stream::Stdout, &line[..cut], &mut events);
                        parser.line(Stream::Stderr, &line[cut..], &mut events);
                    }
                }
                parser.end(&mut events);
                events.retain(|event| !matches!(event, EngineEvent::Result { .. }));
                assert_eq!(events, [], "{engine} {directory}");
            }
        }
    }
    for engine in all() {
        let mut parser = parser(engine);
        let mut events = Vec::new();
        for line in [
            &b"null"[..],
            b"[]",
            b"{}",
            b"{\"type\":7}",
            b"{\"type\":\"assistant\",\"message\":\"x\"}",
            b"{\"type\":\"result\",\"usage\":{\"input_tokens\":18446744073709551615,\"cache_read_input_tokens\":9}}",
            b"{\"type\":\"step_finish\",\"part\":{\"tokens\":{\"input\":18446744073709551615,\"output\":1,\"reasoning\":18446744073709551615,\"cache\":{\"read\":5}}}}",
            b"{\"type\":\"item.completed\",\"item\":{\"type\":\"mcp_tool_call\"}}",
            b"\xff\xfe\x00",
        ] {
            parser.line(Stream::Stdout, line, &mut events);
        }
    }
}
