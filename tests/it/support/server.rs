//! The real binary with a data directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http::{Call, Method};
use super::{PATIENCE, User};

/// The password of the account in every test that does not say otherwise.
pub const PASSWORD: &str = "correct horse battery";

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    settings: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    listen: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: String::new(),
            // Tests ask faster than anybody does; those of the limits switch them on. Whatever model server this machine
            // has is none of their business.
            env: [
                ("SKEP_PASSWORD", PASSWORD),
                ("SKEP_LOG_LEVEL", "debug"),
                ("RATE_LIMIT_ENABLED", "false"),
                ("SKEP_MODEL_SERVERS", "http://127.0.0.1:1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            args: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
        }
    }
}

impl Setup {
    /// The text of `skep.toml`.
    pub fn settings(text: &str) -> Self {
        Self {
            settings: text.to_owned(),
            ..Self::default()
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a newcomer starts it: nobody has said a password.
    pub fn without_password(mut self) -> Self {
        self.env.retain(|(name, _)| name != "SKEP_PASSWORD");
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The command line, with an environment that holds nothing of this machine's own.
    pub fn command(&self, home: &Path, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command
            .arg("--data")
            .arg(data)
            .args(["--listen", &self.listen])
            .args(&self.args)
            .env_clear()
            .env("HOME", home)
            .env("TMPDIR", home)
            .env("PATH", "/usr/bin:/bin")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts a new server.
    pub async fn start(self) -> TestServer {
        let home = tempfile::tempdir().expect("a temporary directory");
        let data = home.path().join("hive");
        TestServer::launch(self, Arc::new(home), data).await
    }

    /// Starts a server on a directory that is there already, such as a copy.
    pub async fn start_on(self, home: &Arc<TempDir>, data: &Path) -> TestServer {
        TestServer::launch(self, home.clone(), data.to_owned()).await
    }

    /// Runs it where it should not start; what it wrote on standard error and how it ended.
    pub async fn fails_to_start(self, data: &Path) -> (Option<i32>, String) {
        let home = tempfile::tempdir().expect("a temporary directory");
        if !self.settings.is_empty() {
            std::fs::write(data.join("skep.toml"), &self.settings).expect("skep.toml");
        }
        let run = self.command(home.path(), data).output();
        let output = timeout(PATIENCE, run)
            .await
            .expect("it gives up")
            .expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "",
            "it announced itself: {stderr}"
        );
        (output.status.code(), stderr)
    }
}

/// A running server. Dropping it kills it; its guards then end whatever its engines started.
pub struct TestServer {
    pub address: SocketAddr,
    /// The code of the sign-in link.
    pub code: String,
    pub home: Arc<TempDir>,
    pub data: PathBuf,
    /// Both announced lines, as printed.
    pub announced: Vec<String>,
    setup: Setup,
    child: Child,
    stderr: Arc<Mutex<Vec<u8>>>,
    stderr_reader: JoinHandle<()>,
}

impl TestServer {
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    pub async fn with(settings: &str) -> Self {
        Setup::settings(settings).start().await
    }

    async fn launch(setup: Setup, home: Arc<TempDir>, data: PathBuf) -> Self {
        std::fs::create_dir_all(&data).expect("the data directory");
        if !setup.settings.is_empty() {
            std::fs::write(data.join("skep.toml"), &setup.settings).expect("skep.toml");
        }
        let mut child = setup
            .command(home.path(), &data)
            .spawn()
            .expect("the binary starts");
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let mut source = child.stderr.take().expect("a pipe");
        let sink = stderr.clone();
        let stderr_reader = tokio::spawn(async move {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = source.read(&mut bytes).await {
                sink.lock()
                    .expect("nobody panics here")
                    .extend_from_slice(&bytes[..read]);
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let announced = timeout(PATIENCE, async {
            let mut lines = Vec::new();
            while lines.len() < 2 {
                match stdout.next_line().await {
                    Ok(Some(line)) => lines.push(line),
                    _ => break,
                }
            }
            lines
        })
        .await
        .unwrap_or_default();
        let told = || String::from_utf8_lossy(&stderr.lock().expect("no panic")).into_owned();
        let [ready, sign_in] = announced.as_slice() else {
            panic!(
                "the server did not announce itself but said {announced:?}\n{}",
                told()
            );
        };
        let url = ready
            .strip_prefix("Skep is ready at ")
            .expect("the first line");
        let address = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"))
            .and_then(|rest| rest.split('/').next()?.parse().ok());
        // With a public address in the link, where it listens is told to its own commands alone.
        let address = address.or_else(|| {
            let control = std::fs::read(data.join("control.json")).ok()?;
            let control: serde_json::Value = serde_json::from_slice(&control).ok()?;
            control["address"].as_str()?.parse().ok()
        });
        let code = sign_in.strip_prefix(&format!("Sign in: {url}/#code="));
        Self {
            address: address.unwrap_or_else(|| panic!("no address in {ready:?}")),
            code: code
                .unwrap_or_else(|| panic!("no code in {sign_in:?}"))
                .to_owned(),
            home,
            data,
            announced,
            setup,
            child,
            stderr,
            stderr_reader,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it wrote on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().expect("no panic")).into_owned()
    }

    /// A call without any token.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.address, method, path)
    }

    /// Signs in by the printed link, which is good once.
    pub async fn log_in(&self) -> User {
        let redeem = self.call(Method::Post, "/api/auth/redeem");
        let answer = redeem
            .json(&serde_json::json!({ "code": self.code }))
            .send()
            .await;
        User::new(self, &answer.expect(200).json())
    }

    /// Asks it to stop, as a service manager does, and checks that it ended well.
    pub async fn stop(mut self) -> Stopped {
        signal(self.pid(), rustix::process::Signal::TERM);
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("it does not stop:\n{}", self.stderr()))
            .expect("a status");
        let stopped = self.ended(status).await;
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        stopped
    }

    /// Ends it as a power cut would end it.
    pub async fn kill(mut self) -> Stopped {
        self.child.kill().await.expect("it runs");
        let status = self.child.wait().await.expect("a status");
        self.ended(status).await
    }

    async fn ended(mut self, status: ExitStatus) -> Stopped {
        // Guards may hold the pipe for a moment longer than the server lives.
        let _ = timeout(PATIENCE, &mut self.stderr_reader).await;
        let stderr = self.stderr();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Stopped {
            setup: self.setup,
            home: self.home,
            data: self.data,
            address: self.address,
            status,
            stderr,
        }
    }

    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }
}

/// A server that has ended, and what it left.
pub struct Stopped {
    pub setup: Setup,
    pub home: Arc<TempDir>,
    pub data: PathBuf,
    pub address: SocketAddr,
    pub status: ExitStatus,
    pub stderr: String,
}

impl Stopped {
    /// Starts it again on the same directory.
    pub async fn start(self) -> TestServer {
        TestServer::launch(self.setup, self.home, self.data).await
    }

    /// Starts it again at the same address, for clients that do not know that it was away.
    pub async fn start_at_same_address(self) -> TestServer {
        let setup = self.setup.listen(&self.address.to_string());
        TestServer::launch(setup, self.home, self.data).await
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it runs");
}
