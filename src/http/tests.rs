//! The whole of `http` over real sockets, spoken to in raw bytes, as a hostile client would.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the handlers of these tests share.
struct State {
    /// What happens inside handlers, in order.
    seen: mpsc::UnboundedSender<&'static str>,
    /// Lets waiting handlers go on.
    go: Notify,
}

#[derive(Clone)]
struct Caller(String);

impl Authenticate for State {
    type Caller = Caller;

    fn authenticate(&self, req: &Request, token: Option<&str>) -> Result<Caller, ApiError> {
        match token.or(req.cookie("session")) {
            None => Err(ApiError::missing_token()),
            Some("old") => Err(ApiError::expired_token()),
            Some(token) if token.starts_with("good") => Ok(Caller(token.to_owned())),
            Some(_) => Err(ApiError::invalid_token()),
        }
    }
}

fn routes() -> Vec<Route<State>> {
    vec![
        get("/hello", hello).public(),
        get("/things/{id}", get_thing),
        post("/things", create_thing),
        get("/picture", who).cookie(),
        get("/who", who),
        get("/large", large).public(),
        get("/panic", panics).public(),
        post("/panic", panics).public(),
        get("/broken", broken).public(),
        post("/wait", wait).public(),
        post("/small", upload).public().body_bytes_max(10),
        post("/upload", upload_file).public().body_bytes_max(1000),
        get("/events", events).public(),
        get("/disguised", disguised).public(),
        get("/file", file).public(),
        get("/flood", flood).public(),
        get("/old/{id}", get_thing).deprecated(
            1_767_225_600,
            "Fri, 01 Jan 2027 00:00:00 GMT",
            "https://hive.example/why",
        ),
    ]
}

async fn hello(_: Arc<State>, _: Request) -> Result<Response, ApiError> {
    Ok(Response::text("hello"))
}

async fn get_thing(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let id: u32 = req.path("id")?;
    let limit: Option<u16> = req.query("limit")?;
    Ok(Response::ok(&json!({ "id": id, "limit": limit })))
}

async fn create_thing(_: Arc<State>, mut req: Request) -> Result<Response, ApiError> {
    #[derive(serde::Deserialize)]
    struct NewThing {
        name: String,
    }
    let thing: NewThing = req.json().await?;
    if thing.name.is_empty() {
        return Err(ApiError::validation([("name", "must not be empty")]));
    }
    Ok(Response::created(
        "/things/1",
        &json!({ "name": thing.name }),
    ))
}

async fn who(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let caller = req.extension::<Caller>().unwrap();
    Ok(Response::ok(&json!({ "caller": caller.0 })))
}

async fn large(_: Arc<State>, _: Request) -> Result<Response, ApiError> {
    Ok(Response::ok(&vec!["all work and no play"; 1000]))
}

async fn panics(_: Arc<State>, _: Request) -> Result<Response, ApiError> {
    panic!("a secret of the handler");
}

async fn broken(_: Arc<State>, _: Request) -> Result<Response, ApiError> {
    Err(ApiError::internal("a secret of the disk"))
}

async fn wait(state: Arc<State>, _: Request) -> Result<Response, ApiError> {
    state.seen.send("started").unwrap();
    state.go.notified().await;
    state.seen.send("finished").unwrap();
    Ok(Response::no_content())
}

async fn upload(_: Arc<State>, mut req: Request) -> Result<Response, ApiError> {
    let length = req.bytes().await?.len();
    Ok(Response::ok(&json!({ "length": length })))
}

async fn upload_file(_: Arc<State>, mut req: Request) -> Result<Response, ApiError> {
    let mut fields = req.multipart()?;
    let mut lengths = Vec::new();
    while let Some(mut field) = fields.next_field().await? {
        let mut length = 0;
        while let Some(chunk) = field.chunk().await? {
            length += chunk.len();
        }
        lengths.push(length);
    }
    Ok(Response::ok(&lengths))
}

async fn events(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let first = stream::iter([sse::frame(Some("1"), None, "first")]);
    Ok(sse::respond(req.closing(), first.chain(stream::pending())))
}

/// What hyper says to a request it cannot parse, as somebody's text.
const DISGUISE: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\
    date: Sun, 22 Nov 2026 10:15:30 GMT\r\n\r\n";

async fn disguised(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    match req.query::<u8>("way")? {
        Some(1) => Ok(
            Response::stream("text/plain", stream::iter([Ok(Bytes::from(DISGUISE))])).with_header(
                hyper::header::CONTENT_LENGTH,
                hyper::header::HeaderValue::from(DISGUISE.len()),
            ),
        ),
        _ => Ok(Response::text(DISGUISE)),
    }
}

async fn flood(state: Arc<State>, _: Request) -> Result<Response, ApiError> {
    struct Flood(Arc<State>, Bytes);
    impl Drop for Flood {
        fn drop(&mut self) {
            self.0.seen.send("dropped").unwrap();
        }
    }
    let flood = Flood(state, Bytes::from(vec![b'a'; 64 * 1024]));
    let chunks = stream::repeat_with(move || Ok(flood.1.clone()));
    Ok(Response::stream("text/plain", chunks))
}

async fn file(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"0123456789").unwrap();
    FileAnswer::new(file, 10, "text/plain")
        .etag("v1")
        .modified("2026-11-22T10:15:30Z".parse().unwrap())
        .cache_control("public, max-age=3600, immutable")
        .attachment("a b.txt")
        .answer(&req)
}

#[derive(rust_embed::RustEmbed)]
#[folder = "src/http"]
struct Sources;

struct TestServer {
    address: SocketAddr,
    state: Arc<State>,
    seen: mpsc::UnboundedReceiver<&'static str>,
    closing: CancellationToken,
    task: JoinHandle<bool>,
}

impl TestServer {
    async fn start() -> TestServer {
        TestServer::start_with(|_| {}, Origins::default()).await
    }

    async fn start_with(change: impl FnOnce(&mut Limits), origins: Origins) -> TestServer {
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            seen: sender,
            go: Notify::new(),
        });
        let mut limits = Limits::default();
        change(&mut limits);
        let closing = CancellationToken::new();
        let server = Server::new(Arc::clone(&state), routes())
            .assets(Assets::of::<Sources>(&["/api"], ""))
            .origins(origins)
            .limits(limits);
        let task = tokio::spawn(server.serve(listener, closing.clone()));
        TestServer {
            address,
            state,
            seen,
            closing,
            task,
        }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends bytes on a connection of their own and reads one answer.
    async fn send(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.write(request).await;
        client.answer().await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
    }

    async fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"
        ))
        .await
    }

    async fn post(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n\
             Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn seen(&mut self) -> &'static str {
        timeout(PATIENCE, self.seen.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) -> bool {
        self.closing.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

struct Client(TcpStream);

impl Client {
    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the text ends so.
    async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8()).await.unwrap();
            text.push(byte.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&text))
            }));
        }
        String::from_utf8(text).unwrap()
    }

    async fn answer_to(&mut self, method: &str) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let mut lines = head.lines();
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
        };
        if let Some(length) = answer.header("content-length")
            && method != "HEAD"
        {
            answer.body = vec![0; length.parse().unwrap()];
            let read = self.0.read_exact(&mut answer.body);
            timeout(PATIENCE, read).await.unwrap().unwrap();
        }
        answer
    }

    async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// Whether the server closed its side and had nothing more to say.
    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .unwrap()
            .is_ok_and(|length| length == 0)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the form every refusal has, and its code.
    #[track_caller]
    fn is_refusal(&self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.status,
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        let body = self.json();
        assert_eq!(body["error"], code, "{body}");
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["details", "error", "message", "requestId"]);
        assert!(!body["message"].as_str().unwrap().is_empty());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("x-request-id"), body["requestId"].as_str());
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        let challenge = (status == 401).then_some("Bearer");
        assert_eq!(self.header("www-authenticate"), challenge);
        let comes_back = matches!(status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), comes_back);
        body
    }
}

#[tokio::test]
async fn every_refusal_has_the_same_form() {
    let server = TestServer::start().await;
    server.get("/api/none").await.is_refusal(404, "not_found");
    let missing = server.get("/who").await;
    missing.is_refusal(401, "missing_token");
    server
        .get("/who?token=bad")
        .await
        .is_refusal(401, "invalid_token");
    server
        .get("/who?token=old")
        .await
        .is_refusal(401, "expired_token");
    server
        .get("/things/x?token=good")
        .await
        .is_refusal(404, "not_found");
    let value = server.get("/things/1?token=good&limit=many").await;
    let body = value.is_refusal(400, "bad_request");
    assert!(body["message"].as_str().unwrap().contains("limit"));
    let other = server
        .send("PUT /things/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    other.is_refusal(405, "method_not_allowed");
    assert_eq!(other.header("allow"), Some("GET, HEAD"));
    let post = |content_type, body| server.post("/things", content_type, body);
    post("text/plain", "{}")
        .await
        .is_refusal(415, "unsupported_media_type");
    post("application/json", "{")
        .await
        .is_refusal(400, "invalid_json");
    post("application/json", "")
        .await
        .is_refusal(400, "invalid_json");
    let shape = post("application/json", "{\"name\":1}").await;
    assert_eq!(
        shape.is_refusal(400, "bad_request")["details"]["field"],
        "name"
    );
    let empty = post("application/json; charset=utf-8", "{\"name\":\"\"}").await;
    assert_eq!(
        empty.is_refusal(422, "validation_failed")["details"]["errors"][0],
        json!({ "field": "name", "message": "must not be empty" })
    );
}

#[tokio::test]
async fn good_requests_are_answered() {
    let server = TestServer::start().await;
    let answer = server.get("/hello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("date").is_some());
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    let created = server
        .post("/things", "application/json", "{\"name\":\"a\"}")
        .await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), Some("/things/1"));
    let thing = server.get("/things/7?token=good&limit=5&unknown=x").await;
    assert_eq!(thing.json(), json!({ "id": 7, "limit": 5 }));
}

#[tokio::test]
async fn the_header_wins_over_the_query_and_a_cookie_does_only_where_it_may() {
    let server = TestServer::start().await;
    let who = server
        .get_with("/who?token=good-query", "Authorization: bearer good-header")
        .await;
    assert_eq!(who.json()["caller"], "good-header");
    for header in ["Bearer bad", "Basic good", "Bearer ", "good"] {
        server
            .get_with("/who?token=good", &format!("Authorization: {header}"))
            .await
            .is_refusal(401, "invalid_token");
    }
    let cookie = "Cookie: a=1; session=good-cookie; b=2";
    let picture = server.get_with("/picture", cookie).await;
    assert_eq!(picture.json()["caller"], "good-cookie");
    server
        .get_with("/who", cookie)
        .await
        .is_refusal(401, "missing_token");
}

#[tokio::test]
async fn a_request_id_is_kept_if_harmless() {
    let server = TestServer::start().await;
    let kept = server
        .get_with("/api/none", "X-Request-Id: Trace-1.2_x")
        .await;
    assert_eq!(
        kept.is_refusal(404, "not_found")["requestId"],
        "Trace-1.2_x"
    );
    for hostile in ["a b", "a\"b", "{}", "\u{e9}", &"a".repeat(129)] {
        let answer = server
            .get_with("/hello", &format!("X-Request-Id: {hostile}"))
            .await;
        assert!(
            answer.header("x-request-id").unwrap().starts_with("req_2"),
            "{hostile}"
        );
    }
}

#[tokio::test]
async fn the_cause_of_a_failure_stays_inside() {
    let server = TestServer::start().await;
    for request in ["GET /panic", "POST /panic", "GET /broken"] {
        let answer = server
            .send(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        answer.is_refusal(500, "internal");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    assert_eq!(server.get("/hello").await.status, 200);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for path in ["/hello", "/api/none", "/large", "/error.rs", "/file"] {
        client
            .write(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let head = client.answer_to("HEAD").await;
        let get = server.get(path).await;
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "etag", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn options_names_the_methods() {
    let server = TestServer::start().await;
    let answer = server
        .send("OPTIONS /things HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("POST")));
}

#[tokio::test]
async fn a_deprecated_route_says_so_on_every_answer() {
    let server = TestServer::start().await;
    for (path, status) in [
        ("/old/1?token=good", 200),
        ("/old/x?token=good", 404),
        ("/old/1", 401),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("deprecation"), Some("@1767225600"));
        assert_eq!(
            answer.header("sunset"),
            Some("Fri, 01 Jan 2027 00:00:00 GMT")
        );
        assert_eq!(
            answer.header("link"),
            Some("<https://hive.example/why>; rel=\"deprecation\"")
        );
    }
}

/// What a log writes, for looking into.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line per request, with its id; no token in it, and the cause of a failure once.
#[tokio::test]
async fn the_log_names_each_request_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    // Everything in this test runs on this thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = TestServer::start().await;
    server
        .get_with("/who?token=good-query", "X-Request-Id: first")
        .await;
    server
        .get_with(
            "/who",
            "Authorization: Bearer good-header\r\nX-Request-Id: second",
        )
        .await;
    server
        .get_with("/broken?token=good-query", "X-Request-Id: third")
        .await;
    server.send("nonsense?token=good-query\r\n\r\n").await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("good-"), "{log}");
    for id in ["first", "second", "third"] {
        let line = format!("request.id={id}");
        let lines: Vec<&str> = log.lines().filter(|text| text.contains(&line)).collect();
        assert_eq!(lines.len(), if id == "third" { 2 } else { 1 }, "{log}");
        let last = lines.last().unwrap();
        assert!(last.contains("method=") && last.contains("duration_ms="));
    }
    assert_eq!(log.matches("a secret of the disk").count(), 1, "{log}");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
    let server = TestServer::start().await;
    let post = |body: &'static str| server.post("/small", "x/y", body);
    assert_eq!(post("0123456789").await.json()["length"], 10);
    let refused = post("0123456789a").await;
    assert_eq!(
        refused.is_refusal(413, "payload_too_large")["details"]["limit"],
        10
    );
    let chunked = |chunks: &str| {
        server.send(format!(
            "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ))
    };
    let exact = chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n").await;
    assert_eq!(exact.json()["length"], 10);
    chunked("5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n")
        .await
        .is_refusal(413, "payload_too_large");
    chunked("zz\r\n").await.is_refusal(400, "bad_request");
}

/// A client that only ever sends is told to stop and can read that it was.
#[tokio::test]
async fn a_body_without_end_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client
        .write("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let (mut reading, mut writing) = client.0.into_split();
    let sender = tokio::spawn(async move {
        let chunk = format!("8000\r\n{}\r\n", "a".repeat(0x8000));
        for _ in 0..2000 {
            if writing.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
    });
    let mut text = vec![0; 16];
    timeout(PATIENCE, reading.read_exact(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert!(text.starts_with(b"HTTP/1.1 413"));
    drop(reading);
    timeout(PATIENCE, sender).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let limits = |limits: &mut Limits| limits.body_chunk = Duration::from_millis(50);
    let server = TestServer::start_with(limits, Origins::default()).await;
    let stalled = "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab";
    let body = server.send(stalled).await.is_refusal(400, "bad_request");
    assert!(body["message"].as_str().unwrap().contains("in time"));
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
    let server = TestServer::start().await;
    let upload = |bytes: usize| {
        let body = format!(
            "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n--B--\r\n",
            "a".repeat(bytes)
        );
        let server = &server;
        async move {
            server
                .post("/upload", "multipart/form-data; boundary=B", &body)
                .await
        }
    };
    assert_eq!(upload(1000).await.json(), json!([1000]));
    upload(1001).await.is_refusal(413, "payload_too_large");
    upload(1_000_000).await.is_refusal(413, "payload_too_large");
    server
        .post("/upload", "multipart/form-data", "x")
        .await
        .is_refusal(415, "unsupported_media_type");
    server
        .post(
            "/upload",
            "multipart/form-data; boundary=B",
            "--B\r\nnonsense",
        )
        .await
        .is_refusal(400, "bad_request");
}

fn with_small_head(limits: &mut Limits) {
    limits.head_bytes_max = 1000;
    limits.uri_bytes_max = 100;
}

#[tokio::test]
async fn a_head_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
    let server = TestServer::start_with(with_small_head, Origins::default()).await;
    let head = |bytes: usize| {
        let start = "GET /hello HTTP/1.1\r\nHost: x\r\nX-Fill: ";
        format!("{start}{}\r\n\r\n", "a".repeat(bytes - start.len() - 4))
    };
    assert_eq!(server.send(head(1000)).await.status, 200);
    server
        .send(head(1001))
        .await
        .is_refusal(431, "headers_too_large");
    server
        .send(head(100_000))
        .await
        .is_refusal(431, "headers_too_large");
    let large = |limits: &mut Limits| limits.head_bytes_max = 600_000;
    let large = TestServer::start_with(large, Origins::default()).await;
    assert_eq!(large.send(head(600_000)).await.status, 200);
    large
        .send(head(600_001))
        .await
        .is_refusal(431, "headers_too_large");
    let many = format!("GET /hello HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(101));
    server.send(many).await.is_refusal(431, "headers_too_large");
}

#[tokio::test]
async fn an_address_of_exactly_the_limit_passes_and_one_more_byte_does_not() {
    let server = TestServer::start_with(with_small_head, Origins::default()).await;
    let path = |bytes: usize| format!("/hello?{}", "a".repeat(bytes - 7));
    assert_eq!(server.get(&path(100)).await.status, 200);
    for bytes in [101, 900, 2000, 70_000] {
        let answer = server.get(&path(bytes)).await;
        answer.is_refusal(414, "uri_too_long");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_like_anything_else() {
    let server = TestServer::start().await;
    for nonsense in [
        &b"nonsense\r\n\r\n"[..],
        b"GET /hello HTTP/9.9\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"GET /hel\x01lo HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff\xff\xff\xff\xff",
        b"GET /hello HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ] {
        let answer = server.send(nonsense).await;
        answer.is_refusal(400, "bad_request");
    }
}

/// A request that cannot be parsed spoils neither the answers before it nor their order.
#[tokio::test]
async fn a_broken_request_after_a_good_one_is_answered_in_turn() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client
        .write("GET /hello HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "hello");
    client.answer().await.is_refusal(400, "bad_request");
    assert!(client.is_closed().await);
}

/// A body that looks exactly like hyper's own error answer is somebody's text and arrives as it is.
#[tokio::test]
async fn a_body_that_looks_like_an_error_is_left_alone() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    for way in [0, 1, 0, 1] {
        client
            .write(format!(
                "GET /disguised?way={way} HTTP/1.1\r\nHost: x\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, DISGUISE));
    }
    let last = "GET /disguised HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    client.write(last).await;
    assert_eq!(client.answer().await.text(), DISGUISE);
    assert!(client.is_closed().await);
    let mut client = server.connect().await;
    client
        .write("GET /disguised?way=1 HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), DISGUISE);
    client.answer().await.is_refusal(400, "bad_request");
}

#[tokio::test]
async fn a_slow_head_is_told_so_and_an_idle_connection_just_closed() {
    let limits = |limits: &mut Limits| limits.head = Duration::from_millis(50);
    let server = TestServer::start_with(limits, Origins::default()).await;
    let mut slow = server.connect().await;
    slow.write("GET /hello HTTP/1.1\r\nHo").await;
    let body = slow.answer().await.is_refusal(400, "bad_request");
    assert!(body["message"].as_str().unwrap().contains("in time"));
    assert!(slow.is_closed().await);
    let mut idle = server.connect().await;
    idle.write("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    assert!(idle.is_closed().await);
}

/// Who asks for much and reads nothing holds a connection no longer than the limit, and no memory.
#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let limits = |limits: &mut Limits| limits.write_stall = Duration::from_millis(100);
    let mut server = TestServer::start_with(limits, Origins::default()).await;
    let mut client = server.connect().await;
    client.write("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(server.seen().await, "dropped");
    assert!(server.stop().await);
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused_before_any_work() {
    let origins = Origins {
        allowed: vec!["https://app.example".to_owned()],
        loopback_only: true,
        ..Origins::default()
    };
    let server = TestServer::start_with(|_| {}, origins).await;
    let address = server.address;
    let get = |headers: &str| {
        server.send(format!(
            "GET /hello HTTP/1.1\r\n{headers}\r\nX-Request-Id: a\r\n\r\n"
        ))
    };
    get("Host: evil.example")
        .await
        .is_refusal(403, "host_not_allowed");
    server
        .send("GET http://evil.example/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .is_refusal(403, "host_not_allowed");
    let own = get(&format!("Host: {address}\r\nOrigin: http://{address}")).await;
    assert_eq!(own.status, 200);
    assert_eq!(own.header("access-control-allow-origin"), None);
    get("Host: localhost\r\nOrigin: https://evil.example")
        .await
        .is_refusal(403, "origin_not_allowed");
    let allowed = get("Host: localhost\r\nOrigin: https://app.example").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(
        allowed
            .header("access-control-expose-headers")
            .unwrap()
            .contains("Retry-After")
    );
    let policy = allowed.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'self' https://app.example"));
    let preflight = |origin: &str| {
        server.send(format!(
            "OPTIONS /things HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\n\r\n"
        ))
    };
    let answer = preflight("https://app.example").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    let headers = answer.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("Idempotency-Key") && headers.contains("Last-Event-ID"));
    preflight("https://evil.example")
        .await
        .is_refusal(403, "origin_not_allowed");
}

#[tokio::test]
async fn text_is_compressed_when_it_is_large_and_welcome() {
    let server = TestServer::start().await;
    let plain = server.get("/large").await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    let brotli = server
        .get_with("/large", "Accept-Encoding: gzip, deflate, br")
        .await;
    assert_eq!(brotli.header("content-encoding"), Some("br"));
    let mut back = Vec::new();
    brotli::Decompressor::new(&brotli.body[..], 4096)
        .read_to_end(&mut back)
        .unwrap();
    assert!(back == plain.body);
    let gzip = server.get_with("/large", "Accept-Encoding: gzip").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut back = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..])
        .read_to_end(&mut back)
        .unwrap();
    assert!(back == plain.body);
    let small = server.get_with("/hello", "Accept-Encoding: br").await;
    assert_eq!(small.header("content-encoding"), None);
    let file = server.get_with("/file", "Accept-Encoding: br").await;
    assert_eq!(file.header("content-encoding"), None);
}

#[tokio::test]
async fn a_file_is_served_whole_in_part_or_not_again() {
    let server = TestServer::start().await;
    let whole = server.get("/file").await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
    assert_eq!(whole.header("etag"), Some("\"v1\""));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        whole.header("last-modified"),
        Some("Sun, 22 Nov 2026 10:15:30 GMT")
    );
    assert_eq!(
        whole.header("content-disposition"),
        Some("attachment; filename*=UTF-8''a%20b.txt")
    );
    let part = server.get_with("/file", "Range: bytes=2-4").await;
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), Some("bytes 2-4/10"));
    let beyond = server.get_with("/file", "Range: bytes=10-").await;
    beyond.is_refusal(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    let several = server.get_with("/file", "Range: bytes=0-1,4-5").await;
    assert_eq!(several.status, 200);
    let other = "Range: bytes=2-4\r\nIf-Range: \"v0\"";
    assert_eq!(server.get_with("/file", other).await.status, 200);
    let same = "Range: bytes=2-4\r\nIf-Range: \"v1\"";
    assert_eq!(server.get_with("/file", same).await.status, 206);
    let held = server.get_with("/file", "If-None-Match: \"v1\"").await;
    assert_eq!((held.status, held.header("etag")), (304, Some("\"v1\"")));
    assert_eq!(held.body.len(), 0);
}

#[tokio::test]
async fn assets_are_compressed_once_tagged_and_kept() {
    let server = TestServer::start().await;
    let plain = server.get("/error.rs").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("cache-control"), Some("no-cache"));
    let tag = plain.header("etag").unwrap().to_owned();
    let brotli = server.get_with("/error.rs", "Accept-Encoding: br").await;
    assert_eq!(brotli.header("content-encoding"), Some("br"));
    let brotli_tag = brotli.header("etag").unwrap();
    assert_ne!(brotli_tag, tag);
    let held = format!("Accept-Encoding: br\r\nIf-None-Match: {brotli_tag}");
    let unchanged = server.get_with("/error.rs", &held).await;
    assert_eq!(unchanged.status, 304);
    // It would replace the policy that the browser keeps with the file, and no page could run after a second visit.
    assert_eq!(unchanged.header("content-security-policy"), None);
    // A page of another version that is still open gets the file of today, and keeps it no longer than it has to.
    let other = server.get("/v-0badcafe/error.rs").await;
    assert_eq!(
        (other.status, other.header("cache-control")),
        (200, Some("no-cache"))
    );
    let other = server
        .send("DELETE /error.rs HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    other.is_refusal(405, "method_not_allowed");
    for missing in [
        "/missing.js",
        "/v-0badcafe/missing.js",
        "/v-0badcafe/",
        "/api",
        "/api/x",
        "/../Cargo.toml",
        "/%2e%2e/x.rs",
    ] {
        server.get(missing).await.is_refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_change_is_not_torn_when_its_client_hangs_up() {
    let mut server = TestServer::start().await;
    let mut client = server.connect().await;
    client.write("POST /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(server.seen().await, "started");
    drop(client);
    server.state.go.notify_one();
    assert_eq!(server.seen().await, "finished");
}

#[tokio::test]
async fn one_connection_too_many_is_told_and_a_free_place_is_taken_again() {
    let limits = |limits: &mut Limits| limits.connections_max = 2;
    let server = TestServer::start_with(limits, Origins::default()).await;
    let hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for client in [&mut first, &mut second] {
        client.write(hello).await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut third = server.connect().await;
    third.write(hello).await;
    third.answer().await.is_refusal(503, "overloaded");
    drop(first);
    let served = async {
        loop {
            let mut client = server.connect().await;
            if client.0.write_all(hello.as_bytes()).await.is_ok()
                && client.answer().await.status == 200
            {
                break;
            }
        }
    };
    timeout(PATIENCE, served).await.unwrap();
}

#[tokio::test]
async fn an_event_stream_opens_at_once_and_ends_when_the_server_does() {
    let server = TestServer::start().await;
    let mut client = server.connect().await;
    client
        .write("GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("content-encoding"), None);
    let text = client.until("data: first\n\n\r\n").await;
    assert!(text.contains(": connected\n\nretry: 2000\n\n"), "{text}");
    assert!(server.stop().await);
    assert_eq!(client.until("0\r\n\r\n").await, "0\r\n\r\n");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_running_handler_is_waited_for_and_nothing_new_is_taken() {
    let mut server = TestServer::start().await;
    let mut client = server.connect().await;
    client.write("POST /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(server.seen().await, "started");
    let mut idle = server.connect().await;
    idle.write("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    server.closing.cancel();
    assert!(idle.is_closed().await);
    server.state.go.notify_one();
    assert_eq!(client.answer().await.status, 204);
    assert!(client.is_closed().await);
    assert!(TcpStream::connect(server.address).await.is_err());
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_not_waited_for_for_ever() {
    let limits = |limits: &mut Limits| limits.drain = Duration::from_millis(50);
    let mut server = TestServer::start_with(limits, Origins::default()).await;
    let mut client = server.connect().await;
    client.write("POST /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(server.seen().await, "started");
    assert!(!server.stop().await);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn the_peer_is_the_socket() {
    async fn peer(_: Arc<State>, req: Request) -> Result<Response, ApiError> {
        let local: IpAddr = req.peer();
        Ok(Response::text(local.to_string()))
    }
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, _) = mpsc::unbounded_channel();
    let state = Arc::new(State {
        seen,
        go: Notify::new(),
    });
    let server = Server::new(state, vec![get("/peer", peer).public()]);
    tokio::spawn(server.serve(listener, CancellationToken::new()));
    let mut client = Client(TcpStream::connect(address).await.unwrap());
    client
        .write("GET /peer HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "127.0.0.1");
}
