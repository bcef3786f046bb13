//! Load: the same request from many clients, and one event to many streams.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Client, Target};
use super::{millis, quantile};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);
/// Streams that are opened at once.
const OPENED_TOGETHER: usize = 64;

/// How a server took it.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// Milliseconds of the answer in the middle.
    pub p50: f64,
    /// Milliseconds that one in a hundred exceeds.
    pub p99: f64,
}

/// Sends `count` requests from so many clients at once, each the next one as soon as its last is answered.
pub async fn hammer(
    target: &Target,
    requests: Vec<Vec<u8>>,
    clients: usize,
    count: usize,
) -> io::Result<Load> {
    let requests = Arc::new(requests);
    let mut connections = Vec::with_capacity(clients);
    for _ in 0..clients {
        connections.push(Client::connect(target.address).await?);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (first, mut client) in connections.into_iter().enumerate() {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(count / clients + 1);
            for turn in (first..count).step_by(clients) {
                let sent = Instant::now();
                client.send(&requests[turn % requests.len()]).await?;
                times.push(millis(sent.elapsed()));
            }
            io::Result::Ok(times)
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        times.extend(done.map_err(io::Error::other)??);
    }
    Ok(Load {
        rate: times.len() as f64 / begin.elapsed().as_secs_f64(),
        p50: quantile(&mut times, 50),
        p99: quantile(&mut times, 99),
    })
}

/// Open event streams, each read as fast as it comes.
pub struct Streams {
    seen: Arc<Seen>,
    arrived: watch::Receiver<Option<Instant>>,
    goal: u64,
    readers: JoinSet<()>,
}

/// How often the mark came, in all streams together.
struct Seen {
    mark: &'static [u8],
    count: AtomicU64,
    goal: AtomicU64,
    arrived: watch::Sender<Option<Instant>>,
}

impl Streams {
    /// Opens `count` of them and hands over what each began with. `mark` stands once in every event that counts.
    pub async fn open(
        target: &Target,
        request: Vec<u8>,
        count: usize,
        mark: &'static [u8],
    ) -> io::Result<(Self, Vec<String>)> {
        let (sender, arrived) = watch::channel(None);
        let seen = Arc::new(Seen {
            mark,
            count: AtomicU64::new(0),
            goal: AtomicU64::new(0),
            arrived: sender,
        });
        let mut streams = Self {
            seen,
            arrived,
            goal: 0,
            readers: JoinSet::new(),
        };
        let mut beginnings = Vec::with_capacity(count);
        let request = Arc::new(request);
        while beginnings.len() < count {
            let mut opening = JoinSet::new();
            for _ in 0..OPENED_TOGETHER.min(count - beginnings.len()) {
                let (request, address) = (request.clone(), target.address);
                opening.spawn(async move {
                    let mut client = Client::connect(address).await?;
                    let beginning =
                        String::from_utf8_lossy(client.open(&request).await?).into_owned();
                    io::Result::Ok((client.into_parts().0, beginning))
                });
            }
            while let Some(opened) = opening.join_next().await {
                let (stream, beginning) = opened.map_err(io::Error::other)??;
                beginnings.push(beginning);
                streams.readers.spawn(read(stream, streams.seen.clone()));
            }
        }
        Ok((streams, beginnings))
    }

    /// How many are still open.
    pub fn open_count(&mut self) -> usize {
        while self.readers.try_join_next().is_some() {}
        self.readers.len()
    }

    /// To be said before something happens that every stream will be told.
    pub fn expect_one_each(&mut self) {
        self.goal += self.readers.len() as u64;
        self.seen.goal.store(self.goal, Ordering::SeqCst);
    }

    /// When the last stream was told.
    pub async fn all_were_told(&mut self) -> io::Result<Instant> {
        let goal = self.goal;
        let seen = self.seen.clone();
        let told = self
            .arrived
            .wait_for(|at| at.is_some() && seen.count.load(Ordering::SeqCst) >= goal);
        match timeout(PATIENCE, told).await {
            Ok(Ok(at)) => at.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            _ => {
                let count = self.seen.count.load(Ordering::SeqCst);
                Err(io::Error::other(format!("{count} of {goal} events came")))
            }
        }
    }
}

async fn read(mut stream: TcpStream, seen: Arc<Seen>) {
    // Ten thousand of these are open at once.
    let mut buffer = Vec::with_capacity(1024);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(1..) => {}
            _ => return,
        }
        let found = memchr::memmem::find_iter(&buffer, seen.mark).count() as u64;
        // A mark may be cut in two; one that was counted must not be found again.
        let tail = memchr::memmem::rfind(&buffer, seen.mark).map_or(0, |at| at + seen.mark.len());
        let tail = tail.max(buffer.len().saturating_sub(seen.mark.len() - 1));
        buffer.drain(..tail);
        if found > 0 {
            let count = seen.count.fetch_add(found, Ordering::SeqCst) + found;
            if count >= seen.goal.load(Ordering::SeqCst) {
                seen.arrived.send_replace(Some(Instant::now()));
            }
        }
    }
}
