//! An engine as `skep.toml` describes it: the table `[engines.<name>]`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What `[engines.<name>]` may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
            (None, _) => {
                return Err("needs a kind: builtin, claude, codex, opencode or command".to_owned());
            }
        };
        if kind == EngineKind::Command && self.argv.is_empty() {
            return Err("needs argv, e.g. [\"/usr/local/bin/my-agent\"]".to_owned());
        }
        if kind != EngineKind::Command && self.output != Output::Text {
            return Err("output is for kind = \"command\"".to_owned());
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
        self.kind = Some(kind);
        name.clone_into(&mut self.name);
        Ok(self)
    }
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
        ] {
            let error = parse(name, text).unwrap_err();
            assert!(error.contains(names), "{text}: {error}");
        }
    }
}
