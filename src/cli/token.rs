//! `skep token`: an API key for scripts, alone on standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::json;

use super::control;
use super::hive::{Hive, HiveError};
use super::{Token, TokenScope};
use crate::api::new_api_key;
use crate::app::system_clock;
use crate::command::{CreateApiKey, DeleteApiKey};
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
    let out = output()?;
    match Hive::open(data)? {
        Hive::Running(server) => {
            let body = json!({ "name": asked.name, "scopes": scopes, "expires_at": expires_at });
            let answer = control::ask(&server, "POST", "/api/tokens", Some(&body))?;
            let key = answer["token"].as_str().unwrap_or_default();
            show(out, key).or_else(|error| {
                let path = format!("/api/tokens/{}", answer["id"].as_str().unwrap_or_default());
                control::ask(&server, "DELETE", &path, None)?;
                Err(not_kept(&error))
            })
        }
        Hive::Stopped(hive) => {
            let (key, token) = new_api_key(&asked.name, scopes, expires_at, &Ids, now)
                .map_err(|error| io::Error::other(error.to_string()))?;
            let id = key.id;
            hive.submit(CreateApiKey { key })?;
            let shown = show(out, &token).or_else(|error| {
                hive.submit(DeleteApiKey { id })?;
                Err(not_kept(&error))
            });
            hive.close();
            shown
        }
    }
}

/// Standard output, if somebody may read it. The library's own takes what it writes to a closed one for written.
fn output() -> Result<File, HiveError> {
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let access = fcntl_getfl(&out).map_err(io::Error::from)? & OFlags::ACCMODE;
    // A standard output that was closed has become the null device before `main`.
    let metadata = out.metadata()?;
    let is_null = metadata.file_type().is_char_device()
        && std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == metadata.rdev());
    match access == OFlags::RDONLY || is_null {
        true => Err(io::Error::other(
            "standard output is closed or leads nowhere, so nobody would see the key; none was created",
        )
        .into()),
        false => Ok(out),
    }
}

fn show(mut out: File, key: &str) -> io::Result<()> {
    out.write_all(format!("{key}\n").as_bytes())
}

fn not_kept(error: &io::Error) -> HiveError {
    let text = format!("cannot write to standard output: {error}; the key was not kept");
    io::Error::other(text).into()
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
