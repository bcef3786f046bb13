//! `skep mcp`: the tools for clients that start a program and speak the Model Context Protocol over its pipes.
//!
//! It understands nothing of the protocol but where a message ends and whether it waits for an answer: each line goes to
//! `/mcp` of the running server, and what that answers is a line again. Messages are on their way at the same time, since
//! a tool may take long.

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde_json::{Value, json};

use super::control::{self, ControlError};
use super::hive::{self, HiveError};
use crate::data_dir::FileIdentity;
use crate::engine::mcp::{TOKEN_VARIABLE, TOOL_TIMEOUT_S, URL_VARIABLE};
use crate::run::Control;

/// The longest message; the server takes no longer ones.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Messages that are on their way at once; more wait on standard input.
const AT_ONCE_MAX: usize = 16;
/// How long an answer may take: a tool may ask a worker.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(TOOL_TIMEOUT_S);

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const INTERNAL_ERROR: i64 = -32_603;

/// Passes messages on until standard input ends, and the last answer has come.
pub fn bridge(data: Option<PathBuf>) -> Result<(), HiveError> {
    // Whoever starts it wants to know at once that there is nobody to talk to.
    let mut server = find(data.clone())?;
    let (enter, leave) = sync_channel::<()>(AT_ONCE_MAX);
    let leave = std::sync::Mutex::new(leave);
    let mut input = io::stdin().lock();
    std::thread::scope(|scope| {
        loop {
            let line = match next_line(&mut input)? {
                None => return Ok(()),
                Some(Err(why)) => {
                    say(&refusal(&Value::Null, INVALID_REQUEST, why))?;
                    continue;
                }
                Some(Ok(line)) if line.trim_ascii().is_empty() => continue,
                Some(Ok(line)) => line,
            };
            let message: Value = match serde_json::from_slice(&line) {
                Ok(message) => message,
                Err(error) => {
                    say(&refusal(&Value::Null, PARSE_ERROR, &error.to_string()))?;
                    continue;
                }
            };
            if !message.is_object() {
                let why = "a message is a JSON object; batches are not spoken here";
                say(&refusal(&Value::Null, INVALID_REQUEST, why))?;
                continue;
            }
            // A server that was restarted is another one.
            if let Ok(found) = find(data.clone()) {
                server = found;
            }
            let (server, leave) = (server.clone(), &leave);
            // There is always somebody who takes it out again.
            let _ = enter.send(());
            scope.spawn(move || {
                if let Some(answer) = passed_on(&server, &message) {
                    // The reader sees that nobody listens when its input ends.
                    let _ = say(&answer);
                }
                let leave = leave.lock();
                let _ = leave
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .recv();
            });
        }
    })
}

/// The server, and the key to it: what the environment says (an engine's own, or an API key), else the data directory.
fn find(data: Option<PathBuf>) -> Result<Control, HiveError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let token = variable(TOKEN_VARIABLE);
    let server = match (variable(URL_VARIABLE), &token) {
        (Some(url), Some(token)) => Control {
            pid: 0,
            address: address(&url).ok_or_else(|| {
                io::Error::other(format!("{URL_VARIABLE} is not http://ADDRESS:PORT/mcp"))
            })?,
            tls: false,
            key: token.clone(),
            directory: FileIdentity::of(Path::new("/"))?,
        },
        _ => hive::running(data)?,
    };
    Ok(match token {
        Some(key) => Control { key, ..server },
        None => server,
    })
}

fn address(url: &str) -> Option<SocketAddr> {
    let rest = url.strip_prefix("http://")?.strip_suffix("/mcp")?;
    rest.parse().ok()
}

/// The next line; `Err`: it is too long, and was passed over.
#[allow(clippy::type_complexity)]
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, &'static str>>> {
    let mut line = Vec::new();
    let read = input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") || (line.len() as u64) < LINE_BYTES_MAX {
        return Ok(Some(Ok(line)));
    }
    loop {
        line.clear();
        let read = input
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 || line.ends_with(b"\n") {
            return Ok(Some(Err("a message may have at most 1 MiB")));
        }
    }
}

/// The server's answer to a message; `None`: it waits for none.
fn passed_on(server: &Control, message: &Value) -> Option<Value> {
    let id = &message["id"];
    let answered = control::exchange(server, "POST", "/mcp", Some(message), ANSWER_TIMEOUT);
    if id.is_null() {
        return None;
    }
    Some(match answered {
        Ok((_, mut answer)) if answer["jsonrpc"] == "2.0" => {
            // What is refused before it is read has no id.
            answer["id"] = id.clone();
            answer
        }
        // It was no request, though it has an id: an answer to what was never asked.
        Ok((202, _)) => return None,
        Ok((status, _)) => refusal(id, INTERNAL_ERROR, &format!("the server answered {status}")),
        Err(error @ ControlError::Io { .. }) => {
            let why = format!("{error}; `skep` starts it");
            refusal(id, INTERNAL_ERROR, &why)
        }
        Err(error) => refusal(id, INTERNAL_ERROR, &error.to_string()),
    })
}

fn refusal(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn say(answer: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{answer}\n").as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(usize::try_from(LINE_BYTES_MAX).unwrap());
        let whole = format!("{}\n", &long[1..]);
        let text = format!("a\n{whole}{long}{long}\nb");
        let mut input = io::Cursor::new(text.into_bytes());
        let mut next = || next_line(&mut input).unwrap();
        assert_eq!(next().unwrap().unwrap(), b"a\n");
        assert_eq!(next().unwrap().unwrap().len(), long.len());
        assert!(next().unwrap().is_err());
        assert_eq!(next().unwrap().unwrap(), b"b");
        assert!(next().is_none());
    }

    #[test]
    fn the_variable_names_an_address() {
        assert!(address("http://127.0.0.1:80/mcp").is_some());
        for bad in [
            "",
            "https://127.0.0.1:80/mcp",
            "http://host/mcp",
            "http://127.0.0.1:80",
        ] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
