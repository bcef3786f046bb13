//! The pages beside the chats, each used once from its empty state to its end, with another client changing things meanwhile.

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::server::PASSWORD;
use crate::support::{Method, TestServer, User};
use crate::webdriver::Browser;

/// The same user by another client: the link was the browser's.
pub async fn client(server: &TestServer) -> User {
    let login = json!({ "username": "admin", "password": PASSWORD });
    let login = server.call(Method::Post, "/api/auth/login").json(&login);
    User::new(server, &login.send().await.expect(200).json())
}

/// Chooses an option as the keyboard does.
async fn choose(browser: &Browser, select: &str, value: &str) {
    browser
        .until(&format!("document.querySelector({select:?})"))
        .await;
    browser
        .read(&format!(
            "((select) => {{ select.value = {value:?}; select.dispatchEvent(new Event('input', {{ bubbles: true }})); \
             select.dispatchEvent(new Event('change', {{ bubbles: true }})); }})(document.querySelector({select:?}))"
        ))
        .await;
}

/// Clicks the entry of the open menu that says this.
async fn pick(browser: &Browser, entry: &str) {
    let found = format!(
        "[...document.querySelectorAll('.menu .menu-item')].find((item) => item.textContent.trim() === {entry:?})"
    );
    browser.until(&found).await;
    browser.read(&format!("{found}.click()")).await;
}

/// Closes the notices: they lie over what is clicked next.
async fn close_notices(browser: &Browser) {
    browser
        .read("document.querySelectorAll('.toast [aria-label=Close]').forEach((close) => close.click())")
        .await;
}

#[tokio::test]
async fn a_task_is_planned_watched_and_deleted() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/tasks']").await;
    browser.click(".empty .button.primary").await;
    // A choice in words writes the expression, and shows when that would be.
    browser
        .until("document.querySelectorAll('.next-times li').length === 5")
        .await;
    choose(&browser, "select[name=repeat]", "week").await;
    browser
        .until("document.querySelector('input[name=cron_expr]').value === '0 9 * * 1'")
        .await;
    // And an expression chooses the words, or says what is wrong with it.
    let cron = "input[name=cron_expr]";
    browser
        .read("document.querySelector('input[name=cron_expr]').select()")
        .await;
    browser.type_into(cron, "*/15 * * *").await;
    browser
        .until("document.querySelector('input[name=cron_expr][aria-invalid]')")
        .await;
    browser.type_into(cron, " *").await;
    browser
        .until("document.querySelector('select[name=repeat]').value === 'minutes' && document.querySelectorAll('.next-times li').length === 5")
        .await;
    browser
        .type_into("textarea[name=instruction]", "help")
        .await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('.tasks-table .col-when')?.textContent && document.querySelector('td.col-when').textContent.startsWith('Every 15 minutes')")
        .await;
    browser
        .until("/^in \\d+ (minute|second)/.test(document.querySelector('td.col-next').textContent)")
        .await;

    // What another client does shows by itself.
    let user = client(&server).await;
    let body = json!({ "type": "countdown", "instruction": "much later", "scheduled_at": 4_102_444_800_000_u64 });
    let later = user.post("/api/tasks", &body).await.expect(201).json();
    browser
        .until("document.querySelectorAll('.tasks-table tbody tr').length === 2")
        .await;
    let path = format!("/api/tasks/{}", later["id"].as_str().unwrap());
    user.delete(&path).await.expect(200);
    browser
        .until("document.querySelectorAll('.tasks-table tbody tr').length === 1")
        .await;

    browser.click("td.col-actions .icon-button").await;
    browser
        .until("document.querySelector('td.col-last .badge-completed')")
        .await;
    browser
        .click("td.col-actions .icon-button:last-of-type")
        .await;
    pick(&browser, "Pause").await;
    browser
        .until("document.querySelector('td.col-status .badge-paused')")
        .await;
    close_notices(&browser).await;
    browser.click("td.col-last a.last-run").await;
    browser
        .until("location.pathname.startsWith('/executions/')")
        .await;
    browser.click("a[href='/tasks']").await;
    close_notices(&browser).await;
    browser
        .click("td.col-actions .icon-button:last-of-type")
        .await;
    pick(&browser, "Delete").await;
    browser.click("dialog .button.danger").await;
    browser
        .until("document.querySelector('.empty .button.primary')")
        .await;
    assert_eq!(user.read("/api/tasks").await, Value::Array(Vec::new()));
    browser.complains_only_about(&["status of 422"]).await;
}

#[tokio::test]
async fn what_is_kept_in_mind_is_written_found_forgotten_and_brought_back() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    let user = client(&server).await;
    let worker = user.worker("Ada", "builtin").await;
    browser.click("a[href='/memory']").await;
    browser.click(".empty .button.primary").await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('dialog .field-error:not([hidden])')")
        .await;
    browser.type_into("dialog input[name=key]", "tea").await;
    browser
        .type_into("dialog textarea[name=value]", "Green, without sugar.")
        .await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('.memory-entry .memory-value')?.textContent === 'Green, without sugar.'")
        .await;
    assert_eq!(
        user.read("/api/memory").await[0]["scope"],
        json!("global"),
        "what is new is everybody's"
    );
    browser
        .until("[...document.querySelectorAll('.section')].some((section) => section.textContent.includes('Only Ada reads these'))")
        .await;
    // Another name is not another entry.
    browser.click(".memory-entry .icon-button").await;
    browser
        .type_into("dialog input[name=key]", "\u{e003}\u{e003}\u{e003}drink")
        .await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('.memory-key').textContent === 'drink'")
        .await;
    assert_eq!(user.read("/api/memory").await.as_array().unwrap().len(), 1);

    browser
        .click(".memory-entry .icon-button:last-of-type")
        .await;
    browser
        .until("!document.querySelector('.memory-entry')")
        .await;
    // The keyboard is where the way back is.
    browser
        .until("document.activeElement.closest('.toast')")
        .await;
    browser.click(".toast .button").await;
    browser
        .until("document.querySelector('.memory-key')?.textContent === 'drink'")
        .await;

    // What only one worker reads is also in its own form.
    let path = format!("/api/memory/worker:{worker}/style");
    let body = json!({ "value": "Three bullets." });
    user.put(&path, &body).await.expect(200);
    browser.click("a[href='/workers']").await;
    browser.click(".worker-card .row button").await;
    browser
        .until("document.querySelector('dialog .memory-value')?.textContent === 'Three bullets.'")
        .await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn the_settings_show_what_is_and_change_what_can_be() {
    let server = TestServer::with(
        "[retention]\nlogs_age = \"90d\"\n[tier]\nname = \"home\"\n[tier.limits]\nworkers = 3\n",
    )
    .await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/settings']").await;
    browser
        .until("document.querySelectorAll('.settings-place .badge-completed').length >= 1 && document.querySelector('.engine-fix')")
        .await;
    let section = async |name: &str, shown: &str| {
        browser.click(&format!("a[href='/settings/{name}']")).await;
        browser.until(shown).await;
    };

    section("look", "document.querySelector('.choices')").await;
    browser.click(".choice input[value=dark]").await;
    browser
        .until("document.documentElement.dataset.theme === 'dark'")
        .await;
    browser.click(".choice input[value=system]").await;
    browser
        .until("!document.documentElement.dataset.theme")
        .await;

    section("devices", "document.querySelector('.snippet')").await;
    browser
        .read("[...document.querySelectorAll('.block button')].find((button) => button.textContent === 'Make a sign-in link').click()")
        .await;
    browser
        .until("[...document.querySelectorAll('.snippet')].some((link) => link.textContent.includes('/#code='))")
        .await;

    // A key is shown once, is good until it is revoked, and is what it says it is.
    section(
        "keys",
        "document.querySelector('.settings-place .button.primary')",
    )
    .await;
    browser.click(".settings-place .button.primary").await;
    browser.type_into("dialog input[name=name]", "script").await;
    browser.click("dialog button[type=submit]").await;
    browser
        .until("document.querySelector('dialog .snippet')?.textContent.startsWith('skep_')")
        .await;
    let key = browser.text("dialog .snippet").await;
    let ask = async |method: Method, status: u16| {
        let call = server.call(method, "/api/workers").bearer(&key);
        let call = if method == Method::Post {
            call.json(&json!({ "name": "Ada" }))
        } else {
            call
        };
        call.send().await.expect(status);
    };
    ask(Method::Get, 200).await;
    ask(Method::Post, 403).await;
    browser.click("dialog .button.primary").await;
    browser
        .until("document.querySelector('.key-row') && !document.querySelector('dialog')")
        .await;
    assert!(!browser.text("main").await.contains(&key), "not again");
    browser.click(".key-row .button").await;
    browser.click("dialog .button.danger").await;
    browser.until("!document.querySelector('.key-row')").await;
    ask(Method::Get, 401).await;

    section("storage", "document.querySelector('.share-bar') && document.body.textContent.includes('Logs go after 90 days.')").await;
    browser
        .read("[...document.querySelectorAll('.block button')].find((button) => button.textContent === 'See what would go now').click()")
        .await;
    browser
        .until("document.querySelector('main').textContent.includes('Nothing is due to go.')")
        .await;

    section(
        "backup",
        "document.querySelector('.settings-place .button.primary')",
    )
    .await;
    browser.click(".settings-place .button.primary").await;
    browser
        .until("/skep-.* is complete: [\\d.]+ [KM]?B/.test(document.querySelector('.block .notice')?.textContent)")
        .await;

    section("limits", "document.querySelector('.plain-table')").await;
    browser
        .until("document.querySelector('.plain-table tbody tr').textContent === 'Workers03'")
        .await;
    section("about", "document.querySelector('.health')").await;
    let data = server.data.canonicalize().unwrap();
    assert!(browser.text("main").await.contains(data.to_str().unwrap()));
    // Each section has an address of its own.
    browser.reload().await;
    browser.until("document.querySelector('.health')").await;
    browser.has_no_complaints().await;
}

#[tokio::test]
async fn a_worker_is_tried_copied_and_deleted() {
    let server = TestServer::start().await;
    let browser = Browser::signed_in(&server).await;
    browser.click("a[href='/workers']").await;
    browser.click(".page-head .button.primary").await;
    browser.type_into("dialog input[name=name]", "Ada").await;
    browser.click("dialog summary").await;
    choose(&browser, "select[name=permissions]", "read_only").await;
    browser
        .until("document.querySelector('dialog').textContent.includes('It changes nothing and runs nothing')")
        .await;
    browser
        .until("document.querySelector('select[name=engine] option[value=builtin]')")
        .await;
    choose(&browser, "select[name=engine]", "builtin").await;
    browser.click("dialog .also").await;
    // In a chat of its own, answered by nobody else.
    browser
        .until("location.pathname.startsWith('/chats/') && document.querySelector('.reply-name')?.textContent === 'Ada'")
        .await;
    browser
        .until("document.querySelector('.stop-button')?.hidden")
        .await;
    let user = client(&server).await;
    let workers = user.read("/api/workers").await;
    assert_eq!(
        (&workers[0]["permissions"], &workers[0]["engine"]),
        (&json!("read_only"), &json!("builtin"))
    );

    browser.click("a[href='/workers']").await;
    browser
        .until("document.querySelector('.worker-card .last-run .badge-completed')")
        .await;
    browser.click(".worker-card .worker-top .icon-button").await;
    pick(&browser, "Copy").await;
    browser
        .until("document.querySelector('dialog input[name=name]')?.value === 'Ada (copy)'")
        .await;
    browser.click("dialog .primary").await;
    browser
        .until("document.querySelectorAll('.worker-card').length === 2")
        .await;
    let workers = user.read("/api/workers").await;
    assert_eq!(workers[0]["permissions"], json!("read_only"));
    assert_ne!(workers[0]["work_dir"], workers[1]["work_dir"]);

    // Changed elsewhere, it changes here.
    let path = format!("/api/workers/{}", workers[0]["id"].as_str().unwrap());
    user.put(&path, &json!({ "name": "Alan" }))
        .await
        .expect(200);
    browser
        .until("[...document.querySelectorAll('.worker-name')].some((name) => name.textContent === 'Alan')")
        .await;

    close_notices(&browser).await;
    browser
        .click(".worker-card:nth-child(2) .worker-top .icon-button")
        .await;
    pick(&browser, "Delete").await;
    browser.click("dialog .check input").await;
    browser.click("dialog .button.danger").await;
    browser
        .until("document.querySelectorAll('.worker-card').length === 1")
        .await;
    assert!(!std::path::Path::new(workers[0]["work_dir"].as_str().unwrap()).exists());

    // The bee has a form, too.
    browser.click(".bee-card button").await;
    browser
        .type_into("dialog textarea[name=memory]", "Be brief.")
        .await;
    browser.click("dialog .primary").await;
    browser.until("!document.querySelector('dialog')").await;
    assert_eq!(user.read("/api/bee").await["memory"], "Be brief.");
    browser.has_no_complaints().await;
}

/// An engine that tells what it cost.
const COSTLY: &str = r#"[engines.costly]
kind = "command"
argv = ["/bin/sh", "-c", "echo '{\"type\":\"usage\",\"input_tokens\":1200,\"output_tokens\":34,\"cost_usd\":0.5}'; echo '{\"type\":\"result\",\"text\":\"done\"}'"]
output = "events"
"#;

#[tokio::test]
async fn what_was_used_is_summed_up_as_it_ends() {
    let server = TestServer::with(COSTLY).await;
    let browser = Browser::signed_in(&server).await;
    // The first minute: what was found on this machine, and what to do next.
    browser
        .until("document.querySelector('.welcome-engines .badge-completed') && document.querySelector('.welcome .engine-fix, .welcome .button')")
        .await;
    browser.click("a[href='/usage']").await;
    browser
        .until("document.querySelector('.empty a.button')")
        .await;
    let user = client(&server).await;
    let (_, chat) = user.chat_with_engine("Ada", "costly").await;
    user.ask(&chat, "go").await;
    browser
        .until("document.querySelector('.sum-number')?.textContent === '1'")
        .await;
    let main = browser.text("main").await;
    assert!(main.contains("1,234 tokens · $0.50"), "{main}");
    // A chart, and beside it the table that says the same.
    browser.click(".choice input[value=cost]").await;
    browser
        .until("document.querySelectorAll('.column-chart rect.column').length === 30 && [...document.querySelectorAll('.column-chart title')].at(-1).textContent.endsWith('$0.50')")
        .await;
    browser
        .until("[...document.querySelectorAll('.usage-table tbody tr')].some((row) => row.textContent.startsWith('AAda') && row.textContent.includes('$0.50'))")
        .await;
    browser.click(".choice input[value='7']").await;
    browser
        .until("document.querySelectorAll('.column-chart rect.column').length === 7")
        .await;
    user.ask(&chat, "again").await;
    browser
        .until("document.querySelector('.sum-number').textContent === '2'")
        .await;
    browser.has_no_complaints().await;
}

/// On the narrowest phone, and in dark: nothing sticks out, and every page is reached from the drawer.
#[tokio::test]
async fn every_page_fits_every_width_in_light_and_dark() {
    let server = TestServer::with(&settings()).await;
    let browser = Browser::signed_in(&server).await;
    let user = client(&server).await;
    let name = "A-worker-whose-name-is-one-very-long-word-that-nobody-can-break";
    let (worker, chat) = user.chat_with_engine(name, "builtin").await;
    user.ask(&chat, "help").await;
    // A file with a long name, and a button that names a worker.
    let file = user.upload(&chat, &format!("{name}.bin"), b"1").await;
    let media = file.expect(200).json()["path"].clone();
    let message = json!({ "content": "See.", "media_path": media });
    let path = format!("/api/local/sessions/{chat}/messages");
    let sent = user.post(&path, &message).await.expect(202).json();
    user.ended(sent["execution_id"].as_str().unwrap()).await;
    let (_, failed) = user
        .chat_with_engine(&format!("Not-{name}"), "missing")
        .await;
    user.ask(&failed, "help").await;
    let (chat_path, failed_path) = (format!("/chats/{chat}"), format!("/chats/{failed}"));
    let task = json!({
        "type": "scheduled", "instruction": name.repeat(4), "cron_expr": "1,2,3,4 5,6,7 1,15 */2 1-5",
        "timezone": "America/Argentina/Buenos_Aires", "worker_id": worker, "session_id": chat,
    });
    user.post("/api/tasks", &task).await.expect(201);
    let entry = json!({ "value": name.repeat(4) });
    user.put(&format!("/api/memory/worker:{worker}/{name}"), &entry)
        .await
        .expect(200);
    let key = json!({ "name": name, "scopes": ["read"] });
    user.post("/api/tokens", &key).await.expect(201);
    for (width, scheme) in [(360, "dark"), (768, "light"), (1440, "dark")] {
        browser.look(width, scheme).await;
        for (path, shown) in [
            (&*chat_path, ".file-card"),
            (&failed_path, ".outcome .button"),
            ("/executions", ".executions-table tbody tr"),
            ("/tasks", ".tasks-table tbody tr"),
            ("/memory", ".memory-entry"),
            ("/usage", ".usage-table tbody tr"),
            ("/workers", ".worker-card"),
            ("/settings/engines", ".engine-head"),
            ("/settings/look", ".choice"),
            ("/settings/account", ".block"),
            ("/settings/devices", ".snippet"),
            ("/settings/keys", ".key-row"),
            ("/settings/storage", ".share-bar"),
            ("/settings/backup", ".snippet"),
            ("/settings/limits", ".plain-table"),
            ("/settings/about", ".health"),
        ] {
            browser
                .read(&format!(
                    "(history.pushState(null, '', {path:?}), dispatchEvent(new PopStateEvent('popstate')))"
                ))
                .await;
            browser
                .until(&format!("document.querySelector({shown:?})"))
                .await;
            let sticks_out = browser
                .read("[...document.querySelectorAll('main *')].filter((el) => (el.getBoundingClientRect().right > innerWidth + 1 || el.getBoundingClientRect().left < -1) \
                       && el.offsetParent && el.getBoundingClientRect().width > 1 && !el.closest('.settings-nav, .filter, .table-scroll, .col-worker, .usage-scroll, .visually-hidden, svg')).map((el) => el.outerHTML.slice(0, 80))")
                .await;
            assert_eq!(sticks_out, json!([]), "{path} at {width}");
            assert_eq!(
                browser
                    .read("document.documentElement.scrollWidth <= innerWidth")
                    .await,
                json!(true),
                "{path} at {width}"
            );
        }
    }
    browser.look(360, "light").await;
    for page in ["tasks", "memory", "usage", "settings", "workers"] {
        browser.click(".menu-button").await;
        // It slides in.
        browser
            .until("document.querySelector('.side.open') && document.querySelector('.sidebar').getBoundingClientRect().left === 0")
            .await;
        browser.click(&format!(".sidebar a[href='/{page}']")).await;
        browser
            .until(&format!(
                "location.pathname === '/{page}' && !document.querySelector('.side.open')"
            ))
            .await;
    }
    browser.has_no_complaints().await;
}
