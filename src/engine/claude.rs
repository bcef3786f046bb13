//! Claude Code: `claude -p`, its stream of JSON lines.
//!
//! The message is its standard input, so nothing in it can become an option. Its permission mode follows the worker's:
//! with `acceptEdits` it edits inside its work directory without asking. What it has to ask for, it asks Skep by a tool,
//! and waits for the worker's mode or the user to answer. Other modes are a matter of `argv` in the settings (the last one
//! given counts).
//!
//! Skep's tools are the only MCP server it starts with, and it need not ask about them: Skep itself decides what they may
//! do. Others are a matter of `argv`, too (`--mcp-config`, once more).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cli::{
    Dialect, Reply, briefing, failure, is_session_id, number_at, options, own_directory, program,
    prompt, text_at, tool_call, tool_result,
};
use super::launch::{Launch, environment, temp_file};
use super::mcp::{
    PERMISSION_QUERY, PERMISSION_TOOL, SERVER_NAME, TOKEN_VARIABLE, TOOL_TIMEOUT_S, URL_VARIABLE,
};
use super::process::Parser;
use super::settings::EngineSettings;
use super::{EngineError, EngineEvent, Turn};
use crate::execution_log::Stream;
use crate::model::Usage;
use crate::tool::Permissions;

/// How to sign in.
pub const SIGN_IN: &str =
    "sign in: run `claude` once in a terminal and enter /login, or set ANTHROPIC_API_KEY";

/// Claude Code as a command line.
pub static DIALECT: Dialect = Dialect {
    program: "claude",
    variables: &[
        "ANTHROPIC_*",
        "CLAUDE_*",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
    ],
    launch,
    own: |env| {
        let config = own_directory(env, "CLAUDE_CONFIG_DIR", ".claude");
        let account = own_directory(env, "", ".claude.json");
        let cache = own_directory(env, "", ".cache/claude-cli-nodejs");
        [config, account, cache].into_iter().flatten().collect()
    },
    parser: |_| Box::<ClaudeParser>::default(),
    talk: None,
};

/// The model server refused it this often before the run is given up; a token that just expired is renewed sooner.
const REFUSALS_MAX: u64 = 2;

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let (program, added) = program(settings, DIALECT.program);
    let briefing = temp_file(turn, "briefing.md", &briefing(turn))?;
    // What this lets through is not asked about.
    let mode = match turn.permissions {
        Permissions::AllowEdits | Permissions::AllowAll => "acceptEdits",
        Permissions::Ask | Permissions::ReadOnly => "default",
    };
    let mut argv: Vec<String> = vec![
        program,
        "--print".to_owned(),
        "--output-format=stream-json".to_owned(),
        "--include-partial-messages".to_owned(),
        "--verbose".to_owned(),
        format!("--permission-mode={mode}"),
        format!("--append-system-prompt-file={briefing}"),
    ];
    if turn.mcp.is_some() || !turn.extra.servers.is_empty() {
        let others = turn.extra.table("url");
        argv.push(format!(
            "--mcp-config={}",
            temp_file(turn, "mcp.json", &tools(turn.mcp.is_some(), others))?
        ));
        argv.push("--strict-mcp-config".to_owned());
        argv.push(format!("--allowedTools=mcp__{SERVER_NAME}"));
        argv.push(format!(
            "--permission-prompt-tool=mcp__{SERVER_NAME}__{PERMISSION_TOOL}"
        ));
    }
    argv.extend(options(turn, "--add-dir"));
    argv.extend_from_slice(added);

    let mut env = environment(turn, DIALECT.variables, &settings.env);
    // An update that is begun in a run would be killed with it, half done.
    env.entry("DISABLE_AUTOUPDATER".to_owned())
        .or_insert_with(|| "1".to_owned());
    env.entry("MCP_TOOL_TIMEOUT".to_owned())
        .or_insert_with(|| (TOOL_TIMEOUT_S * 1000).to_string());
    Ok(Launch {
        argv,
        env,
        cwd: turn.work_dir.clone(),
        stdin: prompt(turn).into_bytes(),
    })
}

/// Where Skep's tools are; it puts the variables in itself.
fn tools(are_there: bool, mut servers: BTreeMap<String, Value>) -> String {
    let server = json!({
        "type": "http",
        "url": format!("${{{URL_VARIABLE}}}{PERMISSION_QUERY}"),
        "headers": { "Authorization": format!("Bearer ${{{TOKEN_VARIABLE}}}") },
    });
    if are_there {
        servers.insert(SERVER_NAME.to_owned(), server);
    }
    json!({ "mcpServers": servers }).to_string()
}

/// Reads `--output-format=stream-json`.
#[derive(Debug, Default)]
pub struct ClaudeParser {
    reply: Reply,
    resume_failed: bool,
}

impl Parser for ClaudeParser {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream != Stream::Stdout {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        // What a subagent says is the tool's business; its answer comes as the tool's result.
        if line["parent_tool_use_id"].is_string() {
            return;
        }
        match text_at(&line, "/type") {
            "system" => self.system(&line, events),
            "stream_event" => self.stream_event(&line["event"], events),
            "assistant" => {
                for block in blocks(&line) {
                    if text_at(block, "/type") == "tool_use" {
                        let (id, name) = (text_at(block, "/id"), text_at(block, "/name"));
                        events.push(tool_call(id, name, block["input"].clone()));
                    }
                }
            }
            "user" => {
                for block in blocks(&line) {
                    if text_at(block, "/type") == "tool_result" {
                        let ok = !block["is_error"].as_bool().unwrap_or(false);
                        let id = text_at(block, "/tool_use_id");
                        events.push(tool_result(id, ok, &said(&block["content"])));
                    }
                }
            }
            "result" => self.result(&line, events),
            _ => {}
        }
    }

    fn end(&mut self, _events: &mut Vec<EngineEvent>) {}

    fn resume_failed(&self) -> bool {
        self.resume_failed
    }
}

impl ClaudeParser {
    fn system(&mut self, line: &Value, events: &mut Vec<EngineEvent>) {
        match text_at(line, "/subtype") {
            "init" => {
                let id = text_at(line, "/session_id");
                if is_session_id(id) {
                    events.push(EngineEvent::Session {
                        id: id.to_owned(),
                        model: line["model"].as_str().map(str::to_owned),
                    });
                }
            }
            // It would try ten times, for minutes, with a key that is no good.
            "api_retry" if number_at(line, "/attempt").unwrap_or(0) >= REFUSALS_MAX => {
                let status = number_at(line, "/error_status");
                if matches!(status, Some(401 | 403)) {
                    events.push(failure(status, "the model server refused the key", SIGN_IN));
                }
            }
            _ => {}
        }
    }

    fn stream_event(&mut self, event: &Value, events: &mut Vec<EngineEvent>) {
        match text_at(event, "/type") {
            "content_block_start" if text_at(event, "/content_block/type") == "text" => {
                self.reply.begin();
            }
            "content_block_delta" => match text_at(event, "/delta/type") {
                "text_delta" => self.reply.text(text_at(event, "/delta/text"), events),
                "thinking_delta" => events.push(EngineEvent::Thinking {
                    text: text_at(event, "/delta/thinking").to_owned(),
                }),
                _ => {}
            },
            _ => {}
        }
    }

    fn result(&mut self, line: &Value, events: &mut Vec<EngineEvent>) {
        let tokens = |name: &str| number_at(&line["usage"], name);
        let read = [
            "/input_tokens",
            "/cache_creation_input_tokens",
            "/cache_read_input_tokens",
        ];
        events.push(EngineEvent::Usage(Usage {
            input_tokens: read
                .into_iter()
                .filter_map(tokens)
                .reduce(u64::saturating_add),
            output_tokens: tokens("/output_tokens"),
            cost_usd: line["total_cost_usd"].as_f64(),
        }));
        let result = text_at(line, "/result");
        if !line["is_error"].as_bool().unwrap_or(false) {
            // Its `result` is the last message alone; the reply is everything it said in the turn.
            events.push(EngineEvent::Result {
                text: (!self.reply.said_something()).then(|| result.to_owned()),
            });
            return;
        }
        let errors: Vec<&str> = line["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let message = match (result, errors.is_empty()) {
            ("", false) => errors.join("; "),
            ("", true) => text_at(line, "/subtype").replace('_', " "),
            (result, _) => result.to_owned(),
        };
        if message.contains("No conversation found with session ID") {
            self.resume_failed = true;
            return;
        }
        events.push(failure(
            number_at(line, "/api_error_status"),
            &message,
            SIGN_IN,
        ));
    }
}

fn blocks(line: &Value) -> impl Iterator<Item = &Value> {
    line["message"]["content"].as_array().into_iter().flatten()
}

/// What a tool said: a text, or a list of parts of which some are texts.
fn said(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}
