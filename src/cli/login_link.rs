//! `skep login-link`: a sign-in link of the running server, alone on standard output.

use std::path::PathBuf;

use super::control;
use super::hive::{Hive, HiveError};

/// Asks for a new link; the one before it is void.
pub fn print(data: Option<PathBuf>) -> Result<(), HiveError> {
    match Hive::open(data)? {
        Hive::Running(server) => {
            let answer = control::ask(&server, "POST", "/api/auth/sign-in-link", None)?;
            println!("{}", answer["url"].as_str().unwrap_or_default());
            eprintln!("It is good once, for 15 minutes; links from before are void now.");
            Ok(())
        }
        Hive::Stopped(hive) => {
            hive.close();
            Err(std::io::Error::other(
                "the server does not run; `skep` prints a link when it starts",
            )
            .into())
        }
    }
}
