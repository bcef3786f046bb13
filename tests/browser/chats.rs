//! The list of chats: sorted by hand, marked, put away and had back, taken along as a file.

use serde_json::{Value, json};

use crate::conversation::someone;
use crate::is_idle;
use crate::support::engine::settings;
use crate::support::{TestServer, User};
use crate::webdriver::Browser;

/// The names in the list, in order.
const LISTED: &str = "[...document.querySelectorAll('.chat-list .chat-name')].map((name) => name.textContent).join('|')";
const HEAD_MENU: &str = ".page-head [aria-haspopup=menu]";
const ITEM: &str = ".menu [role=menuitem]";

async fn chat(user: &User, name: &str, patch: Value) -> String {
    let made = user
        .post("/api/local/sessions", &json!({ "name": name }))
        .await
        .expect(201)
        .json();
    let id = made["id"].as_str().unwrap().to_owned();
    user.patch(&format!("/api/local/sessions/{id}"), &patch)
        .await
        .expect(200);
    id
}

async fn listed(browser: &Browser, names: &str) {
    browser.until(&format!("({LISTED}) === {names:?}")).await;
}

#[tokio::test]
async fn chats_are_pinned_tagged_archived_and_marked() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let report = chat(&user, "Report", json!({ "tags": ["work"] })).await;
    chat(&user, "Lisbon", json!({ "tags": ["home", "work"] })).await;
    chat(&user, "Garden", json!({})).await;
    listed(&browser, "Garden|Lisbon|Report").await;

    browser
        .click(&format!(".chat-list a[href='/chats/{report}']"))
        .await;
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Pin to the top").await;
    listed(&browser, "Report|Garden|Lisbon").await;
    // What was marked as unread stays so while it is looked at, and is read when it is opened again.
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Mark as unread").await;
    browser
        .until("document.querySelector('.is-unread .chat-name')?.textContent === 'Report'")
        .await;
    browser.until("document.title.startsWith('(1) ')").await;
    browser.click("a[href='/workers']").await;
    browser
        .click(&format!(".chat-list a[href='/chats/{report}']"))
        .await;
    browser
        .until("!document.querySelector('.is-unread') && !document.title.startsWith('(')")
        .await;

    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Tags…").await;
    browser
        .type_into("dialog input[name=tags]", ", urgent\u{e007}")
        .await;
    browser.click_text(".tag-filter .tag", "urgent").await;
    listed(&browser, "Report").await;
    browser.click_text(".tag-filter .tag", "urgent").await;
    listed(&browser, "Report|Garden|Lisbon").await;

    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Archive").await;
    listed(&browser, "Garden|Lisbon").await;
    browser.until("location.pathname === '/'").await;
    browser.click(".side-archive").await;
    listed(&browser, "Report").await;
    let kept = user.read(&format!("/api/local/sessions/{report}")).await;
    assert_eq!(
        [&kept["pinned"], &kept["archived"], &kept["tags"]],
        [&json!(true), &json!(true), &json!(["work", "urgent"])]
    );
    browser.has_no_complaints().await;
}

/// A chat that was deleted can be had back for some seconds, and is gone for good with the page.
#[tokio::test]
async fn a_deleted_chat_is_had_back_or_gone_with_the_page() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let id = chat(&user, "Mistake", json!({})).await;
    listed(&browser, "Mistake").await;
    browser.click(".chat-list a").await;
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Delete").await;
    listed(&browser, "").await;
    browser.click(".toast .button").await;
    listed(&browser, "Mistake").await;
    browser
        .until(&format!("location.pathname === '/chats/{id}'"))
        .await;
    user.get(&format!("/api/local/sessions/{id}"))
        .await
        .expect(200);

    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Delete").await;
    listed(&browser, "").await;
    let mut events = user.events("/api/stream", None).await;
    browser.open(&server, "/workers").await;
    events
        .find(|event| event.is("deleted") && event.data["session_id"] == id.as_str())
        .await;
    browser.has_no_complaints().await;
}

/// The marks beside the chats: one runs, one is next, one failed while nobody looked.
#[tokio::test]
async fn the_list_shows_what_runs_what_waits_and_what_failed() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (ada, running) = user.chat_with_engine("Ada", "fake").await;
    let queued = user.chat_with(&ada).await;
    let (_, failing) = user.chat_with_engine("Bob", "fake").await;
    user.send(&running, "wait for it").await;
    user.send(&queued, "say after it").await;
    user.ask(&failing, "crash").await;
    for (chat, mark) in [
        (&running, "running"),
        (&queued, "queued"),
        (&failing, "failed"),
    ] {
        browser
            .until(&format!(
                "document.querySelector('.chat-list a[href=\"/chats/{chat}\"] .dot-{mark}')"
            ))
            .await;
    }
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_chat_is_taken_along_as_markdown_and_as_json() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.message-reply .facts')")
        .await;
    is_idle(&browser).await;
    browser
        .read("URL.createObjectURL = (blob) => { blob.text().then((text) => { window.file = text; }); return 'data:,'; }")
        .await;
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Export as Markdown").await;
    browser.until("window.file").await;
    let markdown = browser.read("window.file").await;
    let markdown = markdown.as_str().unwrap();
    assert!(
        markdown.starts_with("# help\n\n## You\n") && markdown.contains("\n## Bee\n"),
        "{markdown}"
    );
    browser.read("window.file = null").await;
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Export as JSON").await;
    browser.until("window.file").await;
    let text = browser.read("window.file").await;
    let exported: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    assert_eq!(exported["session"]["name"], "help");
    let messages = exported["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!([&messages[0]["seq"], &messages[1]["seq"]], [1, 2]);
}

/// Somebody who is elsewhere is told of an end, once they asked for that; the notice leads to the chat.
#[tokio::test]
async fn who_is_elsewhere_is_told_that_a_run_ended() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    // There is nobody to allow it in a browser without a screen, and nowhere to show it.
    browser
        .read(
            "(() => {
                window.told = [];
                window.Notification = class {
                    static permission = 'granted';
                    static requestPermission = async () => 'granted';
                    constructor(title, { body }) { window.told.push(this); this.text = `${title}: ${body}`; }
                    close() {}
                };
                return true;
            })()",
        )
        .await;
    user.ask(&chat, "say nobody asked").await;
    browser
        .until("document.querySelector('.chat-list a .dot-unread') && document.querySelector('.quiet-select option:nth-child(2)')")
        .await;
    browser.click(".account").await;
    browser.click_text(ITEM, "Notify me when a run ends").await;
    browser.until("document.querySelector('.toast-ok')").await;
    user.ask(&chat, "say I am looking").await;
    browser
        .read(
            "(Object.defineProperty(document, 'hidden', { get: () => true, configurable: true }),
              document.dispatchEvent(new Event('visibilitychange')))",
        )
        .await;
    user.ask(&chat, "say all done").await;
    browser.until("window.told.length").await;
    assert_eq!(
        browser
            .read("window.told.map((notice) => notice.text).join()")
            .await,
        "Chat: Ada: all done"
    );
    browser.read("window.told[0].onclick()").await;
    browser
        .until(&format!("location.pathname === '/chats/{chat}'"))
        .await;
    browser.has_no_complaints().await;
}
