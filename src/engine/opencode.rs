//! OpenCode: `opencode run --format json`.
//!
//! The message is its standard input, so nothing in it can become an option. It allows itself what its own
//! configuration allows, and a worker that may only look, or would have to ask, is allowed no more than that; what it
//! would have to ask for is refused, since nobody could answer (`opencode acp` can ask). It answers part by part,
//! not by token.

use serde_json::{Value, json};

use super::cli::{
    Dialect, Reply, briefing, failure, is_session_id, number_at, own_directory, program, prompt,
    text_at, tool_call, tool_result,
};
use super::extra::{Extra, Reach};
use super::launch::{Launch, environment, temp_file};
use super::mcp::{McpAccess, SERVER_NAME, TOKEN_VARIABLE, TOOL_TIMEOUT_S};
use super::process::Parser;
use super::settings::EngineSettings;
use super::{EngineError, EngineEvent, Turn};
use crate::execution_log::Stream;
use crate::model::Usage;
use crate::tool::Permissions;

/// How to sign in.
pub const SIGN_IN: &str = "sign in: run `opencode auth login` in a terminal";

/// OpenCode as a command line.
pub static DIALECT: Dialect = Dialect {
    program: "opencode",
    variables: &[
        "OPENCODE_*",
        "ANTHROPIC_*",
        "OPENAI_*",
        "OPENROUTER_*",
        "GEMINI_API_KEY",
        "GOOGLE_GENERATIVE_AI_API_KEY",
        "GROQ_API_KEY",
        "MISTRAL_API_KEY",
        "DEEPSEEK_API_KEY",
        "XAI_API_KEY",
    ],
    launch,
    own: |env| {
        let places = [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_CACHE_HOME", ".cache"),
        ];
        let places = places.map(|(variable, usual)| own_directory(env, variable, usual));
        places
            .into_iter()
            .flatten()
            .map(|place| place.join("opencode"))
            .collect()
    },
    parser: |_| Box::<OpencodeParser>::default(),
    talk: None,
};

/// Its configuration as a variable, over the user's own files.
const CONFIG: &str = "OPENCODE_CONFIG_CONTENT";
/// What it may do, over all of its configuration.
const PERMISSION: &str = "OPENCODE_PERMISSION";
/// It cannot ask anybody while it runs on its own, so what would have to be asked is not done.
const ONLY_LOOK: &str = r#"{"edit":"deny","bash":"deny","webfetch":"deny"}"#;

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let (program, added) = program(settings, DIALECT.program);
    let mut argv: Vec<String> = [program.as_str(), "run", "--format=json", "--thinking"]
        .map(str::to_owned)
        .to_vec();
    if let Some(model) = &turn.model {
        argv.push(format!("--model={model}"));
    }
    if let Some(session) = &turn.resume {
        argv.push(format!("--session={session}"));
    }
    // It reads nothing outside its work directory without asking; attachments are elsewhere.
    argv.extend(
        turn.media
            .iter()
            .map(|path| format!("--file={}", path.display())),
    );
    argv.extend_from_slice(added);

    let mut env = environment(turn, DIALECT.variables, &settings.env);
    // An update that is begun in a run would be killed with it, half done.
    env.entry("OPENCODE_DISABLE_AUTOUPDATE".to_owned())
        .or_insert_with(|| "1".to_owned());
    if matches!(turn.permissions, Permissions::Ask | Permissions::ReadOnly) {
        env.insert(PERMISSION.to_owned(), ONLY_LOOK.to_owned());
    }
    let briefing = temp_file(turn, "briefing.md", &briefing(turn))?;
    let config = env.get(CONFIG).map(String::as_str);
    if let Some(config) = with_skeps_own(config, briefing, turn.mcp.as_ref(), &turn.extra) {
        env.insert(CONFIG.to_owned(), config);
    }
    Ok(Launch {
        argv,
        env,
        cwd: turn.work_dir.clone(),
        stdin: prompt(turn).into_bytes(),
    })
}

/// The configuration with one more file of instructions, and with Skep's tools. `None`: what is there is no plain JSON and
/// stays as it is.
fn with_skeps_own(
    config: Option<&str>,
    file: String,
    mcp: Option<&McpAccess>,
    extra: &Extra,
) -> Option<String> {
    let mut config: Value = serde_json::from_str(config.unwrap_or("{}")).ok()?;
    let instructions = config
        .as_object_mut()?
        .entry("instructions")
        .or_insert_with(|| json!([]));
    instructions.as_array_mut()?.push(file.into());
    for server in &extra.servers {
        let entry = match &server.reach {
            Reach::Url(url, token) => {
                let mut entry = json!({ "type": "remote", "url": url });
                if let Some(variable) = token {
                    entry["headers"]["Authorization"] = json!(format!("Bearer {{env:{variable}}}"));
                    entry["oauth"] = json!(false);
                }
                entry
            }
            Reach::Program(argv, env) => {
                json!({ "type": "local", "command": argv, "environment": env })
            }
        };
        let servers = config
            .as_object_mut()?
            .entry("mcp")
            .or_insert_with(|| json!({}));
        servers.as_object_mut()?.insert(server.name.clone(), entry);
    }
    if let Some(mcp) = mcp {
        let servers = config
            .as_object_mut()?
            .entry("mcp")
            .or_insert_with(|| json!({}));
        let server = json!({
            "type": "remote",
            "url": mcp.url,
            "headers": { "Authorization": format!("Bearer {{env:{TOKEN_VARIABLE}}}") },
            "oauth": false,
            "timeout": TOOL_TIMEOUT_S * 1000,
        });
        servers
            .as_object_mut()?
            .insert(SERVER_NAME.to_owned(), server);
    }
    Some(config.to_string())
}

/// Reads `opencode run --format json`.
#[derive(Debug, Default)]
pub struct OpencodeParser {
    reply: Reply,
    session: Option<String>,
    usage: Usage,
    resume_failed: bool,
}

impl Parser for OpencodeParser {
    fn line(&mut self, stream: Stream, line: &[u8], events: &mut Vec<EngineEvent>) {
        if stream == Stream::Stderr {
            let line = String::from_utf8_lossy(line);
            self.resume_failed |= self.session.is_none() && line.contains("Session not found");
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        let id = text_at(&line, "/sessionID");
        if self.session.is_none() && is_session_id(id) {
            self.session = Some(id.to_owned());
            events.push(EngineEvent::Session {
                id: id.to_owned(),
                model: None,
            });
        }
        let part = &line["part"];
        match text_at(&line, "/type") {
            "text" => {
                self.reply.begin();
                self.reply.text(text_at(part, "/text"), events);
            }
            "reasoning" => {
                let text = format!("{}\n", text_at(part, "/text"));
                events.push(EngineEvent::Thinking { text });
            }
            "tool_use" => {
                let (id, state) = (text_at(part, "/callID"), &part["state"]);
                events.push(tool_call(
                    id,
                    text_at(part, "/tool"),
                    state["input"].clone(),
                ));
                let failed = text_at(state, "/status") == "error";
                let said = text_at(state, if failed { "/error" } else { "/output" });
                events.push(tool_result(id, !failed, said));
            }
            "step_finish" => self.step_finish(part, events),
            "error" => {
                let error = &line["error"];
                let message = match text_at(error, "/data/message") {
                    "" => text_at(error, "/name"),
                    message => message,
                };
                events.push(failure(
                    number_at(error, "/data/statusCode"),
                    message,
                    SIGN_IN,
                ));
            }
            _ => {}
        }
    }

    /// It may have stopped for another reason than `stop`, e.g. the length of its answer.
    fn end(&mut self, events: &mut Vec<EngineEvent>) {
        if self.reply.said_something() {
            events.push(EngineEvent::Result { text: None });
        }
    }

    fn resume_failed(&self) -> bool {
        self.resume_failed
    }
}

impl OpencodeParser {
    fn step_finish(&mut self, part: &Value, events: &mut Vec<EngineEvent>) {
        let tokens = |name: &str| number_at(&part["tokens"], name).unwrap_or(0);
        let add = |sum: &mut Option<u64>, count: u64| {
            *sum = Some(sum.unwrap_or(0).saturating_add(count));
        };
        add(
            &mut self.usage.input_tokens,
            ["/input", "/cache/read", "/cache/write"]
                .into_iter()
                .map(tokens)
                .fold(0, u64::saturating_add),
        );
        add(
            &mut self.usage.output_tokens,
            tokens("/output").saturating_add(tokens("/reasoning")),
        );
        if let Some(cost) = part["cost"].as_f64() {
            self.usage.cost_usd = Some(self.usage.cost_usd.unwrap_or(0.0) + cost);
        }
        events.push(EngineEvent::Usage(self.usage));
        if text_at(part, "/reason") == "stop" {
            events.push(EngineEvent::Result { text: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_briefing_is_added_to_a_configuration_that_is_there() {
        for (there, becomes) in [
            (None, Some(r#"{"instructions":["b.md"]}"#)),
            (
                Some(r#"{"instructions":["a.md"],"theme":"dark"}"#),
                Some(r#"{"instructions":["a.md","b.md"],"theme":"dark"}"#),
            ),
            (Some("{ // mine\n}"), None),
            (Some("[]"), None),
            (Some(r#"{"instructions":7}"#), None),
        ] {
            let config = with_skeps_own(there, "b.md".to_owned(), None, &Extra::default());
            assert_eq!(config.as_deref(), becomes, "{there:?}");
        }
    }

    #[test]
    fn the_tools_are_added_beside_others_and_their_token_is_not() {
        let access = McpAccess::new("http://127.0.0.1:1/mcp", "secret");
        let there = r#"{"mcp":{"mine":{"type":"local"}}}"#;
        let config = with_skeps_own(
            Some(there),
            "b.md".to_owned(),
            Some(&access),
            &Extra::default(),
        );
        let config = config.unwrap_or_default();
        let read: Value = serde_json::from_str(&config).unwrap_or_default();
        assert_eq!(read["mcp"]["mine"]["type"], "local");
        assert_eq!(read["mcp"]["skep"]["url"], access.url);
        assert!(!config.contains("secret"));
    }
}
