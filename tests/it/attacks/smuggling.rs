//! Requests that two readers would not read alike, and bytes that are text to one of them.

use crate::support::http::raw;
use crate::support::{TestServer, User};

/// A good request, hidden where a careless reader would find it.
fn hidden(user: &User) -> String {
    format!(
        "GET /api/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        user.access
    )
}

fn answers(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let heads = text.split("HTTP/1.1 ").skip(1);
    heads
        .filter_map(|head| head.get(..3)?.parse().ok())
        .collect()
}

/// Where framing is ambiguous there is one answer at the most, and what is hidden behind it is never answered: a proxy
/// that reads it differently shares no connection with us.
#[tokio::test]
async fn no_request_hides_in_another_ones_framing() {
    let server = TestServer::with("[limits]\nhead_timeout_s = 1\nbody_chunk_timeout_s = 1").await;
    let user = server.log_in().await;
    let hidden = hidden(&user);
    let hex = format!("{:x}", hidden.len());
    let length = hidden.len();
    let ambiguous = [
        // Both lengths, in both orders (CL.TE, TE.CL).
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            length + 5
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{hex}\r\n{hidden}\r\n0\r\n\r\n"
        ),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{hidden}"),
        // Two lengths, lists, signs, spaces, other digits, too large.
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("Content-Length: 0, {length}\r\n\r\n{hidden}"),
        format!("Content-Length: +0\r\n\r\n{hidden}"),
        format!("Content-Length: -1\r\n\r\n{hidden}"),
        format!("Content-Length: 0x0\r\n\r\n{hidden}"),
        format!("Content-Length: 0 0\r\n\r\n{hidden}"),
        format!("Content-Length: 18446744073709551616\r\n\r\n{hidden}"),
        format!("Content-Length : 0\r\n\r\n{hidden}"),
        format!("Content-Length:\r\n\r\n{hidden}"),
        // Encodings that hide.
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        // Folded lines, bare line ends, a NUL.
        format!("X: a\r\n Content-Length: 0\r\n\r\n{hidden}"),
        format!("X: a\rContent-Length: 0\r\n\r\n{hidden}"),
        format!("X: a\0b\r\n\r\n{hidden}"),
        format!("X\0: a\r\n\r\n{hidden}"),
        format!("\u{e9}: a\r\n\r\n{hidden}"),
        // Chunks that do not add up.
        format!("Transfer-Encoding: chunked\r\n\r\n-1\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0;\r\n{hidden}"),
    ];
    for lines in &ambiguous {
        for path in ["/api/auth/login", "/api/workers"] {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}"
            );
            let answer = raw(server.address, request.as_bytes()).await;
            let text = String::from_utf8_lossy(&answer);
            let codes = answers(&answer);
            assert!(codes.len() <= 1, "{lines:?}: {text}");
            assert!(
                codes.iter().all(|code| (400..500).contains(code)),
                "{lines:?}: {text}"
            );
            assert!(!text.contains("instance_id"), "{lines:?}: {text}");
        }
    }
    user.get("/api/me").await.expect(200);
}

/// A refusal in mid-body does not leave the rest of that body to be read as the next request.
#[tokio::test]
async fn what_is_left_of_a_refused_body_is_no_request() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let hidden = hidden(&user);
    for head in [
        "POST /api/workers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            .to_owned(),
        "POST /api/nowhere HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
        "GET /api/me HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
        "POST /api/workers HTTP/1.1\r\nHost: evil.example\r\n".to_owned(),
        format!(
            "POST /api/workers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: text/plain\r\n",
            user.access
        ),
    ] {
        let request = format!("{head}Content-Length: {}\r\n\r\n{hidden}", hidden.len());
        let answer = raw(server.address, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("instance_id"), "{head:?}: {text}");
        assert!(answers(&answer).len() <= 1, "{head:?}: {text}");
    }
}

/// What is no HTTP/1.1 any more, or not yet, and paths that mean another path to somebody else.
#[tokio::test]
async fn no_spelling_of_a_request_gets_around_the_checks() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let key = std::fs::read(server.data.join("keys/signing.key")).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", user.access);
    for request in [
        "GET /\r\n".to_owned(),
        "GET /api/me\r\n\r\n".to_owned(),
        format!("GET /api/me HTTP/1.1\r\n{bearer}\r\n"),
        format!("GET /api/me HTTP/2.0\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/me HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n{bearer}\r\n"),
        format!("GET  /api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/me\0 HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("G\u{1}T /api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!(" GET /api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("get /api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("TRACE /api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        // Doubled, climbing, encoded, over-long: no other spelling of a route is that route.
        format!("GET //api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api//me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/./me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /x/../api/me HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/%6de HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/me/ HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /api/me;x HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!("GET /API/ME HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"),
        format!(
            "GET /%c0%ae%c0%ae/%c0%ae%c0%ae/keys/signing.key HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"
        ),
        format!(
            "GET /..%c0%af..%c0%afkeys/signing.key HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n"
        ),
        // Nothing that a proxy would say makes it another request.
        format!(
            "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: /api/me\r\nX-Rewrite-URL: /api/me\r\n{bearer}\r\n"
        ),
        format!(
            "POST /api/me HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: GET\r\n{bearer}\r\n"
        ),
    ] {
        let answer = raw(server.address, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("instance_id"), "{request:?}: {text}");
        assert!(
            memchr::memmem::find(&answer, &key).is_none(),
            "{request:?}: {text}"
        );
        assert!(!text.starts_with("HTTP/1.1 5"), "{request:?}: {text}");
    }
}
