//! What a worker asks for is answered in the chat and on the execution's page, with the keyboard alone.

use serde_json::json;

use crate::conversation::someone;
use crate::is_idle;
use crate::support::TestServer;
use crate::support::model::{ModelServer, calls, text};
use crate::webdriver::Browser;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
/// Whether the focus is in the card that waits.
const IN_CARD: &str =
    "document.activeElement.closest('.permission[data-state=waiting][data-armed]')";

async fn decided(browser: &Browser, state: &str) {
    let newest = "[...document.querySelectorAll('.permission')].at(-1)?.dataset.state";
    browser.until(&format!("{newest} === {state:?}")).await;
}

#[tokio::test]
async fn a_request_is_answered_by_keys_alone() {
    let command = ("run_command", r#"{"argv":["touch","made here"]}"#);
    let write = ("write_file", r#"{"path":"a.txt","text":"one\ntwo\n"}"#);
    let model = ModelServer::saying([
        calls(&[command]),
        text(&["First."]),
        calls(&[command]),
        text(&["Second."]),
        calls(&[write]),
        text(&["Third."]),
    ])
    .await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let ada = json!({ "name": "Ada", "engine": "m", "permissions": "ask" });
    let ada = user.worker_with(&ada).await;
    let chat = user.chat_with(&ada).await;
    let made = server.data.join("workers").join(&ada).join("made here");
    browser.open(&server, &format!("/chats/{chat}")).await;

    // The question has the focus, says what it is about, and the chat shows that it waits.
    browser.say("Do it.").await;
    browser.until(IN_CARD).await;
    let card = browser.text(".permission").await;
    assert!(
        card.contains("Ada wants to run a command") && card.contains("touch 'made here'"),
        "{card}"
    );
    browser
        .until("document.querySelector('.sidebar .chat-asks:not([hidden])')")
        .await;
    // What is typed into a field is text.
    browser.type_into(".composer-input", "123").await;
    decided(&browser, "waiting").await;
    browser
        .type_into(".composer-input", "\u{e003}\u{e003}\u{e003}")
        .await;
    browser
        .read("document.querySelector('.permission').focus()")
        .await;
    browser.press("3").await;
    decided(&browser, "deny").await;
    is_idle(&browser).await;
    assert!(!made.exists());
    browser
        .until("document.activeElement.matches('.composer-input')")
        .await;
    browser
        .until("document.querySelector('.sidebar .chat-asks').hidden")
        .await;

    // Tab leads from the question over what it shows to its answers.
    browser.say("Do it.").await;
    browser.until(IN_CARD).await;
    browser.press(&format!("{TAB}{TAB}{TAB}")).await;
    let focused = "document.activeElement.dataset.decision === 'allow_always'";
    browser.until(focused).await;
    browser.press(&ENTER.to_string()).await;
    decided(&browser, "allow_always").await;
    is_idle(&browser).await;
    assert!(made.exists());
    let remembered = user.read(&format!("/api/workers/{ada}")).await;
    assert_eq!(remembered["always_allowed"], json!(["run_command"]));

    // The page of the execution asks the same, also after a reload, and shows the change.
    let execution = user.send(&chat, "Write it.").await;
    browser.until(IN_CARD).await;
    browser
        .open(&server, &format!("/executions/{execution}"))
        .await;
    browser
        .until("document.querySelector('.exec-summary .badge-waiting')")
        .await;
    browser
        .until("document.querySelectorAll('.permission .diff-in').length === 2")
        .await;
    browser.until(IN_CARD).await;
    browser.press("1").await;
    decided(&browser, "allow").await;
    browser
        .until("document.querySelector('.exec-summary .badge-completed')")
        .await;
    browser.has_no_complaints().await;
}

/// An agent over ACP asks, too; and a key answers also when the chat was left meanwhile, whoever had the focus there.
#[tokio::test]
async fn a_key_answers_an_agent_also_after_its_chat_was_left() {
    let agent = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_agent.sh");
    let engine = format!("[engines.agent]\nkind = \"acp\"\nargv = [\"/bin/sh\", {agent:?}]\n");
    let server = TestServer::with(&engine).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let ada = json!({ "name": "Ada", "engine": "agent", "permissions": "ask" });
    let ada = user.worker_with(&ada).await;
    let (other, chat) = (user.chat_with(&ada).await, user.chat_with(&ada).await);
    let address = format!("http://{}/chats/{chat}", server.address);
    browser.go(&address).await;
    browser.say("may execute").await;
    browser.until(IN_CARD).await;
    let card = browser.text(".permission").await;
    assert!(card.contains("execute"), "{card}");
    browser.press("1").await;
    decided(&browser, "allow").await;
    is_idle(&browser).await;

    for (place, again) in [
        ("/workers", 0),
        ("/workers", 1),
        ("/workers", 2),
        (&format!("/chats/{other}"), 0),
    ] {
        browser.say("may execute").await;
        browser.until(IN_CARD).await;
        // Left by a link of the page, and come back to by one, or by the browser's own way.
        browser.click(&format!("a[href='{place}']")).await;
        browser
            .until("!document.querySelector('.permission')")
            .await;
        match again {
            0 => browser.click(&format!("a[href='/chats/{chat}']")).await,
            1 => drop(browser.read("history.back()").await),
            _ => browser.go(&address).await,
        }
        browser
            .until("document.querySelector('.permission[data-state=waiting][data-armed]')")
            .await;
        browser
            .until("document.querySelector('.composer-input')")
            .await;
        browser.press("1").await;
        decided(&browser, "allow").await;
        is_idle(&browser).await;
        assert_eq!(
            browser
                .read("document.querySelector('.composer-input').value")
                .await,
            ""
        );
    }
    browser.has_no_complaints().await;
}

/// What was asked before a restart is shown as denied, and says why.
#[tokio::test]
async fn a_request_that_a_restart_ended_says_so() {
    let command = ("run_command", r#"{"argv":["true"]}"#);
    let model = ModelServer::saying([calls(&[command])]).await;
    let server = TestServer::with(&model.engine("m", "")).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let chat = user.chat_with_engine("Ada", "m").await.1;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser.say("Do it.").await;
    browser.until(IN_CARD).await;
    let server = server.kill().await.start_at_same_address().await;
    decided(&browser, "deny").await;
    browser
        .until("document.querySelector('.permission-outcome').textContent.includes('restarted')")
        .await;
    browser
        .until("document.querySelector('.outcome-interrupted')")
        .await;
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}
