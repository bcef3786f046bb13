//! A disk that is really full: a small tmpfs of the test's own, which it fills to the last byte.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::server::PASSWORD;
use crate::support::{Answer, Method, PATIENCE, Setup, TestServer, User, processes};

/// Enough for a hive and what it keeps free.
const TMPFS_BYTES: u64 = 96 << 20;
/// Where there is an empty tmpfs of that size already, for those who may not mount one.
const TMPFS_ENV: &str = "SKEP_TEST_TMPFS";

/// Runs the tests below, each with a mount namespace of its own.
#[test]
fn a_full_disk_loses_nothing_and_goes_on() {
    for inner in [
        "writes_are_refused_and_the_rest_goes_on",
        "a_run_whose_log_does_not_fit_is_ended",
        "a_server_stops_and_starts_on_a_full_disk",
        "what_makes_room_needs_less_of_it",
        "a_search_index_that_cannot_be_written_harms_nothing_else",
    ] {
        let program = std::env::current_exe().unwrap();
        let mut command = match std::env::var_os(TMPFS_ENV) {
            Some(_) => Command::new(program),
            None => {
                let mut command = Command::new("unshare");
                command.args(["--map-root-user", "--mount"]).arg(program);
                command
            }
        };
        command.args(["--exact", &format!("full_disk::{inner}")]);
        let output = command.args(["--ignored", "--nocapture"]).output();
        let output = output.unwrap_or_else(|error| panic!("unshare(1): {error}"));
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(
            output.status.success() && out.contains("1 passed"),
            "{inner}: {out}{err}\nThis needs a tmpfs of its own: root, or user namespaces for unshare(1), or {TMPFS_ENV} \
             with a directory on an empty tmpfs of {} MiB",
            TMPFS_BYTES >> 20
        );
    }
}

/// A small disk.
struct Tmpfs {
    path: PathBuf,
    _mounted_on: Option<tempfile::TempDir>,
}

impl Tmpfs {
    fn new() -> Self {
        if let Some(path) = std::env::var_os(TMPFS_ENV) {
            let path = PathBuf::from(path);
            let _ = std::fs::remove_dir_all(path.join("hive"));
            let _ = std::fs::remove_file(path.join("ballast"));
            return Self {
                path,
                _mounted_on: None,
            };
        }
        // The mount goes with the namespace.
        let place = tempfile::tempdir().unwrap();
        let size = format!("size={TMPFS_BYTES}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]);
        assert!(mount.arg(place.path()).status().unwrap().success(), "mount");
        Self {
            path: place.path().to_owned(),
            _mounted_on: Some(place),
        }
    }

    async fn start(&self) -> TestServer {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let setup = Setup::settings(&settings());
        setup.start_on(&home, &self.path.join("hive")).await
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes every byte that there is.
    fn fill(&self) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(self.ballast())
            .unwrap();
        for chunk in [&[0; 64 * 1024][..], &[0]] {
            while file.write_all(chunk).is_ok() {}
        }
    }

    /// Takes all but so many bytes.
    fn fill_up_to(&self, left: u64) {
        let free = rustix::fs::statvfs(&self.path).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let bytes = usize::try_from(free - left).unwrap();
        std::fs::write(self.ballast(), vec![0; bytes]).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

async fn readiness(server: &TestServer) -> (u16, Value) {
    let answer = server.call(Method::Get, "/readyz").send().await;
    (answer.status, answer.json()["status"].clone())
}

/// A small message.
async fn try_post(user: &User, chat: &str) -> Answer {
    let body = json!({ "content": "say more" });
    user.post(&format!("/api/local/sessions/{chat}/messages"), &body)
        .await
}

async fn sign_in(server: &TestServer) -> Answer {
    let body = json!({ "username": "admin", "password": PASSWORD });
    let call = server.call(Method::Post, "/api/auth/login");
    call.json(&body).send().await
}

#[tokio::test]
#[ignore = "run by the test above, on a disk of its own"]
async fn writes_are_refused_and_the_rest_goes_on() {
    let disk = Tmpfs::new();
    let server = disk.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let said = user.ask(&chat, "say one").await;
    let execution = said.execution["id"].as_str().unwrap();
    user.upload(&chat, "a.txt", b"content").await.expect(200);
    let (_, busy) = user.chat_with_engine("Busy", "fake").await;
    let running = user.send(&busy, "family").await;
    user.printed(&running, "family").await;
    let other = user.chat().await;
    let body = json!({ "name": "script", "scopes": ["read"] });
    let key = user.post("/api/tokens", &body).await.expect(201).json();
    let script = user.with_token(key["token"].as_str().unwrap());
    disk.fill();

    // Refused, and told to whoever asks.
    try_post(&user, &chat).await.refused(503, "storage_full");
    user.upload(&chat, "b.txt", &[b'x'; 100_000])
        .await
        .refused(503, "storage_full");
    user.post("/api/workers", &json!({ "name": "Eve" }))
        .await
        .refused(503, "storage_full");
    user.delete(&format!("/api/local/sessions/{other}"))
        .await
        .refused(503, "storage_full");
    assert_eq!(readiness(&server).await, (503, json!("storage_full")));
    server
        .call(Method::Get, "/healthz")
        .send()
        .await
        .expect(200);

    // A new sign-in is a change; one that is there stays, with its script's key.
    sign_in(&server).await.refused(503, "storage_full");
    let refresh = server.call(Method::Post, "/api/auth/refresh");
    let refreshed = refresh.json(&json!({ "refresh_token": user.refresh }));
    refreshed.send().await.expect(200);
    script.get("/api/workers").await.expect(200);

    // Reading goes on, and so does stopping.
    assert_eq!(user.messages(&chat).await.len(), 2);
    assert_eq!(user.log(execution).await.expect(200).text(), "one\n");
    let media = format!("/api/local/sessions/{chat}/media");
    assert_eq!(user.get(&format!("{media}/a.txt")).await.text(), "content");
    user.get(&format!("{media}/b.txt"))
        .await
        .refused(404, "not_found");
    let mut events = user.chat_events(&chat, Some(0)).await;
    events.until(|event| event.is_final(execution)).await;
    user.post(&format!("/api/executions/{running}/cancel"), &json!({}))
        .await
        .expect(202);
    processes::are_gone(&running, PATIENCE).await;

    // Freeing space is enough: nobody restarts anything.
    disk.free();
    let reply = user.ended(&running).await;
    assert_eq!((reply.status(), reply.text()), ("cancelled", "family"));
    try_post(&user, &chat).await.expect(202);
    assert_eq!(readiness(&server).await, (200, json!("ready")));
    sign_in(&server).await.expect(200);
    let server = server.kill().await.start().await;
    let user = user.at(&server);
    assert_eq!(user.messages(&busy).await.len(), 2);
    assert_eq!(user.messages(&other).await.len(), 0);
    server.stop().await;
}

/// What an engine prints is kept or the run is ended: it does not go on unrecorded.
#[tokio::test]
#[ignore = "run by the test above, on a disk of its own"]
async fn a_run_whose_log_does_not_fit_is_ended() {
    let disk = Tmpfs::new();
    let server = disk.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let running = user.send(&chat, "trickle").await;
    user.printed(&running, "line").await;
    disk.fill();
    processes::are_gone(&running, PATIENCE).await;
    disk.free();
    let reply = user.ended(&running).await;
    assert_eq!(reply.status(), "failed");
    assert!(
        reply.error().starts_with("storage_full"),
        "{}",
        reply.error()
    );
    assert!(reply.text().starts_with("line"), "what was kept is shown");
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
    server.stop().await;
}

#[tokio::test]
#[ignore = "run by the test above, on a disk of its own"]
async fn a_server_stops_and_starts_on_a_full_disk() {
    let disk = Tmpfs::new();
    let server = disk.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    user.ask(&chat, "say one").await;
    let running = user.send(&chat, "family").await;
    user.printed(&running, "family").await;
    disk.fill();
    let stopped = server.stop().await;
    assert_eq!(processes::of_execution(&running), [0; 0]);

    let server = stopped.start().await;
    let user = user.at(&server);
    assert_eq!(user.messages(&chat).await.len(), 3);
    try_post(&user, &chat).await.refused(503, "storage_full");
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let user = user.at(&server);
    disk.free();
    let reply = user.ended(&running).await;
    assert_eq!((reply.error(), reply.text()), ("interrupted", "family"));
    assert_eq!(user.ask(&chat, "say next").await.text(), "next");
    server.stop().await;
}

/// Whoever wants to make room by deleting must get in, and must be able to delete.
#[tokio::test]
#[ignore = "run by the test above, on a disk of its own"]
async fn what_makes_room_needs_less_of_it() {
    let disk = Tmpfs::new();
    let server = disk.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let large = user.chat().await;
    let upload = vec![b'x'; 20 << 20];
    user.upload(&large, "large.bin", &upload).await.expect(200);
    disk.fill_up_to(8 << 20);
    try_post(&user, &chat).await.refused(503, "storage_full");
    assert_eq!(readiness(&server).await, (503, json!("storage_full")));
    sign_in(&server).await.expect(200);
    user.delete(&format!("/api/local/sessions/{large}"))
        .await
        .expect(200);
    // Its upload is gone, and that is room enough.
    assert_eq!(user.ask(&chat, "say more").await.text(), "more");
    assert_eq!(readiness(&server).await, (200, json!("ready")));
    server.stop().await;
}

/// Here the index alone is on the full disk: what is posted, answered and read is not.
#[tokio::test]
#[ignore = "run by the test above, on a disk of its own"]
async fn a_search_index_that_cannot_be_written_harms_nothing_else() {
    let disk = Tmpfs::new();
    let stopped = Setup::settings(&settings()).start().await.stop().await;
    let index = disk.path.join("index");
    let _ = std::fs::remove_dir_all(&index);
    std::fs::create_dir(&index).unwrap();
    let search = stopped.data.join("search");
    let _ = std::fs::remove_dir_all(&search);
    std::os::unix::fs::symlink(&index, &search).unwrap();
    disk.fill();
    let server = stopped.start().await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let found = async || user.read("/api/search?q=needle").await;
    for round in 0..3 {
        let said = user.ask(&chat, &format!("say needle {round}")).await;
        assert_eq!(said.text(), format!("needle {round}"));
        assert_eq!(found().await["indexing"], true);
    }
    assert_eq!(user.messages(&chat).await.len(), 6);
    let told = server.stderr();
    assert_eq!(told.matches("search does not see").count(), 1, "{told}");
    disk.free();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while found().await["results"].as_array().unwrap().len() < 6 {
        assert!(tokio::time::Instant::now() < deadline, "it is not mended");
    }
    server.stop().await;
}
