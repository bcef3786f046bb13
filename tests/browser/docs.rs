//! The documentation as its reader uses it: found, opened, copied, by day and by night.

use crate::support::TestServer;
use crate::webdriver::Browser;

const SHOWN: &str = "[...document.querySelectorAll('.docs-operation')].filter((operation) => operation.checkVisibility())";
const SURFACE: &str = "getComputedStyle(document.body).backgroundColor + \
    getComputedStyle(document.documentElement).backgroundColor";

#[tokio::test]
async fn the_documentation_is_searched_opened_and_copied_from() {
    let server = TestServer::start().await;
    let origin = format!("http://{}", server.address);
    let browser = Browser::start().await;
    browser.go(&format!("{origin}/docs")).await;
    browser.until(&format!("{SHOWN}.length > 30")).await;
    browser.has_no_complaints().await;

    let all = browser.read(&format!("{SHOWN}.length")).await;
    browser.type_into("#filter", "backup").await;
    browser
        .until("document.querySelector('#found').textContent.includes('operation')")
        .await;
    let found = browser.read(&format!("{SHOWN}.length")).await;
    assert!(
        found.as_u64() >= Some(1) && found.as_u64() < all.as_u64(),
        "{found}"
    );
    // Escape shows all of them again.
    browser.type_into("#filter", "\u{e00c}").await;
    browser.until(&format!("{SHOWN}.length === {all}")).await;

    // What is copied is what is shown: a command for this server, to be run as it is.
    browser
        .read("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        .await;
    browser.click("#list_workers summary").await;
    browser
        .click("#list_workers [aria-label=Command] + .docs-copy")
        .await;
    browser.until("window.copied").await;
    let copied = browser.read("window.copied").await;
    let copied = copied.as_str().unwrap();
    let shown = "#list_workers [aria-label=Command] code";
    assert_eq!(copied, browser.text(shown).await);
    assert!(
        copied.starts_with("curl ") && copied.contains(&format!("{origin}/api/workers")),
        "{copied}"
    );
    assert!(!copied.contains("$ORIGIN"), "{copied}");

    // An address names an operation.
    browser.go(&format!("{origin}/docs#create_worker")).await;
    browser
        .until("document.querySelector('#create_worker[open] .docs-fields')")
        .await;
    // All of them, whatever they hold.
    browser
        .read("document.querySelectorAll('.docs-operation').forEach((operation) => { operation.open = true; })")
        .await;
    browser
        .until(&format!(
            "document.querySelectorAll('.docs-operation .docs-answers').length === {all}"
        ))
        .await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn the_documentation_is_light_and_dark_within_its_policy() {
    let server = TestServer::start().await;
    let browser = Browser::start().await;
    browser.open(&server, "/docs").await;
    let mut seen = Vec::new();
    for theme in ["light", "dark"] {
        browser
            .read(&format!("localStorage.setItem('skep.theme', '{theme}')"))
            .await;
        browser.reload().await;
        browser.until(&format!("{SHOWN}.length > 30")).await;
        seen.push(browser.read(SURFACE).await);
        browser.has_no_complaints().await;
    }
    assert_ne!(seen[0], seen[1]);
}
