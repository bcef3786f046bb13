//! `skep passwd`: a new password for the account, without the old one: whoever can read the data directory owns it.

use std::path::PathBuf;

use serde_json::json;

use super::control;
use super::hive::{Hive, HiveError};
use super::terminal;
use crate::auth::password;
use crate::command::ChangePassword;

/// Asks for the password and sets it. Every sign-in made before is over.
pub fn set(data: Option<PathBuf>) -> Result<(), HiveError> {
    super::hive::existing(data.clone())?;
    let new = terminal::new_secret("New password for admin")?;
    password::check(&new)
        .map_err(|error| std::io::Error::other(format!("the password {error}")))?;
    match Hive::open(data)? {
        Hive::Running(server) => {
            let body = json!({ "new_password": new });
            control::ask(&server, "POST", "/api/me/password", Some(&body))?;
        }
        Hive::Stopped(hive) => {
            let password_hash = password::hash(&new).map_err(std::io::Error::other)?;
            hive.submit(ChangePassword {
                password_hash,
                replaces_hash: None,
            })?;
            hive.close();
        }
    }
    eprintln!(
        "The password is changed, and everyone who was signed in is signed out; API keys still work."
    );
    Ok(())
}
