//! How does Skep stand beside PocketBase, the appliance that is nearest? The questions both can answer, asked in the same
//! minutes, of PocketBase as it comes (SQLite with `synchronous=NORMAL`: a commit is not on disk when it is answered) and
//! told to sync every commit as Skep does. Its collection has the index that its pages need, and its pages are not asked
//! to count. Measured only with `--pocketbase PATH`; `benches/pocketbase/run.sh` installs it.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use skep::cli::bench::{
    Asked, CHATS, Client, MESSAGE, Process, Row, Streams, Target, answers, hammer, median, millis,
    text,
};

use crate::support::Figures;

/// What its events of new records are known by.
const MARK: &[u8] = b"\"action\":\"create\"";
const USER: &str = "admin@example.com";
const PASSWORD: &str = "correct horse battery";
/// All writes go through one connection, and this is it. Seen to sync each commit by `strace -c -e fsync,fdatasync`: 200
/// posts made no such call without this hook, and 202 with it.
const SYNCED_HOOK: &str = r#"onBootstrap((e) => {
    e.next()
    $app.nonconcurrentDB().newQuery("PRAGMA synchronous=FULL").execute()
})
"#;
const RECORDS: &str = "/api/collections/messages/records";

/// What both can answer, in this order: 1 client ms; 64 clients k/s, p99 ms; pages k/s; start ms; idle MB, loaded MB;
/// fan-out ms.
const SHARED: [fn(f64) -> Asked; 8] = [
    Asked::TimesAtMost,
    Asked::TimesAtLeast,
    Asked::TimesAtMost,
    Asked::TimesAtLeast,
    Asked::TimesAtMost,
    Asked::TimesAtMost,
    Asked::TimesAtMost,
    Asked::TimesAtMost,
];

pub async fn measure(figures: &Figures) -> io::Result<Vec<Row>> {
    let Some(program) = figures.options.pocketbase.as_deref() else {
        return Ok(Vec::new());
    };
    let program = std::path::absolute(program)?;
    let ours = skep(figures).await?;
    let mut rows = Vec::new();
    for (name, is_synced) in [("as it comes", false), ("synced", true)] {
        let theirs = pocketbase(figures, &program, is_synced).await?;
        for ((row, value), asked) in ours.iter().zip(theirs).zip(SHARED) {
            let row = row.clone().beside(format!("PocketBase, {name}"), value);
            rows.push(row.asked(asked(1.0)));
        }
    }
    Ok(rows)
}

async fn skep(figures: &Figures) -> io::Result<Vec<Row>> {
    let lab = &figures.lab;
    let mut rows = lab.post_alone().await?;
    rows.extend(lab.post_together().await?);
    let messages = messages(figures);
    let chats = lab.filled("shared", messages).await?;
    lab.again("shared", "").await?.process.stop();
    rows.push(lab.page("shared", &chats, messages).await?);
    rows.push(lab.start("shared", messages, Asked::Nothing)?);
    rows.extend(lab.memory().await?);
    rows.extend(
        lab.fan_out(streams(figures), 0.0)
            .await?
            .into_iter()
            .take(1),
    );
    Ok(rows)
}

fn messages(figures: &Figures) -> usize {
    figures.scaled(500, 10_000, 10_000)
}

fn streams(figures: &Figures) -> usize {
    figures.scaled(50, 1_000, 1_000)
}

async fn pocketbase(figures: &Figures, program: &Path, is_synced: bool) -> io::Result<[f64; 8]> {
    let dir = figures.dir().join(format!("pocketbase-{is_synced}"));
    let pages = dir.join("public");
    let hooks = dir.join("hooks");
    for folder in [&pages, &hooks] {
        std::fs::create_dir_all(folder)?;
    }
    if is_synced {
        std::fs::write(hooks.join("synced.pb.js"), SYNCED_HOOK)?;
    }
    let base = Base { program, dir: &dir };
    base.create_superuser()?;
    let effort = figures.lab.effort;
    let (_, process, mut target) = base.serve()?;
    process.becomes_idle().await;
    let idle = process.resident_mb().unwrap_or_default();
    sign_in(&mut target).await?;
    create_collection(&target).await?;

    let post = target.post(RECORDS, &json!({ "chat": "held", "content": MESSAGE }));
    let mut alone = Vec::new();
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        alone.push(
            hammer(&target, vec![post.clone()], 1, effort.samples.min(200))
                .await?
                .p50,
        );
    }
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        let load = hammer(&target, vec![post.clone()], 64, effort.samples * 5).await?;
        rates.push(load.rate / 1e3);
        tails.push(load.p99);
    }
    let fill = |chat| {
        target.post(
            RECORDS,
            &json!({ "chat": format!("chat-{chat}"), "content": MESSAGE }),
        )
    };
    hammer(
        &target,
        (0..CHATS).map(fill).collect(),
        64,
        messages(figures),
    )
    .await?;
    let page = |chat| {
        let query =
            format!("perPage=50&skipTotal=1&sort=-created&filter=(chat%3D%27chat-{chat}%27)");
        target.get(&format!("{RECORDS}?{query}"))
    };
    let pages: Vec<Vec<u8>> = (0..CHATS).map(page).collect();
    let mut page_rates = Vec::new();
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        let load = hammer(&target, pages.clone(), 64, effort.samples * 2).await?;
        page_rates.push(load.rate / 1e3);
    }
    process.becomes_idle().await;
    let loaded = process.resident_mb().unwrap_or_default();
    let last = fan_out(figures, &target, &post).await?;
    process.stop();

    let mut starts = Vec::new();
    for _ in 0..effort.rounds_min {
        let (took, process, _) = base.serve()?;
        process.stop();
        starts.push(took);
    }
    Ok([
        median(&mut alone),
        median(&mut rates),
        median(&mut tails),
        median(&mut page_rates),
        median(&mut starts),
        idle,
        loaded,
        last,
    ])
}

/// An installed one and its data.
struct Base<'a> {
    program: &'a Path,
    dir: &'a Path,
}

impl Base<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(words).arg("--dir").arg(self.dir.join("data"));
        command
    }

    fn create_superuser(&self) -> io::Result<()> {
        let made = self
            .command(&["superuser", "upsert", USER, PASSWORD])
            .output()?;
        match made.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&made.stderr).into_owned(),
            )),
        }
    }

    /// Starts it; how many milliseconds it took until it answered.
    fn serve(&self) -> io::Result<(f64, Process, Target)> {
        // It takes no port 0; nobody else takes this one in the meantime, as a rule.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = self.command(&["serve", "--hooksWatch=false"]);
        command
            .args(["--http", &address.to_string(), "--hooksDir"])
            .arg(self.dir.join("hooks"));
        command.arg("--publicDir").arg(self.dir.join("public"));
        let begin = Instant::now();
        let process = Process::start(&mut command, self.dir, &self.dir.join("log"))?;
        while begin.elapsed() < Duration::from_secs(30) {
            if answers(address, "/api/health").is_ok() {
                let target = Target {
                    address,
                    authorization: String::new(),
                };
                return Ok((millis(begin.elapsed()), process, target));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let told = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        Err(io::Error::other(format!(
            "PocketBase does not answer: {told}"
        )))
    }
}

async fn sign_in(target: &mut Target) -> io::Result<()> {
    let path = "/api/collections/_superusers/auth-with-password";
    let body = json!({ "identity": USER, "password": PASSWORD });
    target.authorization = text(&target.ask(&target.post(path, &body)).await?, "token")?;
    Ok(())
}

async fn create_collection(target: &Target) -> io::Result<()> {
    let collection = json!({
        "name": "messages",
        "type": "base",
        "fields": [
            { "name": "chat", "type": "text" },
            { "name": "content", "type": "text" },
            { "name": "created", "type": "autodate", "onCreate": true },
        ],
        "indexes": ["CREATE INDEX idx_messages_chat ON messages (chat, created)"],
    });
    target
        .ask(&target.post("/api/collections", &collection))
        .await?;
    Ok(())
}

async fn fan_out(figures: &Figures, target: &Target, post: &[u8]) -> io::Result<f64> {
    let count = figures.streams(streams(figures));
    let (mut streams, beginnings) =
        Streams::open(target, target.get("/api/realtime"), count, MARK).await?;
    let mut client = Client::connect(target.address).await?;
    for beginning in beginnings {
        let id = beginning.split("\"clientId\":\"").nth(1);
        let id = id.and_then(|rest| rest.split('"').next());
        let id = id.ok_or_else(|| io::Error::other(format!("no client in {beginning}")))?;
        let subscription = json!({ "clientId": id, "subscriptions": ["messages/*"] });
        client
            .send(&target.post("/api/realtime", &subscription))
            .await?;
    }
    let mut times = Vec::new();
    let mut rounds = figures.lab.rounds();
    while rounds.another() {
        streams.expect_one_each();
        let begin = Instant::now();
        client.send(post).await?;
        let at = streams.all_were_told().await?;
        times.push(millis(at.duration_since(begin)));
    }
    Ok(median(&mut times))
}
