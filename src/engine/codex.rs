//! Codex: `codex exec --json`.
//!
//! The message is its standard input (`-`), so nothing in it can become an option. It never asks, so its sandbox is all
//! that refuses: `workspace-write`, or `read-only` where its worker may only look or would have to ask. That one makes
//! namespaces, which a confined process may not, and then each of its commands fails: where Skep confines it, Skep's lists
//! are its sandbox (`danger-full-access` of what they leave), but for `read-only`, which they are not. It answers message by
//! message, not by token.
//! The tokens it counts are those of its whole thread, also of turns before.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::cli::{
    Dialect, Reply, briefing, failure, is_session_id, number_at, own_directory, program, prompt,
    text_at, tool_call, tool_result,
};
use super::extra::Reach;
use super::launch::{Launch, VARIABLE_BYTES_MAX, environment};
use super::mcp::{SERVER_NAME, TOKEN_VARIABLE, TOOL_TIMEOUT_S};
use super::process::Parser;
use super::settings::EngineSettings;
use super::{EngineError, EngineEvent, Turn};
use crate::execution_log::Stream;
use crate::model::Usage;
use crate::tool::Permissions;

/// How to sign in.
pub const SIGN_IN: &str = "sign in: run `codex login` in a terminal";

/// Codex as a command line.
pub static DIALECT: Dialect = Dialect {
    program: "codex",
    variables: &["OPENAI_*", "CODEX_*"],
    launch,
    own: |env| {
        own_directory(env, "CODEX_HOME", ".codex")
            .into_iter()
            .collect()
    },
    parser: |_| Box::<CodexParser>::default(),
    talk: None,
};

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let (program, added) = program(settings, DIALECT.program);
    // It cannot ask anybody while it runs on its own, so what would have to be asked is not done.
    let may_edit = match turn.permissions {
        Permissions::AllowEdits | Permissions::AllowAll => true,
        Permissions::Ask | Permissions::ReadOnly => false,
    };
    let sandbox = match settings.confine {
        _ if !may_edit => "read-only",
        Some(true) => "danger-full-access",
        _ => "workspace-write",
    };
    let mut argv: Vec<String> = vec![
        program,
        "exec".to_owned(),
        "--json".to_owned(),
        "--skip-git-repo-check".to_owned(),
        format!("--config=sandbox_mode={}", toml_text(sandbox)),
        "--config=approval_policy=\"never\"".to_owned(),
    ];
    let mut stdin = prompt(turn);
    // It keeps what it was told at first in its thread, so a thread that goes on is told again only what is new.
    if turn.resume.is_none() {
        let briefing = briefing(turn);
        if briefing.len() <= VARIABLE_BYTES_MAX {
            argv.push(format!(
                "--config=developer_instructions={}",
                toml_text(&briefing)
            ));
        } else {
            stdin = format!("{briefing}\n\n# The message\n\n{stdin}");
        }
    } else if turn.is_news {
        let briefing = briefing(turn);
        stdin = format!("{briefing}\n\n# The message\n\n{stdin}");
    }
    if let Some(mcp) = &turn.mcp {
        let settings = [
            ("url", toml_text(&mcp.url)),
            ("bearer_token_env_var", toml_text(TOKEN_VARIABLE)),
            // Nobody could be asked; Skep itself decides what its tools may do.
            ("default_tools_approval_mode", toml_text("approve")),
            ("tool_timeout_sec", TOOL_TIMEOUT_S.to_string()),
        ];
        argv.extend(
            settings
                .map(|(key, value)| format!("--config=mcp_servers.{SERVER_NAME}.{key}={value}")),
        );
    }
    // As with commands: where nobody can be asked, the mode says it for all.
    let approval = may_edit.then(|| toml_text("approve"));
    for server in &turn.extra.servers {
        let mut settings = match &server.reach {
            Reach::Url(url, token) => vec![
                ("url", Some(toml_text(url))),
                ("bearer_token_env_var", token.as_deref().map(toml_text)),
            ],
            Reach::Program(argv, env) => {
                let pairs = env
                    .iter()
                    .map(|(name, value)| format!("{name}={}", toml_text(value)));
                let words: Vec<String> = argv.iter().skip(1).map(|word| toml_text(word)).collect();
                vec![
                    ("command", argv.first().map(|program| toml_text(program))),
                    ("args", Some(format!("[{}]", words.join(",")))),
                    (
                        "env",
                        Some(format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))),
                    ),
                ]
            }
        };
        settings.push(("default_tools_approval_mode", approval.clone()));
        for (key, value) in settings {
            let value =
                value.map(|value| format!("--config=mcp_servers.{}.{key}={value}", server.name));
            argv.extend(value);
        }
    }
    if let Some(model) = &turn.model {
        argv.push(format!("--model={model}"));
    }
    argv.extend_from_slice(added);
    if let Some(thread) = &turn.resume {
        argv.extend(["resume".to_owned(), thread.clone()]);
    }
    argv.push("-".to_owned());
    Ok(Launch {
        argv,
        env: environment(turn, DIALECT.variables, &settings.env),
        cwd: turn.work_dir.clone(),
        stdin: stdin.into_bytes(),
    })
}

/// A TOML string; JSON's escapes are TOML's, but for one character that JSON leaves as it is.
fn toml_text(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Reads `codex exec --json`.
#[derive(Debug, Default)]
pub struct CodexParser {
    reply: Reply,
    called: HashSet<String>,
    resume_failed: bool,
}

impl Parser for CodexParser {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream == Stream::Stderr {
            let line = String::from_utf8_lossy(line);
            self.resume_failed |= !self.reply.said_something()
                && line.contains("thread/resume failed")
                && line.contains("no rollout found");
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        match text_at(&line, "/type") {
            "thread.started" => {
                let id = text_at(&line, "/thread_id");
                if is_session_id(id) {
                    events.push(EngineEvent::Session {
                        id: id.to_owned(),
                        model: None,
                    });
                }
            }
            "item.started" => self.started(&line["item"], events),
            "item.completed" => self.completed(&line["item"], events),
            "turn.completed" => {
                events.push(EngineEvent::Usage(Usage {
                    input_tokens: number_at(&line, "/usage/input_tokens"),
                    output_tokens: number_at(&line, "/usage/output_tokens"),
                    cost_usd: None,
                }));
                events.push(EngineEvent::Result { text: None });
            }
            // `error` lines before it are attempts that are repeated.
            "turn.failed" => {
                let message = text_at(&line, "/error/message");
                let inner = serde_json::from_str::<Value>(message).ok();
                let message = inner
                    .as_ref()
                    .map(|inner| text_at(inner, "/error/message"))
                    .filter(|message| !message.is_empty())
                    .unwrap_or(message);
                events.push(failure(None, message, SIGN_IN));
            }
            _ => {}
        }
    }

    fn end(&mut self, _events: &mut Vec<EngineEvent>) {}

    fn resume_failed(&self) -> bool {
        self.resume_failed
    }
}

impl CodexParser {
    fn started(&mut self, item: &Value, events: &mut Vec<EngineEvent>) {
        let id = text_at(item, "/id");
        let (name, args) = match text_at(item, "/type") {
            "command_execution" => ("shell", json!({ "command": item["command"] })),
            "file_change" => ("file_change", json!({ "changes": item["changes"] })),
            "mcp_tool_call" => (text_at(item, "/tool"), item["arguments"].clone()),
            "web_search" => ("web_search", json!({ "query": item["query"] })),
            _ => return,
        };
        if self.called.insert(id.to_owned()) {
            events.push(tool_call(id, name, args));
        }
    }

    fn completed(&mut self, item: &Value, events: &mut Vec<EngineEvent>) {
        let id = text_at(item, "/id");
        let (ok, output) = match text_at(item, "/type") {
            "agent_message" => {
                self.reply.begin();
                self.reply.text(text_at(item, "/text"), events);
                return;
            }
            "reasoning" => {
                let text = format!("{}\n", text_at(item, "/text"));
                events.push(EngineEvent::Thinking { text });
                return;
            }
            "command_execution" => (
                item["exit_code"].as_i64() == Some(0),
                text_at(item, "/aggregated_output").to_owned(),
            ),
            "file_change" => (text_at(item, "/status") == "completed", String::new()),
            "mcp_tool_call" => {
                let (error, result) = (&item["error"], &item["result"]);
                let answer = if error.is_null() { result } else { error };
                let output = if answer.is_null() {
                    String::new()
                } else {
                    answer.to_string()
                };
                (error.is_null(), output)
            }
            "web_search" => (true, String::new()),
            _ => return,
        };
        self.started(item, events);
        events.push(tool_result(id, ok, &output));
    }
}
