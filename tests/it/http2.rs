//! HTTP/2: the same answers, and limits for each connection that an attacker meets.

use std::time::Duration;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use h2::{Ping, Reason};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::{PATIENCE, Setup, TestServer, User};

/// A connection, and how it ends.
struct Client {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    authority: String,
}

impl Client {
    async fn connect(server: &TestServer) -> Client {
        let socket = TcpStream::connect(server.address).await.unwrap();
        // More than one stream's window, so that one that is not read does not hold up the others.
        let mut builder = h2::client::Builder::new();
        let builder = builder.initial_connection_window_size(1 << 20);
        let (send, connection) = builder.handshake(socket).await.unwrap();
        Client {
            send,
            connection: tokio::spawn(connection),
            authority: server.address.to_string(),
        }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.authority))
    }

    /// Sends a request and reads the whole answer.
    async fn call(
        &mut self,
        request: http::request::Builder,
        body: &Value,
    ) -> Result<(u16, http::HeaderMap, Vec<u8>), h2::Error> {
        let exchange = async {
            self.send.clone().ready().await?;
            let request = request.body(()).unwrap();
            let has_body = !body.is_null();
            let (answer, mut stream) = self.send.send_request(request, !has_body)?;
            if has_body {
                stream.send_data(body.to_string().into(), true)?;
            }
            let (head, mut body) = answer.await?.into_parts();
            let mut bytes = Vec::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk?;
                let _ = body.flow_control().release_capacity(chunk.len());
                bytes.extend_from_slice(&chunk);
            }
            Ok((head.status.as_u16(), head.headers, bytes))
        };
        timeout(PATIENCE, exchange).await.expect("an answer")
    }

    async fn get(&mut self, path: &str, user: &User) -> Result<u16, h2::Error> {
        let request = self
            .request("GET", path)
            .header("authorization", format!("Bearer {}", user.access));
        let answer = self.call(request, &Value::Null).await?;
        Ok(answer.0)
    }

    /// How the connection ended.
    async fn ended(self) -> Result<(), h2::Error> {
        drop(self.send);
        let ended = timeout(PATIENCE, self.connection).await;
        ended.expect("it ends").expect("no panic")
    }
}

/// The same pipeline: reading, writing, refusals, events and the console.
#[tokio::test]
async fn everything_is_answered_over_http2_as_over_http1() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.get("/api/me", &user).await.unwrap(), 200);
    let post = client
        .request("POST", "/api/local/sessions")
        .header("authorization", format!("Bearer {}", user.access))
        .header("content-type", "application/json");
    let (status, head, body) = client.call(post, &json!({ "name": "Two" })).await.unwrap();
    assert_eq!(status, 201);
    let chat: Value = serde_json::from_slice(&body).unwrap();
    let location = head["location"].to_str().unwrap().to_owned();
    assert_eq!(client.get(&location, &user).await.unwrap(), 200);
    assert_eq!(user.read(&location).await["id"], chat["id"]);

    let missing = client.request("GET", "/api/me");
    let (status, head, body) = client.call(missing, &Value::Null).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]), (401, &json!("missing_token")));
    assert_eq!(head["x-request-id"], body["requestId"].as_str().unwrap());
    let page = client.request("GET", "/");
    assert_eq!(client.call(page, &Value::Null).await.unwrap().0, 200);

    let foreign = Request::builder().uri("http://evil.example/api/me");
    let (status, _, body) = client.call(foreign, &Value::Null).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]), (403, &json!("host_not_allowed")));
}

/// Whoever looks at the one and whoever looks at the other name of a server would not mean the same one.
#[tokio::test]
async fn a_host_beside_the_authority_says_the_same_or_is_refused() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut client = Client::connect(&server).await;
    let own = server.address.to_string();
    for (host, expected) in [(own.as_str(), 200), ("evil.example", 400), ("", 400)] {
        let request = client
            .request("GET", "/api/me")
            .header("authorization", format!("Bearer {}", user.access))
            .header("host", host);
        let (status, _, body) = client.call(request, &Value::Null).await.unwrap();
        assert_eq!(status, expected, "{host:?}");
        if status == 400 {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"], "bad_request");
        }
    }
}

/// An open stream says so at once, and ends when the server goes down, which then ends in peace.
#[tokio::test]
async fn streams_end_with_the_server() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut client = Client::connect(&server).await;
    let request = client
        .request("GET", "/api/stream")
        .header("authorization", format!("Bearer {}", user.access));
    let (answer, _) = client
        .send
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    let mut body = answer.await.unwrap().into_body();
    let first = body.data().await.unwrap().unwrap();
    assert!(first.starts_with(b": connected\n\n"));
    assert_eq!(client.get("/api/me", &user).await.unwrap(), 200);
    server.stop().await;
    let rest = async { while let Some(Ok(_)) = body.data().await {} };
    timeout(PATIENCE, rest).await.expect("the stream ends");
    client.ended().await.expect("in peace");
}

/// The server says how many requests a connection may have open, and refuses one more.
#[tokio::test]
async fn a_connection_has_so_many_streams_and_no_more() {
    let setup = Setup::default().env("SKEP_HTTP2_STREAMS_MAX", "3");
    let server = setup.start().await;
    let user = server.log_in().await;
    let mut client = Client::connect(&server).await;
    let token = format!("Bearer {}", user.access);
    let mut open = Vec::new();
    for _ in 0..3 {
        let request = client
            .request("GET", "/api/stream")
            .header("authorization", &token);
        let (answer, _) = client
            .send
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        open.push(answer.await.unwrap().into_body());
    }
    assert_eq!(client.send.current_max_send_streams(), 3);
    // A well-behaved client waits for its turn; it comes when another request ends.
    let one_more = client.get("/api/me", &user);
    drop(open.pop());
    assert_eq!(one_more.await.unwrap(), 200);
}

/// CVE-2023-44487: requests that are taken back at once cost their sender the connection, and nobody else anything.
#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut attacker = Client::connect(&server).await;
    let mut refused = None;
    for _ in 0..5_000 {
        if let Err(error) = attacker.send.clone().ready().await {
            refused = Some(error);
            break;
        }
        let request = attacker.request("GET", "/api/me").body(()).unwrap();
        match attacker.send.send_request(request, true) {
            Ok((_, mut stream)) => stream.send_reset(Reason::CANCEL),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    let error = match refused {
        Some(error) => error,
        None => attacker.ended().await.expect_err("the flood went through"),
    };
    assert!(
        error.reason() == Some(Reason::ENHANCE_YOUR_CALM) || error.is_io(),
        "{error}"
    );
    let mut other = Client::connect(&server).await;
    assert_eq!(other.get("/api/me", &user).await.unwrap(), 200);
}

/// A head over the limit is refused as everywhere; one that is far over it is not even read.
#[tokio::test]
async fn heads_are_bounded() {
    let setup = Setup::default().env("SKEP_HEAD_BYTES_MAX", "4096");
    let server = setup.start().await;
    let mut client = Client::connect(&server).await;
    let with = |client: &Client, bytes: usize| {
        client
            .request("GET", "/healthz")
            .header("x-long", "a".repeat(bytes))
    };
    let small = with(&client, 3_000);
    assert_eq!(client.call(small, &Value::Null).await.unwrap().0, 200);
    let large = with(&client, 4_096);
    let (status, _, body) = client.call(large, &Value::Null).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["error"]), (431, &json!("headers_too_large")));
    let huge = with(&client, 60_000);
    match client.call(huge, &Value::Null).await {
        Ok((status, ..)) => assert_eq!(status, 431),
        Err(error) => assert!(error.reason().is_some() || error.is_io(), "{error}"),
    }
    let mut other = Client::connect(&server).await;
    let health = other.request("GET", "/healthz");
    assert_eq!(other.call(health, &Value::Null).await.unwrap().0, 200);
}

/// A connection that asks for nothing is closed, as one of HTTP/1.1 is.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let setup = Setup::default().env("SKEP_HEAD_TIMEOUT_S", "1");
    let server = setup.start().await;
    let mut client = Client::connect(&server).await;
    let health = client.request("GET", "/healthz");
    assert_eq!(client.call(health, &Value::Null).await.unwrap().0, 200);
    let ended = timeout(PATIENCE, client.connection).await.expect("it ends");
    ended.unwrap().expect("in peace");
}

/// A client that lets an answer lie loses that stream, not its connection.
#[tokio::test]
async fn an_answer_that_is_left_unread_is_taken_back() {
    let setup = Setup::default().env("SKEP_WRITE_STALL_TIMEOUT_S", "1");
    let server = setup.start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let upload = user
        .call(
            crate::support::Method::Post,
            &format!("/api/local/sessions/{chat}/media"),
        )
        .file("file", "large.bin", &vec![7; 4 << 20]);
    let url = upload.send().await.expect(200).json()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut client = Client::connect(&server).await;
    let request = client
        .request("GET", &url)
        .header("authorization", format!("Bearer {}", user.access));
    let (answer, _) = client
        .send
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    let mut body = answer.await.unwrap().into_body();
    let unread = async {
        // What came is not released, so the window stays shut.
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("all of it came"),
            }
        }
    };
    let error = timeout(PATIENCE, unread).await.expect("it ends");
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    assert_eq!(client.get("/api/me", &user).await.unwrap(), 200);
}

/// Pings are answered, and a flood of them does not disturb others.
#[tokio::test]
async fn pings_are_answered() {
    let server = TestServer::start().await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (_send, mut connection) = handshake(socket).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let _running = tokio::spawn(connection);
    for _ in 0..100 {
        let pong = timeout(Duration::from_secs(30), pings.ping(Ping::opaque())).await;
        pong.expect("a pong").unwrap();
    }
}
