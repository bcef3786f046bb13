//! A real browser, driven through its own driver (W3C WebDriver) by the client that the other tests use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::http::{Call, Method};
use crate::support::server::PASSWORD;
use crate::support::{PATIENCE, TestServer};

/// How WebDriver names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Where browsers are.
const BROWSERS: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// Ours alone: nothing is remembered, nothing else is asked, and it runs where there is neither screen nor user.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--window-size=1200,900",
];

/// One browser with one window and a profile of its own.
pub struct Browser {
    address: SocketAddr,
    session: String,
    driver: Child,
    _profile: TempDir,
}

/// Starts of the driver for one browser: the free port that it finds may be taken when it comes to use it, and then it
/// ends.
const DRIVER_TRIES_MAX: usize = 5;

/// A driver and the port that it is reached at; `None` where it ended before it said one.
async fn driver(profile: &Path) -> Option<(Child, Lines<BufReader<ChildStdout>>, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("HOME", profile)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver is installed; tests/run.sh does that");
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let port = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.expect("a line")?;
            if let Some(rest) = line.split("started successfully on port ").nth(1) {
                break Some(rest.trim_end_matches('.').parse::<u16>().expect("a port"));
            }
        }
    });
    let port = port.await.expect("the driver starts")?;
    Some((driver, lines, port))
}

impl Browser {
    pub async fn start() -> Self {
        Self::start_with(json!({ "browser": "ALL" }), json!({})).await
    }

    /// One that also notes what its threads do, for `threads`.
    pub async fn traced() -> Self {
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        let about = json!({ "enableNetwork": false, "enablePage": false, "traceCategories": "toplevel,blink.user_timing" });
        Self::start_with(logs, about).await
    }

    async fn start_with(logs: Value, traced: Value) -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut tries = 0;
        let (driver, mut lines, port) = loop {
            tries += 1;
            match driver(profile.path()).await {
                Some(started) => break started,
                None => assert!(tries < DRIVER_TRIES_MAX, "the driver says its port"),
            }
        };
        // Nobody reads what else it says; it must not wait for that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!(
            "--user-data-dir={}",
            profile.path().join("profile").display()
        ));
        let mut options = json!({ "args": arguments });
        if let Some(binary) = BROWSERS.iter().find(|path| Path::new(path).exists()) {
            options["binary"] = json!(binary);
        }
        if traced["traceCategories"].is_string() {
            options["perfLoggingPrefs"] = traced;
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": logs,
            "timeouts": { "script": PATIENCE.as_millis() as u64, "pageLoad": PATIENCE.as_millis() as u64 },
        } } });
        let mut browser = Self {
            address,
            session: String::new(),
            driver,
            _profile: profile,
        };
        let made = browser
            .command(Method::Post, "", &wanted)
            .await
            .expect("a browser");
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// A browser that has opened the printed link.
    pub async fn signed_in(server: &TestServer) -> Self {
        let browser = Self::start().await;
        browser.open_link(server).await;
        browser
    }

    /// Opens the printed link.
    pub async fn open_link(&self, server: &TestServer) {
        self.go(&format!("http://{}/#code={}", server.address, server.code))
            .await;
        self.until("document.querySelector('.composer-input')")
            .await;
    }

    /// A browser whose user knows the password: the link was used, or is another one's.
    pub async fn signed_in_by_password(server: &TestServer) -> Self {
        let browser = Self::start().await;
        browser.open(server, "/").await;
        browser.enter_password().await;
        browser
            .until("document.querySelector('.composer-input')")
            .await;
        browser
    }

    /// Types the password where it is asked for.
    pub async fn enter_password(&self) {
        self.type_into("input[name=password]", &format!("{PASSWORD}\u{e007}"))
            .await;
    }

    async fn command(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let path = match &*self.session {
            "" => format!("/session{path}"),
            session => format!("/session/{session}{path}"),
        };
        let call = Call::new(self.address, method, &path);
        let call = if method == Method::Post {
            call.json(body)
        } else {
            call
        };
        let answer = timeout(PATIENCE * 2, call.try_send())
            .await
            .map_err(|_| format!("{path}: no answer"))?;
        let answer = answer.map_err(|error| format!("{path}: {error}"))?;
        let mut value: Value =
            serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        let value = value["value"].take();
        match answer.status {
            200 => Ok(value),
            _ => Err(format!("{path}: {}: {}", value["error"], value["message"])),
        }
    }

    pub async fn go(&self, url: &str) {
        self.command(Method::Post, "/url", &json!({ "url": url }))
            .await
            .expect("it goes there");
    }

    /// Goes to a path of the server's.
    pub async fn open(&self, server: &TestServer, path: &str) {
        self.go(&format!("http://{}{path}", server.address)).await;
    }

    pub async fn reload(&self) {
        self.command(Method::Post, "/refresh", &json!({}))
            .await
            .expect("it loads again");
    }

    pub async fn url(&self) -> String {
        let url = self
            .command(Method::Get, "/url", &json!({}))
            .await
            .expect("an address");
        url.as_str().expect("text").to_owned()
    }

    /// The value of an expression, now.
    pub async fn read(&self, expression: &str) -> Value {
        let body = json!({ "script": format!("return ({expression})"), "args": [] });
        self.command(Method::Post, "/execute/sync", &body)
            .await
            .expect("it can be read")
    }

    pub async fn text(&self, selector: &str) -> String {
        let text = self
            .read(&format!(
                "document.querySelector({selector:?})?.textContent"
            ))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits in the page until an expression is true.
    pub async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{ if ({expression}) done(true); else setTimeout(look, 10); }};
             look();"
        );
        let body = json!({ "script": script, "args": [] });
        let begun = std::time::Instant::now();
        // A page that goes away takes the wait with it; the next one is asked again.
        while let Err(error) = self.command(Method::Post, "/execute/async", &body).await {
            if begun.elapsed() > PATIENCE {
                let page = self.text("body").await;
                panic!(
                    "never true: {expression}\n{error}\nthe page says: {page}\n{:?}",
                    self.console().await
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn find(&self, selector: &str) -> String {
        self.until(&format!("document.querySelector({selector:?})"))
            .await;
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command(Method::Post, "/element", &body).await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))[ELEMENT]
            .as_str()
            .expect("an element")
            .to_owned()
    }

    /// Clicks as a user does: what is hidden or covered cannot be clicked.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        let clicked = self
            .command(
                Method::Post,
                &format!("/element/{element}/click"),
                &json!({}),
            )
            .await;
        clicked.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Types as a user does.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let body = json!({ "text": text });
        let typed = self
            .command(Method::Post, &format!("/element/{element}/value"), &body)
            .await;
        typed.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let key = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|it| [key("keyDown", it), key("keyUp", it)])
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] });
        self.command(Method::Post, "/actions", &body)
            .await
            .expect("the keys are pressed");
    }

    /// Writes a message and sends it with Enter.
    pub async fn say(&self, text: &str) {
        self.type_into(".composer-input", &format!("{text}\u{e007}"))
            .await;
    }

    /// Clicks the first of these that says this.
    pub async fn click_text(&self, selector: &str, text: &str) {
        let found = format!(
            "[...document.querySelectorAll({selector:?})].find((el) => el.textContent.trim() === {text:?})"
        );
        self.until(&found).await;
        self.read(&format!("{found}.click()")).await;
    }

    /// The name of the tab that is driven.
    pub async fn tab(&self) -> String {
        let tab = self.command(Method::Get, "/window", &json!({})).await;
        tab.expect("a tab").as_str().expect("a name").to_owned()
    }

    /// Opens another tab and drives that; its name.
    pub async fn open_tab(&self, url: &str) -> String {
        let made = self
            .command(Method::Post, "/window/new", &json!({ "type": "tab" }))
            .await
            .expect("a tab");
        let tab = made["handle"].as_str().expect("a name").to_owned();
        self.switch_to(&tab).await;
        self.go(url).await;
        tab
    }

    /// Closes the tab that is driven; another one has to be driven next.
    pub async fn close_tab(&self) {
        self.command(Method::Delete, "/window", &json!({}))
            .await
            .expect("it closes");
    }

    /// Drives another tab.
    pub async fn switch_to(&self, tab: &str) {
        self.command(Method::Post, "/window", &json!({ "handle": tab }))
            .await
            .expect("that tab");
    }

    /// Shows pages as a window of this width does, in light or in dark.
    pub async fn look(&self, width: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600 });
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// A command of the browser's own DevTools protocol, for the tab that is driven.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        let done = self.command(Method::Post, "/goog/cdp/execute", &body).await;
        done.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Leaves the page, which is when the driver hands out what a traced browser's threads did: trace events.
    pub async fn threads(&self) -> Vec<Value> {
        self.go("about:blank").await;
        let body = json!({ "type": "performance" });
        let entries = self.command(Method::Post, "/se/log", &body).await;
        let entries = entries.expect("a traced browser");
        let said = entries.as_array().expect("a list").iter();
        said.filter_map(|entry| serde_json::from_str(entry["message"].as_str()?).ok())
            .map(|mut event: Value| event["message"].take())
            .filter(|message| message["method"] == "Tracing.dataCollected")
            .map(|mut message| message["params"].take())
            .collect()
    }

    /// What the page's console holds since it was asked last.
    pub async fn console(&self) -> Vec<String> {
        let entries = self
            .command(Method::Post, "/se/log", &json!({ "type": "browser" }))
            .await
            .unwrap_or_default();
        let entries = entries.as_array().cloned().unwrap_or_default();
        let is_bad = |entry: &&Value| entry["level"] == "SEVERE" || entry["level"] == "WARNING";
        entries
            .iter()
            .filter(is_bad)
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Checks that the page had nothing to complain about: no error, nothing that the policy forbade.
    pub async fn has_no_complaints(&self) {
        self.complains_only_about(&[]).await;
    }

    pub async fn complains_only_about(&self, expected: &[&str]) {
        let mut complaints = self.console().await;
        complaints.retain(|complaint| !expected.iter().any(|known| complaint.contains(known)));
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// The driver, when it is told, ends the browser and waits for that; killed, it would leave the browser behind.
impl Drop for Browser {
    fn drop(&mut self) {
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.address
        );
        let ended = TcpStream::connect(self.address).and_then(|mut socket| {
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.write_all(request.as_bytes())?;
            // It answers once the browser is gone, and keeps the connection.
            socket.read(&mut [0; 256])
        });
        if let Err(error) = ended {
            eprintln!("the browser may have been left behind: {error}");
        }
        let _ = self.driver.start_kill();
    }
}
