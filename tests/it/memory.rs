//! Memory of the server is bounded, whatever clients and engines do: each test names its bound.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::engine::{settings, settings_with};
use crate::support::{Method, PATIENCE, TestServer, User, memory, number_from};

const MIB: u64 = 1 << 20;
/// A hundred streams nobody reads, of a long chat: connections, and a page of rows each.
const STALLED_READERS_BYTES_MAX: u64 = 24 * MIB;
/// An upload of any size: what is read at once, and what waits for the disk.
const UPLOAD_BYTES_MAX: u64 = 24 * MIB;
/// A line without end: the longest one that is read, twice while its buffer grows, and what allocators keep.
const ENDLESS_LINE_BYTES_MAX: u64 = 48 * MIB;
/// Messages that wait for a busy worker are on disk, and of those that nobody took nothing is kept.
const FULL_QUEUE_BYTES_MAX: u64 = 24 * MIB;

/// Memory that a server takes at most while something happens to it, above what it took before.
struct Grown<'a> {
    server: &'a TestServer,
    before: u64,
}

impl<'a> Grown<'a> {
    fn from_now_on(server: &'a TestServer) -> Self {
        let (before, _) = memory(server.pid());
        Self { server, before }
    }

    fn by_at_most(&self, bytes_max: u64, what: &str) {
        let (_, peak) = memory(self.server.pid());
        let grown = peak.saturating_sub(self.before);
        println!("{what}: {} MiB of {} MiB", grown / MIB, bytes_max / MIB);
        assert!(
            grown <= bytes_max,
            "{what}: {} MiB, more than {}",
            grown / MIB,
            bytes_max / MIB
        );
    }
}

/// A stream that is opened and never read, by a client whose kernel takes next to nothing for it.
async fn stalled_reader(server: &TestServer, user: &User, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nLast-Event-ID: 0\r\n\r\n",
        server.address, user.access
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_cost_a_page_each() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "hang").await;
    user.printed(&running, "hanging").await;
    // They wait behind the one that runs: two events each, and nothing else to do.
    let chats = futures_util::future::join_all((0..8).map(|_| user.chat_with(&worker))).await;
    let posting = chats.iter().map(async |chat| {
        for n in 0..250 {
            user.send(chat, &format!("message {n}")).await;
        }
    });
    futures_util::future::join_all(posting).await;
    let grown = Grown::from_now_on(&server);
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(stalled_reader(&server, &user, "/api/stream").await);
    }
    // Whoever reads is not held up by them, and by then they have all they are given.
    let mut events = user.events("/api/stream", Some(0)).await;
    user.send(&chats[0], "the last one").await;
    events
        .until(|event| event.data["content"] == "the last one")
        .await;
    grown.by_at_most(STALLED_READERS_BYTES_MAX, "100 stalled readers");
    for mut reader in readers {
        let mut begin = [0; 12];
        reader.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_upload_goes_to_disk_as_it_comes() {
    let size = number_from("SKEP_TEST_UPLOAD_MB", 128) * MIB;
    let server = TestServer::with(&format!("upload_bytes_max = {size}")).await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let grown = Grown::from_now_on(&server);
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";
    let length = form.len() as u64 + size + "\r\n--b--\r\n".len() as u64;
    let head = format!(
        "POST /api/local/sessions/{chat}/media HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{form}",
        server.address, user.access
    );
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; MIB as usize];
    for _ in 0..size / MIB {
        socket.write_all(&chunk).await.unwrap();
    }
    socket.write_all(b"\r\n--b--\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("\"size\":{size}")), "{answer}");
    grown.by_at_most(UPLOAD_BYTES_MAX, &format!("{} MiB uploaded", size / MIB));
    server.stop().await;
}

#[tokio::test]
async fn a_line_without_end_is_not_kept() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake-events").await;
    let grown = Grown::from_now_on(&server);
    let reply = user.ask(&chat, "long 200000000").await;
    assert_eq!((reply.status(), reply.text()), ("completed", "end"));
    grown.by_at_most(ENDLESS_LINE_BYTES_MAX, "a line of 200 MB");
    server.stop().await;
}

/// More changes at once than may wait: the rest is told so and costs nothing, and what was taken is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_does_not_grow() {
    let server = TestServer::with(&settings_with("limits.commands_waiting_max = 2")).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "hang").await;
    user.printed(&running, "hanging").await;
    let grown = Grown::from_now_on(&server);
    let path = format!("/api/local/sessions/{chat}/messages");
    let body = json!({ "content": "x".repeat(20_000) });
    let (mut taken, mut refused) = (0, 0);
    let begun = std::time::Instant::now();
    while refused == 0 || taken < 200 {
        let posts = (0..64).map(|_| user.post(&path, &body));
        for answer in futures_util::future::join_all(posts).await {
            match answer.status {
                202 => taken += 1,
                _ => {
                    answer.refused(503, "overloaded");
                    refused += 1;
                }
            }
        }
        // Ten thousand may wait for a worker; long before that, too many wait for the journal.
        assert!(taken < 5_000, "nobody was refused");
        assert!(
            begun.elapsed() < PATIENCE,
            "{taken} taken, {refused} refused"
        );
    }
    grown.by_at_most(FULL_QUEUE_BYTES_MAX, &format!("{taken} messages that wait"));
    assert_eq!(user.messages(&chat).await.len(), taken + 1);
    server.call(Method::Get, "/readyz").send().await.expect(200);
    tokio::time::timeout(Duration::from_secs(60), server.stop())
        .await
        .unwrap();
}
