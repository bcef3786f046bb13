//! Nothing on any page, in either theme, that axe-core (WCAG 2.2 AA and its own best practices) finds fault with.

use std::path::Path;

use serde_json::json;

use crate::pages::client;
use crate::support::TestServer;
use crate::support::user::id_of;
use crate::webdriver::Browser;

/// `tests/run.sh` puts it there.
const AXE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/axe/node_modules/axe-core/axe.min.js"
);

/// Runs axe-core over the page as it is, in both themes.
async fn is_accessible(browser: &Browser, page: &str) {
    let axe = std::fs::read_to_string(Path::new(AXE));
    let axe = axe.unwrap_or_else(|error| panic!("{AXE}: {error}; tests/run.sh fetches it"));
    browser
        .read(&format!("(() => {{ if (!window.axe) {{ {axe} }} }})()"))
        .await;
    // The other theme has other colours and nothing else.
    for (theme, rules) in [("light", "null"), ("dark", "['color-contrast']")] {
        browser
            .read(&format!(
                "document.documentElement.dataset.theme = {theme:?}"
            ))
            .await;
        // Colours on their way to the other theme are those of neither.
        browser
            .until("document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getComputedTiming().endTime === Infinity)")
            .await;
        browser
            .read(&format!(
                "(window.axeFound = null, axe.run(document, {{ resultTypes: ['violations'], runOnly: {rules} ?? undefined }}).then((result) => {{ \
                 window.axeFound = result.violations.map((v) => ({{ rule: v.id, nodes: v.nodes.map((n) => n.html) }})); }}), 1)"
            ))
            .await;
        browser.until("window.axeFound").await;
        let found = browser.read("window.axeFound").await;
        assert_eq!(found, json!([]), "{page}, {theme}: {found:#}");
    }
}

async fn visit(browser: &Browser, server: &TestServer, path: &str, ready: &str) {
    browser
        .go(&format!("http://{}{path}", server.address))
        .await;
    browser
        .until(&format!("document.querySelector({ready:?})"))
        .await;
    is_accessible(browser, path).await;
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page() {
    let server = TestServer::start().await;
    let browser = Browser::start().await;
    visit(&browser, &server, "/", "input[name=password]").await;
    let browser = Browser::signed_in(&server).await;
    is_accessible(&browser, "a new chat").await;
    let lists = ["/workers", "/executions", "/tasks", "/memory", "/usage"];
    for page in lists {
        visit(&browser, &server, page, "#main .empty").await;
    }
    visit(&browser, &server, "/nowhere", "#main .empty").await;

    let user = client(&server).await;
    let chat = user.chat().await;
    user.worker("Ada", "").await;
    for said in [
        "help",
        "list files",
        "which engines are there?",
        "show me Ada",
    ] {
        user.ask(&chat, said).await;
    }
    let task = json!({ "instruction": "Look", "type": "scheduled", "cron_expr": "0 9 * * *", "timezone": "UTC" });
    user.post("/api/tasks", &task).await.expect(201);
    user.put("/api/memory/global/tea", &json!({ "value": "green" }))
        .await
        .expect(200);
    visit(
        &browser,
        &server,
        &format!("/chats/{chat}"),
        ".message-reply",
    )
    .await;
    for page in lists {
        visit(&browser, &server, page, "#main:not([aria-busy])").await;
    }
    let executions = user.read("/api/executions").await;
    let execution = format!("/executions/{}", id_of(&executions[0]));
    visit(&browser, &server, &execution, "#main:not([aria-busy])").await;
    for section in [
        "engines", "look", "account", "devices", "keys", "storage", "backup", "limits", "about",
    ] {
        let path = format!("/settings/{section}");
        visit(&browser, &server, &path, "#main:not([aria-busy])").await;
    }
    // What lies above the pages.
    browser.click("button.account").await;
    is_accessible(&browser, "the menu").await;
    browser.reload().await;
    browser.click(".side-nav button").await;
    browser.type_into(".palette-input", "list").await;
    browser
        .until("document.querySelectorAll('.palette-option').length > 0")
        .await;
    is_accessible(&browser, "the palette").await;
    for page in ["/workers", "/tasks"] {
        browser
            .go(&format!("http://{}{page}", server.address))
            .await;
        browser.click("#main .button.primary").await;
        browser
            .until("document.querySelector('dialog[open]')")
            .await;
        is_accessible(&browser, &format!("the dialog of {page}")).await;
    }
    visit(&browser, &server, "/docs", ".docs-operation").await;
}
