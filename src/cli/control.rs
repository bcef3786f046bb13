//! The connection to the running server: `control.json` says where it is and holds the key to it.
//!
//! One request, one connection, over loopback or whatever address the server listens on. Everything read is bounded.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::data_dir::FileIdentity;
use crate::run::Control;

use super::control_tls::secured;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the answer may take: a purge writes a snapshot of everything first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// The most that is read of `control.json`.
const CONTROL_BYTES_MAX: u64 = 4096;
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Why the server could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The connection failed.
    #[error("the server at {address} does not answer: {source}; restart it if it hangs")]
    Io {
        /// Where it should be.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What came back is no answer of Skep.
    #[error("the server at {address} did not answer as Skep does")]
    NotAnAnswer {
        /// Where it should be.
        address: SocketAddr,
    },
    /// The server said no; the sentence is its own.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
    },
}

/// The server that has the data directory at `root`, as far as `control.json` says. The caller knows that some process
/// holds the lock: a key is never sent to whoever got the address of a server that died.
pub fn read(root: &Path) -> Option<Control> {
    let mut text = Vec::new();
    let file = std::fs::File::open(root.join("control.json")).ok()?;
    file.take(CONTROL_BYTES_MAX).read_to_end(&mut text).ok()?;
    let control: Control = serde_json::from_slice(&text).ok()?;
    // In a copy of the directory the file is another server's.
    (control.directory == FileIdentity::of(root).ok()?).then_some(control)
}

/// Asks the server; its answer is JSON.
pub fn ask(
    control: &Control,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ControlError> {
    let (status, body) = exchange(control, method, path, body, ANSWER_TIMEOUT)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let message = body["message"].as_str();
    Err(ControlError::Refused {
        message: message.map_or_else(|| format!("the server answered {status}"), str::to_owned),
    })
}

/// Asks the server and takes its answer as it is: the status and the JSON.
pub fn exchange(
    control: &Control,
    method: &str,
    path: &str,
    body: Option<&Value>,
    answer_timeout: Duration,
) -> Result<(u16, Value), ControlError> {
    let address = reachable(control.address);
    let io = |source| ControlError::Io { address, source };
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(io)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(io)?;
    stream.set_read_timeout(Some(answer_timeout)).map_err(io)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        control.key,
        body.len()
    );
    let answer = match control.tls {
        false => over(stream, &request),
        true => secured(stream, address.ip()).and_then(|stream| over(stream, &request)),
    }
    .map_err(io)?;
    parse(&answer).ok_or(ControlError::NotAnAnswer { address })
}

fn over(mut stream: impl Read + Write, request: &str) -> io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// A server that listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Status and JSON body of a whole answer; `None` for anything else, a cut one too.
fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let mut status_line = lines.next()?.splitn(3, ' ');
    if status_line.next()? != "HTTP/1.1" {
        return None;
    }
    let status = status_line.next()?.parse().ok()?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(body.len()), |(_, value)| value.trim().parse().ok())?;
    if body.len() != length {
        return None;
    }
    let body = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(body).ok()?,
    };
    Some((status, body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_whole_answer_is_read_and_anything_else_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 8\r\n\r\n{\"a\": 1}";
        let (status, body) = parse(whole).unwrap();
        assert_eq!((status, body["a"].as_u64()), (200, Some(1)));
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_none(), "{end}");
        }
        for other in [
            "HTTP/1.0 200 OK\r\n\r\n{}",
            "HTTP/1.1 x OK\r\n\r\n{}",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n<html>",
        ] {
            assert!(parse(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_loopback() {
        for (listens, reached) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
