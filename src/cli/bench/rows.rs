//! The figures that anybody can repeat: each a question, asked in rounds, beside the machine's limit of the same minute.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use super::client::Client;
use super::load::{Streams, hammer};
use super::server::{Server, text};
use super::table::{Asked, Measure, Row};
use super::{fill, machine, median, millis, unix_ms};

/// What a stream's event of a new message is known by.
const MARK: &[u8] = b"event: user_message";
/// Clients of a loaded server.
const CLIENTS: usize = 64;
/// Rounds of one figure, whatever the time.
const ROUNDS_MAX: usize = 200;
/// Messages that one server is sent: below the longest queue of executions, so that none is refused.
const POSTS_MAX: usize = 8_000;
/// How often is looked whether an execution has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How much is done for each figure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds go on for this long,
    pub time: Duration,
    /// but there are at least so many.
    pub rounds_min: usize,
    /// Requests of one round of one client, and samples of the machine's limits.
    pub samples: usize,
}

/// Where it is measured, and what.
pub struct Lab {
    /// The program.
    pub binary: PathBuf,
    /// An empty directory, on the disk in question.
    pub dir: PathBuf,
    /// How much is done.
    pub effort: Effort,
}

/// Counts the rounds of one figure.
pub struct Rounds {
    effort: Effort,
    begin: Instant,
    done: usize,
}

impl Rounds {
    /// Whether there shall be another one.
    pub fn another(&mut self) -> bool {
        let is_enough =
            self.done >= self.effort.rounds_min && self.begin.elapsed() >= self.effort.time;
        self.done += 1;
        !is_enough && self.done <= ROUNDS_MAX
    }
}

impl Lab {
    /// The rounds of a figure that begins now.
    pub fn rounds(&self) -> Rounds {
        Rounds {
            effort: self.effort,
            begin: Instant::now(),
            done: 0,
        }
    }

    /// A server on a new directory of that name, signed in.
    pub async fn fresh(&self, name: &str, engines: &str) -> io::Result<Server> {
        let data = self.dir.join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        self.again(name, engines).await
    }

    /// A server on a directory that is there already, signed in.
    pub async fn again(&self, name: &str, engines: &str) -> io::Result<Server> {
        let (_, mut server) = Server::start(&self.binary, &self.dir.join(name), engines)?;
        server.sign_in().await?;
        Ok(server)
    }

    /// A directory of that name with so many messages; the paths of its chats.
    pub async fn filled(&self, name: &str, messages: usize) -> io::Result<Vec<String>> {
        let chats = fill::fill(&self.dir.join(name), messages).await?;
        let path = |chat| format!("/api/local/sessions/{chat}");
        Ok(chats.into_iter().map(path).collect())
    }

    /// How long does one client wait for a message to be on disk?
    pub async fn post_alone(&self) -> io::Result<Vec<Row>> {
        let server = self.fresh("post-alone", "").await?;
        let (_, post) = server.post_to_held().await?;
        let (mut skep, mut limits) = (Vec::new(), Vec::new());
        let mut rounds = self.rounds();
        let per_round = self.effort.samples.min(POSTS_MAX / ROUNDS_MAX * 5);
        while rounds.another() && (skep.len() + 1) * per_round <= POSTS_MAX {
            let limit = machine::fdatasync(&self.dir, per_round)? + machine::loopback(per_round)?;
            let load = hammer(&server.target, vec![post.clone()], 1, per_round).await?;
            limits.push(limit);
            skep.push(load.p50);
        }
        let row = Row::new("durable post, 1 client", "ms", Measure::of(skep));
        let row = row.beside("fdatasync + loopback", median(&mut limits));
        Ok(vec![row.asked(Asked::TimesAtMost(1.8))])
    }

    /// How many messages a second reach the disk when many clients post, and how long does the slowest hundredth wait?
    pub async fn post_together(&self) -> io::Result<Vec<Row>> {
        let (mut rates, mut tails) = (Vec::new(), Vec::new());
        let mut rounds = self.rounds();
        let count = (self.effort.samples * 10).min(POSTS_MAX);
        let sync = machine::fdatasync(&self.dir, self.effort.samples)?;
        while rounds.another() {
            let server = self.fresh("post-together", "").await?;
            let (_, post) = server.post_to_held().await?;
            let load = hammer(&server.target, vec![post], CLIENTS, count).await?;
            rates.push(load.rate / 1e3);
            tails.push(load.p99);
        }
        Ok(vec![
            Row::new("durable posts, 64 clients", "k/s", Measure::of(rates))
                .beside("fdatasync, one by one", 1.0 / sync)
                .asked(Asked::AtLeast(16.0)),
            Row::new("durable posts, 64 clients, p99", "ms", Measure::of(tails))
                .asked(Asked::AtMost(10.0)),
        ])
    }

    /// How many pages of 50 messages a second are read, out of so many?
    pub async fn page(&self, name: &str, chats: &[String], messages: usize) -> io::Result<Row> {
        let server = self.again(name, "").await?;
        let page = |chat| server.target.get(&format!("{chat}/messages?limit=50"));
        let pages: Vec<Vec<u8>> = chats.iter().map(page).collect();
        let mut rates = Vec::new();
        let mut rounds = self.rounds();
        let count = self.effort.samples * 10;
        while rounds.another() {
            let load = hammer(&server.target, pages.clone(), CLIENTS, count).await?;
            rates.push(load.rate / 1e3);
        }
        server.process.stop();
        let what = format!("page of 50 out of {} messages, 64 clients", short(messages));
        Ok(Row::new(what, "k/s", Measure::of(rates)).asked(Asked::AtLeast(10.0)))
    }

    /// How soon does a server answer that is started where so many messages are?
    pub fn start(&self, name: &str, messages: usize, asked: Asked) -> io::Result<Row> {
        let mut times = Vec::new();
        let mut rounds = self.rounds();
        while rounds.another() {
            let (took, server) = Server::start(&self.binary, &self.dir.join(name), "")?;
            server.process.stop();
            times.push(took);
        }
        let what = format!("start → first answer, {} messages", short(messages));
        Ok(Row::new(what, "ms", Measure::of(times)).asked(asked))
    }

    /// What does a server hold, before and after it had much to do?
    pub async fn memory(&self) -> io::Result<Vec<Row>> {
        let server = self.fresh("memory", "").await?;
        server.process.becomes_idle().await;
        let Some(idle) = server.process.resident_mb() else {
            return Ok(Vec::new());
        };
        let (chat, post) = server.post_to_held().await?;
        let count = (self.effort.samples * 10).min(POSTS_MAX);
        hammer(&server.target, vec![post], CLIENTS, count).await?;
        let page = server.target.get(&format!("{chat}/messages?limit=50"));
        let mut after = Vec::new();
        for _ in 0..5 {
            hammer(&server.target, vec![page.clone()], CLIENTS, count).await?;
            server.process.becomes_idle().await;
            after.extend(server.process.resident_mb());
        }
        let what = format!("resident, after {count} posts and {} pages", count * 5);
        Ok(vec![
            Row::new("resident, idle", "MB", idle).asked(Asked::AtMost(15.0)),
            Row::new(what, "MB", Measure::of(after)).asked(Asked::AtMost(40.0)),
        ])
    }

    /// How soon have so many streams been told of a message, and does the one who posts it wait for that?
    pub async fn fan_out(&self, count: usize, most_ms: f64) -> io::Result<Vec<Row>> {
        let server = self.fresh("fan-out", "").await?;
        let (chat, post) = server.post_to_held().await?;
        let alone = hammer(
            &server.target,
            vec![post.clone()],
            1,
            self.effort.samples.min(200),
        );
        let alone = alone.await?.p50;
        let stream = server.target.get(&format!("{chat}/stream"));
        let (mut streams, _) = Streams::open(&server.target, stream, count, MARK).await?;
        let mut poster = Client::connect(server.target.address).await?;
        let (mut last, mut answered) = (Vec::new(), Vec::new());
        let mut rounds = self.rounds();
        while rounds.another() {
            streams.expect_one_each();
            let begin = Instant::now();
            poster.send(&post).await?;
            answered.push(millis(begin.elapsed()));
            let at = streams.all_were_told().await?;
            last.push(millis(at.duration_since(begin)));
        }
        let last = Measure::of(last);
        Ok(vec![
            Row::new(format!("post → last of {count} streams"), "ms", last)
                .asked(Asked::AtMost(most_ms)),
            Row::new(
                format!("the same post → its answer, {count} streams"),
                "ms",
                Measure::of(answered),
            )
            .beside("the same with no stream", alone)
            // Whoever waits for all streams has the answer when the last one was told.
            .asked(Asked::AtMost(last.median / 2.0)),
        ])
    }

    /// How soon after a message does its engine run?
    pub async fn exec(&self) -> io::Result<Vec<Row>> {
        let server = self.fresh("exec", "").await?;
        let worker = server.worker("clock").await?;
        let chat = server.chat().await?;
        let body = json!({ "content": "now", "worker_id": worker });
        let post = server.target.post(&format!("{chat}/messages"), &body);
        let mut client = Client::connect(server.target.address).await?;
        let (mut skep, mut limits) = (Vec::new(), Vec::new());
        let mut rounds = self.rounds();
        while rounds.another() {
            limits.push(2.0 * machine::fork_exec(3)? + machine::fdatasync(&self.dir, 10)? + 1.0);
            let begin = unix_ms();
            let posted = client.json(&post).await?;
            let path = format!("/api/executions/{}", text(&posted, "execution_id")?);
            let printed = ended(&mut client, &server.target.get(&path)).await?;
            skep.push(machine::clock_ms(&printed)? - begin);
        }
        let row = Row::new("message → its engine runs", "ms", Measure::of(skep));
        let row = row.beside("2 fork+exec + fdatasync + 1 ms", median(&mut limits));
        Ok(vec![row.asked(Asked::TimesAtMost(1.0))])
    }
}

/// What an execution printed, once it has ended well.
pub async fn ended(client: &mut Client, request: &[u8]) -> io::Result<String> {
    loop {
        let execution = client.json(request).await?;
        match execution["status"].as_str() {
            Some("completed") => return text(&execution, "result"),
            Some("pending" | "running") => sleep(LOOK_INTERVAL).await,
            _ => return Err(io::Error::other(execution.to_string())),
        }
    }
}

/// 10000 as `10 k`.
pub fn short(count: usize) -> String {
    match count {
        1_000_000.. => format!("{} M", count / 1_000_000),
        1_000.. => format!("{} k", count / 1_000),
        _ => count.to_string(),
    }
}

/// Removes what is left of a measurement. What a killed engine still writes may be in the way for a moment.
pub fn remove(dir: &Path) {
    for _ in 0..20 {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => return,
        }
    }
}
