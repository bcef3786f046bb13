//! A small HTTP/1.1 client: one connection for each call, and nothing between a test and the bytes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, contract};

/// The verbs of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// A request that is being put together.
#[derive(Debug, Clone)]
pub struct Call {
    address: SocketAddr,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    pub fn new(address: SocketAddr, method: Method, path: &str) -> Self {
        Self {
            address,
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header; one of the same name is replaced.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", content_type)
    }

    /// A form with one file in it.
    pub fn file(self, field: &str, name: &str, content: &[u8]) -> Self {
        const BOUNDARY: &str = "------------------------it";
        let mut form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        form.extend_from_slice(content);
        form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        self.body(&format!("multipart/form-data; boundary={BOUNDARY}"), form)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method.as_str(), self.path);
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        if !has("Host") {
            let _ = write!(head, "Host: {}\r\n", self.address);
        }
        if !has("Content-Length") && !has("Transfer-Encoding") && !self.body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        head
    }

    /// Sends it and reads the whole answer. `Err` is a connection that broke before there was one.
    pub async fn try_send(self) -> std::io::Result<Answer> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        self.send_over(socket).await
    }

    /// Sends it over a connection that is there, such as one with TLS.
    pub async fn send_over(
        self,
        socket: impl AsyncRead + AsyncWrite + Unpin,
    ) -> std::io::Result<Answer> {
        let mut bytes = self.head().into_bytes();
        bytes.extend_from_slice(&self.body);
        // A server that refuses early answers before it has read everything; its answer is what counts.
        let (mut reader, mut writer) = tokio::io::split(socket);
        let write = async {
            let _ = writer.write_all(&bytes).await;
            std::future::pending::<()>().await;
        };
        let read = Answer::read(&mut reader, self.method == Method::Head);
        let answer = tokio::select! {
            answer = read => answer?,
            () = write => unreachable!("pending"),
        };
        let has_body = self.method != Method::Head;
        contract::judge(self.method.as_str(), &self.path, &answer, has_body);
        Ok(answer)
    }

    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method.as_str(), self.path);
        match timeout(PATIENCE, self.try_send()).await {
            Ok(Ok(answer)) => Answer { what, ..answer },
            Ok(Err(error)) => panic!("{what}: {error}"),
            Err(_) => panic!("{what}: no answer within {PATIENCE:?}"),
        }
    }

    /// Sends it and leaves the answer's body to be read piece by piece.
    pub async fn open(self) -> (Answer, Body) {
        let what = format!("{} {}", self.method.as_str(), self.path);
        match self.try_open().await {
            Ok((answer, body)) => (Answer { what, ..answer }, body),
            Err(error) => panic!("{what}: {error}"),
        }
    }

    /// The same, for who expects that nobody may be there.
    pub async fn try_open(self) -> std::io::Result<(Answer, Body)> {
        let opened = async {
            let mut socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            socket.write_all(self.head().as_bytes()).await?;
            socket.write_all(&self.body).await?;
            let mut reader = Reader {
                source: socket,
                buffer: Vec::new(),
            };
            let answer = Answer::read_head(&mut reader).await?;
            Ok::<_, std::io::Error>((answer, reader))
        };
        let (answer, reader) = timeout(PATIENCE, opened)
            .await
            .map_err(|_| std::io::Error::other(format!("no answer within {PATIENCE:?}")))??;
        contract::judge(self.method.as_str(), &self.path, &answer, false);
        let body = Body::new(reader, &answer, false);
        Ok((answer, body))
    }
}

/// Sends bytes as they are, says that nothing more comes, and reads until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let spoken = async {
        let mut socket = TcpStream::connect(address).await?;
        let (mut reader, mut writer) = socket.split();
        let write = async {
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = reader.read_to_end(&mut answer) => read.map(|_| ()),
            () = write => Ok(()),
        }
    };
    // A reset after the answer is fine; what counts is what was read.
    let _ = timeout(PATIENCE, spoken)
        .await
        .expect("the server closes the connection");
    answer
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub what: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    async fn read(source: &mut (impl AsyncRead + Unpin), no_body: bool) -> std::io::Result<Self> {
        let mut reader = Reader {
            source,
            buffer: Vec::new(),
        };
        let mut answer = Self::read_head(&mut reader).await?;
        let mut body = Body::new(reader, &answer, no_body);
        while let Some(piece) = body.next().await? {
            answer.body.extend_from_slice(&piece);
        }
        Ok(answer)
    }

    async fn read_head(reader: &mut Reader<impl AsyncRead + Unpin>) -> std::io::Result<Self> {
        loop {
            let first = reader.line().await?;
            let status: u16 = first
                .split(' ')
                .nth(1)
                .and_then(|word| word.parse().ok())
                .ok_or_else(|| std::io::Error::other(format!("not a status line: {first:?}")))?;
            let mut headers = Vec::new();
            loop {
                let line = reader.line().await?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            if status != 100 {
                return Ok(Self {
                    what: String::new(),
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
        }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter();
        named
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every header of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer itself, when its status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text());
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{}",
            self.what
        );
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text()))
    }

    /// Checks that this is an error as every layer answers it, and says its status and code.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let body = unwrapped(self.json());
        let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
        for field in ["error", "message", "details", "requestId"] {
            assert!(
                body.get(field).is_some(),
                "{}: no {field} among {fields:?}",
                self.what
            );
        }
        assert!(
            self.status >= 400,
            "{}: {} is no refusal",
            self.what,
            self.status
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{body}"
        );
        assert_eq!(
            Some(body["requestId"].as_str().expect("text")),
            self.header("x-request-id")
        );
        if self.status == 401 {
            assert_eq!(
                self.header("www-authenticate"),
                Some("Bearer"),
                "{}",
                self.what
            );
        }
        if matches!(self.status, 429 | 503) {
            let seconds = self.header("retry-after").expect("Retry-After");
            assert!(
                seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0),
                "{seconds}"
            );
        }
        (
            self.status,
            body["error"].as_str().expect("a code").to_owned(),
        )
    }

    /// Checks that this is that refusal.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.refusal(),
            (status, code.to_owned()),
            "{}: {}",
            self.what,
            self.text()
        );
        self.json()
    }

    /// The fields that a 422 names.
    #[track_caller]
    pub fn invalid_fields(&self) -> Vec<String> {
        let body = self.refused(422, "validation_failed");
        let errors = body["details"]["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let field = |error: &Value| {
            assert!(error["message"].is_string(), "{body}");
            error["field"].as_str().expect("a field").to_owned()
        };
        errors.iter().map(field).collect()
    }

    /// The path of the next page.
    pub fn next_page(&self) -> Option<String> {
        let link = self
            .all("link")
            .find(|link| link.ends_with("rel=\"next\""))?;
        Some(link.trim_start_matches('<').split('>').next()?.to_owned())
    }

    /// What a `Set-Cookie` of this name sets: value and attributes.
    pub fn cookie(&self, prefix: &str) -> Option<(String, String, String)> {
        let line = self
            .all("set-cookie")
            .find(|line| line.starts_with(prefix))?;
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=')?;
        Some((
            name.to_owned(),
            value.to_owned(),
            attributes.trim().to_owned(),
        ))
    }
}

/// The rest of an answer, as it arrives.
pub struct Body<R = TcpStream> {
    reader: Reader<R>,
    left: Left,
}

enum Left {
    Nothing,
    Bytes(u64),
    Chunks,
    UntilClosed,
}

impl<R: AsyncRead + Unpin> Body<R> {
    fn new(reader: Reader<R>, answer: &Answer, no_body: bool) -> Self {
        let length = answer
            .header("content-length")
            .and_then(|text| text.parse().ok());
        let chunked = answer
            .header("transfer-encoding")
            .is_some_and(|coding| coding.contains("chunked"));
        let left = match length {
            _ if no_body || matches!(answer.status, 204 | 304) => Left::Nothing,
            _ if chunked => Left::Chunks,
            Some(length) => Left::Bytes(length),
            None => Left::UntilClosed,
        };
        Self { reader, left }
    }

    /// The next piece; `None` at the end. A body that ends before its time is an error.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        match &mut self.left {
            Left::Nothing | Left::Bytes(0) => Ok(None),
            Left::Bytes(left) => {
                let piece = self.reader.some(*left).await?;
                if piece.is_empty() {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                *left -= piece.len() as u64;
                Ok(Some(piece))
            }
            Left::UntilClosed => {
                let piece = self.reader.some(u64::MAX).await?;
                Ok((!piece.is_empty()).then_some(piece))
            }
            Left::Chunks => {
                let line = self.reader.line().await?;
                let length =
                    u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                        .map_err(std::io::Error::other)?;
                let mut chunk = Vec::new();
                while (chunk.len() as u64) < length {
                    let piece = self.reader.some(length - chunk.len() as u64).await?;
                    if piece.is_empty() {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                    chunk.extend(piece);
                }
                self.reader.line().await?;
                if length == 0 {
                    self.left = Left::Nothing;
                    return Ok(None);
                }
                Ok(Some(chunk))
            }
        }
    }
}

struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    async fn fill(&mut self) -> std::io::Result<usize> {
        let mut bytes = vec![0; 64 * 1024];
        let read = self.source.read(&mut bytes).await?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    async fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.fill().await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn some(&mut self, max: u64) -> std::io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        let length = self
            .buffer
            .len()
            .min(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(self.buffer.drain(..length).collect())
    }
}

/// The smallest body that says nothing, where only the route matters.
pub fn nothing() -> Value {
    json!({})
}

/// The facts of an error out of the form of another protocol: OpenAI's, JSON-RPC's.
fn unwrapped(body: Value) -> Value {
    let error = &body["error"];
    let (code, facts) = match &body["jsonrpc"] {
        Value::Null if error.is_object() => (&error["code"], error),
        Value::String(_) => (&error["data"]["error"], &error["data"]),
        _ => return body,
    };
    serde_json::json!({
        "error": code,
        "message": error["message"],
        "details": facts["details"],
        "requestId": facts["requestId"],
    })
}
