//! Pages of other sites in the user's browser, names that lead here, and other servers on this host.

use serde_json::json;

use crate::support::http::raw;
use crate::support::server::PASSWORD;
use crate::support::{Method, TestServer};

const EVERYWHERE: [&str; 6] = [
    "/",
    "/js/main.js",
    "/api/me",
    "/api/version",
    "/healthz",
    "/nowhere",
];

/// CVE-2024-28224: a name of the attacker's that suddenly means this machine is answered nothing at all.
#[tokio::test]
async fn a_name_rebound_to_this_machine_reaches_nothing() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let port = server.address.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::]:{port}"),
        format!("localhost@evil.example:{port}"),
        "192.168.0.1".to_owned(),
        "169.254.169.254".to_owned(),
    ] {
        for path in EVERYWHERE {
            let call = user.call(Method::Get, path).header("Host", &host);
            // One that is no name at all is refused before it is looked at.
            let (status, code) = call.send().await.refusal();
            assert!(
                (status, &*code) == (403, "host_not_allowed") || status == 400,
                "{host} {path}: {status} {code}"
            );
        }
        let login = server
            .call(Method::Post, "/api/auth/login")
            .header("Host", &host);
        let login = login.json(&json!({ "username": "admin", "password": PASSWORD }));
        let (status, _) = login.send().await.refusal();
        assert!([400, 403].contains(&status), "{host}: {status}");
    }
    // An address of the whole kind names its host itself, whatever the header says.
    let absolute = format!(
        "GET http://evil.example/api/me HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        user.access
    );
    let answer = String::from_utf8(raw(server.address, absolute.as_bytes()).await).unwrap();
    assert!(
        answer.is_empty() || answer.contains("host_not_allowed"),
        "{answer}"
    );
}

/// CVE-2026-22812, CVE-2025-49596: requests that a browser sends for any page, without asking first, do nothing; and
/// no page may read what came of them.
#[tokio::test]
async fn a_page_elsewhere_can_neither_change_nor_read_anything() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let signed_in = json!({ "username": "admin", "password": PASSWORD });
    let login = server
        .call(Method::Post, "/api/auth/login")
        .json(&signed_in);
    let answer = login.send().await.expect(200);
    let cookies: Vec<String> = ["skep_refresh_", "skep_media_"]
        .into_iter()
        .map(|name| {
            let (name, value, _) = answer.cookie(name).unwrap();
            format!("{name}={value}")
        })
        .collect();
    let cookies = cookies.join("; ");
    for origin in [
        "https://evil.example",
        "http://localhost:1",
        "http://127.0.0.1",
        "http://0.0.0.0",
        "null",
        "file://",
        "chrome-extension://abcdefgh",
        "",
    ] {
        for path in [
            "/api/workers",
            "/api/auth/login",
            "/api/auth/refresh",
            "/api/auth/logout",
            "/api/me/password",
        ] {
            for kind in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "application/json",
            ] {
                let call = server.call(Method::Post, path).header("Cookie", &cookies);
                let call = call
                    .header("Origin", origin)
                    .header("Sec-Fetch-Site", "cross-site");
                let answer = call.body(kind, signed_in.to_string()).send().await;
                answer.refused(403, "origin_not_allowed");
                unread(&answer);
            }
        }
        for path in EVERYWHERE {
            let call = server.call(Method::Get, path).header("Cookie", &cookies);
            let answer = call.header("Origin", origin).send().await;
            answer.refused(403, "origin_not_allowed");
            unread(&answer);
            let preflight = server.call(Method::Options, path).header("Origin", origin);
            let preflight = preflight
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Private-Network", "true");
            unread(&preflight.send().await);
        }
        // CVE-2026-25253: nor does any page get a socket.
        let socket = user
            .call(Method::Get, "/api/stream")
            .header("Origin", origin);
        let socket = socket
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13");
        socket.send().await.refused(403, "origin_not_allowed");
    }
    // Old browsers and forms may send no origin: then a cookie alone changes nothing.
    for path in ["/api/auth/refresh", "/api/auth/logout"] {
        let call = server.call(Method::Post, path).header("Cookie", &cookies);
        let (status, _) = call.body("text/plain", "{}").send().await.refusal();
        assert!([401, 415].contains(&status), "{path}: {status}");
    }
    assert_eq!(user.read("/api/workers").await, json!([]));
    let own = format!("http://{}", server.address);
    let fresh = server
        .call(Method::Post, "/api/auth/refresh")
        .header("Cookie", &cookies);
    fresh.header("Origin", &own).send().await.expect(200);
}

/// No header lets a page read it, or be asked with the user's cookies.
fn unread(answer: &crate::support::Answer) {
    for (name, value) in &answer.headers {
        assert!(
            !name
                .to_ascii_lowercase()
                .starts_with("access-control-allow"),
            "{}: {name}: {value}",
            answer.what
        );
    }
}

/// Cookies do not know ports, so a browser sends them to every server of this host, and any of them may set some.
#[tokio::test]
async fn cookies_of_another_server_on_this_host_open_nothing() {
    let (ours, other) = (TestServer::start().await, TestServer::start().await);
    let login = json!({ "username": "admin", "password": PASSWORD });
    let mut jar = Vec::new();
    for server in [&other, &ours] {
        let call = server.call(Method::Post, "/api/auth/login").json(&login);
        let answer = call.send().await.expect(200);
        for name in ["skep_refresh_", "skep_media_"] {
            let (name, value, attributes) = answer.cookie(name).unwrap();
            for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api"] {
                assert!(attributes.contains(attribute), "{name}: {attributes}");
            }
            assert!(!attributes.contains("Domain"), "{attributes}");
            jar.push((name, value));
        }
    }
    let names: std::collections::BTreeSet<&String> = jar.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4, "each instance has its own names");
    let refresh = async |cookie: String| {
        let call = ours
            .call(Method::Post, "/api/auth/refresh")
            .header("Cookie", &cookie);
        call.header("Origin", &format!("http://{}", ours.address))
            .send()
            .await
    };
    let all: Vec<String> = jar
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Both in one jar get along.
    refresh(all.join("; ")).await.expect(200);
    let ((_, theirs), (our_name, _)) = (&jar[0], &jar[2]);
    refresh(all[0].clone()).await.refused(401, "missing_token");
    // The other server's token under our name is another hive's token.
    refresh(format!("{our_name}={theirs}"))
        .await
        .refused(401, "invalid_token");
}

/// The console cannot be put into a stranger's page, and its own page runs nothing but its own files.
#[tokio::test]
async fn the_console_is_shown_in_nobody_elses_frame() {
    let server = TestServer::start().await;
    let page = server.call(Method::Get, "/").send().await.expect(200);
    let policy = page.header("content-security-policy").unwrap();
    for needed in [
        "default-src 'none'",
        "script-src 'self';",
        "frame-ancestors 'self'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(needed), "{needed} in {policy}");
    }
    for forbidden in ["unsafe-inline", "unsafe-eval", "*", "http:", "https:"] {
        assert!(!policy.contains(forbidden), "{forbidden} in {policy}");
    }
    assert_eq!(
        page.header("cross-origin-opener-policy"),
        Some("same-origin")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}
