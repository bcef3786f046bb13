//! What an ordinary day brings and no demonstration: a wrong clock, a printer, a tab that slept, a hasty sign-out.

use std::time::Duration;

use serde_json::json;

use crate::conversation::someone;
use crate::support::engine::settings;
use crate::support::{PATIENCE, TestServer};
use crate::webdriver::Browser;
use crate::{attach, is_idle, replied, replies};

const HEAD_MENU: &str = ".page-head [aria-haspopup=menu]";
const ITEM: &str = ".menu [role=menuitem]";

/// What has run for a moment has not run for two hours, nor for less than nothing, because the browser's clock is wrong.
#[tokio::test]
async fn a_wrong_clock_of_the_browsers_makes_no_wrong_times() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "hang").await;
    user.printed(&execution, "hanging").await;
    for hours in [2, -2] {
        let clock = format!(
            "(() => {{ const skew = {hours} * 3600000; const real = Date.now.bind(Date); \
             Date = class extends Date {{ \
             constructor(...given) {{ super(...(given.length ? given : [real() + skew])); }} \
             static now() {{ return real() + skew; }} }}; }})()"
        );
        let command = "Page.addScriptToEvaluateOnNewDocument";
        let added = browser.devtools(command, json!({ "source": clock })).await;
        browser.open(&server, "/executions").await;
        let ran =
            "/^[0-9.]+ (ms|s|min)/.test(document.querySelector('td.col-duration')?.textContent)";
        browser.until(ran).await;
        let started = browser.text("td.col-started").await;
        assert!(
            started == "now" || started.ends_with("min ago"),
            "{hours} h: {started}"
        );
        let command = "Page.removeScriptToEvaluateOnNewDocument";
        browser.devtools(command, added).await;
    }
    browser.has_no_complaints().await;
    server.stop().await;
}

/// On paper there is all of a chat that is drawn, and nothing to press.
#[tokio::test]
async fn a_chat_is_printed_to_its_end() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    user.ask(&chat, "lines 200").await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    replied(&browser, "line 200").await;
    browser
        .devtools("Emulation.setEmulatedMedia", json!({ "media": "print" }))
        .await;
    browser
        .until(
            "document.documentElement.scrollHeight > document.querySelector('.reply-text').offsetHeight",
        )
        .await;
    let pressed = "[...document.querySelectorAll('button, textarea')].filter((el) => el.checkVisibility()).length";
    assert_eq!(browser.read(pressed).await, 0);
    browser.has_no_complaints().await;
    server.stop().await;
}

/// A file that waits for its message is part of the draft: it is there again after another page, and after a reload.
#[tokio::test]
async fn an_attached_file_waits_for_its_message() {
    let server = TestServer::start().await;
    let file = server.home.path().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let browser = Browser::signed_in(&server).await;
    let waits = "document.querySelector('.chip-name')?.textContent === 'notes.txt' && !document.querySelector('.chip-state').firstChild";
    attach(&browser, &file).await;
    browser.click("a[href='/workers']").await;
    browser.until("location.pathname === '/workers'").await;
    browser.read("history.back()").await;
    browser.until(waits).await;
    browser.reload().await;
    browser.until(waits).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.message-user')?.textContent.includes('notes.txt')")
        .await;
    replies(&browser, 1).await;
    is_idle(&browser).await;
    // It went with one message, not with the next one too; and what is removed stays so.
    browser.reload().await;
    replies(&browser, 1).await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.chip').length")
            .await,
        0
    );
    attach(&browser, &file).await;
    browser.click(".chip .icon-button").await;
    let kept =
        "Object.keys(localStorage).filter((key) => key.startsWith('skep.file.')).length === 0";
    browser.until(kept).await;
    browser.has_no_complaints().await;
    server.stop().await;
}

/// Deletes the chat that is open, by its menu; the keyboard is at the way back then.
async fn delete_chat(browser: &Browser) {
    browser.click(HEAD_MENU).await;
    browser.click_text(ITEM, "Delete").await;
    browser.until("location.pathname === '/'").await;
    // Two frames later whoever wanted the focus has had it.
    browser
        .until("document.activeElement.textContent === 'Undo'")
        .await;
}

/// Who deletes a chat and signs out has deleted it. Until then the keyboard is at the way back.
#[tokio::test]
async fn a_chat_is_deleted_also_by_whoever_signs_out_at_once() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let chat = user.chat().await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    delete_chat(&browser).await;
    browser.press("\u{e007}").await;
    browser
        .until("location.pathname.startsWith('/chats/')")
        .await;
    delete_chat(&browser).await;
    browser.click(".sidebar a[href='/settings']").await;
    browser.click("a[href='/settings/account']").await;
    browser.click_text("#main .button", "Sign out").await;
    browser.until("document.querySelector('.signin')").await;
    user.get(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(404);
    server.stop().await;
}

/// A run that ended while the tab slept is not running for ever, however much came after it.
#[tokio::test]
async fn what_ended_while_the_tab_slept_is_not_running() {
    const LISTED_MAX: usize = 100;
    let server = TestServer::with(&format!("[rate_limit]\nenabled = false\n{}", settings())).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let waiting = user.send(&chat, "wait here").await;
    let dot = "document.querySelector('.sidebar .dot-running')";
    browser.until(dot).await;
    // What a browser says to a page that it keeps for the way back.
    let tell = |what: &str| {
        format!("void dispatchEvent(new PageTransitionEvent('{what}', {{ persisted: true }}))")
    };
    browser.read(&tell("pagehide")).await;
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    user.ended(&waiting).await;
    let mut last = waiting;
    for n in 0..=LISTED_MAX {
        last = user.send(&chat, &format!("@bee say {n}")).await;
    }
    let over = async {
        while user.execution(&last).await["completed_at"].is_null() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 4, over)
        .await
        .expect("all of them end");
    browser.read(&tell("pageshow")).await;
    browser.until(&format!("!{dot}")).await;
    server.stop().await;
}

/// What was told to stop is shown as stopping until it has stopped, also after a reload.
#[tokio::test]
async fn what_is_stopping_is_so_in_every_tab_and_after_a_reload() {
    let server = TestServer::with(&format!("[limits]\nstop_grace_s = 15\n{}", settings())).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    // It does not listen, and is killed after some seconds.
    browser.say("stubborn").await;
    replied(&browser, "stubborn").await;
    let first = browser.tab().await;
    let second = browser.open_tab(&browser.url().await).await;
    replied(&browser, "stubborn").await;
    browser.switch_to(&first).await;
    browser.click(".stop-button").await;
    let is_stopping = "document.querySelector('.stop-button').disabled && document.querySelector('.reply-stage').textContent.includes('Stopping')";
    browser.until(is_stopping).await;
    browser.switch_to(&second).await;
    browser.until(is_stopping).await;
    browser.reload().await;
    browser
        .until("document.querySelector('.reply-stage')?.textContent")
        .await;
    assert_eq!(browser.read(is_stopping).await, true);
    browser
        .until("document.querySelector('.outcome-cancelled')")
        .await;
    is_idle(&browser).await;
    browser.has_no_complaints().await;
    server.stop().await;
}
