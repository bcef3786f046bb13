//! `skep token`: an API key for scripts, alone on standard output.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;

use super::control;
use super::hive::{Hive, HiveError};
use super::{Token, TokenScope};
use crate::api::new_api_key;
use crate::app::system_clock;
use crate::command::CreateApiKey;
use crate::model::{Ids, Millis, Scope};

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// Creates the key and prints it, once.
pub fn create(asked: &Token, data: Option<PathBuf>) -> Result<(), HiveError> {
    let now = system_clock();
    let mut scopes: Vec<Scope> = Vec::new();
    for scope in asked.scopes.iter().copied().map(Scope::from) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let expires_at = asked
        .expires_in_days
        .map(|days| now + Millis::from(days) * DAY_MS);
    let key = match Hive::open(data)? {
        Hive::Running(server) => {
            let body = json!({ "name": asked.name, "scopes": scopes, "expires_at": expires_at });
            let answer = control::ask(&server, "POST", "/api/tokens", Some(&body))?;
            answer["token"].as_str().unwrap_or_default().to_owned()
        }
        Hive::Stopped(hive) => {
            let (key, token) = new_api_key(&asked.name, scopes, expires_at, &Ids, now)
                .map_err(|error| io::Error::other(error.to_string()))?;
            hive.submit(CreateApiKey { key })?;
            hive.close();
            token
        }
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{key}")?;
    Ok(out.flush()?)
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::Chat => Self::Chat,
            TokenScope::Admin => Self::Admin,
        }
    }
}
