//! Requests, as bytes on a connection to a real server of a few routes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skep::api::media::safe_name;
use skep::api::page::PageQuery;
use skep::api::streams::last_event_id;
use skep::http::{
    ApiError, Authenticate, CancellationToken, FileAnswer, Limits, Request, Response, Server, get,
    post,
};
use skep::model::SessionId;
use skep::store::Cursor;

const CONTENT: &[u8] = b"0123456789";
const UPLOAD_BYTES_MAX: u64 = 8 * 1024;
/// How long an input may say nothing before it is hung up on, and what no answer takes.
const BRIEF: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(15);
const BOUNDARY: &str = "----it";

/// Every header that an answer may have: a request must not be able to add one.
const HEADERS: &[&str] = &[
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "link",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
];

struct State;

impl Authenticate for State {
    type Caller = usize;

    fn authenticate(&self, _: &Request, token: Option<&str>) -> Result<usize, ApiError> {
        token.map(str::len).ok_or_else(ApiError::missing_token)
    }
}

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let routes = vec![
        get("/echo/{a}/{b}", echo).public(),
        get("/echo/{a}", echo).public(),
        get("/echo/fixed/last", echo).public(),
        get("/private", echo),
        get("/file/{name}", file).public(),
        post("/json", take_json).public(),
        post("/upload", upload)
            .public()
            .body_bytes_max(UPLOAD_BYTES_MAX),
    ];
    let limits = Limits {
        head_bytes_max: 8 * 1024,
        uri_bytes_max: 4 * 1024,
        ..Limits::default()
    };
    let server = Server::new(Arc::new(State), routes).limits(limits);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            server.serve(listener, CancellationToken::new()).await
        })
    });
    address
});

/// Says all that was understood of a request.
async fn echo(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let id: Option<SessionId> = req.path("a").ok();
    if let Some(id) = id {
        assert_eq!(id.to_string().parse().ok(), Some(id));
    }
    let number: Result<Option<u64>, _> = req.query("n");
    if let Err(error) = &number {
        assert!(error.message().len() < 512, "{}", error.message());
    }
    let page = PageQuery::of(&req);
    if let Ok(page) = &page {
        assert!((1..=1000).contains(&page.limit));
        if let Some(cursor) = page.cursor {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }
    let page = page.map(|page| page.limit).ok();
    Ok(Response::ok(&json!({
        "a": req.path::<String>("a").ok(),
        "b": req.path::<String>("b").ok(),
        "q": req.query_text("q"),
        "cookie": req.cookie("c"),
        "token": req.token().ok(),
        "last_event": last_event_id(&req).ok().flatten(),
        "page": page,
        "id": req.id().as_str(),
    })))
}

async fn file(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let name: String = req.path("name")?;
    let file = tempfile::tempfile().map_err(ApiError::internal)?;
    (&file).write_all(CONTENT).map_err(ApiError::internal)?;
    FileAnswer::new(file, CONTENT.len() as u64, "text/plain")
        .etag("a")
        .attachment(&name)
        .answer(&req)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    name: String,
    count: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
    inner: Option<Box<Thing>>,
}

async fn take_json(_: Arc<State>, mut req: Request) -> Result<Response, ApiError> {
    let thing: Thing = req.json().await?;
    let written = serde_json::to_vec(&thing).map_err(ApiError::internal)?;
    let again: Thing = serde_json::from_slice(&written).map_err(ApiError::internal)?;
    assert_eq!(again, thing);
    Ok(Response::ok(&thing))
}

async fn upload(_: Arc<State>, mut req: Request) -> Result<Response, ApiError> {
    let mut found = Vec::new();
    let mut parts = req.multipart()?;
    while let Some(mut part) = parts.next_field().await? {
        let name = safe_name(part.file_name().unwrap_or_default());
        assert_safe(&name);
        let mut bytes = 0;
        while let Some(chunk) = part.chunk().await? {
            bytes += chunk.len();
        }
        found.push(json!({ "name": name, "bytes": bytes }));
    }
    Ok(Response::ok(&found))
}

/// A name that is nothing but a name, and stays the same when it is sent back.
fn assert_safe(name: &str) {
    assert!(!name.is_empty() && name.len() <= 255, "{name:?}");
    assert!(!name.starts_with(['.', '-', ' ']), "{name:?}");
    assert!(
        !name.contains(['/', '\\', '\0', '\n', '\r', '"']),
        "{name:?}"
    );
    assert!(!name.chars().any(char::is_control), "{name:?}");
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    assert!(
        !["con", "prn", "aux", "nul"].contains(&stem.as_str()),
        "{name:?}"
    );
}

/// Any bytes on a connection: every answer is a whole one in the form of all answers, none is a failure of ours, and
/// nothing that was sent becomes a header.
pub fn requests(bytes: &[u8]) {
    // Most inputs then end by themselves; one that swallows this is hung up on.
    let mut sent = bytes.to_vec();
    sent.extend_from_slice(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (answer, hung_up) = spoken(&sent, BRIEF);
    let mut rest = answer.as_slice();
    let mut answers = 0;
    while !rest.is_empty() {
        match check(rest, bytes) {
            Some(after) => rest = after,
            // It is broken off where the client hangs up.
            None if hung_up => break,
            None => panic!("cut off: {:?} to {:?}", shown(rest), shown(bytes)),
        }
        answers += 1;
        assert!(answers <= sent.len() / 8, "more answers than requests");
    }
}

/// A form of any content: it is taken or refused, and what is taken was sent.
pub fn multipart(bytes: &[u8]) {
    let mut form = Vec::new();
    // A line break in the input stands for the boundary, or the fuzzer would spend its time on finding it.
    for (at, part) in bytes.split(|byte| *byte == 0xff).enumerate() {
        if at > 0 {
            form.extend_from_slice(format!("\r\n--{BOUNDARY}").as_bytes());
        }
        form.extend_from_slice(part);
    }
    let mut request = format!(
        "POST /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        form.len()
    )
    .into_bytes();
    request.extend_from_slice(&form);
    let (status, body) = one(&request);
    assert!([200, 400, 413].contains(&status), "{status}");
    if status == 200 {
        let parts: Value = serde_json::from_slice(&body).expect("JSON");
        let taken: u64 = parts
            .as_array()
            .expect("a list")
            .iter()
            .map(|part| part["bytes"].as_u64().expect("a number"))
            .sum();
        assert!(taken <= form.len() as u64, "more than was sent");
    }
}

/// A path, a query and headers of any text: what is understood of them is what they say.
pub fn query(bytes: &[u8]) {
    let mut fields = bytes.split(|byte| *byte == b'\n');
    let mut next = || fields.next().unwrap_or_default();
    let (path, value, header) = (next(), next(), next());
    let encoded =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("%{byte:02x}")).collect() };
    let mut request = b"GET /echo/".to_vec();
    request.extend_from_slice(encoded(path).as_bytes());
    request.extend_from_slice(b"?x=1&q=");
    request.extend_from_slice(encoded(value).as_bytes());
    request.extend_from_slice(b"&");
    request.extend_from_slice(value);
    request.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for name in [
        "Cookie",
        "Last-Event-ID",
        "Authorization",
        "X-Request-Id",
        "Accept-Encoding",
    ] {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend(
            header
                .iter()
                .filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)),
        );
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let (status, body) = one(&request);
    match status {
        200 => {
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let path = String::from_utf8(path.to_vec()).expect("only text is a path");
            assert_eq!(body["a"], path);
            assert_eq!(body["q"], String::from_utf8_lossy(value).as_ref());
            let last = body["last_event"].as_u64();
            assert_eq!(last.is_none(), body["last_event"].is_null());
            let id = body["id"].as_str().expect("an id");
            assert!((1..=128).contains(&id.len()));
        }
        // No text; nothing at all; no request; too long.
        404 => assert!(path.is_empty() || String::from_utf8(path.to_vec()).is_err()),
        400 | 414 | 431 => {}
        other => panic!("{other}"),
    }
}

/// Says these bytes and reads until the server closes, and whether it had to be hung up on to do so.
fn spoken(bytes: &[u8], patience: Duration) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(*ADDRESS).expect("the server listens");
    stream.set_read_timeout(Some(patience)).expect("a socket");
    // A server that refuses early closes before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut hung_up = false;
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (answer, hung_up),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset => return (answer, hung_up),
                // libFuzzer's own clock.
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut if !hung_up => {
                    hung_up = true;
                    let _ = stream.shutdown(Shutdown::Write);
                    stream.set_read_timeout(Some(LONG)).expect("a socket");
                }
                _ => panic!("{error} after {:?}", shown(bytes)),
            },
        }
    }
}

/// The only answer: its status and its body.
fn one(request: &[u8]) -> (u16, Vec<u8>) {
    let (answer, _) = spoken(request, LONG);
    let rest = check(&answer, request);
    assert_eq!(rest, Some(&[][..]), "one answer to {:?}", shown(request));
    let head = head_end(&answer).expect("a head");
    let status = std::str::from_utf8(&answer[9..12]).expect("text");
    (status.parse().expect("a status"), answer[head..].to_vec())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(at + 4)
}

/// Checks one answer and returns what follows it; `None` when it is not all there.
fn check<'a>(bytes: &'a [u8], request: &[u8]) -> Option<&'a [u8]> {
    let end = head_end(bytes)?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let mut lines = head.trim_end().split("\r\n");
    let status: u16 = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5)?.parse().ok())
        .unwrap_or_else(|| panic!("no status: {head:?} to {:?}", shown(request)));
    if status == 100 {
        return Some(&bytes[end..]);
    }
    assert!(status < 500, "{head:?} to {:?}", shown(request));
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    for (name, _) in &headers {
        assert!(HEADERS.contains(name), "{name:?} to {:?}", shown(request));
    }
    let header = |name: &str| {
        let mut found = headers.iter().filter(|(known, _)| *known == name);
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none() || name == "vary", "{name} twice");
        value
    };
    let id = header("x-request-id").expect("a request id");
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!(
        (1..=128).contains(&id.len()) && id.bytes().all(is_harmless),
        "{id:?}"
    );
    assert_eq!(header("x-content-type-options"), Some("nosniff"));

    let rest = &bytes[end..];
    if matches!(status, 204 | 304) {
        return Some(rest);
    }
    let length: usize = header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no length: {head:?}"));
    // The answer to `HEAD` has the length of a body that does not come.
    let asks_for_heads = request.windows(4).any(|window| window == b"HEAD");
    if asks_for_heads && (rest.is_empty() || rest.starts_with(b"HTTP/1.")) {
        return Some(rest);
    }
    let body = rest.get(..length)?;
    if status >= 400 && header("content-encoding").is_none() {
        let error: Value = serde_json::from_slice(body).expect("an error is JSON");
        assert_eq!(error["requestId"], id);
        assert!(error["error"].is_string() && error["message"].is_string());
    }
    Some(&rest[length..])
}
