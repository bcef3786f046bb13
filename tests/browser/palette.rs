//! The palette: found by its keys or its button, it goes where one wants.

use serde_json::json;

use crate::pages::client;
use crate::support::TestServer;
use crate::webdriver::Browser;

const INPUT: &str = ".palette-input";
/// Control and K, as one presses them; NULL lets go.
const CONTROL_K: &str = "\u{e009}k\u{e000}";
const DOWN: &str = "\u{e015}";
const ENTER: &str = "\u{e007}";

/// The text of the chosen row, without how old it is.
const CHOSEN: &str = "document.querySelector('.palette-option[aria-selected=true] .palette-line')?.textContent ?? ''";

#[tokio::test]
async fn the_palette_finds_chats_messages_and_pages() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = client(&server).await;
    let name = json!({ "name": "Garden plans" });
    let chat = user.post("/api/local/sessions", &name).await.expect(201);
    let chat = chat.json()["id"].as_str().unwrap().to_owned();
    let hostile = "help me with tulips <img src=x onerror=document.title='run'>";
    user.ask(&chat, hostile).await;
    let said = user.messages(&chat).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    browser
        .until("document.querySelector('.chat-list')?.textContent.includes('Garden')")
        .await;

    // From the field of the composer, a chat by its name.
    browser.type_into(".composer-input", CONTROL_K).await;
    browser.type_into(INPUT, "gard").await;
    browser
        .until(&format!("({CHOSEN}) === 'Garden plans'"))
        .await;
    browser
        .until("document.querySelector('.palette-note').textContent.endsWith('1 result')")
        .await;
    assert_eq!(browser.text(".palette mark").await, "Gard");
    browser.type_into(INPUT, ENTER).await;
    browser
        .until(&format!(
            "location.pathname === '/chats/{chat}' && !document.querySelector('.palette')"
        ))
        .await;

    // A message by a word in it, from another page; what it says stays text.
    browser.click("a[href='/workers']").await;
    browser.click(".side-nav button").await;
    browser.type_into(INPUT, "tuli").await;
    browser
        .until(&format!("({CHOSEN}).includes('onerror')"))
        .await;
    assert_eq!(browser.text(".palette mark").await, "tulips");
    let active = "document.getElementById(document.querySelector('.palette-input').getAttribute('aria-activedescendant'))";
    assert_eq!(
        browser
            .read(&format!("{active}.getAttribute('aria-selected')"))
            .await,
        "true"
    );
    browser.type_into(INPUT, ENTER).await;
    browser
        .until(&format!("location.hash === '#m={said}' && document.querySelector('.message.is-found')?.textContent.includes('tulips')"))
        .await;

    // A page by its name; the keys go round, and the same keys close it.
    browser.type_into(".composer-input", CONTROL_K).await;
    browser.type_into(INPUT, "memor").await;
    browser.until(&format!("({CHOSEN}) === 'Memory'")).await;
    browser.type_into(INPUT, ENTER).await;
    browser.until("location.pathname === '/memory'").await;
    browser.click(".side-nav button").await;
    browser
        .until(&format!("({CHOSEN}) === 'Garden plans'"))
        .await;
    browser.type_into(INPUT, &DOWN.repeat(2)).await;
    browser.until(&format!("({CHOSEN}) === 'Workers'")).await;
    browser.type_into(INPUT, "nothing like this").await;
    browser
        .until(
            "document.querySelector('.palette-empty')?.textContent.includes('nothing like this')",
        )
        .await;
    browser.type_into(INPUT, CONTROL_K).await;
    browser.until("!document.querySelector('.palette')").await;
    assert!(
        !browser
            .read("document.title")
            .await
            .as_str()
            .unwrap()
            .contains("run")
    );
    browser.has_no_complaints().await;
}
