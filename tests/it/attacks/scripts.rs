//! Text that would run, in every place that is shown.

use serde_json::{Value, json};

use crate::fuzz::targets::text::assert_harmless;
use crate::support::{Answer, Method, TestServer, User};

/// What has run in consoles like this one.
const PAYLOADS: [&str; 9] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[a](javascript:alert(1))",
    "![a](javascript:alert(1) \"x\")",
    "<a href=\"&#106;avascript:alert(1)\">x</a>",
    "[a](https://x\"onmouseover=alert(1)//)",
    "```x\"><script>alert(1)</script>\n```",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
];

/// An answer that a browser takes for data and not for a page.
fn is_no_page(answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    let is_data = [
        "application/json",
        "text/plain; charset=utf-8",
        "text/event-stream",
    ];
    assert!(is_data.contains(&kind), "{}: {kind}", answer.what);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

/// Every rendered text anywhere in a value.
fn rendered(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(html) if name == "html" => found.push(html.clone()),
                    value => rendered(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| rendered(item, found)),
        _ => {}
    }
}

async fn shown(user: &User, path: &str) -> usize {
    let answer = user.get(path).await.expect(200);
    is_no_page(&answer);
    let mut found = Vec::new();
    rendered(&answer.json(), &mut found);
    found.iter().for_each(|html| assert_harmless(html));
    found.len()
}

/// A reply, thought, tool call, its output, an error, a line on standard error: whatever an engine prints is data, and
/// what of it is rendered holds nothing that runs.
#[tokio::test]
async fn nothing_an_engine_prints_runs_in_the_console() {
    // An engine whose events are its message: it can say anything.
    let server = TestServer::with(
        "[engines.says]\nkind = \"command\"\nargv = [\"/bin/cat\"]\noutput = \"events\"",
    )
    .await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "says").await;
    let mut stream = user
        .events(
            &format!("/api/local/sessions/{chat}/stream?html=true"),
            Some(0),
        )
        .await;
    for payload in PAYLOADS {
        let events = [
            json!({ "type": "thinking", "text": payload }),
            json!({ "type": "text", "text": payload }),
            json!({ "type": "tool_call", "id": payload, "name": payload, "args": { payload: payload } }),
            json!({ "type": "tool_result", "id": payload, "ok": true, "output": payload }),
            json!({ "type": "session", "id": payload, "model": payload }),
        ];
        let mut lines: Vec<String> = events.iter().map(Value::to_string).collect();
        lines.push(payload.to_owned());
        let mut failed = lines.clone();
        lines.push(json!({ "type": "result" }).to_string());
        failed.push(json!({ "type": "error", "error": payload, "message": payload }).to_string());
        for lines in [lines, failed] {
            let reply = user.ask(&chat, &lines.join("\n")).await;
            assert_eq!(reply.text(), payload, "the text is what was printed");
            let execution = reply.execution["id"].as_str().unwrap();
            assert_eq!(
                shown(&user, &format!("/api/executions/{execution}")).await,
                0
            );
            let log = user.log(execution).await.expect(200);
            is_no_page(&log);
            assert_eq!(
                log.header("content-type"),
                Some("text/plain; charset=utf-8")
            );
            let event = stream.until(|event| event.is("message")).await;
            let mut found = Vec::new();
            event
                .iter()
                .for_each(|event| rendered(&event.data, &mut found));
            assert!(!found.is_empty());
            found.iter().for_each(|html| assert_harmless(html));
        }
    }
    let path = format!("/api/local/sessions/{chat}/messages?html=true");
    assert!(shown(&user, &path).await >= 2 * PAYLOADS.len());
}

/// Names of workers, chats and files, descriptions, memories, and whatever a refusal repeats.
#[tokio::test]
async fn no_name_runs_in_the_console() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    for payload in PAYLOADS {
        let name = payload.replace('\n', " ");
        let body = json!({ "name": name, "description": payload, "memory": payload });
        is_no_page(&user.post("/api/workers", &body).await.expect(201));
        is_no_page(&user.post("/api/workers", &body).await);
        is_no_page(
            &user
                .post("/api/local/sessions", &json!({ "name": name }))
                .await
                .expect(201),
        );
        let uploaded = user
            .upload(&chat, &name.replace('"', "'"), b"x")
            .await
            .expect(200);
        is_no_page(&uploaded);
        let kept = uploaded.json()["name"].as_str().unwrap().to_owned();
        assert!(!kept.contains(['<', '>', '"', '/']), "{kept:?}");
        let encoded: String = payload.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for path in [
            format!("/api/{encoded}"),
            format!("/api/workers/{encoded}"),
            format!("/api/local/sessions?limit={encoded}"),
            format!("/api/executions?status={encoded}"),
        ] {
            let refusal = user.get(&path).await;
            assert!(refusal.status >= 400, "{path}");
            is_no_page(&refusal);
        }
        let raw = user
            .call(Method::Post, "/api/workers")
            .body("text/html", payload)
            .send()
            .await;
        is_no_page(&raw);
        let raw = user
            .call(Method::Post, "/api/workers")
            .body("application/json", payload)
            .send()
            .await;
        is_no_page(&raw);
    }
    for path in ["/api/workers", "/api/local/sessions"] {
        is_no_page(&user.get(path).await.expect(200));
    }
}

/// What a browser could take for a page or a script, by its content or by an ending it looks at, comes as a download
/// of bytes; what is shown is what its name says and nothing else.
#[tokio::test]
async fn no_upload_becomes_a_page() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let polyglot =
        b"GIF89a/*<svg onload=alert(1)><script>alert(1)</script>*/=1;%PDF-1.4\nPK\x03\x04";
    for name in [
        "a.htm",
        "a.HTML",
        "a.shtml",
        "a.xht",
        "a.xhtml",
        "a.mhtml",
        "a.svg",
        "a.SVGZ",
        "a.svg ",
        "a.png.svg",
        "a.gif.html",
        "a.xml",
        "a.xsl",
        "a.rdf",
        "a.atom",
        "a.js",
        "a.mjs",
        "a.css",
        "a.json",
        "a.swf",
        "a.jar",
        "a.hta",
        "a.url",
        "a.webmanifest",
        "a.png;.html",
        "a.png%00.html",
        "a",
        "html",
        "a.",
    ] {
        let uploaded = user.upload(&chat, name, polyglot).await.expect(200).json();
        let file = user
            .get(uploaded["url"].as_str().unwrap())
            .await
            .expect(200);
        assert_eq!(file.body, polyglot, "{name}");
        assert_eq!(
            file.header("content-type"),
            Some("application/octet-stream"),
            "{name}"
        );
        let disposition = file.header("content-disposition").unwrap();
        assert!(
            disposition.starts_with("attachment"),
            "{name}: {disposition}"
        );
        assert_eq!(
            file.header("x-content-type-options"),
            Some("nosniff"),
            "{name}"
        );
    }
    for (name, kind) in [
        ("a.gif", "image/gif"),
        ("a.PNG", "image/png"),
        ("a.html.jpg", "image/jpeg"),
    ] {
        let uploaded = user.upload(&chat, name, polyglot).await.expect(200).json();
        let file = user
            .get(uploaded["url"].as_str().unwrap())
            .await
            .expect(200);
        assert_eq!(file.header("content-type"), Some(kind), "{name}");
        assert_eq!(
            file.header("x-content-type-options"),
            Some("nosniff"),
            "{name}"
        );
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{name}: {policy}");
    }
}
