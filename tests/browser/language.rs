//! The language of the console: chosen in the settings, kept by the browser.

use crate::support::TestServer;
use crate::webdriver::Browser;

async fn choose(browser: &Browser, value: &str, is_shown: &str) {
    browser
        .until("document.querySelector('select[name=language]')")
        .await;
    browser
        .read(&format!(
            "((select) => {{ select.value = {value:?}; select.dispatchEvent(new Event('change', {{ bubbles: true }})); }})\
             (document.querySelector('select[name=language]'))"
        ))
        .await;
    browser.until(is_shown).await;
}

#[tokio::test]
async fn the_console_speaks_the_language_that_was_chosen() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.open(&server, "/settings/look").await;
    let is_chinese = "document.documentElement.lang === 'zh' && document.querySelector('.side-nav')?.textContent.includes('设置')";
    choose(&browser, "zh", is_chinese).await;
    browser.open(&server, "/tasks").await;
    browser
        .until("document.querySelector('.empty')?.textContent.includes('还没有自动开始的事')")
        .await;
    browser.open(&server, "/settings/look").await;
    let is_english = "document.documentElement.lang === 'en' && document.querySelector('.side-nav')?.textContent.includes('Settings')";
    choose(&browser, "", is_english).await;
    browser.has_no_complaints().await;
}
