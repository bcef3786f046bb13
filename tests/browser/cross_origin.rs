//! A page of another origin in a real browser: what it may do when its origin is on the list, and that it may do nothing
//! when it is not.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Setup, TestServer, User};
use crate::webdriver::Browser;

/// A site with one empty page, which says nothing of what its scripts may do.
async fn other_site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\
                        Connection: close\r\n\r\n<!doctype html>";
            let _ = socket.write_all(page.as_bytes()).await;
        }
    });
    address
}

/// What a script of the page gets: status, body and the headers it may read; or `null` when the browser keeps it all.
async fn fetch(browser: &Browser, url: &str, options: &Value) -> Value {
    const READABLE: &str = "['location', 'x-request-id', 'ratelimit', 'ratelimit-policy', \
        'idempotent-replayed', 'etag', 'retry-after']";
    let script = format!(
        "fetch({url:?}, {options}).then(async (answer) => ({{ \
            status: answer.status, \
            body: await answer.json(), \
            headers: Object.fromEntries({READABLE}.map((name) => [name, answer.headers.get(name)])) \
        }}), () => null)"
    );
    browser.read(&script).await
}

fn post(user: &User, body: &str) -> Value {
    json!({
        "method": "POST",
        "body": body,
        "headers": {
            "Authorization": format!("Bearer {}", user.access),
            "Content-Type": "application/json",
            "Idempotency-Key": "9d8a-1",
        },
    })
}

/// Puts the console into a frame of the page and waits until that is there, or refused.
async fn frame(browser: &Browser, server: &TestServer) {
    let script = format!(
        "new Promise((done) => {{ \
            const frame = document.createElement('iframe'); \
            frame.onload = () => done(true); \
            frame.src = 'http://{}/'; \
            document.body.append(frame); \
        }})",
        server.address
    );
    browser.read(&script).await;
}

#[tokio::test]
async fn a_page_on_the_list_uses_the_api_and_frames_the_console() {
    let site = other_site().await;
    let server = Setup::default()
        .env("CORS_ALLOWED_ORIGINS", &format!("http://{site}"))
        .env("RATE_LIMIT_ENABLED", "true")
        .start()
        .await;
    let user = server.log_in().await;
    let browser = Browser::start().await;
    browser.go(&format!("http://{site}/")).await;
    let url = format!("http://{}/api/local/sessions", server.address);
    let made = fetch(&browser, &url, &post(&user, r#"{"name":"from afar"}"#)).await;
    assert_eq!(made["status"], 201, "{made}");
    let id = made["body"]["id"].as_str().unwrap();
    let headers = &made["headers"];
    assert_eq!(headers["location"], format!("/api/local/sessions/{id}"));
    for header in ["x-request-id", "ratelimit", "ratelimit-policy"] {
        assert!(headers[header].is_string(), "{header}: {made}");
    }
    let again = fetch(&browser, &url, &post(&user, r#"{"name":"from afar"}"#)).await;
    assert_eq!(again["headers"]["idempotent-replayed"], "true");
    assert_eq!(again["body"], made["body"]);
    // A refusal can be read, too.
    let refused = fetch(&browser, &url, &json!({})).await;
    assert_eq!(refused["status"], 401);
    assert_eq!(refused["body"]["error"], "missing_token");
    // Events, from where the page was.
    let stream = format!("http://{}/api/stream", server.address);
    let first = browser
        .read(&format!(
            "fetch({stream:?}, {{ headers: {{ Authorization: 'Bearer {}', 'Last-Event-ID': '0' }} }}).then(async (answer) => {{ \
                const reader = answer.body.getReader(); \
                let text = ''; \
                while (!text.includes('event: session')) \
                    text += new TextDecoder().decode((await reader.read()).value); \
                await reader.cancel(); \
                return text; \
            }})",
            user.access
        ))
        .await;
    assert!(first.as_str().unwrap().contains("from afar"), "{first}");
    browser.complains_only_about(&["status of 401"]).await;
    frame(&browser, &server).await;
    let complaints = browser.console().await;
    let forbidden = |complaint: &String| complaint.contains("frame-ancestors");
    assert!(!complaints.iter().any(forbidden), "{complaints:?}");
}

#[tokio::test]
async fn a_page_that_is_not_on_the_list_does_nothing() {
    let site = other_site().await;
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let browser = Browser::start().await;
    browser.go(&format!("http://{site}/")).await;
    let url = format!("http://{}/api/local/sessions", server.address);
    let body = r#"{"name":"from afar"}"#;
    assert_eq!(fetch(&browser, &url, &post(&user, body)).await, Value::Null);
    assert_eq!(fetch(&browser, &url, &json!({})).await, Value::Null);
    // What needs no preflight is sent, and refused before anything is done for it.
    let simple = format!("{url}?token={}", user.access);
    for (mode, content_type) in [("no-cors", "text/plain"), ("cors", "text/plain")] {
        let options = json!({
            "method": "POST", "mode": mode, "body": body, "headers": { "Content-Type": content_type },
        });
        let script = format!("fetch({simple:?}, {options}).then(() => true, () => true)");
        browser.read(&script).await;
    }
    assert_eq!(user.read("/api/local/sessions").await, json!([]));
    browser.console().await;
    frame(&browser, &server).await;
    let complaints = browser.console().await;
    let forbidden = |complaint: &String| complaint.contains("frame-ancestors");
    assert!(complaints.iter().any(forbidden), "{complaints:?}");
}

/// Used as people use it, the console is never told that it asks too often.
#[tokio::test]
async fn the_console_keeps_within_the_default_limits() {
    let server = Setup::default()
        .env("RATE_LIMIT_ENABLED", "true")
        .start()
        .await;
    let browser = Browser::signed_in(&server).await;
    for n in 1..=5 {
        browser.say("help").await;
        browser
            .until(&format!(
                "document.querySelectorAll('.message-reply').length === {n} && document.querySelector('.stop-button')?.hidden"
            ))
            .await;
        browser.reload().await;
        browser
            .until(&format!(
                "document.querySelectorAll('.message-reply').length === {n}"
            ))
            .await;
    }
    for page in ["/workers", "/executions"] {
        browser.click(&format!("a[href='{page}']")).await;
    }
    browser.has_no_complaints().await;
}
