//! An engine as `skep.toml` describes it: the table `[engines.<name>]`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer};
use url::Url;

use super::acp;
use crate::guard::Granted;
use crate::model::engine_options::{OPTION_NAME_BYTES_MAX as KEY_NAME_BYTES_MAX, is_key_name};

/// The engine that is whichever model server answers on this machine.
pub const LOCAL: &str = "local";
/// The smallest window that holds a briefing, some tools and an answer.
pub const CONTEXT_TOKENS_MIN: u32 = 1024;

/// What `[engines.<name>]` may hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// The name that workers use; the table's own.
    #[serde(skip)]
    pub name: String,
    /// What runs. May be left out where the name is a kind.
    pub kind: Option<EngineKind>,
    /// `command`: the program and its arguments. The others: a program to run in place of the one on `PATH`, and
    /// arguments to add to Skep's own.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Added to the environment of every run.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The model, where neither worker nor bee names one.
    pub model: Option<String>,
    /// How a `command` speaks.
    #[serde(default)]
    pub output: Output,
    /// What its programs may read and run beside what all may.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// What its programs may write beside their work directory and their own configuration.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// Whether its programs are confined; they are unless this says no.
    pub confine: Option<bool>,
    /// `acp`: how to sign in when the agent wants that, by the agent's own word for it.
    pub auth_method: Option<String>,
    /// `http`: where the model server is. Without a path, `/v1` is meant.
    #[serde(default, deserialize_with = "url")]
    pub url: Option<Url>,
    /// `http`: what it speaks.
    pub protocol: Option<Protocol>,
    /// `http`: the name of the key, as a file in `keys/` or as a variable of the server's environment.
    pub key: Option<String>,
    /// `http`: tokens that the model takes in, its answer included.
    pub context_tokens: Option<u32>,
    /// `http`: tokens that one answer may have.
    pub max_tokens: Option<u32>,
    /// `http`: US dollars for a million tokens that it reads.
    pub price_in: Option<f64>,
    /// `http`: US dollars for a million tokens that it writes.
    pub price_out: Option<f64>,
    /// `http`: whether the model is offered Skep's tools; it is unless this says no.
    pub tools: Option<bool>,
    /// `http`: whether it may fetch pages of the public internet; it may not unless this says so.
    pub fetch: Option<bool>,
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(from)?;
    Url::parse(&text)
        .map(Some)
        .map_err(|error| serde::de::Error::custom(format!("{text:?} is no URL: {error}")))
}

/// A kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// The assistant that needs nothing.
    Builtin,
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// OpenCode.
    Opencode,
    /// Any program.
    Command,
    /// A model server.
    Http,
    /// Gemini CLI.
    Gemini,
    /// An agent that speaks the Agent Client Protocol.
    Acp,
}

/// What a model server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Chat completions as OpenAI has them; nearly everybody speaks it.
    #[default]
    Openai,
    /// Anthropic's Messages.
    Anthropic,
}

impl EngineKind {
    /// The word of `skep.toml` and of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Opencode => "opencode",
            Self::Command => "command",
            Self::Http => "http",
            Self::Gemini => "gemini",
            Self::Acp => "acp",
        }
    }
}

/// What a `command` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Its standard output is the reply.
    #[default]
    Text,
    /// [`EngineEvent`](super::EngineEvent)s, one JSON object a line.
    Events,
}

impl EngineSettings {
    /// The settings under the name of their table, checked. `Err` is a sentence for whoever wrote them.
    pub fn named(mut self, name: &str) -> Result<Self, String> {
        if name.is_empty() || name == "auto" {
            return Err(format!("\"{name}\" cannot be the name of an engine"));
        }
        let kind = match (self.kind, name) {
            (Some(kind), _) => kind,
            (None, "builtin") => EngineKind::Builtin,
            (None, "claude") => EngineKind::Claude,
            (None, "codex") => EngineKind::Codex,
            (None, "opencode") => EngineKind::Opencode,
            (None, "gemini") => EngineKind::Gemini,
            (None, LOCAL) => EngineKind::Http,
            (None, name) if acp::preset(name).is_some() => EngineKind::Acp,
            (None, _) => {
                return Err(
                    "needs a kind: builtin, claude, codex, opencode, gemini, acp, http or command"
                        .to_owned(),
                );
            }
        };
        if kind == EngineKind::Acp && self.argv.is_empty() {
            self.argv = acp::preset(name).unwrap_or_default();
        }
        if matches!(kind, EngineKind::Command | EngineKind::Acp) && self.argv.is_empty() {
            return Err("needs argv, e.g. [\"/usr/local/bin/my-agent\"]".to_owned());
        }
        if kind != EngineKind::Command && self.output != Output::Text {
            return Err("output is for kind = \"command\"".to_owned());
        }
        if kind != EngineKind::Acp && self.auth_method.is_some() {
            return Err("auth_method is for kind = \"acp\"".to_owned());
        }
        if self.argv.first().is_some_and(String::is_empty)
            || self.argv.iter().any(|word| word.contains('\0'))
        {
            return Err("argv must begin with a program and hold no NUL".to_owned());
        }
        for (key, value) in &self.env {
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                return Err(format!("env.{key} cannot be set"));
            }
        }
        for path in self.read.iter().chain(&self.write) {
            check_grant(path)?;
        }
        self.check_http(kind, name)?;
        self.kind = Some(kind);
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// What its programs, or those that its model runs, may use.
    pub fn granted(&self) -> Granted {
        Granted {
            confine: self.confine.unwrap_or(true),
            read: self.read.clone(),
            write: self.write.clone(),
        }
    }

    fn check_http(&self, kind: EngineKind, name: &str) -> Result<(), String> {
        if kind != EngineKind::Http {
            let given = [
                ("url", self.url.is_some()),
                ("protocol", self.protocol.is_some()),
                ("key", self.key.is_some()),
                ("context_tokens", self.context_tokens.is_some()),
                ("max_tokens", self.max_tokens.is_some()),
                ("price_in", self.price_in.is_some()),
                ("price_out", self.price_out.is_some()),
                ("tools", self.tools.is_some()),
                ("fetch", self.fetch.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(format!("{key} is for kind = \"http\"")),
                None => Ok(()),
            };
        }
        if !self.argv.is_empty() || !self.env.is_empty() {
            return Err("argv and env are for programs, not for kind = \"http\"".to_owned());
        }
        match &self.url {
            None if name != LOCAL => {
                return Err("needs url, e.g. \"http://127.0.0.1:11434\"".to_owned());
            }
            Some(url) if !is_server(url) => {
                return Err(
                    "url must be like \"https://models.example.org/v1\", without user, query or fragment"
                        .to_owned(),
                );
            }
            _ => {}
        }
        if self.key.as_deref().is_some_and(|key| !is_key_name(key)) {
            return Err(format!(
                "key is a name of 1 to {KEY_NAME_BYTES_MAX} letters, digits, '_' or '-' (a file in keys/ or a variable), never the key itself"
            ));
        }
        if self
            .context_tokens
            .is_some_and(|tokens| tokens < CONTEXT_TOKENS_MIN)
        {
            return Err(format!(
                "context_tokens must be at least {CONTEXT_TOKENS_MIN}"
            ));
        }
        if self.max_tokens == Some(0) {
            return Err("max_tokens must be at least 1".to_owned());
        }
        let prices = [self.price_in, self.price_out].into_iter().flatten();
        if prices
            .into_iter()
            .any(|price| !price.is_finite() || price < 0.0)
        {
            return Err("a price is US dollars for a million tokens, not negative".to_owned());
        }
        Ok(())
    }
}

/// What `read` and `write` may hold: absolute paths, and such below the home directory as `~/…`.
pub fn check_grant(path: &Path) -> Result<(), String> {
    let is_plain = path.components().all(|part| part != Component::ParentDir);
    match is_plain && (path.is_absolute() || path.starts_with("~")) {
        true => Ok(()),
        false => Err(format!(
            "{:?} is no path that can be granted: it must begin with / or ~/ and hold no ..",
            path.display().to_string()
        )),
    }
}

fn is_server(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(name: &str, text: &str) -> Result<EngineSettings, String> {
        toml::from_str::<EngineSettings>(text)
            .map_err(|error| error.message().to_owned())?
            .named(name)
    }

    #[test]
    fn a_table_becomes_an_engine_or_says_why_not() {
        let mine = parse(
            "mine",
            "kind = \"command\"\nargv = [\"/bin/agent\", \"--json\"]\noutput = \"events\"",
        )
        .unwrap();
        assert_eq!(mine.kind, Some(EngineKind::Command));
        assert_eq!(mine.output, Output::Events);
        let claude = parse("claude", "model = \"opus\"\nenv = { A = \"b\" }").unwrap();
        assert_eq!(claude.kind, Some(EngineKind::Claude));
        for (name, text, names) in [
            ("mine", "", "needs a kind"),
            ("mine", "kind = \"command\"", "needs argv"),
            ("mine", "kind = \"telnet\"", "unknown variant"),
            ("mine", "kind = \"command\"\nargs = []", "unknown field"),
            ("auto", "kind = \"claude\"", "cannot be the name"),
            ("claude", "output = \"events\"", "output is for"),
            ("claude", "argv = [\"\"]", "argv must begin"),
            ("claude", "env = { \"A=B\" = \"c\" }", "cannot be set"),
            ("claude", "url = \"http://127.0.0.1\"", "url is for"),
            ("m", "kind = \"http\"", "needs url"),
            ("m", "kind = \"http\"\nurl = \"ftp://h\"", "url must be"),
            (
                "m",
                "kind = \"http\"\nurl = \"http://u:p@h\"",
                "url must be",
            ),
            ("m", "kind = \"http\"\nurl = \"here\"", "is no URL"),
            (
                "m",
                "kind = \"http\"\nurl = \"http://h\"\nargv = [\"x\"]",
                "for programs",
            ),
            ("local", "key = \"signing.key\"", "never the key itself"),
            ("local", "key = \"SKEP_PASSWORD\"", "never the key itself"),
            ("local", "context_tokens = 1023", "at least 1024"),
            ("local", "price_in = -1.0", "not negative"),
            ("local", "price_out = nan", "not negative"),
        ] {
            let error = parse(name, text).unwrap_err();
            assert!(error.contains(names), "{text}: {error}");
        }
    }
}
