//! Agents that speak the Agent Client Protocol: JSON-RPC over standard input and output.
//!
//! Owns the talk with one agent for one turn: initialize, open or go on with a session, prompt, cancel. Must never know
//! who asks or how a permission is decided. Start reading at [`conversation`].
//!
//! The protocol's own crates are not used. The SDK (5.0) reads lines without a limit and passes them on through queues
//! without one, where here every byte goes to the log first and nothing grows; its schema crate switches on
//! `serde_json/preserve_order` for the whole program, which would change every JSON document that Skep makes.

mod conversation;
mod requests;
mod updates;
mod wire;

use std::path::Path;

use serde_json::{Value, json};

use super::cli::{Dialect, briefing};
use super::launch::{Launch, environment};
use super::permission::Asker;
use super::process::Parser;
use super::settings::EngineSettings;
use super::{EngineError, Turn};
use super::{claude, codex, gemini, opencode};
use conversation::{Conversation, Opening, is_session_id};
use requests::Desk;

/// Agents that are known by name: their engine, and how they are started.
pub const PRESETS: [(&str, &[&str]); 4] = [
    ("claude-code-acp", &["claude-code-acp"]),
    ("codex-acp", &["codex-acp"]),
    (
        "gemini-acp",
        &["gemini", "--experimental-acp", "--skip-trust"],
    ),
    ("opencode-acp", &["opencode", "acp"]),
];

/// Variables that hold a key, and what agents call signing in with it.
const KEYS: [(&str, &str); 3] = [
    ("GEMINI_API_KEY", "gemini-api-key"),
    ("CODEX_API_KEY", "codex-api-key"),
    ("OPENAI_API_KEY", "openai-api-key"),
];

/// The program and arguments of a preset.
pub fn preset(name: &str) -> Option<Vec<String>> {
    let (_, argv) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
    Some(argv.iter().map(|word| (*word).to_owned()).collect())
}

/// An agent that is not known by name.
static ANY: Dialect = Dialect {
    program: "",
    variables: &[],
    launch,
    own: |_| Vec::new(),
    parser: |_| Box::new(Conversation::read()),
    talk: Some(talk),
};

static CLAUDE: Dialect = Dialect {
    program: "claude-code-acp",
    variables: claude::DIALECT.variables,
    own: claude::DIALECT.own,
    ..ANY
};

static CODEX: Dialect = Dialect {
    program: "codex-acp",
    variables: codex::DIALECT.variables,
    own: codex::DIALECT.own,
    ..ANY
};

static GEMINI: Dialect = Dialect {
    program: "gemini",
    variables: gemini::DIALECT.variables,
    own: gemini::DIALECT.own,
    ..ANY
};

static OPENCODE: Dialect = Dialect {
    program: "opencode",
    variables: opencode::DIALECT.variables,
    own: opencode::DIALECT.own,
    ..ANY
};

/// The dialect of an agent, by the name of its program: what of the environment is meant for it, and where it keeps its
/// own things.
pub fn dialect(settings: &EngineSettings) -> &'static Dialect {
    match program(settings) {
        "claude-code-acp" | "claude-agent-acp" => &CLAUDE,
        "codex-acp" => &CODEX,
        "gemini" => &GEMINI,
        "opencode" => &OPENCODE,
        _ => &ANY,
    }
}

fn program(settings: &EngineSettings) -> &str {
    let program = settings.argv.first().map_or("", String::as_str);
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str());
    name.unwrap_or_default()
}

fn launch(settings: &EngineSettings, turn: &Turn) -> Result<Launch, EngineError> {
    let mut env = environment(turn, dialect(settings).variables, &settings.env);
    // An update that is begun in a run would be killed with it, half done.
    for name in ["DISABLE_AUTOUPDATER", "OPENCODE_DISABLE_AUTOUPDATE"] {
        env.entry(name.to_owned()).or_insert_with(|| "1".to_owned());
    }
    if program(settings) == GEMINI.program {
        gemini::without_terminal(&mut env);
    }
    Ok(Launch {
        argv: settings.argv.clone(),
        env,
        cwd: turn.work_dir.clone(),
        stdin: Vec::new(),
    })
}

fn talk(settings: &EngineSettings, turn: &Turn, asker: &Asker) -> Box<dyn Parser> {
    Box::new(Conversation::new(Opening {
        cwd: turn.work_dir.to_string_lossy().into_owned(),
        resume: turn.resume.clone().filter(|id| is_session_id(id)),
        model: turn.model.clone(),
        auth_methods: auth_methods(settings, turn),
        prompt: prompt(turn),
        briefing: briefing(turn),
        is_news: turn.is_news,
        extra: turn.extra.clone(),
        mcp: turn.mcp.clone(),
        desk: Desk::new(&turn.work_dir, &turn.media, asker.clone()),
    }))
}

/// A turn without a program, to try an agent's words on: it works nowhere and may nothing.
pub fn rehearsal() -> Box<dyn Parser> {
    let nowhere = Path::new("/nonexistent");
    Box::new(Conversation::new(Opening {
        cwd: "/nonexistent".to_owned(),
        resume: Some("s".to_owned()),
        model: Some("m".to_owned()),
        auth_methods: vec!["key".to_owned()],
        prompt: Vec::new(),
        briefing: String::new(),
        is_news: false,
        extra: Default::default(),
        mcp: None,
        desk: Desk::new(nowhere, &[], Asker::nobody()),
    }))
}

/// How an agent that wants it is signed in: as the settings say, else with a key that is there.
fn auth_methods(settings: &EngineSettings, turn: &Turn) -> Vec<String> {
    if let Some(method) = &settings.auth_method {
        return vec![method.clone()];
    }
    let env = environment(turn, dialect(settings).variables, &settings.env);
    let is_set = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let methods = KEYS.iter().filter(|(name, _)| is_set(name));
    methods.map(|(_, method)| (*method).to_owned()).collect()
}

/// The message and its attachments, which every agent takes as links.
fn prompt(turn: &Turn) -> Vec<Value> {
    let text = json!({ "type": "text", "text": turn.prompt });
    let links = turn.media.iter().filter_map(|path| {
        let uri = url::Url::from_file_path(path).ok()?;
        let name = path.file_name()?.to_string_lossy();
        Some(json!({ "type": "resource_link", "uri": uri.as_str(), "name": name }))
    });
    std::iter::once(text).chain(links).collect()
}

/// Whether `--version` is all that it takes: a program that is not known might do anything.
pub fn says_its_version(settings: &EngineSettings) -> bool {
    matches!(program(settings), "gemini" | "opencode")
}
