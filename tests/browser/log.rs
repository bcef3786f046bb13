//! The log viewer, at a size at which nothing can be kept whole in the page.

use crate::conversation::someone;
use crate::support::TestServer;
use crate::support::engine::settings;
use crate::webdriver::Browser;

/// Lines of a thousand bytes: a hundred megabytes.
const LINES: usize = 100_000;
const FIRST: &str = "document.querySelector('.log-line')?.textContent ?? ''";
const LAST: &str = "[...document.querySelectorAll('.log-line')].at(-1)?.textContent ?? ''";
const VIEW: &str = "document.querySelector('.log-view')";

#[tokio::test]
async fn a_log_of_a_hundred_megabytes_is_walked_and_searched() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let execution = user.send(&chat, &format!("biglog {LINES}")).await;
    user.ended(&execution).await;
    let bytes = user.execution(&execution).await["log_bytes"].as_u64();
    assert!(bytes >= Some(100_000_000), "{bytes:?}");
    browser
        .open(&server, &format!("/executions/{execution}"))
        .await;

    // It opens at its end, in colour, with little of it in the page.
    let last = format!("line {:08}", LINES - 1);
    browser
        .until(&format!("[...document.querySelectorAll('.log-line')].some((line) => line.textContent.startsWith({last:?}))"))
        .await;
    browser
        .until("document.querySelector('.ansi-fg-2')?.textContent === 'green' && document.querySelector('.ansi-bold.ansi-fg-1')?.textContent === 'red'")
        .await;
    assert_eq!(
        browser
            .read("document.querySelector('.log-lines').textContent.includes('\\u001b')")
            .await,
        false
    );
    let shown = browser
        .read("document.querySelectorAll('.log-line').length")
        .await;
    assert!(shown.as_u64() < Some(1000), "{shown} lines at once");
    // Upwards, more comes by itself.
    browser
        .until(&format!(
            "({VIEW}.scrollTop = 0, Number(({FIRST}).slice(5, 13)) < {})",
            LINES - 1500
        ))
        .await;
    // To the start, and on from there.
    browser
        .click(".log-head [aria-label='Jump to the start']")
        .await;
    browser
        .until(&format!("({FIRST}).startsWith('line 00000000')"))
        .await;
    browser
        .until(&format!(
            "({VIEW}.scrollTop = {VIEW}.scrollHeight, Number(({LAST}).slice(5, 13)) > 1000)"
        ))
        .await;
    // Found in the middle, backwards too, and not where there is none.
    browser
        .type_into(".log-find-input", "LINE 00070123\u{e007}")
        .await;
    browser
        .until(
            "document.querySelector('.log-line.is-match')?.textContent.startsWith('line 00070123')",
        )
        .await;
    browser
        .type_into(
            ".log-find-input",
            "\u{e009}a\u{e000}line 0000002\u{e008}\u{e007}",
        )
        .await;
    browser
        .until(
            "document.querySelector('.log-line.is-match')?.textContent.startsWith('line 00000029')",
        )
        .await;
    browser
        .type_into(
            ".log-find-input",
            "\u{e008}\u{e000}\u{e009}a\u{e000}nowhere\u{e007}",
        )
        .await;
    browser
        .until("document.querySelector('.log-find-status').textContent === 'Not in the log'")
        .await;
    // When the lines were printed.
    browser.click(".log-head [aria-label='Times']").await;
    browser
        .until("/^\\d\\d:\\d\\d:\\d\\d\\.\\d{3}$/.test([...document.querySelectorAll('.log-line')].at(-1)?.dataset.time)")
        .await;
    let most = browser
        .read("document.querySelectorAll('.log-line').length")
        .await;
    assert!(most.as_u64() <= Some(3000), "{most} lines at once");
    browser.has_no_complaints().await;
}

/// A log is followed until somebody looks elsewhere, and on from where it was when the server comes back.
#[tokio::test]
async fn a_running_log_is_paused_and_followed_again() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "trickle").await;
    user.printed(&execution, "line").await;
    browser
        .open(&server, &format!("/executions/{execution}"))
        .await;
    browser
        .until("document.querySelectorAll('.log-line').length > 60")
        .await;
    browser.click(".log-head [aria-label='Pause']").await;
    browser
        .until("document.querySelector('.log-head [aria-label=\"Follow\"]')")
        .await;
    browser
        .read("window.paused = document.querySelectorAll('.log-line').length")
        .await;
    // What is printed meanwhile is counted, not shown.
    browser
        .read("window.size = document.querySelector('.log-head > .muted').textContent")
        .await;
    browser
        .until("document.querySelector('.log-head > .muted').textContent !== window.size")
        .await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.log-line').length === window.paused")
            .await,
        true
    );
    browser.click(".log-head [aria-label='Follow']").await;
    browser
        .until("document.querySelectorAll('.log-line').length > window.paused")
        .await;
    browser.click(".exec-actions button").await;
    browser
        .until("document.querySelector('.badge-cancelled')")
        .await;
    browser.has_no_complaints().await;
}
