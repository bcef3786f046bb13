//! The console in a real browser, used as its user does.
#![allow(clippy::unwrap_used)]

mod accessible;
mod chats;
mod conversation;
mod cross_origin;
mod docs;
mod figures;
mod filled;
mod kept;
mod keyboard;
mod language;
mod log;
mod looks;
mod odds;
mod offline;
mod pages;
mod palette;
mod permission;
mod portraits;
mod stored_scripts;
#[path = "../it/support/mod.rs"]
mod support;
mod tabs;
mod webdriver;
mod worker;

use std::path::Path;

use support::engine::settings;
use support::server::PASSWORD;
use support::{Method, TestServer};
use webdriver::Browser;

/// The text of the newest reply.
const REPLY: &str = "[...document.querySelectorAll('.reply-text')].at(-1)?.textContent ?? ''";

/// Waits until the newest reply holds this.
async fn replied(browser: &Browser, text: &str) {
    browser
        .until(&format!("({REPLY}).includes({text:?})"))
        .await;
}

/// Waits until so many replies are shown, ended or not.
async fn replies(browser: &Browser, count: usize) {
    browser
        .until(&format!(
            "document.querySelectorAll('.message-reply').length === {count}"
        ))
        .await;
}

async fn is_idle(browser: &Browser) {
    browser
        .until("document.querySelector('.stop-button')?.hidden")
        .await;
}

#[tokio::test]
async fn the_link_opens_signed_in_and_leaves_no_code_behind() {
    let server = TestServer::start().await;
    let link = format!("http://{}/#code={}", server.address, server.code);
    let browser = Browser::signed_in(&server).await;
    assert!(
        !browser.url().await.contains("code"),
        "{}",
        browser.url().await
    );
    browser.has_no_complaints().await;
    // A reload keeps the sign-in, without the link.
    browser.reload().await;
    browser
        .until("document.querySelector('.composer-input')")
        .await;
    browser.has_no_complaints().await;

    // Somebody else with the same link has to know the password.
    let other = Browser::start().await;
    other.go(&link).await;
    other
        .until("document.querySelector('.signin .notice')?.textContent")
        .await;
    other
        .type_into("input[name=password]", "wrong\u{e007}")
        .await;
    other
        .until("document.querySelector('.field-error:not([hidden])')")
        .await;
    other.enter_password().await;
    other
        .until("document.querySelector('.composer-input')")
        .await;
    other.complains_only_about(&["status of 401"]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_reload_in_mid_reply_loses_nothing() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("count to 60 slowly").await;
    replied(&browser, "12").await;
    browser
        .until("location.pathname.startsWith('/chats/')")
        .await;
    browser.reload().await;
    replied(&browser, "20").await;
    let text = browser.read(REPLY).await;
    let words: Vec<&str> = text.as_str().unwrap().split_whitespace().collect();
    let is_numbers = words
        .iter()
        .zip(1..)
        .all(|(word, n)| word.trim_end_matches(',').starts_with(&n.to_string()));
    assert!(
        is_numbers,
        "what was said before the reload is there, once: {text}"
    );
    replied(&browser, "60").await;
    is_idle(&browser).await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.message').length")
            .await,
        2
    );
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn the_stop_button_stops_and_the_text_stays() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("count to 100 slowly").await;
    replied(&browser, "10").await;
    browser.click(".stop-button").await;
    browser
        .until("document.querySelector('.outcome-cancelled')")
        .await;
    is_idle(&browser).await;
    let text = browser.read(REPLY).await;
    assert!(
        text.as_str().unwrap().contains("10") && !text.as_str().unwrap().contains("100"),
        "{text}"
    );
    browser.say("help").await;
    replies(&browser, 2).await;
    is_idle(&browser).await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_reply_is_unread_until_it_is_looked_at() {
    const DOT: &str = "document.querySelector('.sidebar .dot-unread')";
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("count to 30 slowly").await;
    replied(&browser, "3").await;
    browser.click("a[href='/workers']").await;
    browser.until(DOT).await;
    // Nobody has looked yet, so it is unread after a reload too.
    browser.reload().await;
    browser.until(DOT).await;
    browser.click(".sidebar a[href^='/chats/']").await;
    replied(&browser, "30").await;
    browser.until(&format!("!{DOT}")).await;
    // And read for good: somewhere else, where nothing looks at it.
    browser.click("a[href='/workers']").await;
    browser.reload().await;
    browser
        .until("document.querySelector('.sidebar a[href^=\"/chats/\"]')")
        .await;
    assert_eq!(
        browser.read(&format!("{DOT} === null")).await,
        serde_json::Value::Bool(true)
    );
    browser.has_no_complaints().await;
}

/// Attaches a file and waits until it is uploaded.
async fn attach(browser: &Browser, file: &Path) {
    browser
        .type_into("input[type=file]", file.to_str().unwrap())
        .await;
    browser
        .until("document.querySelector('.chip') && !document.querySelector('.chip progress')")
        .await;
}

#[tokio::test]
async fn a_chat_that_a_file_began_is_named_by_its_message() {
    let server = TestServer::start().await;
    let file = server.home.path().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let browser = Browser::signed_in(&server).await;
    attach(&browser, &file).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.sidebar a[href^=\"/chats/\"]')?.textContent.startsWith('help')")
        .await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn the_bee_answers_for_a_worker_whose_engine_is_missing() {
    let server = TestServer::with(&settings()).await;
    server.log_in().await.worker("Ada", "missing").await;
    let browser = Browser::start().await;
    browser.open(&server, "/").await;
    browser.enter_password().await;
    browser.say("@Ada help").await;
    // How long it ran is known with the rest of its row: from then on nothing is drawn again.
    browser
        .until("document.querySelectorAll('.message-reply .facts > span').length >= 2")
        .await;
    browser.click(".outcome-choices button").await;
    replied(&browser, "I").await;
    browser
        .until("[...document.querySelectorAll('.bubble-text')].at(-1).textContent === '@bee help'")
        .await;
    is_idle(&browser).await;
    // Why this one answered.
    browser
        .until("[...document.querySelectorAll('.facts')].at(-1).textContent.includes('named in the message')")
        .await;
    browser.complains_only_about(&["status of 401"]).await;
}

/// The page stays open while the server goes away and comes back: nothing is lost, nothing has to be reloaded.
#[tokio::test]
async fn a_restart_with_the_page_open_loses_nothing() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    replies(&browser, 1).await;
    is_idle(&browser).await;
    browser.say("count to 100 slowly").await;
    // The reply before it holds a 10 too.
    replies(&browser, 2).await;
    replied(&browser, "10").await;
    let server = server.kill().await.start_at_same_address().await;
    browser
        .until("document.querySelector('.outcome-interrupted')")
        .await;
    is_idle(&browser).await;
    let text = browser.read(REPLY).await;
    assert!(
        text.as_str().unwrap().contains('1'),
        "the text it had: {text}"
    );
    browser.say("help").await;
    replies(&browser, 3).await;
    is_idle(&browser).await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.message-user').length")
            .await,
        3
    );
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_worker_is_made_and_chatted_with() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/workers']").await;
    browser
        .click(".page-body .button.primary, .page .button.primary")
        .await;
    browser
        .type_into("dialog input[name=name]", "bee\u{e007}")
        .await;
    browser
        .until("document.querySelector('dialog .field-error:not([hidden])')")
        .await;
    browser
        .type_into("dialog input[name=name]", "\u{e003}\u{e003}\u{e003}Ada")
        .await;
    browser
        .type_into("dialog textarea[name=description]", "Counts things")
        .await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('.worker-card .worker-name')?.textContent === 'Ada'")
        .await;
    browser.click(".worker-card a.button").await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.reply-name')?.textContent === 'Ada'")
        .await;
    is_idle(&browser).await;
    browser.complains_only_about(&["status of 422"]).await;
}

#[tokio::test]
async fn a_file_is_attached_and_shown() {
    /// The smallest picture that a browser draws.
    const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\
        \x9bU\x00\x00\x00\x0aIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82";
    let server = TestServer::start().await;
    let file = server.home.path().join("picture.png");
    std::fs::write(&file, PNG).unwrap();
    let browser = Browser::signed_in(&server).await;
    attach(&browser, &file).await;
    browser.say("what is this?").await;
    browser
        .until("document.querySelector('.message-user .media-image img')?.naturalWidth === 1")
        .await;
    replies(&browser, 1).await;
    is_idle(&browser).await;
    browser.reload().await;
    browser
        .until("document.querySelector('.message-user .media-image img')?.naturalWidth === 1")
        .await;
    browser.has_no_complaints().await;
}

/// Nothing of a document is fetched before somebody wants to see it.
#[tokio::test]
async fn a_pdf_unfolds_in_its_place() {
    const PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 90 90]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
    let server = TestServer::start().await;
    let file = server.home.path().join("paper.pdf");
    std::fs::write(&file, PDF).unwrap();
    let browser = Browser::signed_in(&server).await;
    attach(&browser, &file).await;
    browser.say("what is this?").await;
    browser
        .until("document.querySelector('.message-user .media-pdf summary')?.textContent.includes('paper.pdf')")
        .await;
    is_idle(&browser).await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('iframe').length")
            .await,
        0
    );
    browser.click(".message-user .media-pdf summary").await;
    browser
        .until("document.querySelector('.media-pdf iframe')?.clientHeight > 200")
        .await;
    browser
        .until("performance.getEntriesByType('resource').some((it) => it.initiatorType === 'iframe' && it.responseStatus === 200)")
        .await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_running_execution_is_found_and_its_log_grows() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "wait for me").await;
    user.printed(&execution, "waiting for me").await;
    let browser = Browser::signed_in_by_password(&server).await;
    browser.click("a[href='/executions']").await;
    browser
        .until("document.querySelector('.executions-table .badge-running')")
        .await;
    browser.click(".executions-table a.row-link").await;
    browser
        .until("document.querySelector('.log-lines')?.textContent.includes('waiting for me')")
        .await;
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    browser
        .until("document.querySelector('.log-lines')?.textContent.includes('done')")
        .await;
    browser
        .until("document.querySelector('.badge-completed')")
        .await;
    browser.complains_only_about(&["status of 401"]).await;
}

/// What a worker says is hostile: it is shown, and nothing of it runs.
#[tokio::test]
async fn what_a_worker_says_never_runs() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = support::User::new(&server, &{
        let login = server.call(Method::Post, "/api/auth/login");
        login
            .json(&serde_json::json!({ "username": "admin", "password": PASSWORD }))
            .send()
            .await
            .expect(200)
            .json()
    });
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser
        .until("document.querySelector('.composer-input')")
        .await;
    for hostile in [
        "say <img src=x onerror=window.pwned=1><script>window.pwned=1</script>",
        "say [click](javascript:window.pwned=1) ![x](http://192.0.2.1/x.png)",
        "say <svg onload=window.pwned=1></svg><iframe srcdoc=x></iframe><style>body{display:none}</style>",
    ] {
        let execution = user.send(&chat, hostile).await;
        user.ended(&execution).await;
    }
    replies(&browser, 3).await;
    assert_eq!(
        browser.read("window.pwned ?? null").await,
        serde_json::Value::Null
    );
    let found = "document.querySelectorAll('.reply-text :is(script, iframe, style, svg, img, [onerror], a[href^=javascript])').length";
    assert_eq!(browser.read(found).await, 0);
    browser.has_no_complaints().await;
}

/// A browser keeps the pages that were left, and has six connections for a server: they are for the page that is open.
#[tokio::test]
async fn pages_that_were_left_hold_nothing_up() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.message-reply')")
        .await;
    is_idle(&browser).await;
    for _ in 0..4 {
        for (path, shown) in [
            ("/executions", ".executions-table a.row-link"),
            ("/workers", ".page-head"),
        ] {
            browser
                .go(&format!("http://{}{path}", server.address))
                .await;
            browser
                .until(&format!("document.querySelector({shown:?})"))
                .await;
        }
    }
    // One that is come back to goes on.
    browser.read("history.back()").await;
    browser
        .until("document.querySelectorAll('.executions-table a.row-link').length === 1")
        .await;
    let user = support::User::new(&server, &{
        let login = server.call(Method::Post, "/api/auth/login");
        login
            .json(&serde_json::json!({ "username": "admin", "password": PASSWORD }))
            .send()
            .await
            .expect(200)
            .json()
    });
    let chat = user.chat().await;
    user.ask(&chat, "help").await;
    browser
        .until("document.querySelectorAll('.executions-table a.row-link').length === 2")
        .await;
    browser.has_no_complaints().await;
}
