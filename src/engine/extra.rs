//! What a worker's own options add to its engine, with the secrets that they name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use super::EngineError;
use super::http::key::Key;
use crate::model::engine_options::EngineOptions;

/// What one run is started with beside what the settings say. It shows names only.
#[derive(Clone, Default)]
pub struct Extra {
    /// Arguments after all others.
    pub args: Vec<String>,
    /// Variables; tokens of servers are among them.
    pub env: BTreeMap<String, String>,
    /// MCP servers.
    pub servers: Vec<Server>,
}

/// An MCP server of a worker's own.
#[derive(Clone)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
}

/// How an MCP server is reached.
#[derive(Clone)]
pub enum Reach {
    /// At an address, with the token in a variable.
    Url(String, Option<String>),
    /// As a program with its variables.
    Program(Vec<String>, BTreeMap<String, String>),
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<&str> = self.servers.iter().map(|server| &*server.name).collect();
        f.debug_struct("Extra")
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("servers", &servers)
            .finish()
    }
}

impl Extra {
    /// The options with what they name in `keys`, or in the server's environment.
    pub fn of(options: EngineOptions, keys: &Path) -> Result<Self, EngineError> {
        let mut env = options.env;
        for (variable, name) in options.secrets {
            env.insert(variable, Key::find(&name, keys)?.into_text());
        }
        let mut servers = Vec::new();
        for (name, server) in options.mcp_servers {
            let reach = match server.url {
                Some(url) => {
                    let variable = format!("MCP_TOKEN_{}", name.to_ascii_uppercase());
                    let key = server.key.map(|key| Key::find(&key, keys)).transpose()?;
                    let token = key.map(|key| env.insert(variable.clone(), key.into_text()));
                    Reach::Url(url, token.map(|_| variable))
                }
                None => Reach::Program(server.argv, server.env),
            };
            servers.push(Server { name, reach });
        }
        Ok(Self {
            args: options.args,
            env,
            servers,
        })
    }

    /// As a table of `mcpServers`, which most have; `at` is what they call the address.
    pub fn table(&self, at: &str) -> BTreeMap<String, Value> {
        let entry = |server: &Server| {
            let entry = match &server.reach {
                Reach::Url(url, token) => {
                    let mut entry = json!({ at: url });
                    if at == "url" {
                        entry["type"] = json!("http");
                    }
                    if let Some(variable) = token {
                        entry["headers"]["Authorization"] =
                            json!(format!("Bearer ${{{variable}}}"));
                    }
                    entry
                }
                Reach::Program(argv, env) => {
                    json!({ "command": argv.first(), "args": argv.get(1..), "env": env })
                }
            };
            (server.name.clone(), entry)
        };
        self.servers.iter().map(entry).collect()
    }

    /// As the Agent Client Protocol has them; those at an address where the agent takes such.
    pub fn for_agents(&self, speaks_http: bool) -> Vec<Value> {
        let pairs = |env: &BTreeMap<String, String>| -> Vec<Value> {
            let pair = |(name, value)| json!({ "name": name, "value": value });
            env.iter().map(pair).collect()
        };
        let entry = |server: &Server| match &server.reach {
            Reach::Url(url, token) => speaks_http.then(|| {
                let token = token.as_ref().and_then(|variable| self.env.get(variable));
                let header = token.map(
                    |token| json!({ "name": "Authorization", "value": format!("Bearer {token}") }),
                );
                let headers: Vec<Value> = header.into_iter().collect();
                json!({ "type": "http", "name": server.name, "url": url, "headers": headers })
            }),
            Reach::Program(argv, env) => Some(json!({
                "name": server.name, "command": argv.first(), "args": argv.get(1..), "env": pairs(env)
            })),
        };
        self.servers.iter().filter_map(entry).collect()
    }
}
