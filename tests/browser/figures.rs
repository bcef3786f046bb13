//! What the console costs in a browser: a table, not a test, for a machine may be slow or busy.
//!
//! ```sh
//! cargo test --release --test browser figures -- --ignored --nocapture
//! SKEP_STREAM_SECONDS=600 cargo test --release --test browser figures -- --ignored --nocapture   # the long way
//! ```
//!
//! Times of the page's main thread are processor time, which other programs do not change much; what a user waits for is
//! told beside it. Medians of several.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::conversation::someone;
use crate::support::TestServer;
use crate::support::server::Setup;
use crate::webdriver::Browser;
use crate::{filled, is_idle};

const ROUNDS: usize = 7;
const REPLIES: usize = 3;
const MESSAGES: usize = 10_000;
/// A thousand pieces of 20 bytes, 200 a second: prose, lists, code and tables, as models write them.
const STREAM: &str = r#"
cat > /dev/null; i=0
while [ $i -lt 1000 ]; do
  case $((i % 40)) in
    0) printf '\n\n## Section %s\n\n' $i ;;
    10|11|12|13) printf '\n- a `point` of **list** %s' $i ;;
    20) printf '\n\n```rust\n' ;;
    2[1-6]) printf '    let value%s = compute(%s);\n' $i $i ;;
    27) printf '```\n\n' ;;
    30) printf '\n\n| a | b |\n|---|---|\n' ;;
    31|32) printf '| cell %s | *x* |\n' $i ;;
    33) printf '\n' ;;
    *) printf 'some words of %s text ' $i ;;
  esac
  sleep 0.005; i=$((i + 1))
done"#;

/// What the main thread of the page did.
struct Main {
    busy_ms: f64,
    longest_ms: f64,
}

/// From here on its main thread is watched; else since it was gone to.
async fn watch(browser: &Browser) {
    browser.read("void performance.mark('from')").await;
}

/// What the page did until now; leaves it.
async fn watched(browser: &Browser) -> Main {
    browser.read("void performance.mark('to')").await;
    let events = browser.threads().await;
    let mark = |event: &&Value, names: &[&str]| {
        let is_mark = event["cat"] == "blink.user_timing" && event["ph"] != "E";
        is_mark && names.iter().any(|name| event["name"] == *name)
    };
    let at = |event: &Value| event["ts"].as_f64().unwrap_or_default();
    let end = events.iter().filter(|event| mark(event, &["to"]));
    let end = end.max_by(|a, b| at(a).total_cmp(&at(b))).expect("a mark");
    let of_page: Vec<&Value> = events
        .iter()
        .filter(|event| event["tid"] == end["tid"] && event["pid"] == end["pid"])
        .filter(|event| at(event) <= at(end))
        .collect();
    let begins = of_page.iter().copied();
    let begins = begins.filter(|event| mark(event, &["from", "navigationStart"]));
    let begin = begins.map(at).fold(0.0, f64::max);
    let tasks = of_page.iter().filter(|event| at(event) >= begin);
    let tasks = tasks.filter(|event| event["name"] == "ThreadControllerImpl::RunTask");
    let ms: Vec<f64> = tasks
        .filter_map(|task| Some(task["tdur"].as_f64()? / 1000.0))
        .collect();
    Main {
        busy_ms: ms.iter().sum(),
        longest_ms: ms.iter().copied().fold(0.0, f64::max),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(what: &str, value: &str, asked: &str) {
    println!("| {what} | {value} | {asked} |");
}

/// Opens the console in a browser that has nothing of it yet, `ROUNDS` times.
async fn first_load(server: &TestServer, browser: &Browser) {
    const WATCH: &str = "const look = () => document.querySelector('.composer-input')
        ? window.readyAt = performance.now() : requestAnimationFrame(look); look();";
    let script = json!({ "source": WATCH });
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", script)
        .await;
    browser.devtools("Network.enable", json!({})).await;
    let mut bytes = Value::Null;
    for (kept, what) in [(false, "first load"), (true, "load again")] {
        let (mut ready, mut busy, mut longest) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            if !kept {
                // The page for when the server is away is kept elsewhere.
                let origin = format!("http://{}", server.address);
                let all =
                    json!({ "origin": origin, "storageTypes": "service_workers,cache_storage" });
                browser.devtools("Storage.clearDataForOrigin", all).await;
                browser
                    .devtools("Network.clearBrowserCache", json!({}))
                    .await;
            }
            browser.open(server, "/").await;
            browser.until("window.readyAt").await;
            ready.push(browser.read("window.readyAt").await.as_f64().unwrap());
            if !kept {
                bytes = browser
                    .read(
                        "performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))
                            .filter((file) => !file.name.includes('/api/') && !file.name.includes('/readyz'))
                            .reduce((sum, file) => sum + file.encodedBodySize, 0)",
                    )
                    .await;
            }
            let main = watched(browser).await;
            busy.push(main.busy_ms);
            longest.push(main.longest_ms);
        }
        if !kept {
            let kilobytes = format!("{:.0} KB", bytes.as_f64().unwrap() / 1000.0);
            row("first load, compressed", &kilobytes, "≤ 150 KB");
        }
        let asked = if kept { "" } else { "≤ 300 ms" };
        row(
            &format!("{what} → one can write"),
            &format!("{:.0} ms", median(ready)),
            asked,
        );
        let main = format!("{:.0} ms; {:.0} ms", median(busy), median(longest));
        row(&format!("{what}: main thread; longest task"), &main, "");
    }
}

/// Goes to the long chat and back, `ROUNDS` times.
async fn long_chat(server: &TestServer, browser: &Browser, chat: &str) {
    let (mut shown, mut busy, mut longest) = (Vec::new(), Vec::new(), Vec::new());
    let last = format!("question {}", MESSAGES / 2 - 1);
    for _ in 0..ROUNDS {
        browser.open(server, "/").await;
        browser
            .until(&format!(
                "document.querySelector('.sidebar a[href=\"/chats/{chat}\"]')"
            ))
            .await;
        watch(browser).await;
        // Until what was said last is painted.
        browser
            .read(&format!(
                "(window.shownAt = 0, window.clickedAt = performance.now(),
                  document.querySelector('.sidebar a[href=\"/chats/{chat}\"]').click(),
                  (function look() {{
                    const said = [...document.querySelectorAll('.bubble-text')].at(-1)?.textContent;
                    if (said === {last:?}) setTimeout(() => (window.shownAt = performance.now()));
                    else requestAnimationFrame(look);
                  }})())"
            ))
            .await;
        browser.until("window.shownAt").await;
        let ms = browser.read("window.shownAt - window.clickedAt").await;
        shown.push(ms.as_f64().unwrap());
        let main = watched(browser).await;
        busy.push(main.busy_ms);
        longest.push(main.longest_ms);
    }
    let what = format!("chat of {MESSAGES} messages → shown");
    row(&what, &format!("{:.0} ms", median(shown)), "≤ 200 ms");
    let main = format!("{:.0} ms; {:.0} ms", median(busy), median(longest));
    row("that: main thread; longest task", &main, "");
}

/// A reply of 20 KB in a chat of its own, from asking to its end. The page stays.
async fn reply(browser: &Browser, worker: &str) {
    // By a link of the console, so that the page is not loaded anew.
    browser
        .read(&format!(
            "void (() => {{ const link = document.createElement('a'); link.href = '/?worker={worker}';
                link.dataset.route = ''; document.body.append(link); link.click(); link.remove(); }})()"
        ))
        .await;
    browser
        .until("location.pathname === '/' && !document.querySelector('.message')")
        .await;
    watch(browser).await;
    // By hand the driver would keep what it typed into, and with it the page's whole past.
    browser
        .read(
            "void ((input) => { input.value = 'go'; input.dispatchEvent(new Event('input', { bubbles: true }));
                document.querySelector('.send-button').click(); })(document.querySelector('.composer-input'))",
        )
        .await;
    browser
        .until("document.querySelector('.message-reply .facts')")
        .await;
    is_idle(browser).await;
}

async fn streaming(server: &TestServer, browser: &Browser, worker: &str) {
    let (mut busy, mut longest, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPLIES {
        browser.open(server, "/").await;
        browser
            .until("document.querySelector('.composer-input')")
            .await;
        let asked = Instant::now();
        reply(browser, worker).await;
        took.push(asked.elapsed().as_secs_f64());
        let main = watched(browser).await;
        busy.push(main.busy_ms);
        longest.push(main.longest_ms);
    }
    let of = format!("reply of 20 KB in {:.1} s: main thread", median(took));
    row(&of, &format!("{:.0} ms", median(busy)), "");
    let longest = longest.into_iter().fold(0.0, f64::max);
    let what = format!("the longest task of {REPLIES} replies");
    row(&what, &format!("{longest:.0} ms"), "≤ 50 ms");
}

/// What one tab holds after replies, each in a chat of its own, once what nobody needs is gone.
async fn memory(server: &TestServer, worker: &str) {
    let seconds = std::env::var("SKEP_STREAM_SECONDS").map_or(60, |text| text.parse().unwrap());
    let browser = Browser::signed_in_by_password(server).await;
    let begun = Instant::now();
    let mut held = Vec::new();
    while held.len() < 3 || begun.elapsed() < Duration::from_secs(seconds) {
        reply(&browser, worker).await;
        browser
            .devtools("HeapProfiler.collectGarbage", json!({}))
            .await;
        let heap = browser.devtools("Runtime.getHeapUsage", json!({})).await;
        let counts = browser.devtools("Memory.getDOMCounters", json!({})).await;
        held.push((heap["usedSize"].as_f64().unwrap(), counts["nodes"].clone()));
    }
    let mid = &held[held.len() / 2];
    let end = &held[held.len() - 1];
    let what = format!(
        "tab after {} and {} replies",
        held.len() / 2 + 1,
        held.len()
    );
    let (from, to) = (mid.0 / 1e6, end.0 / 1e6);
    let value = format!("{from:.1} MB, {} nodes; {to:.1} MB, {} nodes", mid.1, end.1);
    row(&what, &value, "flat");
}

#[tokio::test]
#[ignore = "measures, and tests nothing"]
async fn the_figures_of_the_console() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let data = home.path().join("hive");
    let chat = filled::chat(&data, MESSAGES).await.to_string();
    let script = home.path().join("stream.sh");
    std::fs::write(&script, STREAM).unwrap();
    let engine = format!(
        "[engines.stream]\nkind = \"command\"\nargv = [\"/bin/sh\", {script:?}]\nconfine = false\n"
    );
    let server = Setup::settings(&engine).start_on(&home, &data).await;
    let browser = Browser::traced().await;
    browser.open_link(&server).await;
    println!("| what | Skep | asked of itself |\n|---|---|---|");
    first_load(&server, &browser).await;
    long_chat(&server, &browser, &chat).await;
    let user = someone(&server).await;
    let worker = user.worker("Streamer", "stream").await;
    streaming(&server, &browser, &worker).await;
    memory(&server, &worker).await;
    server.stop().await;
}
