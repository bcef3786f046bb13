//! Too much of everything: while it lasts, others are served.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::server::PASSWORD;
use crate::support::{Method, TestServer, User};

/// A login from another address of this machine; its status.
async fn log_in_from(
    server: &TestServer,
    from: Ipv4Addr,
    username: &str,
    password: &str,
    extra: &str,
) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let body = json!({ "username": username, "password": password }).to_string();
    let request = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}

const OWNER: Ipv4Addr = Ipv4Addr::LOCALHOST;
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Whoever guesses wrong on purpose shuts himself out, and nobody else.
#[tokio::test]
async fn a_stranger_cannot_lock_the_owner_out() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        assert_eq!(
            log_in_from(&server, STRANGER, "admin", "wrong", "").await,
            401
        );
    }
    assert_eq!(
        log_in_from(&server, STRANGER, "admin", PASSWORD, "").await,
        429
    );
    assert_eq!(
        log_in_from(&server, OWNER, "admin", PASSWORD, "").await,
        200
    );
    // Nor by other names from the same place.
    for n in 0..10 {
        let name = format!("somebody {n}");
        assert_eq!(log_in_from(&server, OWNER, &name, "wrong", "").await, 401);
    }
    assert_eq!(
        log_in_from(&server, OWNER, "admin", PASSWORD, "").await,
        200
    );
}

/// The address that counts is the socket's, whatever a header says it is, and however a name is spelled.
#[tokio::test]
async fn forged_forwarding_headers_buy_no_guesses() {
    let server = TestServer::start().await;
    let names = ["admin", "ADMIN", "Admin", "aDmin", "admiN"];
    for (n, name) in names.into_iter().enumerate() {
        let forged = format!(
            "X-Forwarded-For: 10.0.0.{n}\r\nForwarded: for=10.0.1.{n}\r\nX-Real-IP: 10.0.2.{n}\r\n\
             CF-Connecting-IP: 10.0.3.{n}\r\nTrue-Client-IP: 10.0.4.{n}\r\n"
        );
        assert_eq!(
            log_in_from(&server, STRANGER, name, "wrong", &forged).await,
            401
        );
    }
    let forged = "X-Forwarded-For: 10.9.9.9\r\nForwarded: for=\"[2001:db8::1]\"\r\n";
    assert_eq!(
        log_in_from(&server, STRANGER, "admin", PASSWORD, forged).await,
        429
    );
    let as_owner = "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n";
    assert_eq!(
        log_in_from(&server, STRANGER, "admin", PASSWORD, as_owner).await,
        429
    );
}

fn peak_kib(server: &TestServer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Hashing is slow and takes 19 MiB, so it is done for one login at a time: a hundred at once take no memory and no
/// thread from those who are in.
#[tokio::test]
async fn a_flood_of_logins_takes_nothing_from_others() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let before = peak_kib(&server);
    let guesses = (0..100).map(|n| {
        let from = Ipv4Addr::new(127, 0, 1, (n % 50) as u8 + 1);
        let server = &server;
        async move { log_in_from(server, from, &format!("somebody {n}"), "wrong", "").await }
    });
    let work = async {
        for n in 0..50 {
            user.get("/api/me").await.expect(200);
            user.post(
                "/api/local/sessions",
                &json!({ "name": format!("chat {n}") }),
            )
            .await
            .expect(201);
        }
    };
    let (statuses, ()) = tokio::join!(join_all(guesses), work);
    assert!(
        statuses.iter().all(|status| [401, 429].contains(status)),
        "{statuses:?}"
    );
    let grown = peak_kib(&server) - before;
    assert!(
        grown < 64 * 1024,
        "{grown} KiB: more than one hash at a time"
    );
    server.stop().await;
}

/// Requests that never come to their end hold a socket each, and nothing that anybody else needs.
#[tokio::test]
async fn slow_clients_hold_nobody_up() {
    let server = TestServer::with("[limits]\nhead_timeout_s = 2\nbody_chunk_timeout_s = 2").await;
    let user = server.log_in().await;
    let mut slow = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let begun = match n % 4 {
            0 => "G".to_owned(),
            1 => "GET / HTTP/1.1\r\nHost: localhost\r\nX-".to_owned(),
            2 => "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{".to_owned(),
            _ => format!("POST /api/workers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n", user.access),
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        user.get("/api/me").await.expect(200);
    }
    // All of them are given up in the end, by the server.
    let ends = slow.into_iter().map(|mut stream| async move {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        let text = String::from_utf8_lossy(&rest).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    });
    tokio::time::timeout(crate::support::PATIENCE, join_all(ends))
        .await
        .expect("slow clients are given up");
    user.get("/api/me").await.expect(200);
    server.stop().await;
}

/// Heads, headers, cookies, queries and bodies of any size are refused before they are kept.
#[tokio::test]
async fn floods_of_bytes_are_refused_and_not_kept() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let before = peak_kib(&server);
    let large = "x".repeat(4 << 20);
    let flood = |user: &User, kind: usize| {
        let call = user.call(Method::Post, "/api/workers");
        match kind % 5 {
            0 => call.header("X-Large", &large),
            1 => call.header("Cookie", &"a=b; ".repeat(100_000)),
            2 => user.call(Method::Get, &format!("/api/me?{large}")),
            3 => call.body("application/json", format!("{{\"name\":\"{large}\"}}")),
            _ => call.body("application/json", "[".repeat(1 << 20)),
        }
    };
    let floods = (0..40).map(|kind| flood(&user, kind).try_send());
    // One who goes on sending may see a reset in place of the answer.
    for answer in join_all(floods).await.into_iter().flatten() {
        let status = answer.status;
        assert!([400, 413, 414, 431].contains(&status), "{status}");
    }
    let grown = peak_kib(&server).saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB");
    user.get("/api/me").await.expect(200);
    server.stop().await;
}
