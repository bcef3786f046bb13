//! A mixed load for as long as `SKEP_SOAK_SECONDS` says, and a table of what the server took meanwhile.
//!
//! The verdict compares medians of the second quarter with those of the last: what grows for good shows, what a busy
//! machine does for a moment does not. A run that is too short for that only has to answer everything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::engine::settings_with;
use crate::support::http::Call;
use crate::support::random::Random;
use crate::support::{EventStream, Method, Setup, TestServer, User, memory, number_from};

const SECONDS: u64 = 12;
/// Shorter runs get no verdict.
const VERDICT_SECONDS: u64 = 120;
const ROWS: u64 = 24;
/// A chat is deleted when it has so many messages, and another one begins.
const MESSAGES_PER_CHAT: usize = 100;

/// Latencies of a machine that did as much else are no evidence, percent of its time.
const OTHERS_PERCENT_MAX: f64 = 10.0;

/// What may be seen of the last quarter: as much as in the second, a part of it more, and so much more.
const RESIDENT: Flat = Flat(1.10, 2.0);
const HANDLES: Flat = Flat(1.10, 6.0);
const THREADS: Flat = Flat(1.0, 4.0);
const LATENCY_P50_MS: Flat = Flat(1.5, 1.0);
const LATENCY_P99_MS: Flat = Flat(2.0, 10.0);

struct Flat(f64, f64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Read,
}

/// What clients have met since the last row.
#[derive(Default)]
struct Met {
    latencies_ms: Vec<(Kind, f64)>,
    failures: Vec<String>,
    runs: usize,
    connections: usize,
}

struct Load {
    user: User,
    met: Mutex<Met>,
    is_over: AtomicBool,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    async fn call(&self, kind: Kind, call: Call) -> serde_json::Value {
        let begun = Instant::now();
        let answer = call.send().await;
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        let mut met = self.met.lock().unwrap();
        met.latencies_ms.push((kind, ms));
        if !(200..300).contains(&answer.status) {
            met.failures
                .push(format!("{}: {}", answer.what, answer.status));
        }
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn post(&self, path: &str, body: serde_json::Value) -> serde_json::Value {
        let call = self.user.call(Method::Post, path).json(&body);
        self.call(Kind::Write, call).await
    }

    async fn get(&self, path: &str) {
        let call = self.user.call(Method::Get, path);
        self.call(Kind::Read, call).await;
    }

    /// Talks to somebody in one chat after the other, looks at what came of it, and deletes it.
    async fn talk(self: Arc<Self>, worker: Option<String>, message: &str) {
        while self.goes_on() {
            let body = json!({ "name": "Soak", "worker_id": worker });
            let chat = self.post("/api/local/sessions", body).await;
            let chat = format!("/api/local/sessions/{}", chat["id"].as_str().unwrap());
            for n in 0..MESSAGES_PER_CHAT {
                if !self.goes_on() {
                    break;
                }
                let messages = format!("{chat}/messages");
                let queued = self.post(&messages, json!({ "content": message })).await;
                let execution = queued["execution_id"].as_str().unwrap().to_owned();
                self.user.ended(&execution).await;
                self.met.lock().unwrap().runs += 1;
                self.get(&format!("{messages}?limit=50&html=true")).await;
                self.get(&format!("/api/executions/{execution}/logs")).await;
                if n % 20 == 0 {
                    let media = self.user.call(Method::Post, &format!("{chat}/media"));
                    let media = media.file("file", "a.bin", &[b'x'; 200_000]);
                    self.call(Kind::Write, media).await;
                }
            }
            let call = self.user.call(Method::Delete, &chat);
            self.call(Kind::Write, call).await;
        }
    }

    /// Watches everything for a while, goes, and comes back where it was.
    async fn watch(self: Arc<Self>, seed: u64) {
        let mut random = Random::new(seed);
        let mut last_id: Option<u64> = None;
        while self.goes_on() {
            let mut call = self.user.call(Method::Get, "/api/stream");
            if let Some(id) = last_id {
                call = call.header("Last-Event-ID", &id.to_string());
            }
            let mut stream = EventStream::open(call).await;
            self.met.lock().unwrap().connections += 1;
            for _ in 0..random.below(200) {
                if !self.goes_on() || stream.next().await.is_none() {
                    break;
                }
            }
            last_id = stream.last_id().or(last_id);
        }
    }

    /// What a console asks for when it is opened.
    async fn look(self: Arc<Self>) {
        while self.goes_on() {
            for path in [
                "/",
                "/api/local/sessions",
                "/api/workers",
                "/api/executions?limit=20",
            ] {
                self.get(path).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the server is at one moment, and what it did since the one before.
struct Row {
    at_s: u64,
    resident_mib: f64,
    handles: f64,
    threads: f64,
    /// Of the tables, the journal, the snapshots, the logs and the uploads.
    disk_mib: [f64; 5],
    runs_per_s: f64,
    /// Time that the machine spent on what is not this test, percent.
    others_percent: f64,
    connections: usize,
    write_ms: (f64, f64),
    read_ms: (f64, f64),
}

impl Row {
    fn take(
        server: &TestServer,
        load: &Load,
        begun: Instant,
        since: Duration,
        clock: &mut Clock,
    ) -> Self {
        let process = format!("/proc/{}", server.pid());
        let met = std::mem::take(&mut *load.met.lock().unwrap());
        assert!(met.failures.is_empty(), "{:?}", met.failures);
        let of = |kind: Kind| -> Vec<f64> {
            let found = met.latencies_ms.iter().filter(|(of, _)| *of == kind);
            found.map(|(_, ms)| *ms).collect()
        };
        let percentiles = |kind: Kind| {
            let ms = of(kind);
            (percentile(ms.clone(), 0.5), percentile(ms, 0.99))
        };
        let (resident, _) = memory(server.pid());
        Self {
            at_s: begun.elapsed().as_secs(),
            resident_mib: mib(resident),
            handles: handles(&process),
            threads: std::fs::read_dir(format!("{process}/task"))
                .unwrap()
                .count() as f64,
            disk_mib: ["hive.redb", "journal", "snapshots", "logs", "uploads"]
                .map(|name| mib(bytes_under(&server.data.join(name)))),
            others_percent: clock.others_percent(server.pid()),
            runs_per_s: met.runs as f64 / since.as_secs_f64(),
            connections: met.connections,
            write_ms: percentiles(Kind::Write),
            read_ms: percentiles(Kind::Read),
        }
    }

    fn print(&self) {
        let [tables, journal, snapshots, logs, uploads] = self.disk_mib;
        println!(
            "{:>6} {:>8.1} {:>7} {:>7} | {tables:>7.1} {journal:>7.1} {snapshots:>7.1} {logs:>7.1} {uploads:>7.1} | \
             {:>6.1} {:>7} | {:>7.1} {:>7.1} {:>7.1} {:>7.1} | {:>7.0}",
            self.at_s,
            self.resident_mib,
            self.handles,
            self.threads,
            self.runs_per_s,
            self.connections,
            self.write_ms.0,
            self.write_ms.1,
            self.read_ms.0,
            self.read_ms.1,
            self.others_percent
        );
    }
}

const HEAD: &str = "     s  RSS MiB handles threads |  tables journal   snaps    logs uploads | runs/s streams | \
                    write50 write99  read50  read99 | others%";

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// What the machine's time went to, in the kernel's ticks.
#[derive(Default)]
struct Clock {
    all: u64,
    busy: u64,
    ours: u64,
}

impl Clock {
    /// What part of the time since the last call went to others than the server, its engines and this test.
    fn others_percent(&mut self, server: u32) -> f64 {
        let words = |path: &str| -> Vec<u64> {
            let text = std::fs::read_to_string(path).unwrap();
            // Behind the name of a process, which may hold anything.
            let text = text.rsplit(')').next().unwrap();
            let line = text.lines().next().unwrap();
            line.split_whitespace()
                .skip(1)
                .map(|word| word.parse().unwrap_or(0))
                .collect()
        };
        // user nice system idle iowait irq softirq steal
        let machine = words("/proc/stat");
        let all = machine.iter().take(8).sum();
        let busy = all - machine[3] - machine[4];
        // utime stime cutime cstime, after the state and ten more.
        let of = |pid: u32| -> u64 { words(&format!("/proc/{pid}/stat"))[10..14].iter().sum() };
        let ours = of(server) + of(std::process::id());
        let now = Self { all, busy, ours };
        let others = (now.busy - self.busy).saturating_sub(now.ours - self.ours);
        let percent = 100.0 * others as f64 / (now.all - self.all).max(1) as f64;
        *self = now;
        percent
    }
}

/// Open files and sockets. The server's own list is closed to others, its length is not (Linux 6.2).
fn handles(process: &str) -> f64 {
    let list = format!("{process}/fd");
    match std::fs::read_dir(&list) {
        Ok(entries) => entries.count() as f64,
        Err(_) => std::fs::metadata(&list).unwrap().len() as f64,
    }
}

fn bytes_under(path: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    };
    entries
        .flatten()
        .map(|entry| bytes_under(&entry.path()))
        .sum()
}

fn percentile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// The medians of something in the second quarter and in the last.
fn medians(rows: &[Row], of: impl Fn(&Row) -> f64) -> (f64, f64) {
    let quarter = rows.len() / 4;
    let median = |rows: &[Row]| percentile(rows.iter().map(&of).collect(), 0.5);
    let last = median(&rows[rows.len() - quarter..]);
    (median(&rows[quarter..2 * quarter]), last)
}

/// Whether the last quarter is like the second.
fn is_flat(rows: &[Row], what: &str, of: impl Fn(&Row) -> f64, limit: Flat) -> bool {
    let (second, last) = medians(rows, of);
    let is_flat = last <= second * limit.0 + limit.1;
    let verdict = if is_flat { "flat" } else { "NOT FLAT" };
    println!("{what:>16}: {second:>8.1} in the second quarter, {last:>8.1} in the last: {verdict}");
    is_flat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_load_leaves_the_server_as_it_was() {
    let seconds = number_from("SKEP_SOAK_SECONDS", SECONDS);
    let settings =
        settings_with("[rate_limit]\nenabled = false\n[limits]\nsegment_bytes_min = 4194304\n");
    let setup = Setup::settings(&settings).env("SKEP_LOG_LEVEL", "warn");
    let server = setup.start().await;
    let user = server.log_in().await;
    let worker = user.worker("Ada", "fake").await;
    let load = Arc::new(Load {
        user,
        met: Mutex::default(),
        is_over: AtomicBool::new(false),
    });
    let mut clients = Vec::new();
    for message in ["help", "what can you do?"] {
        clients.push(tokio::spawn(load.clone().talk(None, message)));
    }
    clients.push(tokio::spawn(load.clone().talk(Some(worker), "lines 50")));
    clients.push(tokio::spawn(load.clone().look()));
    for seed in 1..=10 {
        clients.push(tokio::spawn(load.clone().watch(seed)));
    }
    println!("{HEAD}");
    let begun = Instant::now();
    let mut clock = Clock::default();
    clock.others_percent(server.pid());
    let step = Duration::from_secs(seconds) / u32::try_from(ROWS).unwrap();
    let mut rows = Vec::new();
    for _ in 0..ROWS {
        tokio::time::sleep(step).await;
        let row = Row::take(&server, &load, begun, step, &mut clock);
        row.print();
        rows.push(row);
    }
    load.is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let runs: f64 = rows.iter().map(|row| row.runs_per_s).sum();
    assert!(runs > 0.0, "nothing ran");
    let mut verdicts = vec![
        is_flat(&rows, "resident MiB", |row| row.resident_mib, RESIDENT),
        is_flat(&rows, "handles", |row| row.handles, HANDLES),
        is_flat(&rows, "threads", |row| row.threads, THREADS),
    ];
    let latencies = [
        is_flat(&rows, "write p50 ms", |row| row.write_ms.0, LATENCY_P50_MS),
        is_flat(&rows, "write p99 ms", |row| row.write_ms.1, LATENCY_P99_MS),
        is_flat(&rows, "read p50 ms", |row| row.read_ms.0, LATENCY_P50_MS),
        is_flat(&rows, "read p99 ms", |row| row.read_ms.1, LATENCY_P99_MS),
    ];
    let (second, last) = medians(&rows, |row| row.others_percent);
    match second.max(last) <= OTHERS_PERCENT_MAX {
        true => verdicts.extend(latencies),
        false => println!(
            "latencies are not judged: {second:.0} % of the machine, then {last:.0} %, went to others"
        ),
    }
    server.stop().await;
    match seconds {
        VERDICT_SECONDS.. => assert!(verdicts.iter().all(|flat| *flat), "something grows"),
        _ => println!("{seconds} s are too short for a verdict"),
    }
}
