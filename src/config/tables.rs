//! Tables of the user's own making: `[engines.<name>]` and `[tier]`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// An engine that the user described.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// What kind of agent it is.
    pub kind: EngineKind,
    /// The program and its arguments.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Variables it gets besides the allowed ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The model it is asked for.
    pub model: Option<String>,
    /// Where an `http` engine answers.
    pub base_url: Option<String>,
    /// The name of the secret in `keys/` that an `http` engine is called with.
    pub key: Option<String>,
    /// What a `command` engine prints.
    #[serde(default)]
    pub output: Output,
}

/// What kind of agent an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The assistant that needs nothing.
    Builtin,
    /// Any program.
    Command,
    /// An OpenAI-compatible or Anthropic endpoint.
    Http,
    /// An Agent Client Protocol agent.
    Acp,
    /// Claude Code's command line.
    Claude,
    /// Codex's command line.
    Codex,
    /// OpenCode's command line.
    Opencode,
    /// Gemini's command line.
    Gemini,
}

/// What a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// The reply.
    #[default]
    Text,
    /// Engine events, one JSON object a line.
    Events,
}

/// Local limits of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its name.
    #[serde(default = "unlimited")]
    pub name: String,
    /// How many there may be of a resource, e.g. `workers`; what is not named has no limit.
    #[serde(default)]
    pub limits: BTreeMap<String, u64>,
}

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: unlimited(),
            limits: BTreeMap::new(),
        }
    }
}

fn unlimited() -> String {
    "unlimited".to_owned()
}
