//! Several tabs of one browser: one connection for all of them, and all in step.

use std::time::Duration;

use crate::conversation::someone;
use crate::support::engine::settings;
use crate::support::{PATIENCE, TestServer, User};
use crate::webdriver::Browser;
use crate::{REPLY, is_idle, replied, replies};

/// A running reply, begun before the second tab came, is whole in both; so is what one tab sends in the other.
#[tokio::test]
async fn tabs_share_one_stream_and_are_in_step() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    browser.say("count to 60 slowly").await;
    replied(&browser, "9").await;
    browser
        .until("location.pathname.startsWith('/chats/')")
        .await;
    let first = browser.tab().await;
    let second = browser.open_tab(&browser.url().await).await;
    replied(&browser, "20").await;
    let text = browser.read(REPLY).await;
    assert!(
        text.as_str().unwrap().trim_start().starts_with('1'),
        "from its beginning: {text}"
    );
    replied(&browser, "60").await;
    is_idle(&browser).await;
    // What a tab read for itself, the steps before it came, has been read by now.
    let one = async {
        while streams(&user).await != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let one = tokio::time::timeout(PATIENCE, one).await;
    one.expect("one stream for both tabs together");
    browser.switch_to(&first).await;
    replied(&browser, "60").await;
    is_idle(&browser).await;
    browser.say("help").await;
    browser.switch_to(&second).await;
    replies(&browser, 2).await;
    // The tab that opened the connection leaves; the other goes on with it.
    browser.switch_to(&first).await;
    browser.close_tab().await;
    browser.switch_to(&second).await;
    browser.say("help").await;
    replies(&browser, 3).await;
    browser.has_no_complaints().await;
}

/// The server goes away and comes back while two tabs are open: both show all of it, and neither has to be reloaded.
#[tokio::test]
async fn both_tabs_outlive_a_restart() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    browser.say("help").await;
    is_idle(&browser).await;
    replies(&browser, 1).await;
    let first = browser.tab().await;
    let second = browser.open_tab(&browser.url().await).await;
    replies(&browser, 1).await;
    let server = server.kill().await.start_at_same_address().await;
    browser
        .until("!document.querySelector('.pill') || document.querySelector('.pill').hidden")
        .await;
    browser.say("help").await;
    for tab in [&second, &first] {
        browser.switch_to(tab).await;
        replies(&browser, 2).await;
    }
    browser.complains_only_about(&["net::ERR_"]).await;
    server.stop().await;
}

/// Signing out is meant for the browser: the other tab shows nothing more, and the shared stream ends.
#[tokio::test]
async fn signing_out_in_one_tab_signs_the_other_out() {
    const SIGN_IN: &str = "document.querySelector('input[name=password]')";
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = someone(&server).await;
    browser.say("help").await;
    replies(&browser, 1).await;
    is_idle(&browser).await;
    let first = browser.tab().await;
    let second = browser.open_tab(&browser.url().await).await;
    replies(&browser, 1).await;
    browser.click("button.account").await;
    browser
        .click_text(".menu [role=menuitem]", "Sign out")
        .await;
    for tab in [&second, &first] {
        browser.switch_to(tab).await;
        browser
            .until(&format!("{SIGN_IN} && !document.querySelector('.message')"))
            .await;
    }
    let none = async {
        while streams(&user).await != 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let none = tokio::time::timeout(PATIENCE, none).await;
    none.expect("nobody is told anything any more");
    browser.enter_password().await;
    replies(&browser, 1).await;
}

/// How many streams are open at the server.
async fn streams(user: &User) -> u64 {
    let metrics = user.get("/metrics").await.expect(200).text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("skep_streams "));
    let line = line.unwrap_or_else(|| panic!("{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
