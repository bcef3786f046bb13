//! The protocol, spoken to the real server by clients of every kind.

use std::io::Read;

use serde_json::json;
use skep::http::request_body::REST_BYTES_MAX;

use crate::support::http::{Call, raw};
use crate::support::{Method, TestServer};

#[tokio::test]
async fn a_method_that_is_not_there_names_those_that_are() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for (method, path, allowed) in [
        (Method::Put, "/api/workers", vec!["GET", "HEAD", "POST"]),
        (Method::Post, "/api/me", vec!["GET", "HEAD"]),
        (Method::Get, "/api/auth/login", vec!["POST"]),
        (Method::Delete, "/healthz", vec!["GET", "HEAD"]),
        (Method::Post, "/", vec!["GET", "HEAD"]),
    ] {
        let answer = user.call(method, path).send().await;
        answer.refused(405, "method_not_allowed");
        let mut said: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
        said.sort_unstable();
        assert_eq!(said, allowed, "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_are_not_found_in_json_and_pages_are_the_console() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for path in [
        "/api",
        "/api/",
        "/api/nope",
        "/api/workers/",
        "/api/local",
        "/api//workers",
        "/api/../keys/signing.key",
        "/v1/nope",
        "/mcp/nope",
        "/metrics/x",
        "/healthz/x",
        "/api/knowledge",
    ] {
        user.get(path).await.refused(404, "not_found");
    }
    for path in ["/", "/chats/some-chat", "/workers"] {
        let page = server.call(Method::Get, path).send().await.expect(200);
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{path}"
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let script = server
        .call(Method::Get, "/js/main.js")
        .send()
        .await
        .expect(200);
    assert!(
        script
            .header("content-type")
            .unwrap()
            .contains("javascript")
    );
    server
        .call(Method::Get, "/js/nope.js")
        .send()
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn bodies_are_bounded_typed_and_parsed() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let post = |kind: &str, body: Vec<u8>| {
        user.call(Method::Post, "/api/workers")
            .body(kind, body)
            .send()
    };
    let json = "application/json";
    for broken in [
        "{",
        "{\"name\":}",
        "{'name':1}",
        "name=a",
        "\u{feff}{}",
        "{\"name\":\"a\"}}",
        "",
    ] {
        post(json, broken.into()).await.refused(400, "invalid_json");
    }
    post(json, b"{\"name\":\"\xff\"}".to_vec())
        .await
        .refused(400, "invalid_json");
    post(json, vec![b'['; 900_000])
        .await
        .refused(400, "invalid_json");
    for kind in [
        "text/plain",
        "application/xml",
        "application/jsonx",
        "multipart/form-data; boundary=x",
    ] {
        post(kind, b"{\"name\":\"a\"}".to_vec())
            .await
            .refused(415, "unsupported_media_type");
    }
    post(
        "Application/JSON; charset=utf-8",
        b"{\"name\":\"a\"}".to_vec(),
    )
    .await
    .expect(201);
    let sized = |bytes: usize| {
        let rest = bytes - "{\"name\":\"b\",\"x\":\"\"}".len();
        format!("{{\"name\":\"b\",\"x\":\"{}\"}}", "x".repeat(rest)).into_bytes()
    };
    post(json, sized((1 << 20) + 1))
        .await
        .refused(413, "payload_too_large");
    post(json, sized(20 << 20))
        .await
        .refused(413, "payload_too_large");
    post(json, sized(1 << 20)).await.expect(201);
}

/// A body that never says how long it is, nor ends: refused at the limit, not gathered.
#[tokio::test]
async fn an_endless_body_is_refused_at_the_limit() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut bytes = format!(
        "POST /api/workers HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        server.address, user.access
    )
    .into_bytes();
    for _ in 0..64 {
        bytes.extend_from_slice(b"10000\r\n");
        bytes.extend_from_slice(&[b'['; 0x10000]);
        bytes.extend_from_slice(b"\r\n");
    }
    let answer = String::from_utf8(raw(server.address, &bytes).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"payload_too_large\""), "{answer}");
}

/// Whoever is refused before its body was read can go on; where the rest is not waited for, the answer says that the
/// connection ends, so that no client sends its next request into nothing.
#[tokio::test]
async fn a_refused_body_leaves_no_connection_in_doubt() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let head = |length: u64, more: &str| {
        format!(
            "POST /api/workers HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer nobody\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n",
            server.address
        )
    };
    let answer = async |socket: &mut tokio::net::TcpStream| {
        let mut text = String::new();
        // The body of the answer ends with its only brace.
        while !text.ends_with('}') {
            let mut bytes = [0; 4096];
            let read = socket.read(&mut bytes);
            let count = tokio::time::timeout(crate::support::PATIENCE, read).await;
            let count = count.expect("an answer in time").unwrap();
            assert!(count > 0, "the connection ended after {text:?}");
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 401"), "{text}");
        text.contains("connection: close")
    };

    let connect = || tokio::net::TcpStream::connect(server.address);
    let mut socket = connect().await.unwrap();
    let short = vec![b' '; REST_BYTES_MAX as usize];
    for _ in 0..3 {
        let mut whole = head(REST_BYTES_MAX, "").into_bytes();
        whole.extend_from_slice(&short);
        socket.write_all(&whole).await.unwrap();
        assert!(!answer(&mut socket).await);
    }
    let ends = [
        ("it is longer", head(REST_BYTES_MAX + 1, "")),
        ("it does not come", head(2, "")),
        ("it waits for leave", head(2, "Expect: 100-continue\r\n")),
    ];
    for (why, head) in ends {
        let mut socket = connect().await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut socket).await, "{why}");
    }
}

#[tokio::test]
async fn only_our_own_names_and_pages_are_answered() {
    let server = TestServer::with(
        "public_names = [\"hive.example\"]\ncors_allowed_origins = [\"https://app.example\"]",
    )
    .await;
    let user = server.log_in().await;
    let port = server.address.port();
    let me = || user.call(Method::Get, "/api/me");
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1:8080",
        "x",
    ] {
        me().header("Host", host)
            .send()
            .await
            .refused(403, "host_not_allowed");
    }
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]:80",
        "hive.example",
        "HIVE.example:443",
    ] {
        me().header("Host", host).send().await.expect(200);
    }
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://app.example.evil",
    ] {
        me().header("Origin", origin)
            .send()
            .await
            .refused(403, "origin_not_allowed");
        let worker = user
            .call(Method::Post, "/api/workers")
            .json(&json!({ "name": "x" }));
        worker
            .header("Origin", origin)
            .send()
            .await
            .refused(403, "origin_not_allowed");
    }
    assert_eq!(
        user.read("/api/workers").await,
        json!([]),
        "nothing was done for them"
    );
    me().header("Origin", &format!("http://127.0.0.1:{port}"))
        .send()
        .await
        .expect(200);
    let cross = me()
        .header("Origin", "https://app.example")
        .send()
        .await
        .expect(200);
    assert_eq!(
        cross.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(
        cross
            .header("access-control-expose-headers")
            .unwrap()
            .contains("X-Request-Id")
    );
    // A cache must not hand the answer for one page to another.
    for answer in [&cross, &me().send().await.expect(200)] {
        assert!(answer.all("vary").any(|names| names.contains("Origin")));
    }
    let preflight = server
        .call(Method::Options, "/api/workers")
        .header("Origin", "https://app.example");
    let preflight = preflight
        .header("Access-Control-Request-Method", "POST")
        .send()
        .await
        .expect(204);
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    for header in ["Idempotency-Key", "Last-Event-ID"] {
        assert!(
            preflight
                .header("access-control-allow-headers")
                .unwrap()
                .contains(header)
        );
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for path in ["/", "/healthz", "/api/me", "/api/workers", "/js/main.js"] {
        let get = user.get(path).await.expect(200);
        let head = user.call(Method::Head, path).send().await.expect(200);
        assert_eq!(head.body.len(), 0, "{path}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    assert_eq!(
        user.call(Method::Head, "/api/nope").send().await.status,
        404
    );
}

#[tokio::test]
async fn text_is_compressed_for_those_who_can_read_it() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for n in 0..20 {
        user.worker_with(
            &json!({ "name": format!("worker {n}"), "memory": "the same words again" }),
        )
        .await;
    }
    let plain = user.get("/api/workers").await.expect(200);
    assert!(plain.header("content-encoding").is_none() && plain.body.len() > 1024);
    let with = |path: &str, encodings: &str| {
        user.call(Method::Get, path)
            .header("Accept-Encoding", encodings)
            .send()
    };
    let gzip = with("/api/workers", "gzip").await.expect(200);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*gzip.body)
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    let br = with("/api/workers", "gzip, br").await.expect(200);
    assert_eq!(br.header("content-encoding"), Some("br"));
    let mut unpacked = Vec::new();
    brotli::Decompressor::new(&*br.body, 4096)
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    assert!(br.body.len() < plain.body.len() / 2);
    assert!(
        br.all("vary")
            .any(|vary| vary.to_lowercase().contains("accept-encoding"))
    );
    for encodings in ["identity", "br;q=0, gzip;q=0", "zstd"] {
        assert!(
            with("/api/workers", encodings)
                .await
                .header("content-encoding")
                .is_none(),
            "{encodings}"
        );
    }
    assert!(
        with("/api/me", "br")
            .await
            .header("content-encoding")
            .is_none(),
        "too small"
    );
    assert!(
        with("/js/main.js", "br")
            .await
            .header("content-encoding")
            .is_some()
    );
}

#[tokio::test]
async fn a_request_id_of_the_client_is_kept_when_it_is_one() {
    let server = TestServer::start().await;
    let call = |id: &str| {
        server
            .call(Method::Get, "/api/me")
            .header("X-Request-Id", id)
            .send()
    };
    assert_eq!(
        call("my-id_1.2").await.header("x-request-id"),
        Some("my-id_1.2")
    );
    assert_eq!(
        call("my-id_1.2").await.refused(401, "missing_token")["requestId"],
        "my-id_1.2"
    );
    for bad in ["a b", "a/b", &"x".repeat(129), "<script>"] {
        let answer = call(bad).await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.starts_with("req_20"), "{id}");
        answer.refused(401, "missing_token");
    }
    let stderr = server.stop().await.stderr;
    assert!(
        stderr.contains("my-id_1.2"),
        "an answer is found in the log by its id"
    );
}

/// Every answer, whatever it is, says that browsers shall not guess.
#[tokio::test]
async fn every_answer_carries_the_safety_headers() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for path in ["/", "/api/me", "/api/nope", "/js/main.js", "/healthz"] {
        let answer = user.get(path).await;
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert!(
            answer
                .header("content-security-policy")
                .unwrap()
                .contains("default-src 'none'")
        );
        assert!(answer.header("x-request-id").is_some());
    }
}

/// Bytes of every kind: an answer or a closed connection, never a panic, and the next client is served.
#[tokio::test]
async fn nonsense_on_the_wire_harms_nobody() {
    let server = TestServer::with("[limits]\nhead_timeout_s = 1\nbody_chunk_timeout_s = 1").await;
    let mut bytes: Vec<Vec<u8>> = [
        "",
        "\r\n\r\n",
        "GET",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        "GET /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/workers?limit=%ff%fe&token=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bytes.push(
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(9_000)
        )
        .into_bytes(),
    );
    bytes.push(
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(40_000)
        )
        .into_bytes(),
    );
    bytes.push(
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "A: b\r\n".repeat(5_000)
        )
        .into_bytes(),
    );
    // A fixed seed: what fails once fails again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..100 {
        let mut noise: Vec<u8> = (0..random() % 300).map(|_| random() as u8).collect();
        if random() % 2 == 0 {
            let mut request = b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 20\r\n\r\n{\"username\":\"admin\"}"
                .to_vec();
            for byte in noise.iter().take(3) {
                let at = random() as usize % request.len();
                request[at] = *byte;
            }
            noise = request;
        }
        bytes.push(noise);
    }
    for chunk in bytes.chunks(16) {
        let spoken = chunk.iter().map(|bytes| raw(server.address, bytes));
        for (sent, answer) in chunk
            .iter()
            .zip(futures_util::future::join_all(spoken).await)
        {
            let sent = String::from_utf8_lossy(&sent[..sent.len().min(200)]).into_owned();
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1."),
                "{sent:?}: {:?}",
                String::from_utf8_lossy(&answer)
            );
            assert!(
                !answer.starts_with(b"HTTP/1.1 5"),
                "{sent:?}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
    let user = server.log_in().await;
    user.get("/api/me").await.expect(200);
    server.stop().await;
}

/// A client that hangs up in the middle of a post tears nothing: it is there whole, or not at all.
#[tokio::test]
async fn a_client_that_hangs_up_tears_nothing() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let call = |name: String| {
        Call::new(server.address, Method::Post, "/api/workers")
            .bearer(&user.access)
            .json(&json!({ "name": name }))
    };
    for n in 0..40u64 {
        let sent = call(format!("worker {n}")).try_send();
        let _ = tokio::time::timeout(std::time::Duration::from_micros(n * 100), sent).await;
    }
    let workers = user.read_all("/api/workers").await;
    for worker in &workers {
        assert!(std::path::Path::new(worker["work_dir"].as_str().unwrap()).is_dir());
    }
    assert!(workers.len() <= 40);
}
