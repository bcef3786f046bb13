//! What a designer would look at: that nothing lies over what one presses, and nothing is said twice.

use serde_json::json;

use crate::conversation::someone;
use crate::support::TestServer;
use crate::support::engine::settings;
use crate::support::model::{ModelServer, calls, text};
use crate::webdriver::Browser;

const ESCAPE: char = '\u{e00c}';

async fn width(browser: &Browser, width: u32) {
    let size =
        json!({ "width": width, "height": 720, "deviceScaleFactor": 1, "mobile": width < 600 });
    browser
        .devtools("Emulation.setDeviceMetricsOverride", size)
        .await;
}

#[tokio::test]
async fn a_notice_in_a_dialog_covers_no_control() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    for pixels in [360, 768, 1440] {
        width(&browser, pixels).await;
        browser.open(&server, "/memory").await;
        browser.click(".empty .button.primary").await;
        browser.type_into("dialog input[name=key]", "tea").await;
        browser.press(&ESCAPE.to_string()).await;
        browser
            .until("document.querySelector('dialog .toast')")
            .await;
        // Where a control is, a press reaches it.
        let covered = browser
            .read(
                "[...document.querySelectorAll('dialog .dialog-head button, dialog .dialog-foot button')].filter((control) => { \
                 const box = control.getBoundingClientRect(); \
                 return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)?.closest('button') !== control; }).length",
            )
            .await;
        assert_eq!(covered, json!(0), "{pixels}");
        // And its place is given back.
        browser.click("dialog .toast .icon-button").await;
        browser
            .until("!document.querySelector('dialog .toasts')")
            .await;
        browser.press(&ESCAPE.to_string()).await;
        browser.until("!document.querySelector('dialog')").await;
    }
    browser.has_no_complaints().await;
}

/// A task without a chat is running: what is not yet a chat has nothing to do with it, least of all its Stop button.
#[tokio::test]
async fn a_new_chat_is_not_a_task_s() {
    let server = TestServer::with(&settings()).await;
    let user = someone(&server).await;
    let worker = user.worker("Ada", "fake").await;
    let task = json!({ "type": "immediate", "instruction": "wait here", "worker_id": worker });
    user.post("/api/tasks", &task).await.expect(201);
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/executions']").await;
    browser
        .until("document.querySelector('.executions-table .badge-running')")
        .await;
    browser.click(".sidebar a[href='/']").await;
    browser
        .until("document.querySelector('.chat.is-new .greeting h1')")
        .await;
    assert_eq!(
        browser
            .read("document.querySelector('.stop-button').hidden")
            .await,
        json!(true)
    );
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_failure_is_said_once_on_a_worker_s_card() {
    let server = TestServer::with(&settings()).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "missing").await;
    let execution = user.send(&chat, "help").await;
    user.ended(&execution).await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/workers']").await;
    browser
        .until("document.querySelector('.worker-last .badge-failed')")
        .await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.worker-card .badge-failed').length")
            .await,
        json!(1)
    );
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_command_that_waits_for_an_answer_is_said_once() {
    let command = ("run_command", r#"{"argv":["touch","made-here"]}"#);
    let model = ModelServer::saying([calls(&[command]), text(&["Well."])]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let user = someone(&server).await;
    let ada = json!({ "name": "Ada", "engine": "m", "permissions": "ask" });
    let ada = user.worker_with(&ada).await;
    let chat = user.chat_with(&ada).await;
    user.send(&chat, "Do it.").await;
    let browser = Browser::signed_in(&server).await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser
        .until("document.querySelector('.permission[data-state=waiting]')")
        .await;
    let said = browser.text("main").await;
    assert_eq!(said.matches("touch made-here").count(), 1, "{said}");
    // What came of it is told by the call itself.
    browser.click(".permission [data-decision=deny]").await;
    browser
        .until("document.querySelector('.tool[data-state=denied]')")
        .await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_paused_task_says_so_on_the_phone_and_not_when_it_is_next() {
    let server = TestServer::start().await;
    let user = someone(&server).await;
    let task = json!({ "type": "scheduled", "instruction": "help", "cron_expr": "0 9 * * 1" });
    let task = user.post("/api/tasks", &task).await.expect(201).json();
    let pause = format!("/api/tasks/{}/pause", task["id"].as_str().unwrap());
    user.post(&pause, &json!({})).await.expect(200);
    let browser = Browser::signed_in(&server).await;
    width(&browser, 360).await;
    browser.open(&server, "/tasks").await;
    browser
        .until("document.querySelector('.tasks-table .badge-paused')?.offsetParent")
        .await;
    assert_eq!(
        browser
            .read("document.querySelector('td.col-next').offsetParent")
            .await,
        json!(null)
    );
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_block_of_code_names_its_file() {
    let server = TestServer::with(&settings()).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user
        .send(
            &chat,
            "say ```rust:src/main.rs\nfn main() {}\n```\n\n```rust,ignore\nlet a = 1;\n```",
        )
        .await;
    user.ended(&execution).await;
    let browser = Browser::signed_in(&server).await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser
        .until("document.querySelectorAll('.code-block .c-keyword').length === 2")
        .await;
    let labels = browser
        .read("[...document.querySelectorAll('.code-language')].map((label) => [...label.children].map((part) => part.textContent))")
        .await;
    assert_eq!(labels, json!([["rust", "src/main.rs"], ["rust"]]));
    browser.has_no_complaints().await;
}
