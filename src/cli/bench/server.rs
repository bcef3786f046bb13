//! A server under measurement: a process of its own, on a data directory of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::client::Target;
use super::machine::CLOCK;
use super::millis;
use crate::config::FILE_NAME;

/// How long a server may take to become idle after a start.
const IDLE_WITHIN: Duration = Duration::from_secs(5);

/// A process that ends with this value, in whatever way it ends.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it with an environment of nothing but what is needed; its standard error goes to `log`.
    pub fn start(command: &mut Command, home: &Path, log: &Path) -> io::Result<Self> {
        let child = command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        Ok(Self { child })
    }

    /// Its standard output, once.
    pub fn lines(&mut self) -> io::Result<impl Iterator<Item = io::Result<String>> + use<>> {
        let output = self.child.stdout.take();
        let output = output.ok_or_else(|| io::Error::other("its output was taken before"))?;
        Ok(BufReader::new(output).lines())
    }

    /// Memory that it has in RAM, megabytes; nothing where `/proc` does not tell.
    pub fn resident_mb(&self) -> Option<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024.0 / 1e6)
    }

    /// Waits until it has used no time of the processor for half a second, for a while at most.
    pub async fn becomes_idle(&self) {
        let path = PathBuf::from(format!("/proc/{}/stat", self.child.id()));
        let ticks = || {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default().to_owned();
            let fields: Vec<String> = after_name.split(' ').map(str::to_owned).collect();
            fields.get(12..14).map(<[String]>::to_vec)
        };
        let begin = Instant::now();
        while begin.elapsed() < IDLE_WITHIN {
            let before = ticks();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if ticks() == before {
                return;
            }
        }
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Skep.
pub struct Server {
    /// Its process.
    pub process: Process,
    /// Where it is, signed in once [`Server::sign_in`] was called.
    pub target: Target,
    code: String,
}

impl Server {
    /// Starts `binary` on `data` and tells how many milliseconds it took until it answered. `engines` is added to its
    /// settings.
    pub fn start(binary: &Path, data: &Path, engines: &str) -> io::Result<(f64, Self)> {
        Self::start_with(binary, data, "[rate_limit]\nenabled = false", engines)
    }

    /// Like [`Server::start`], with other settings than no rate limits.
    pub fn start_with(
        binary: &Path,
        data: &Path,
        settings: &str,
        engines: &str,
    ) -> io::Result<(f64, Self)> {
        std::fs::create_dir_all(data)?;
        let settings = format!(
            "{settings}\n\n\
             [engines.held]\nkind = \"command\"\nargv = [\"/bin/sleep\", \"600\"]\n\n\
             [engines.clock]\nkind = \"command\"\nargv = [{:?}, {:?}]\n\n{engines}",
            CLOCK[0], CLOCK[1]
        );
        std::fs::write(data.join(FILE_NAME), settings)?;
        let log = data.with_extension("log");
        let begin = Instant::now();
        let mut command = Command::new(binary);
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data);
        let mut process = Process::start(&mut command, data, &log)?;
        let mut lines = process.lines()?;
        let mut line = |prefix: &str| {
            let line = lines.next().transpose()?.unwrap_or_default();
            line.strip_prefix(prefix).map(str::to_owned).ok_or_else(|| {
                let told = std::fs::read_to_string(&log).unwrap_or_default();
                io::Error::other(format!("the server did not start: {line}{told}"))
            })
        };
        let address = line("Skep is ready at http://")?;
        let address: SocketAddr = address.parse().map_err(io::Error::other)?;
        answers(address, "/healthz")?;
        let took = millis(begin.elapsed());
        let code = line(&format!("Sign in: http://{address}/#code="))?;
        let target = Target {
            address,
            authorization: String::new(),
        };
        let server = Self {
            process,
            target,
            code,
        };
        Ok((took, server))
    }

    /// Signs in by the printed link, which is good once.
    pub async fn sign_in(&mut self) -> io::Result<()> {
        let request = self
            .target
            .post("/api/auth/redeem", &json!({ "code": self.code }));
        let tokens = self.target.ask(&request).await?;
        self.target.authorization = format!("Bearer {}", text(&tokens, "access_token")?);
        Ok(())
    }

    /// A new worker with this engine; its id.
    pub async fn worker(&self, engine: &str) -> io::Result<String> {
        // Names are unique, and this hive may have been measured before.
        let name = format!("{engine} {}", super::unix_ms());
        let body = json!({ "name": name, "engine": engine });
        let made = self
            .target
            .ask(&self.target.post("/api/workers", &body))
            .await?;
        text(&made, "id")
    }

    /// A new chat; its path.
    pub async fn chat(&self) -> io::Result<String> {
        let request = self
            .target
            .post("/api/local/sessions", &json!({ "name": "Load" }));
        let made = self.target.ask(&request).await?;
        Ok(format!("/api/local/sessions/{}", text(&made, "id")?))
    }

    /// A request that posts a message to a new chat and a new worker that never gets to it: what is measured is the
    /// message being stored and its execution being queued.
    pub async fn post_to_held(&self) -> io::Result<(String, Vec<u8>)> {
        let worker = self.worker("held").await?;
        let chat = self.chat().await?;
        let body = json!({ "content": super::fill::MESSAGE, "worker_id": worker });
        let post = self.target.post(&format!("{chat}/messages"), &body);
        Ok((chat, post))
    }
}

/// Whether a GET there is answered well.
pub fn answers(address: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(io::Error::other(answer)),
    }
}

/// The text of a field.
pub fn text(value: &serde_json::Value, field: &str) -> io::Result<String> {
    let found = value[field].as_str().map(str::to_owned);
    found.ok_or_else(|| io::Error::other(format!("no {field} in {value}")))
}
