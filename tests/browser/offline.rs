//! The server is away: what a page that is gone to then shows, and that nothing of it stays.

use serde_json::json;

use crate::is_idle;
use crate::support::TestServer;
use crate::webdriver::Browser;

/// Whoever comes back to a chat meanwhile is told what to do, and is in that chat as soon as it can be had.
#[tokio::test]
async fn a_page_waits_for_the_server_and_goes_on_by_itself() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.message-reply')")
        .await;
    is_idle(&browser).await;
    browser
        .read("void navigator.serviceWorker.ready.then((it) => (window.kept = it.active))")
        .await;
    browser.until("window.kept?.state === 'activated'").await;
    // The page alone is kept: whatever else was shown came from the server.
    browser
        .read(
            "void caches.keys().then(async (names) => {
                const all = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
                window.files = all.flat().map((file) => new URL(file.url).pathname).sort();
            })",
        )
        .await;
    browser.until("window.files").await;
    assert_eq!(
        browser.read("window.files").await,
        json!([
            "/offline/index.html",
            "/offline/page.css",
            "/offline/page.js"
        ])
    );
    let chat = browser.url().await;
    let stopped = server.kill().await;
    browser.go(&chat).await;
    browser
        .until("document.querySelector('h1')?.textContent === 'Skep is not running'")
        .await;
    browser
        .until("getComputedStyle(document.body).display === 'grid'")
        .await;
    assert_eq!(browser.url().await, chat);
    let server = stopped.start_at_same_address().await;
    browser
        .until(
            "document.querySelector('.message-reply') && document.querySelector('.composer-input')",
        )
        .await;
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}
