//! Gemini CLI: `gemini --output-format=stream-json`.
//!
//! The message is its standard input, so nothing in it can become an option. It never waits for an answer that cannot
//! come: the worker's permissions choose its approval mode, and what that does not allow it is not offered at all. It
//! keeps a session for each directory it works in. Its thoughts are not shown.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::cli::{
    Dialect, Reply, briefing, failure, is_session_id, number_at, options, own_directory, program,
    prompt, text_at, tool_call, tool_result,
};
use super::launch::{Launch, environment, temp_file};
use super::mcp::{SERVER_NAME, TOKEN_VARIABLE, TOOL_TIMEOUT_S, URL_VARIABLE};
use super::process::Parser;
use super::settings::EngineSettings;
use super::{EngineError, EngineEvent, Turn};
use crate::execution_log::Stream;
use crate::model::Usage;
use crate::tool::beneath::{Beneath, RelativePath, read_up_to};
use crate::tool::{Permissions, ToolError};

/// How to sign in.
pub const SIGN_IN: &str =
    "sign in: run `gemini` once in a terminal and enter /auth, or set GEMINI_API_KEY";

/// Gemini CLI as a command line.
pub static DIALECT: Dialect = Dialect {
    program: "gemini",
    variables: &["GEMINI_*", "GOOGLE_*"],
    launch,
    own: |env| own_directory(env, "", ".gemini").into_iter().collect(),
    parser: |_| Box::<GeminiParser>::default(),
    talk: None,
};

/// A file of settings that its user's own ones go before. Since 0.61 it reads one of root's alone, so that what it needs to
/// know is in the work directory, too, where that is Skep's to write in.
const DEFAULTS: &str = "GEMINI_CLI_SYSTEM_DEFAULTS_PATH";
const OF_DIRECTORY: &str = ".gemini/settings.json";
/// What is read of that file; a longer one is begun anew.
const SETTINGS_BYTES_MAX: u64 = 256 * 1024;

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let (program, added) = program(settings, DIALECT.program);
    let mode = match turn.permissions {
        Permissions::ReadOnly => "plan",
        Permissions::Ask => "default",
        Permissions::AllowEdits => "auto_edit",
        Permissions::AllowAll => "yolo",
    };
    let mut argv: Vec<String> = vec![
        program,
        "--output-format=stream-json".to_owned(),
        // Whoever made the directory a worker's trusts it.
        "--skip-trust".to_owned(),
        format!("--approval-mode={mode}"),
    ];
    argv.extend(options(turn, "--include-directories"));
    argv.extend_from_slice(added);

    let mut env = environment(turn, DIALECT.variables, &settings.env);
    without_terminal(&mut env);
    let defaults = defaults(turn);
    if is_made_by_skep(turn) {
        // The option that says so comes too late for these settings.
        let trusted = "GEMINI_CLI_TRUST_WORKSPACE".to_owned();
        env.entry(trusted).or_insert_with(|| "true".to_owned());
        tell_directory(turn, &defaults)
            .map_err(|error| EngineError::new("spawn_failed", error.to_string()))?;
    }
    let defaults = temp_file(turn, "gemini.json", &defaults.to_string())?;
    env.entry(DEFAULTS.to_owned()).or_insert(defaults);
    let mut stdin = prompt(turn);
    // It keeps what it was told at first in its session, so one that goes on is told again only what is new.
    if turn.resume.is_none() || turn.is_news {
        stdin = format!("{}\n\n# The message\n\n{stdin}", briefing(turn));
    }
    Ok(Launch {
        argv,
        env,
        cwd: turn.work_dir.clone(),
        stdin: stdin.into_bytes(),
    })
}

/// Where Skep's tools are, and no update: one that is begun in a run would be killed with it, half done.
fn defaults(turn: &Turn) -> Value {
    let mut defaults =
        json!({ "general": { "enableAutoUpdate": false, "disableAutoUpdate": true } });
    for (name, server) in turn.extra.table("httpUrl") {
        defaults["mcpServers"][name] = server;
    }
    if turn.mcp.is_some() {
        defaults["mcpServers"][SERVER_NAME] = json!({
            "httpUrl": format!("${{{URL_VARIABLE}}}"),
            "headers": { "Authorization": format!("Bearer ${{{TOKEN_VARIABLE}}}") },
            "timeout": TOOL_TIMEOUT_S * 1000,
            "trust": true,
        });
    }
    defaults
}

/// Confined, it gets no terminal for the commands that it runs: those of its user would be among them.
pub(super) fn without_terminal(env: &mut BTreeMap<String, String>) {
    env.entry("GEMINI_PTY_INFO".to_owned())
        .or_insert_with(|| "child_process".to_owned());
}

fn is_made_by_skep(turn: &Turn) -> bool {
    let name = match turn.worker_id {
        Some(id) => id.to_string(),
        None => "bee".to_owned(),
    };
    turn.work_dir.ends_with(Path::new("workers").join(name))
}

/// Puts the servers in the place of those that a run before this one was told of; what else is there stays.
fn tell_directory(turn: &Turn, defaults: &Value) -> Result<(), ToolError> {
    let directory = Beneath::open(&turn.work_dir)?;
    let path = RelativePath::parse(OF_DIRECTORY)?;
    let before = directory.file(&path).ok().and_then(|(mut file, _)| {
        let text = read_up_to(&mut file, SETTINGS_BYTES_MAX, &path).ok()?;
        serde_json::from_slice::<Value>(&text).ok()
    });
    let mut settings = before.filter(Value::is_object).unwrap_or_else(|| json!({}));
    settings["mcpServers"] = defaults["mcpServers"].clone();
    directory.replace(&path, settings.to_string().as_bytes())
}

/// Reads `--output-format=stream-json`.
#[derive(Debug, Default)]
pub struct GeminiParser {
    reply: Reply,
    /// The last error that it told of before its result.
    error: String,
    resume_failed: bool,
}

impl Parser for GeminiParser {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream == Stream::Stderr {
            let line = String::from_utf8_lossy(line);
            self.resume_failed |= !self.reply.said_something()
                && line.contains("Error resuming session")
                && line.contains("Invalid session identifier");
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        match text_at(&line, "/type") {
            "init" => {
                let id = text_at(&line, "/session_id");
                if is_session_id(id) {
                    events.push(EngineEvent::Session {
                        id: id.to_owned(),
                        model: line["model"].as_str().map(str::to_owned),
                    });
                }
            }
            "message" if text_at(&line, "/role") == "assistant" => {
                self.reply.text(text_at(&line, "/content"), events);
            }
            "tool_use" => {
                let (id, name) = (text_at(&line, "/tool_id"), text_at(&line, "/tool_name"));
                events.push(tool_call(id, name, line["parameters"].clone()));
                self.reply.begin();
            }
            "tool_result" => {
                let ok = text_at(&line, "/status") == "success";
                let said = match text_at(&line, "/output") {
                    "" => text_at(&line, "/error/message"),
                    output => output,
                };
                events.push(tool_result(text_at(&line, "/tool_id"), ok, said));
            }
            "error" if text_at(&line, "/severity") == "error" => {
                text_at(&line, "/message").clone_into(&mut self.error);
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

impl GeminiParser {
    fn result(&mut self, line: &Value, events: &mut Vec<EngineEvent>) {
        events.push(EngineEvent::Usage(Usage {
            input_tokens: number_at(line, "/stats/input_tokens"),
            output_tokens: number_at(line, "/stats/output_tokens"),
            cost_usd: None,
        }));
        if text_at(line, "/status") == "success" {
            events.push(EngineEvent::Result { text: None });
            return;
        }
        let told = match text_at(line, "/error/message") {
            "" => self.error.as_str(),
            message => message,
        };
        let message = plain(told);
        events.push(failure(None, message.as_deref().unwrap_or(told), SIGN_IN));
    }
}

/// What the model server said, out of `[API Error: {…}]`.
fn plain(message: &str) -> Option<String> {
    let inner = message.strip_prefix("[API Error: ")?.strip_suffix(']')?;
    let Ok(inner) = serde_json::from_str::<Value>(inner) else {
        return Some(inner.to_owned());
    };
    let kind = match text_at(&inner, "/error/type") {
        "" => text_at(&inner, "/error/status"),
        kind => kind,
    };
    let said = text_at(&inner, "/error/message");
    let gap = if kind.is_empty() { "" } else { ": " };
    Some(format!("{kind}{gap}{said}")).filter(|message| !message.is_empty())
}
