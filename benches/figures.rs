//! The first figures: how long a start takes, what an idle server holds, what a durable post costs with 1 and with 64
//! clients, and how soon after a message its engine runs. Each stands beside the machine's own limit, measured in the
//! same run; medians, because machines are shared.
//!
//! `cargo bench --bench figures` takes about half a minute; `-- --smoke` a few seconds, for tests. A regression is a ratio
//! (the last column) that doubles.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a frame of the journal holds for a short message, bytes.
const FRAME_BYTES: usize = 300;
/// Posts of one run: below the longest queue of executions, so that none is refused.
const POSTS_MAX: usize = 8_000;

struct Sizes {
    samples: usize,
    posts_alone: usize,
    posts_together: usize,
    starts: usize,
    runs: usize,
}

fn main() {
    let is_smoke = std::env::args().any(|word| word == "--smoke");
    let sizes = if is_smoke {
        Sizes {
            samples: 100,
            posts_alone: 100,
            posts_together: 640,
            starts: 2,
            runs: 3,
        }
    } else {
        Sizes {
            samples: 2_000,
            posts_alone: 2_000,
            posts_together: POSTS_MAX,
            starts: 9,
            runs: 21,
        }
    };
    let sync = sync_in_place(sizes.samples);
    let loopback = loopback(sizes.samples);
    let exec = exec_alone(sizes.runs);
    let dir = tempfile::tempdir().expect("a directory for the figures");
    let mut table = Table::default();

    let (cold, mut server) = Server::start(&dir.path().join("hive"));
    table.row(
        "first start → first answer (hashes a password)",
        "–",
        millis(cold),
        "–",
    );
    server.wait_until_idle();
    table.row(
        "resident, idle",
        "–",
        format!("{:.1} MB", server.resident_mb()),
        "–",
    );

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime for the clients");
    let token = server.sign_in();
    let alone = runtime.block_on(post(&server, &token, 1, sizes.posts_alone));
    let floor = sync + loopback;
    table.row(
        "durable post, 1 client",
        &format!("fdatasync {} + loopback {}", micros(sync), micros(loopback)),
        format!("{} p50, {:.0}/s", micros(alone.p50), alone.rate),
        &ratio(alone.p50, floor),
    );
    let (_, mut busy) = Server::start(&dir.path().join("busy"));
    let busy_token = busy.sign_in();
    let together = runtime.block_on(post(&busy, &busy_token, 64, sizes.posts_together));
    table.row(
        "durable post, 64 clients",
        &format!("{:.0}/s one by one", 1.0 / floor.as_secs_f64()),
        format!("{:.0}/s, p99 {}", together.rate, millis(together.p99)),
        &format!("{:.1} ×", together.rate * floor.as_secs_f64()),
    );
    table.row(
        "resident, after that",
        "–",
        format!("{:.1} MB", busy.resident_mb()),
        "–",
    );
    busy.stop();

    let latency = runtime.block_on(message_to_exec(&server, &token, sizes.runs));
    table.row(
        "message → engine's exec (`date`)",
        &format!("2 × fork+exec {} + 2 × fdatasync", millis(exec)),
        millis(latency),
        &ratio(latency, exec * 2 + sync * 2),
    );
    server.stop();
    let mut starts: Vec<Duration> = (0..sizes.starts)
        .map(|_| {
            let (took, mut server) = Server::start(&dir.path().join("hive"));
            server.stop();
            took
        })
        .collect();
    table.row(
        "start → first answer",
        "–",
        millis(median(&mut starts)),
        "–",
    );
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_skep")).map_or(0, |metadata| metadata.len());
    table.row("binary", "–", format!("{:.1} MB", binary as f64 / 1e6), "–");
    table.print();
}

/// One fdatasync of a frame inside a file of fixed size.
fn sync_in_place(samples: usize) -> Duration {
    let file = tempfile::tempfile().expect("a file to sync");
    file.write_all_at(&vec![0; 1 << 20], 0)
        .expect("room for it");
    file.sync_all().expect("a disk that syncs");
    let frame = [7; FRAME_BYTES];
    let mut times: Vec<Duration> = (0..samples)
        .map(|sample| {
            let at = Instant::now();
            file.write_all_at(&frame, (sample * FRAME_BYTES % (1 << 19)) as u64)
                .expect("a write");
            file.sync_data().expect("a sync");
            at.elapsed()
        })
        .collect();
    median(&mut times)
}

/// One byte there and back over loopback.
fn loopback(samples: usize) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client");
        let _ = stream.set_nodelay(true);
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
    let mut stream = TcpStream::connect(address).expect("the echo");
    stream.set_nodelay(true).expect("no delay");
    let mut byte = [1];
    let mut times: Vec<Duration> = (0..samples)
        .map(|_| {
            let at = Instant::now();
            stream.write_all(&byte).expect("a byte there");
            stream.read_exact(&mut byte).expect("and back");
            at.elapsed()
        })
        .collect();
    drop(stream);
    let _ = echo.join();
    median(&mut times)
}

/// From before fork to `date` having read the clock.
fn exec_alone(runs: usize) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let before = unix_time();
            let output = Command::new("/bin/date")
                .arg("+%s%N")
                .output()
                .expect("date");
            parsed(&String::from_utf8_lossy(&output.stdout)).saturating_sub(before)
        })
        .collect();
    median(&mut times)
}

struct Load {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// `posts` messages from so many clients at once, to a worker that never gets to them.
async fn post(server: &Server, token: &str, clients: usize, posts: usize) -> Load {
    let mut client = Client::connect(server, token).await;
    let worker = client
        .post("/api/workers", r#"{"name":"Slow","engine":"slow"}"#)
        .await;
    let worker = field(&worker, "id");
    let session = client
        .post("/api/local/sessions", r#"{"name":"load"}"#)
        .await;
    let path = Arc::new(format!(
        "/api/local/sessions/{}/messages",
        field(&session, "id")
    ));
    let body = Arc::new(format!(
        r#"{{"content":"a message of an ordinary length, as people write them","worker_id":"{worker}"}}"#
    ));
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Client::connect(server, token).await);
    }
    let begin = Instant::now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut client| {
            let (path, body) = (path.clone(), body.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                for _ in 0..posts / clients {
                    let at = Instant::now();
                    client.post(&path, &body).await;
                    times.push(at.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a client"));
    }
    let rate = times.len() as f64 / begin.elapsed().as_secs_f64();
    times.sort();
    Load {
        rate,
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    }
}

/// From before the request to the engine's process having read the clock, one message after the other.
async fn message_to_exec(server: &Server, token: &str, runs: usize) -> Duration {
    let mut client = Client::connect(server, token).await;
    let worker = client
        .post("/api/workers", r#"{"name":"Clock","engine":"clock"}"#)
        .await;
    let worker = field(&worker, "id");
    let session = client
        .post("/api/local/sessions", r#"{"name":"clock"}"#)
        .await;
    let path = format!("/api/local/sessions/{}/messages", field(&session, "id"));
    let body = format!(r#"{{"content":"now","worker_id":"{worker}"}}"#);
    let mut times = Vec::new();
    for _ in 0..runs {
        let before = unix_time();
        let posted = client.post(&path, &body).await;
        let path = format!("/api/executions/{}", field(&posted, "execution_id"));
        let execution = loop {
            let execution = client.get(&path).await;
            if execution.contains(r#""status":"completed""#) {
                break execution;
            }
            assert!(!execution.contains(r#""status":"failed""#), "{execution}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        times.push(parsed(&field(&execution, "result")).saturating_sub(before));
    }
    median(&mut times)
}

struct Server {
    child: Child,
    address: String,
    code: String,
}

impl Server {
    /// Starts the binary; tells how long it took until it answered.
    fn start(data: &Path) -> (Duration, Self) {
        std::fs::create_dir_all(data).expect("a data directory");
        let settings = "[engines.slow]\nkind = \"command\"\nargv = [\"/bin/sleep\", \"600\"]\n\
                        [engines.clock]\nkind = \"command\"\nargv = [\"/bin/date\", \"+%s%N\"]\n";
        std::fs::write(data.join("skep.toml"), settings).expect("settings");
        let log = File::create(data.join("stderr.log")).expect("a log");
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", data)
            // What is measured is the work, not how often one may ask for it.
            .env("RATE_LIMIT_ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let ready = line();
        let address = ready.rsplit("//").next().expect("an address").to_owned();
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = ask(&address, &request);
        let took = begin.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let code = line().rsplit('=').next().expect("a code").to_owned();
        (
            took,
            Self {
                child,
                address,
                code,
            },
        )
    }

    fn sign_in(&self) -> String {
        let body = format!(r#"{{"code":"{}"}}"#, self.code);
        let request = format!(
            "POST /api/auth/redeem HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        field(&ask(&self.address, &request), "access_token")
    }

    /// Until it has used no time of the processor for a while, at most 5 s.
    fn wait_until_idle(&self) {
        let path = PathBuf::from(format!("/proc/{}/stat", self.child.id()));
        let ticks = || {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            let fields: Vec<String> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split(' ')
                .map(str::to_owned)
                .collect();
            fields.get(12..14).map(<[String]>::to_vec)
        };
        for _ in 0..5 {
            let before = ticks();
            std::thread::sleep(Duration::from_secs(1));
            if ticks() == before {
                return;
            }
        }
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap_or_default();
        let kb: f64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|kb| kb.parse().ok())
            .unwrap_or(0.0);
        kb / 1000.0
    }

    fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A connection that is kept.
struct Client {
    stream: tokio::net::TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(server: &Server, token: &str) -> Self {
        let stream = tokio::net::TcpStream::connect(&server.address)
            .await
            .expect("the server");
        stream.set_nodelay(true).expect("no delay");
        let head = format!(
            "Host: {}\r\nAuthorization: Bearer {token}\r\n",
            server.address
        );
        Self {
            stream,
            head,
            buffer: Vec::with_capacity(4096),
        }
    }

    async fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.head);
        self.exchange(&request).await
    }

    async fn post(&mut self, path: &str, body: &str) -> String {
        let request = format!(
            "POST {path} HTTP/1.1\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.head,
            body.len()
        );
        self.exchange(&request).await
    }

    async fn exchange(&mut self, request: &str) -> String {
        self.stream
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        self.buffer.clear();
        loop {
            let count = self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .expect("an answer");
            assert!(
                count > 0,
                "the server closed: {}",
                String::from_utf8_lossy(&self.buffer)
            );
            let text = String::from_utf8_lossy(&self.buffer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.parse::<usize>().ok())
                .expect("a length");
            if body.len() >= length {
                assert!(head.starts_with("HTTP/1.1 20"), "{text}");
                return body.to_owned();
            }
        }
    }
}

/// The text of a JSON field; the answers here are flat enough for that.
fn field(json: &str, name: &str) -> String {
    let key = format!("\"{name}\":\"");
    let rest = json
        .split_once(&key)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
        .1;
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
}

fn parsed(nanos: &str) -> Duration {
    let nanos = nanos.trim().trim_end_matches("\\n");
    Duration::from_nanos(
        nanos
            .parse()
            .unwrap_or_else(|_| panic!("{nanos:?} is no time")),
    )
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

fn ratio(time: Duration, limit: Duration) -> String {
    format!("{:.1} ×", time.as_secs_f64() / limit.as_secs_f64())
}

#[derive(Default)]
struct Table(Vec<[String; 4]>);

impl Table {
    fn row(&mut self, what: &str, limit: &str, skep: impl Into<String>, ratio: &str) {
        self.0.push([
            what.to_owned(),
            limit.to_owned(),
            skep.into(),
            ratio.to_owned(),
        ]);
    }

    fn print(&self) {
        println!("| what | machine's limit | Skep | ratio |\n|---|---|---|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }
}
