//! The pictures of the README, made anew when the console has changed:
//!
//! ```sh
//! cargo test --test browser portraits -- --ignored
//! ```
//!
//! A hive as somebody has it: three workers, a day's chats, one of which mends a bug. Looked at before they are committed.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::conversation::someone;
use crate::support::TestServer;
use crate::support::user::id_of;
use crate::webdriver::Browser;

const BYTES_MAX: usize = 60_000;

/// What the worker's engine prints, as engine events.
const MENDS: &str = r#"cat > /dev/null
say() { printf '%s\n' "$1"; }
say '{"type":"thinking","text":"The test compares cents. Since the discount is a float, 19.99 * 0.9 is 17.990999…, and truncating loses a cent."}'
say '{"type":"tool_call","id":"1","name":"search","args":{"pattern":"fn discounted","path":"src"}}'
say '{"type":"tool_result","id":"1","ok":true,"output":"src/invoice.rs:41:fn discounted(price: Cents, percent: u8) -> Cents {"}'
sleep 1
say '{"type":"tool_call","id":"2","name":"edit","args":{"path":"src/invoice.rs","old_string":"fn discounted(price: Cents, percent: u8) -> Cents {\n    let rate = 1.0 - f64::from(percent) / 100.0;\n    Cents((price.0 as f64 * rate) as i64)\n}","new_string":"fn discounted(price: Cents, percent: u8) -> Cents {\n    let kept = 100 - i64::from(percent);\n    Cents((price.0 * kept + 50) / 100)\n}"}}'
say '{"type":"tool_result","id":"2","ok":true,"output":"changed"}'
sleep 2
say '{"type":"tool_call","id":"3","name":"run","args":{"command":"cargo test invoice"}}'
sleep 3
say '{"type":"tool_result","id":"3","ok":true,"output":"running 14 tests\n..............\ntest result: ok. 14 passed; 0 failed"}'
say '{"type":"text","text":"The discount was computed in floating point and cut off, so **€ 19.99** less 10 % lost a cent. It is whole cents now, rounded once:\n\n```rust\nlet kept = 100 - i64::from(percent);\nCents((price.0 * kept + 50) / 100)\n```\n\nAll 14 invoice tests pass. Nothing else called `discounted`."}'
say '{"type":"usage","input_tokens":18240,"output_tokens":912,"cost_usd":0.0684}'
say '{"type":"result"}'
"#;

const CHATS: [&str; 5] = [
    "Release notes for 2.4",
    "Which customers pay late?",
    "Rotate the backup keys",
    "Summary of Monday’s mail",
    "Translate the manual",
];

async fn picture(browser: &Browser, name: &str) {
    // The pointer and what it points at are not part of it.
    browser
        .until("document.getAnimations().every((a) => a.playState !== 'running')")
        .await;
    let how = json!({ "format": "webp", "quality": 80 });
    let shot = browser.devtools("Page.captureScreenshot", how).await;
    let bytes = BASE64_STANDARD
        .decode(shot["data"].as_str().unwrap())
        .unwrap();
    assert!(bytes.len() <= BYTES_MAX, "{name}: {} bytes", bytes.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/portraits");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

async fn size(browser: &Browser, width: u32, height: u32, scale: f64) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
    browser
        .devtools("Emulation.setDeviceMetricsOverride", size)
        .await;
}

async fn theme(browser: &Browser, name: &str) {
    let media = json!({ "features": [
        { "name": "prefers-color-scheme", "value": name }, { "name": "prefers-reduced-motion", "value": "reduce" },
    ] });
    browser.devtools("Emulation.setEmulatedMedia", media).await;
}

#[tokio::test]
#[ignore = "makes the README's pictures"]
async fn the_pictures_of_the_readme() {
    let server = TestServer::with(&format!(
        "[engines.agent]\nkind = \"command\"\noutput = \"events\"\nargv = [\"/bin/sh\", \"-c\", {MENDS:?}]\n"
    ))
    .await;
    let user = someone(&server).await;
    let mut ids = Vec::new();
    for (name, says) in [
        ("Ada", "Looks after the billing code: tests, bugs, reviews"),
        ("Grace", "Answers mail and keeps the customers’ list"),
        ("Linus", "Watches backups and servers, every night"),
    ] {
        let body = json!({ "name": name, "description": says, "engine": "agent" });
        ids.push(user.worker_with(&body).await);
    }
    for name in CHATS {
        let made = user
            .post("/api/local/sessions", &json!({ "name": name }))
            .await;
        made.expect(201);
    }
    let body = json!({ "name": "The invoice test fails", "worker_id": ids[0] });
    let chat: Value = user
        .post("/api/local/sessions", &body)
        .await
        .expect(201)
        .json();
    let chat = id_of(&chat);
    let said = "The invoice test fails since yesterday: one cent is missing. Can you find out why, and mend it?";
    let execution = user.send(&chat, said).await;
    user.ended(&execution).await;

    let browser = Browser::signed_in(&server).await;
    theme(&browser, "light").await;
    size(&browser, 1180, 980, 1.0).await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser
        .until(
            "document.querySelectorAll('.tool').length === 3 && document.querySelector('.facts')",
        )
        .await;
    browser
        .read("void (document.querySelectorAll('.tool')[1].open = true)")
        .await;
    browser.until("document.querySelector('.diff-out')").await;
    picture(&browser, "chat.webp").await;

    theme(&browser, "dark").await;
    size(&browser, 1180, 820, 1.0).await;
    browser
        .open(&server, &format!("/executions/{execution}"))
        .await;
    browser
        .until("document.querySelector('.log-line') && document.querySelector('.badge-completed')")
        .await;
    picture(&browser, "execution.webp").await;

    theme(&browser, "light").await;
    size(&browser, 390, 760, 1.5).await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser
        .until(
            "document.querySelectorAll('.tool').length === 3 && document.querySelector('.facts')",
        )
        .await;
    // On a phone the cursor waits for a finger.
    browser.read("void document.activeElement.blur()").await;
    picture(&browser, "phone.webp").await;
    server.stop().await;
}
