//! Talking: saying something differently, answers anew, what was said long ago, and what a worker changes.

use std::sync::Arc;

use serde_json::json;

use crate::support::engine::settings;
use crate::support::server::{PASSWORD, Setup};
use crate::support::{Method, TestServer, User};
use crate::webdriver::Browser;
use crate::{filled, is_idle, replied, replies};

/// What the user said, as it is shown.
const SAID: &str =
    "[...document.querySelectorAll('.bubble-text')].map((said) => said.textContent).join('|')";
const LATEST: &str = "[...document.querySelectorAll('.message-reply')].at(-1)";

/// Somebody else at the same server; the link is the browser's.
pub async fn someone(server: &TestServer) -> User {
    let login = server.call(Method::Post, "/api/auth/login");
    let credentials = json!({ "username": "admin", "password": PASSWORD });
    User::new(
        server,
        &login.json(&credentials).send().await.expect(200).json(),
    )
}

/// What followed the old message is gone in every tab, and comes back in none.
#[tokio::test]
async fn a_message_is_said_differently_and_both_tabs_show_it() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    for said in ["help", "whhich engines are there?", "help"] {
        browser.say(said).await;
        is_idle(&browser).await;
    }
    replies(&browser, 3).await;
    let first = browser.tab().await;
    let second = browser.open_tab(&browser.url().await).await;
    replies(&browser, 3).await;

    browser.switch_to(&first).await;
    let edit = "[...document.querySelectorAll('.message-user')][1].querySelector('[aria-label^=Edit]').click()";
    browser.read(edit).await;
    // Escape leaves it as it was.
    browser.type_into(".edit-input", "never\u{e00c}").await;
    browser
        .until(&format!(
            "!document.querySelector('.edit-input') && !({SAID}).includes('never')"
        ))
        .await;
    browser.read(edit).await;
    browser
        .type_into(
            ".edit-input",
            "\u{e009}a\u{e000}which workers are there?\u{e007}",
        )
        .await;
    let now = format!("({SAID}) === 'help|which workers are there?'");
    browser.until(&now).await;
    replies(&browser, 2).await;
    is_idle(&browser).await;
    browser.switch_to(&second).await;
    browser.until(&now).await;
    replies(&browser, 2).await;
    browser.reload().await;
    browser.until(&now).await;
    browser.has_no_complaints().await;
}

/// A draft outlives a reload; Escape stops; the last answer is had again; a fresh context leaves the messages.
#[tokio::test]
async fn drafts_stay_escape_stops_and_an_answer_is_had_anew() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.say("count to 100 slowly").await;
    replied(&browser, "5").await;
    browser.type_into(".composer-input", "not yet sent").await;
    browser.type_into(".composer-input", "\u{e00c}").await;
    browser
        .until("document.querySelector('.outcome-cancelled')")
        .await;
    is_idle(&browser).await;
    browser.reload().await;
    browser
        .until("document.querySelector('.composer-input')?.value === 'not yet sent'")
        .await;
    browser
        .type_into(".composer-input", "\u{e009}a\u{e000}\u{e003}help\u{e007}")
        .await;
    browser
        .until(&format!(
            "{LATEST}?.querySelector('[aria-label=\"Answer again\"]')"
        ))
        .await;
    browser
        .read(&format!(
            "window.before = {LATEST}.querySelector('a[href^=\"/executions/\"]').href"
        ))
        .await;
    browser
        .read(&format!(
            "{LATEST}.querySelector('[aria-label=\"Answer again\"]').click()"
        ))
        .await;
    browser
        .until(&format!(
            "(({LATEST}.querySelector('a[href^=\"/executions/\"]')?.href ?? window.before) !== window.before)"
        ))
        .await;
    is_idle(&browser).await;
    assert_eq!(
        browser
            .read("document.querySelectorAll('.message-reply').length")
            .await,
        2,
        "the new answer is in the place of the old one"
    );
    browser.click(".page-head [aria-haspopup=menu]").await;
    browser
        .click_text(".menu [role=menuitem]", "Start fresh context")
        .await;
    browser.until("document.querySelector('.toast-ok')").await;
    browser.has_no_complaints().await;
}

/// A change of a file is shown line by line; code is coloured, and wrapped everywhere once somebody asked for it.
#[tokio::test]
async fn a_change_is_shown_line_by_line_and_code_is_coloured_and_wraps() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "fake-events").await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser.say("change").await;
    browser.click(".tool summary").await;
    browser
        .until("document.querySelector('.diff-out')?.textContent.includes('old();')")
        .await;
    assert_eq!(
        browser
            .read("['in', 'out', 'same'].map((kind) => document.querySelectorAll(`.diff-${kind}`).length).join()")
            .await,
        "2,1,2"
    );
    is_idle(&browser).await;
    browser
        .until("document.querySelector('.code-block .c-keyword')?.textContent === 'let'")
        .await;
    let colours = "new Set(['pre', '.c-keyword', '.c-string'].map((of) => \
        getComputedStyle(document.querySelector(`.code-block ${of}`)).color)).size";
    assert_eq!(browser.read(colours).await, 3);
    const FITS: &str =
        "((pre) => pre.scrollWidth <= pre.clientWidth)(document.querySelector('.code-block pre'))";
    browser.until(&format!("!{FITS}")).await;
    browser.click(".code-wrap").await;
    browser.until(FITS).await;
    browser.reload().await;
    browser
        .until(&format!(
            "document.querySelector('.code-block pre') && {FITS}"
        ))
        .await;
    browser.has_no_complaints().await;
}

/// However long a chat is, only what is around the reader is in the page; it can be read to its start and back.
#[tokio::test]
async fn a_long_chat_opens_at_its_end_and_is_read_to_its_start() {
    const MESSAGES: usize = 1_000;
    let home = Arc::new(tempfile::tempdir().unwrap());
    let data = home.path().join("hive");
    let chat = filled::chat(&data, MESSAGES).await;
    let server = Setup::default().start_on(&home, &data).await;
    let browser = Browser::signed_in(&server).await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    let last = format!("question {}", MESSAGES / 2 - 1);
    browser.until(&format!("({SAID}).endsWith({last:?})")).await;
    browser
        .until("((view) => view.scrollHeight - view.scrollTop - view.clientHeight < 60)(document.querySelector('.chat-scroll'))")
        .await;
    // Always to the top, until there is nothing above; never more rows than a screen needs.
    browser
        .until(
            "((view) => {
                window.rows = Math.max(window.rows ?? 0, document.querySelectorAll('.message').length);
                view.scrollTop = 0;
                return document.querySelector('.bubble-text')?.textContent === 'question 0';
            })(document.querySelector('.chat-scroll'))",
        )
        .await;
    let rows = browser.read("window.rows").await;
    assert!(rows.as_u64() < Some(200), "{rows} rows at once");
    // What is read stays where it is while rows come and go around it.
    browser.click(".jump").await;
    browser.until(&format!("({SAID}).endsWith({last:?})")).await;
    // A link leads to one message, however old.
    let user = someone(&server).await;
    let path = format!("/api/local/sessions/{chat}/messages");
    let all = user.read_all(&path).await;
    let wanted = all
        .iter()
        .find(|message| message["content"] == "question 321")
        .unwrap()["id"]
        .as_str()
        .unwrap();
    browser
        .open(&server, &format!("/chats/{chat}#m={wanted}"))
        .await;
    browser
        .until(
            "((found) => found && found.textContent.includes('question 321') &&
                found.getBoundingClientRect().top > 0 && found.getBoundingClientRect().bottom < innerHeight
             )(document.querySelector('.message.is-found'))",
        )
        .await;
    browser.has_no_complaints().await;
}

/// A file that the server would not take is not sent, and no chat is made for it.
#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_it_is_sent() {
    let server = TestServer::with("upload_bytes_max = 1000").await;
    let file = server.home.path().join("large.bin");
    std::fs::write(&file, vec![0; 1001]).unwrap();
    let browser = Browser::signed_in(&server).await;
    browser
        .type_into("input[type=file]", file.to_str().unwrap())
        .await;
    browser
        .until("document.querySelector('.toast-error')?.textContent.includes('large.bin')")
        .await;
    browser
        .until("!document.querySelector('.chip') && location.pathname === '/'")
        .await;
    browser.has_no_complaints().await;
}

/// A screen reader hears that somebody replies, and then what was said, once; never the words as they come.
#[tokio::test]
async fn a_reply_is_announced_twice_and_not_word_by_word() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser
        .read(
            "(window.heard = [],
              new MutationObserver(() => {
                const said = document.getElementById('announcer').textContent;
                if (said) window.heard.push(said);
              }).observe(document.getElementById('announcer'), { childList: true }))",
        )
        .await;
    browser.say("count to 20 slowly").await;
    browser
        .until("window.heard.some((said) => said.startsWith('Bee replied: 1'))")
        .await;
    is_idle(&browser).await;
    let heard = browser
        .read("window.heard.map((said) => said.slice(0, 14)).join('|')")
        .await;
    assert_eq!(heard, "Bee is replyin|Bee replied: 1");
    let live = "document.querySelector('.message-reply').closest('[aria-live]')?.getAttribute('aria-live')";
    assert_eq!(browser.read(live).await, "off");
    browser.has_no_complaints().await;
}
