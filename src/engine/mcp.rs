//! Where an engine finds Skep's tools while its execution runs, and how that is handed over.
//!
//! The token is in the environment of the engine and nowhere else: what an engine's own configuration needs to say
//! names the variable. It dies with the execution.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What the tools are called in an engine's own configuration.
pub const SERVER_NAME: &str = "skep";
/// The variable that holds the address of the tools (Model Context Protocol, Streamable HTTP).
pub const URL_VARIABLE: &str = "SKEP_MCP_URL";
/// The variable that holds the token for it.
pub const TOKEN_VARIABLE: &str = "SKEP_MCP_TOKEN";
/// The tool by which an engine asks for permission; it is listed where the address says so.
pub const PERMISSION_TOOL: &str = "ask_permission";
/// What is added to the address for that.
pub const PERMISSION_QUERY: &str = "?ask=true";
/// How long an engine may wait for a tool, which may ask another worker: longer than any tool takes.
pub const TOOL_TIMEOUT_S: u64 = 3600;

/// The tools of one running execution. It does not show its token.
#[derive(Clone, PartialEq, Eq)]
pub struct McpAccess {
    /// The address, on loopback.
    pub url: String,
    token: Arc<str>,
}

impl McpAccess {
    /// The tools at `url`, for whoever brings `token`.
    pub fn new(url: &str, token: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: token.into(),
        }
    }

    /// The value of the header `Authorization`, for an engine that is told it over a pipe.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Adds both variables, and keeps the way to loopback clear of proxies.
    pub fn hand_over(&self, environment: &mut BTreeMap<String, String>) {
        environment.insert(URL_VARIABLE.to_owned(), self.url.clone());
        environment.insert(TOKEN_VARIABLE.to_owned(), self.token.to_string());
        let is_proxied = environment
            .keys()
            .any(|name| name.to_ascii_lowercase().ends_with("_proxy"));
        for name in ["NO_PROXY", "no_proxy"].into_iter().filter(|_| is_proxied) {
            let direct = environment.entry(name.to_owned()).or_default();
            if !direct.split(',').any(|host| host.trim() == LOOPBACK) {
                let gap = if direct.is_empty() { "" } else { "," };
                *direct = format!("{direct}{gap}{LOOPBACK}");
            }
        }
    }
}

/// The host of every [`McpAccess::url`].
pub const LOOPBACK: &str = "127.0.0.1";

impl fmt::Debug for McpAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpAccess")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_handed_over_and_not_shown() {
        let access = McpAccess::new("http://127.0.0.1:1/mcp", "secret");
        assert!(!format!("{access:?}").contains("secret"));
        let mut environment = BTreeMap::new();
        access.hand_over(&mut environment);
        assert_eq!(environment[TOKEN_VARIABLE], "secret");
        assert!(!environment.contains_key("NO_PROXY"));
    }

    #[test]
    fn no_proxy_is_between_an_engine_and_its_tools() {
        let access = McpAccess::new("http://127.0.0.1:1/mcp", "secret");
        let mut environment = BTreeMap::from([
            ("HTTPS_PROXY".to_owned(), "http://proxy:1".to_owned()),
            ("no_proxy".to_owned(), "intranet".to_owned()),
        ]);
        for _ in 0..2 {
            access.hand_over(&mut environment);
        }
        assert_eq!(environment["NO_PROXY"], "127.0.0.1");
        assert_eq!(environment["no_proxy"], "intranet,127.0.0.1");
    }
}
