//! What somebody wrote is theirs: it is not lost to a stray press, to a server that is away, or to being too long.

use crate::support::TestServer;
use crate::support::engine::settings;
use crate::webdriver::Browser;
use crate::{is_idle, replied, replies};

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
    replies(&browser, 1).await;
    is_idle(&browser).await;
    let away = server.kill().await;
    for said in ["count to 3", "count to 4"] {
        browser.say(said).await;
    }
    let unsent = "document.querySelectorAll('.message-user .unsent').length === 2";
    browser.until(unsent).await;
    browser.click("a[href='/workers']").await;
    browser.until("location.pathname === '/workers'").await;
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
    replies(&browser, 3).await;
    let left = "Object.keys(localStorage).filter((key) => key.includes('unsent')).length";
    assert_eq!(browser.read(left).await, 0);
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

/// A page that could not be loaded while nothing answered comes by itself once something does.
#[tokio::test]
async fn a_page_that_was_opened_while_nothing_answered_comes_by_itself() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let away = server.kill().await;
    browser.click("a[href='/tasks']").await;
    browser
        .until("document.querySelector('#main [role=alert], #main .empty')")
        .await;
    let server = away.start_at_same_address().await;
    browser
        .until("document.querySelector('#main .page-head')?.textContent.includes('New task')")
        .await;
    browser.until("document.querySelector('#main .empty .button.primary')?.textContent.includes('New task')").await;
    browser
        .complains_only_about(&["net::ERR_", "Failed to fetch dynamically"])
        .await;
    server.stop().await;
}

/// What was to begin a chat is in no chat yet: it is where the next one begins, and is not sent by another page.
#[tokio::test]
async fn what_could_not_begin_a_chat_is_the_next_draft() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = crate::conversation::someone(&server).await;
    let away = server.kill().await;
    browser.say("count to 3").await;
    browser
        .until("document.querySelector('.message-user .unsent')")
        .await;
    browser.click("a[href='/workers']").await;
    browser.until("location.pathname === '/workers'").await;
    browser.read("history.back()").await;
    let draft = "document.querySelector('.composer-input')?.value === 'count to 3'";
    browser.until(draft).await;
    let server = away.start_at_same_address().await;
    // The page knows that the server is back, and leaves the rest to its reader.
    browser
        .until("!document.querySelector('.pill:not([hidden])')")
        .await;
    assert_eq!(
        user.read("/api/local/sessions").await,
        serde_json::json!([])
    );
    browser.click(".send-button").await;
    replied(&browser, "1 2 3").await;
    is_idle(&browser).await;
    browser.reload().await;
    replies(&browser, 1).await;
    assert_eq!(
        browser
            .read("document.querySelector('.composer-input').value")
            .await,
        ""
    );
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

/// A server that says "later" is asked again, in order; one that has forgotten the chat gives the words back.
#[tokio::test]
async fn what_is_put_off_goes_out_and_what_has_no_chat_is_not_lost() {
    let server = TestServer::with("rate_limit.chat = \"60/2\"").await;
    let browser = Browser::signed_in(&server).await;
    let user = crate::conversation::someone(&server).await;
    let chat = user.chat().await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    for said in ["count to 2", "count to 3", "count to 4"] {
        browser.say(said).await;
    }
    browser
        .until(&format!(
            "({SAID}) === 'count to 2|count to 3|count to 4' && document.querySelectorAll('.message-reply').length === 3"
        ))
        .await;
    is_idle(&browser).await;
    let away = server.kill().await;
    browser.say("one more thing").await;
    browser
        .until("document.querySelector('.message-user .unsent')")
        .await;
    // Another browser deletes the chat before this one is back.
    browser
        .read("void (window.fetch = ((fetch) => (path, how) => window.isCut && String(path).includes('/api/') ? Promise.reject(new TypeError('cut')) : fetch(path, how))(fetch), window.isCut = true)")
        .await;
    let server = away.start_at_same_address().await;
    user.delete(&format!("/api/local/sessions/{chat}"))
        .await
        .expect(200);
    browser.read("void (window.isCut = false)").await;
    browser
        .until("location.pathname === '/' && document.querySelector('.composer-input')?.value === 'one more thing'")
        .await;
    let kept = "Object.keys(localStorage).filter((key) => key.startsWith('skep.unsent.')).length";
    assert_eq!(browser.read(kept).await, 0);
    browser
        .complains_only_about(&["net::ERR_", "status of 429", "status of 404"])
        .await;
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
    browser.open(&server, &format!("/chats/{chat}")).await;
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

/// A title is cut between letters: half of one is nothing that a server takes, and the message would not be sent.
#[tokio::test]
async fn a_message_that_is_cut_for_its_title_is_sent() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    // The sixtieth unit is in the middle of a sign, and the tab is one that no name may hold.
    let said = format!("help\t{}", "\u{1f41d}".repeat(40));
    let put = format!(
        "((input) => {{ input.value = {said:?}; input.dispatchEvent(new Event('input', {{ bubbles: true }})); }})\
         (document.querySelector('.composer-input'))"
    );
    browser.read(&put.replace("\\u{1f41d}", "\u{1f41d}")).await;
    browser.click(".send-button").await;
    replies(&browser, 1).await;
    is_idle(&browser).await;
    browser
        .until("/^help 🐝+…/u.test(document.querySelector('.sidebar a[href^=\"/chats/\"]').textContent)")
        .await;
    browser.has_no_complaints().await;
    server.stop().await;
}

/// Many are looked for by name; what they did is listed for one alone, and the keyboard stays where it was.
#[tokio::test]
async fn one_of_many_workers_is_found_and_so_are_its_executions() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = crate::conversation::someone(&server).await;
    for n in 1..=10 {
        user.worker(&format!("Worker {n:02}"), "fake").await;
    }
    let chat = user.chat().await;
    for said in ["@Worker 03 say a", "@Worker 04 say b"] {
        let execution = user.send(&chat, said).await;
        user.ended(&execution).await;
    }
    browser.click("a[href='/workers']").await;
    browser
        .until("document.querySelectorAll('.worker-card').length === 10")
        .await;
    browser.type_into(".worker-filter", "03").await;
    browser
        .until("document.querySelectorAll('.worker-card').length === 1")
        .await;
    browser.click("a[href='/executions']").await;
    browser
        .until("document.querySelectorAll('.executions-table tbody tr').length === 2")
        .await;
    browser
        .read(
            "((select) => { select.value = [...select.options].find((it) => it.text === 'Worker 03').value; \
             select.dispatchEvent(new Event('change')); })(document.querySelector('.filter-worker'))",
        )
        .await;
    browser
        .until("document.querySelectorAll('.executions-table tbody tr').length === 1")
        .await;
    browser
        .read("document.querySelectorAll('.filter-item')[3].focus()")
        .await;
    browser.press("\u{e007}").await;
    browser
        .until("location.search.includes('status=completed') && document.activeElement.matches('[aria-pressed=true]')")
        .await;
    browser.has_no_complaints().await;
    server.stop().await;
}

/// A tab that waits for a sign-in has it with the other's.
#[tokio::test]
async fn a_sign_in_is_one_for_all_tabs() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let first = browser.tab().await;
    let second = browser
        .open_tab(&format!("http://{}/settings/account", server.address))
        .await;
    browser
        .click_text(".page-body .button, #main .button", "Sign out")
        .await;
    browser.until("document.querySelector('.signin')").await;
    browser.switch_to(&first).await;
    browser.until("document.querySelector('.signin')").await;
    browser.enter_password().await;
    browser
        .until("document.querySelector('.composer-input')")
        .await;
    browser.switch_to(&second).await;
    browser
        .until("location.pathname === '/settings/account' && document.querySelector('.shell')")
        .await;
    browser.complains_only_about(&["status of 401"]).await;
    server.stop().await;
}

/// What is being written in a chat outlives it, in the next one and nowhere else.
#[tokio::test]
async fn a_draft_outlives_the_chat_that_is_deleted_under_it() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = crate::conversation::someone(&server).await;
    let chat = user.chat().await;
    browser.open(&server, &format!("/chats/{chat}")).await;
    browser.type_into(".composer-input", "half a thought").await;
    let path = format!("/api/local/sessions/{chat}");
    user.delete(&path).await.expect(200);
    browser
        .until("location.pathname === '/' && document.querySelector('.composer-input').value === 'half a thought'")
        .await;
    let kept = "Object.keys(localStorage).filter((key) => key.startsWith('skep.draft.')).join()";
    browser
        .until(&format!("({kept}) === 'skep.draft.new'"))
        .await;
    browser.has_no_complaints().await;
    server.stop().await;
}
