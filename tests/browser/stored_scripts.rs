//! Text that would run, kept in every place that the console shows: nothing of it runs, and nothing of it even asks the
//! page's policy.

use serde_json::{Value, json};

use crate::support::server::PASSWORD;
use crate::support::{Method, TestServer, User};
use crate::webdriver::Browser;

/// What has run in consoles like this one.
const PAYLOADS: [&str; 8] = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg/onload=window.pwned=1>",
    "[a](javascript:window.pwned=1)",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "![a](http://192.0.2.1/a.png)",
    "<details open ontoggle=window.pwned=1>x</details>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=window.pwned=1>",
];

/// What one turn of an engine prints that says `payload` in every way there is.
fn events(payload: &str) -> String {
    let events = [
        json!({ "type": "thinking", "text": payload }),
        json!({ "type": "tool_call", "id": "t", "name": payload, "args": { payload: payload } }),
        json!({ "type": "tool_result", "id": "t", "ok": true, "output": payload }),
        json!({ "type": "tool_call", "id": "u", "name": "read_file", "args": { "path": payload } }),
        json!({ "type": "tool_result", "id": "u", "ok": false, "output": payload }),
        json!({ "type": "text", "text": payload }),
    ];
    let mut lines: Vec<String> = events.iter().map(Value::to_string).collect();
    // A line of the log that is no event.
    lines.push(payload.to_owned());
    lines.join("\n")
}

/// As one segment of a path.
fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn nothing_ran(browser: &Browser, place: &str) {
    // What is folded is shown, too.
    browser
        .read("document.querySelectorAll('main details, main summary').forEach((folded) => { folded.open = true; })")
        .await;
    // Whatever was put into the page has had its turn when the next two frames are drawn.
    browser
        .read("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true), 0))))")
        .await;
    assert_eq!(
        browser.read("window.pwned ?? null").await,
        Value::Null,
        "{place}"
    );
    let made = "document.querySelectorAll('main :is(script, iframe, [onerror], [onload], [ontoggle], a[href^=\"javascript:\"])').length";
    assert_eq!(browser.read(made).await, 0, "{place}");
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn nothing_that_is_kept_runs_wherever_it_is_shown() {
    // An engine whose events are its message: it can say anything.
    let server = TestServer::with(
        "[engines.says]\nkind = \"command\"\nargv = [\"/bin/cat\"]\noutput = \"events\"",
    )
    .await;
    let browser = Browser::signed_in(&server).await;
    // The link was the browser's.
    let login = json!({ "username": "admin", "password": PASSWORD });
    let login = server.call(Method::Post, "/api/auth/login").json(&login);
    let user = User::new(&server, &login.send().await.expect(200).json());
    let (worker, chat) = user.chat_with_engine("Ada", "says").await;
    for (n, payload) in PAYLOADS.iter().enumerate() {
        let name: String = format!("{n} {payload}").chars().take(100).collect();
        let body = json!({ "name": name, "description": payload, "memory": payload });
        user.post("/api/workers", &body).await.expect(201);
        let body = json!({ "name": name, "tags": [payload.chars().take(20).collect::<String>()] });
        let task = json!({ "type": "countdown", "instruction": payload, "scheduled_at": 4_102_444_800_000_u64 });
        user.post("/api/tasks", &task).await.expect(201);
        // As a path the name of an entry is short, and has no slash in it.
        let key = payload.replace(['/', '%', '?', '#', ' '], ".");
        let path = format!("/api/memory/global/{n}{}", percent(&key));
        let entry = json!({ "value": payload });
        user.put(&path, &entry).await.expect(200);
        let key = json!({ "name": payload, "scopes": ["read"] });
        user.post("/api/tokens", &key).await.expect(201);
        let other = user.chat().await;
        user.patch(&format!("/api/local/sessions/{other}"), &body)
            .await
            .expect(200);
        let uploaded = user
            .upload(
                &chat,
                &format!("{}.png", payload.replace('"', "'")),
                payload.as_bytes(),
            )
            .await
            .expect(200)
            .json();
        let content = format!("{}\n{}", events(payload), json!({ "type": "result" }));
        let body = json!({ "content": content, "media_path": uploaded["path"] });
        let execution = user.send_with(&chat, &body).await;
        user.ended(&execution).await;
        let failure = json!({ "type": "error", "error": payload, "message": payload });
        user.ask(&chat, &format!("{}\n{failure}", events(payload)))
            .await;
    }
    let hostile = json!({ "name": PAYLOADS[1], "description": PAYLOADS[2], "memory": PAYLOADS[0] });
    user.put(&format!("/api/workers/{worker}"), &hostile)
        .await
        .expect(200);
    let last = user.ask(&chat, &events(PAYLOADS[1])).await;
    let execution = last.execution["id"].as_str().unwrap().to_owned();

    let go = async |path: &str, shown: &str| {
        browser
            .go(&format!("http://{}{path}", server.address))
            .await;
        browser.until(shown).await;
        nothing_ran(&browser, path).await;
    };
    let replies = 2 * PAYLOADS.len() + 1;
    go(
        &format!("/chats/{chat}"),
        // What is above comes as one nears it.
        &format!(
            "((view) => view && ((view.scrollTop = 0), document.querySelectorAll('.message-reply').length === {replies}))\
             (document.querySelector('.chat-scroll'))"
        ),
    )
    .await;
    // And as it comes, in the page that is open.
    for payload in PAYLOADS {
        user.ask(&chat, &events(payload)).await;
    }
    browser
        .until(&format!(
            "document.querySelectorAll('.message-reply').length === {}",
            replies + PAYLOADS.len()
        ))
        .await;
    nothing_ran(&browser, "live").await;
    go(
        "/workers",
        &format!(
            "document.querySelectorAll('.worker-card').length > {}",
            PAYLOADS.len()
        ),
    )
    .await;
    go(
        "/executions",
        "document.querySelector('.executions-table a.row-link')",
    )
    .await;
    for (path, shown) in [
        ("/tasks", ".tasks-table tbody tr"),
        ("/memory", ".memory-entry"),
        ("/settings/keys", ".key-row"),
        ("/usage", ".usage-table tbody tr"),
    ] {
        go(
            path,
            &format!("document.querySelectorAll({shown:?}).length >= 1"),
        )
        .await;
    }
    go(
        &format!("/executions/{execution}"),
        "document.querySelector('.log-lines')?.textContent.includes('onerror')",
    )
    .await;
}
