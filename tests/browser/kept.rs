//! What somebody wrote is theirs: it is not lost to a stray press, to a server that is away, or to being too long.

use crate::support::TestServer;
use crate::support::engine::settings;
use crate::webdriver::Browser;
use crate::{is_idle, replied};

const ESCAPE: &str = "\u{e00c}";
const SAID: &str =
    "[...document.querySelectorAll('.bubble-text')].map((said) => said.textContent).join('|')";
const UPLOADED: &str =
    "document.querySelector('.chip') && !document.querySelector('.chip-state').firstChild";

/// Said while nothing answers, left for another page, and out in its order once something does: each of them once.
#[tokio::test]
async fn what_found_no_server_goes_out_once_there_is_one() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    browser
        .until("document.querySelectorAll('.message-reply').length === 1")
        .await;
    is_idle(&browser).await;
    let away = server.kill().await;
    for said in ["count to 3", "count to 4"] {
        browser.say(said).await;
    }
    let unsent = "document.querySelectorAll('.message-user .danger-text').length === 2";
    browser.until(unsent).await;
    browser.click("a[href='/workers']").await;
    browser.until("document.querySelector('.card-grid')").await;
    browser.read("history.back()").await;
    browser.until(unsent).await;
    let server = away.start_at_same_address().await;
    browser
        .until(&format!(
            "({SAID}) === 'help|count to 3|count to 4' && document.querySelectorAll('.message-reply').length === 3"
        ))
        .await;
    is_idle(&browser).await;
    // Nothing of them is left to be said again.
    browser.reload().await;
    browser
        .until("document.querySelectorAll('.message-reply').length === 3")
        .await;
    let left = "Object.keys(localStorage).filter((key) => key.includes('unsent')).length";
    assert_eq!(browser.read(left).await, 0);
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

/// Nobody has to look for a file once more.
#[tokio::test]
async fn a_file_that_found_no_server_is_tried_again() {
    let server = TestServer::start().await;
    let file = server.home.path().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    let browser = Browser::signed_in(&server).await;
    let away = server.kill().await;
    browser
        .type_into("input[type=file]", file.to_str().unwrap())
        .await;
    browser
        .until("document.querySelector('.chip .link-button')")
        .await;
    let server = away.start_at_same_address().await;
    browser.click(".chip .link-button").await;
    browser.until(UPLOADED).await;
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_long_to_read_is_pasted_as_a_file() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let paste = |chars: usize| {
        format!(
            "(() => {{ const data = new DataTransfer(); data.setData('text/plain', 'x'.repeat({chars})); \
             const paste = new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true, cancelable: true }}); \
             return document.querySelector('.composer-input').dispatchEvent(paste); }})()"
        )
    };
    // What the browser is to put into the text itself, it is left to.
    assert_eq!(browser.read(&paste(60_000)).await, true);
    assert_eq!(browser.read(&paste(60_001)).await, false);
    browser.until(UPLOADED).await;
    browser.say("help").await;
    browser
        .until("document.querySelector('.message-user')?.textContent.includes('pasted.txt')")
        .await;
    is_idle(&browser).await;
    browser.has_no_complaints().await;
    server.stop().await;
}

/// A double click opens a form and leaves it open; what was typed into it goes with the second Escape, not with the first.
#[tokio::test]
async fn a_form_is_not_lost_to_a_stray_press() {
    const OPEN: &str = "document.querySelectorAll('dialog[open]').length";
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/workers']").await;
    let create = "#main .page-head .button.primary";
    browser
        .until(&format!("document.querySelector({create:?})"))
        .await;
    // What is below the second press of the two is the dialog's backdrop.
    browser.click(create).await;
    let backdrop = |detail: u8| {
        format!(
            "((dialog) => {{ const at = {{ bubbles: true, clientX: 1, clientY: 1, detail: {detail} }}; \
             dialog.dispatchEvent(new PointerEvent('pointerdown', at)); dialog.dispatchEvent(new MouseEvent('click', at)); \
             return {OPEN}; }})(document.querySelector('dialog'))"
        )
    };
    assert_eq!(browser.read(&backdrop(2)).await, 1);
    browser.type_into("dialog input[name=name]", "Ada").await;
    assert_eq!(browser.read(&backdrop(1)).await, 1);
    browser.press(ESCAPE).await;
    browser
        .until("document.querySelector('dialog .toast')")
        .await;
    assert_eq!(browser.read(OPEN).await, 1);
    browser.press(ESCAPE).await;
    browser.until(&format!("{OPEN} === 0")).await;
    // Without anything in it, it closes at once, and goes with the page that it was opened from.
    browser.click(create).await;
    assert_eq!(browser.read(&backdrop(1)).await, 0);
    browser.click(create).await;
    browser.until(&format!("{OPEN} === 1")).await;
    browser.read("history.back()").await;
    browser.until(&format!("{OPEN} === 0")).await;
    browser.has_no_complaints().await;
    server.stop().await;
}

/// How many are before a message is right also when one of those is taken out of the queue.
#[tokio::test]
async fn what_waits_moves_up_when_one_before_it_is_taken_out() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = crate::conversation::someone(&server).await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    browser
        .go(&format!("http://{}/chats/{chat}", server.address))
        .await;
    browser.say("wait here").await;
    replied(&browser, "waiting here").await;
    browser.say("say two").await;
    browser.say("say three").await;
    let last = "[...document.querySelectorAll('.message-user')].at(-1).querySelector('.message-foot').textContent";
    browser
        .until(&format!("({last}).includes('2 before')"))
        .await;
    browser
        .click(".message-user .message-foot .link-button")
        .await;
    browser
        .until(&format!("({last}).includes('1 before')"))
        .await;
    let ada = user.read(&format!("/api/workers/{worker}")).await;
    std::fs::write(format!("{}/go", ada["work_dir"].as_str().unwrap()), "").unwrap();
    replied(&browser, "three").await;
    is_idle(&browser).await;
    browser.has_no_complaints().await;
    server.stop().await;
}
