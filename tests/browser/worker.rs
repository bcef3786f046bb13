//! What a worker's engine is started with, said in the form.

use serde_json::json;

use crate::conversation::someone;
use crate::support::TestServer;
use crate::webdriver::Browser;

const SHOWN: &str = "dialog .field-error:not([hidden])";

async fn open(browser: &Browser, server: &TestServer) {
    browser.open(server, "/workers").await;
    browser.click_text(".worker-card .button", "Edit").await;
    browser
        .click_text("dialog summary", "Arguments, environment and tools")
        .await;
    browser
        .until("document.querySelector('dialog textarea[name=args]')")
        .await;
}

/// What is typed is kept over a reload; what cannot be used is said at its field, and nothing is lost by it.
#[tokio::test]
async fn the_options_of_an_engine_are_set_in_the_form() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let ada = user.worker("Ada", "").await;
    let path = format!("/api/workers/{ada}/engine");
    open(&browser, &server).await;
    let fields = [
        ("textarea[name=args]", "--max-turns\n20"),
        ("textarea[name=env]", "LEVEL=high"),
        ("textarea[name=secrets]", "TOKEN=signing.key"),
    ];
    for (field, text) in fields {
        browser.type_into(field, text).await;
    }
    browser.click_text("dialog .button", "Add a server").await;
    browser.type_into("input[name=server_name]", "db").await;
    browser
        .type_into("input[name=server_reach]", "/usr/bin/db --file 'a b'")
        .await;
    browser
        .type_into("textarea[name=server_env]", "not a pair")
        .await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until(&format!(
            "document.querySelector({SHOWN:?})?.textContent === 'Line 1 is not NAME=value.'"
        ))
        .await;
    let replaced = "\u{e009}a\u{e000}\u{e003}MODE=1";
    browser
        .type_into("textarea[name=server_env]", replaced)
        .await;
    // This one is the server's to know.
    browser.click("dialog button[type=submit]").await;
    browser
        .until(
            "document.querySelector('textarea[name=secrets][aria-invalid]') === document.activeElement \
             && document.activeElement.closest('.field').textContent.includes('never the key itself')",
        )
        .await;
    assert_eq!(user.read(&path).await["args"], json!([]));
    let replaced = "\u{e009}a\u{e000}\u{e003}TOKEN=my-token";
    browser.type_into("textarea[name=secrets]", replaced).await;
    browser.click("dialog button[type=submit]").await;
    browser.until("!document.querySelector('dialog')").await;
    let expected = json!({
        "args": ["--max-turns", "20"],
        "env": { "LEVEL": "high" },
        "secrets": { "TOKEN": "my-token" },
        "mcp_servers": { "db": { "url": null, "key": null, "argv": ["/usr/bin/db", "--file", "a b"], "env": { "MODE": "1" } } },
    });
    assert_eq!(user.read(&path).await, expected);

    browser.reload().await;
    open(&browser, &server).await;
    let shown = "[...document.querySelectorAll('dialog details:last-of-type :is(textarea, input)')].map((it) => it.value).join('|')";
    assert_eq!(
        browser.read(shown).await,
        "--max-turns\n20|LEVEL=high|TOKEN=my-token|db|/usr/bin/db --file 'a b'||MODE=1"
    );
    browser.click("dialog .option-server .icon-button").await;
    browser.click("dialog button[type=submit]").await;
    browser.until("!document.querySelector('dialog')").await;
    let now = user.read(&path).await;
    assert_eq!(
        (&now["mcp_servers"], &now["secrets"]),
        (&json!({}), &expected["secrets"])
    );
    browser.complains_only_about(&["status of 422"]).await;
}
