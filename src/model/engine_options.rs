//! What a worker's engine is started with beside what the settings say of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::Invalid;

/// Arguments, variables, or servers of one worker.
pub const OPTIONS_MAX: usize = 64;
/// An argument, or a variable's value.
pub const OPTION_BYTES_MAX: usize = 8 * 1024;
/// The name of a variable, of a key or of a server.
pub const OPTION_NAME_BYTES_MAX: usize = 64;

/// Beside a [`super::Worker`], under its id. A worker without any has the default. It holds no secret: those are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineOptions {
    /// Arguments after all others. No shell sees them.
    pub args: Vec<String>,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Variables whose values are secret: each names a file in `keys/`, or a variable of Skep's own environment.
    pub secrets: BTreeMap<String, String>,
    /// MCP servers beside Skep's own tools, by name.
    pub mcp_servers: BTreeMap<String, McpServer>,
}

/// A server of tools: one that is elsewhere, or a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(inline)]
pub struct McpServer {
    /// Where it is (Streamable HTTP); without it, `argv` is run.
    #[schemars(example = &"https://tools.example.org/mcp")]
    pub url: Option<String>,
    /// The name of the key that it wants as a bearer token, as in `secrets`.
    pub key: Option<String>,
    /// The program and its arguments, which speaks over standard input and output.
    pub argv: Vec<String>,
    /// Variables of that program.
    pub env: BTreeMap<String, String>,
}

/// What changes of the options; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptionsPatch {
    /// As in the options.
    pub args: Option<Vec<String>>,
    /// As in the options.
    pub env: Option<BTreeMap<String, String>>,
    /// As in the options.
    pub secrets: Option<BTreeMap<String, String>>,
    /// As in the options.
    pub mcp_servers: Option<BTreeMap<String, McpServer>>,
}

impl EngineOptions {
    /// With what changes.
    pub fn with(self, patch: EngineOptionsPatch) -> Self {
        Self {
            args: patch.args.unwrap_or(self.args),
            env: patch.env.unwrap_or(self.env),
            secrets: patch.secrets.unwrap_or(self.secrets),
            mcp_servers: patch.mcp_servers.unwrap_or(self.mcp_servers),
        }
    }
}

impl EngineOptionsPatch {
    /// The patch, if everything in it can be used.
    pub fn checked(self) -> Result<Self, Invalid> {
        if let Some(args) = &self.args {
            words("args", args)?;
        }
        if let Some(env) = &self.env {
            variables("env", env)?;
        }
        if let Some(secrets) = &self.secrets {
            variables("secrets", secrets)?;
            if let Some(name) = secrets.values().find(|name| !is_key_name(name)) {
                return Err(no_key("secrets", name));
            }
        }
        for (name, server) in self.mcp_servers.iter().flatten() {
            check_server(name, server)?;
        }
        let servers = self.mcp_servers.as_ref().map_or(0, BTreeMap::len);
        count("mcp_servers", servers)?;
        Ok(self)
    }
}

fn check_server(name: &str, server: &McpServer) -> Result<(), Invalid> {
    let field = "mcp_servers";
    let refuse = |why: &str| Err(Invalid::new(field, format!("{name:?} {why}")));
    // A hyphen is no part of a variable, and its token is in one. Agents put a tool's name after its server's.
    if !is_word(name) || name.to_ascii_lowercase().starts_with("skep") {
        return refuse("is no name: letters, digits and _ , not skep…");
    }
    words(field, &server.argv)?;
    variables(field, &server.env)?;
    match (&server.url, server.argv.first()) {
        (Some(url), None) => {
            let is_web = url::Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !is_web || url.len() > OPTION_BYTES_MAX || url.contains(['$', '{', '}']) {
                return refuse("needs a url with http or https");
            }
        }
        (None, Some(program)) if !program.is_empty() && server.key.is_none() => {}
        _ => return refuse("needs either a url (and maybe a key) or argv"),
    }
    match &server.key {
        Some(key) if !is_key_name(key) => Err(no_key(field, key)),
        _ => Ok(()),
    }
}

fn words(field: &'static str, words: &[String]) -> Result<(), Invalid> {
    count(field, words.len())?;
    match words.iter().all(|word| is_value(word)) {
        true => Ok(()),
        false => Err(Invalid::new(
            field,
            format!("each word has at most {OPTION_BYTES_MAX} bytes and no NUL"),
        )),
    }
}

fn variables(field: &'static str, variables: &BTreeMap<String, String>) -> Result<(), Invalid> {
    count(field, variables.len())?;
    for (name, value) in variables {
        let is_own = name.to_ascii_uppercase().starts_with("SKEP_");
        if is_own || !is_word(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
            let why = "is no name of a variable: letters, digits and _ , not SKEP_…";
            return Err(Invalid::new(field, format!("{name:?} {why}")));
        }
        if !is_value(value) {
            let why = format!("has at most {OPTION_BYTES_MAX} bytes and no NUL");
            return Err(Invalid::new(field, format!("{name} {why}")));
        }
    }
    Ok(())
}

fn count(field: &'static str, count: usize) -> Result<(), Invalid> {
    match count <= OPTIONS_MAX {
        true => Ok(()),
        false => Err(Invalid::new(field, format!("at most {OPTIONS_MAX}"))),
    }
}

fn is_value(text: &str) -> bool {
    text.len() <= OPTION_BYTES_MAX && !text.contains('\0')
}

fn is_word(name: &str) -> bool {
    (1..=OPTION_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether this names a key: a file in `keys/`, or a variable. Variables named `SKEP_…` hold what is the server's own.
pub fn is_key_name(name: &str) -> bool {
    (1..=OPTION_NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !name.to_ascii_uppercase().starts_with("SKEP_")
}

fn no_key(field: &'static str, name: &str) -> Invalid {
    let shown: String = name.chars().take(4).collect();
    Invalid::new(
        field,
        format!("{shown}… is no name of a key (letters, digits, _ and -); never the key itself"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn patch(json: serde_json::Value) -> Result<EngineOptionsPatch, Invalid> {
        serde_json::from_value::<EngineOptionsPatch>(json)
            .unwrap()
            .checked()
    }

    #[test]
    fn options_are_refused_by_field() {
        use serde_json::json;
        let long = "x".repeat(OPTION_BYTES_MAX);
        let many = vec!["x"; OPTIONS_MAX];
        let more = vec!["x"; OPTIONS_MAX + 1];
        for good in [
            json!({}),
            json!({ "args": many }),
            json!({ "args": ["--x", "", long] }),
            json!({ "env": { "A_1": long } }),
            json!({ "secrets": { "TOKEN": "my-key_1" } }),
            json!({ "mcp_servers": { "a": { "url": "https://h/mcp", "key": "k" }, "b": { "argv": ["x"] } } }),
        ] {
            assert!(patch(good.clone()).is_ok(), "{good}");
        }
        for (field, bad) in [
            ("args", json!({ "args": more })),
            ("args", json!({ "args": [format!("{long}x")] })),
            ("args", json!({ "args": ["a\0b"] })),
            ("env", json!({ "env": { "A=B": "" } })),
            ("env", json!({ "env": { "1A": "" } })),
            ("env", json!({ "env": { "": "" } })),
            ("env", json!({ "env": { "SKEP_PASSWORD": "" } })),
            ("secrets", json!({ "secrets": { "A": "signing.key" } })),
            ("secrets", json!({ "secrets": { "A": "../x" } })),
            ("secrets", json!({ "secrets": { "A": "SKEP_PASSWORD" } })),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "skep": { "argv": ["x"] } } }),
            ),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "Skep_x": { "argv": ["x"] } } }),
            ),
            ("mcp_servers", json!({ "mcp_servers": { "a": {} } })),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "a": { "url": "file:///x" } } }),
            ),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "a": { "url": "http://h/${X}" } } }),
            ),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "a": { "url": "http://h", "argv": ["x"] } } }),
            ),
            (
                "mcp_servers",
                json!({ "mcp_servers": { "a": { "argv": ["x"], "key": "k" } } }),
            ),
        ] {
            assert_eq!(patch(bad.clone()).unwrap_err().field, field, "{bad}");
        }
    }
}
