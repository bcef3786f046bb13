//! Everything a chat needs, by the keyboard alone.

use crate::support::TestServer;
use crate::webdriver::Browser;
use crate::{is_idle, replied};

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Goes on from one thing to the next until this one has the focus, which can be seen.
async fn tab_to(browser: &Browser, what: &str) {
    const STEPS_MAX: usize = 80;
    for _ in 0..STEPS_MAX {
        let is_there = format!("Boolean(document.activeElement?.matches({what:?}))");
        if browser.read(&is_there).await == true {
            let ring = "(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && outlineWidth !== '0px')(getComputedStyle(document.activeElement))";
            assert_eq!(browser.read(ring).await, true, "{what} shows its focus");
            return;
        }
        browser.press(TAB).await;
    }
    panic!("{what} is not reached");
}

#[tokio::test]
async fn a_worker_is_made_talked_to_and_renamed_without_a_mouse() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    // The first thing leads past what is the same on every page.
    browser.open(&server, "/executions").await;
    browser.until("document.querySelector('.page-head')").await;
    tab_to(&browser, ".skip-link").await;
    tab_to(&browser, "a[href='/workers']").await;
    browser.press(ENTER).await;
    browser.until("location.pathname === '/workers'").await;
    browser
        .until("document.querySelector('#main .button.primary')")
        .await;
    tab_to(&browser, "#main .button.primary").await;
    browser.press(ENTER).await;
    // A dialog takes the focus, keeps it, and gives it back.
    browser
        .until("document.activeElement?.matches('dialog input[name=name]')")
        .await;
    browser.press(&format!("Ada{ENTER}")).await;
    browser
        .until("!document.querySelector('dialog[open]') && document.querySelector('.worker-card')")
        .await;
    tab_to(&browser, ".worker-card a.button").await;
    browser.press(ENTER).await;
    browser
        .until("document.activeElement?.matches('.composer-input')")
        .await;
    browser.press(&format!("count to 100 slowly{ENTER}")).await;
    replied(&browser, "7").await;
    browser.press(ESCAPE).await;
    browser
        .until("document.querySelector('.outcome-cancelled')")
        .await;
    is_idle(&browser).await;

    // What can be done with the chat is in its menu, whose entries the arrows choose.
    tab_to(&browser, "[aria-haspopup=menu]").await;
    browser.press(ENTER).await;
    browser
        .until("document.activeElement?.matches('.menu [role=menuitem]')")
        .await;
    browser.press("\u{e015}").await;
    browser
        .until("document.activeElement?.matches('.menu [role=menuitem]:nth-of-type(n + 2)')")
        .await;
    browser.press(ESCAPE).await;
    browser
        .until("!document.querySelector('.menu:popover-open') && document.activeElement?.matches('[aria-haspopup=menu]')")
        .await;
    browser.press("?").await;
    browser
        .until("document.querySelector('dialog[open]')")
        .await;
    browser.press(ESCAPE).await;
    browser
        .until("!document.querySelector('dialog[open]')")
        .await;
    browser.has_no_complaints().await;
}
