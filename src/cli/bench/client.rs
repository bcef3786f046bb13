//! A client that costs little: prepared requests over kept connections, and answers that are counted more than read.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is read at once.
const READ_BYTES: usize = 64 << 10;
/// The most an answer that is kept may have.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A server, and who we are there.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// The value of `Authorization`; empty for nobody.
    pub authorization: String,
}

impl Target {
    /// The bytes of a GET.
    pub fn get(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\n{}\r\n", self.headers()).into_bytes()
    }

    /// The bytes of a POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        self.with_body("POST", path, body)
    }

    fn with_body(&self, method: &str, path: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        let headers = self.headers();
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    fn headers(&self) -> String {
        let host = format!("Host: {}\r\n", self.address);
        match self.authorization.as_str() {
            "" => host,
            authorization => format!("{host}Authorization: {authorization}\r\n"),
        }
    }

    /// One request on a connection of its own, and the JSON it is answered with.
    pub async fn ask(&self, request: &[u8]) -> io::Result<Value> {
        let mut client = Client::connect(self.address).await?;
        client.json(request).await
    }
}

/// A kept connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and returns the body of its answer, which must be a good one.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (body, end) = loop {
            if let Some(found) = whole(&self.buffer)? {
                break found;
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("an answer that does not end"));
            }
            self.read().await?;
        };
        Ok(&self.buffer[body..end])
    }

    /// Sends a request and reads its answer as JSON.
    pub async fn json(&mut self, request: &[u8]) -> io::Result<Value> {
        let body = self.send(request).await?;
        serde_json::from_slice(body).map_err(io::Error::other)
    }

    /// Sends a request and reads its answer without keeping it; tells its length.
    pub async fn download(&mut self, request: &[u8]) -> io::Result<u64> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        let length = head
            .length
            .ok_or_else(|| io::Error::other("a download without a length"))?;
        let mut left = (length + head.bytes).saturating_sub(self.buffer.len());
        while left > 0 {
            self.buffer.clear();
            left = left.saturating_sub(self.read().await?);
        }
        Ok(length as u64)
    }

    /// The stream itself, and what was read of it already.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Sends the request for a stream and waits for its head and whatever comes with it.
    pub async fn open(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            self.read().await?;
            if let Some(head) = head(&self.buffer)?
                && memchr::memmem::find(&self.buffer[head.bytes..], b"\n\n").is_some()
            {
                return Ok(&self.buffer[head.bytes..]);
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

struct Head {
    bytes: usize,
    /// `None` is chunks.
    length: Option<usize>,
}

/// The head of an answer, once all of it is there.
fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..end]);
    if !text.starts_with("HTTP/1.1 2") {
        let all = String::from_utf8_lossy(bytes).into_owned();
        return Err(io::Error::other(all));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    // What has no body says so by its status.
    let is_empty = text.starts_with("HTTP/1.1 204");
    Ok(Some(Head {
        bytes: end + 4,
        length: if is_empty { Some(0) } else { length },
    }))
}

/// Where the body of an answer begins and ends, once all of it is there.
fn whole(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(head) = head(bytes)? else {
        return Ok(None);
    };
    Ok(match head.length {
        Some(length) if bytes.len() >= head.bytes + length => {
            Some((head.bytes, head.bytes + length))
        }
        None if bytes.ends_with(b"\r\n0\r\n\r\n") => Some((head.bytes, bytes.len())),
        _ => None,
    })
}
