//! `skep bench`: it tells the figures, and leaves nothing behind however it ends.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::support::server::signal;
use crate::support::{PATIENCE, eventually, processes};

fn bench(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command
        .args(["bench", "--seconds", "1", "--json", "--data"])
        .arg(home.join("hive"))
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    entries.map(name).collect()
}

#[tokio::test]
async fn the_main_figures_are_told_and_nothing_is_left() {
    let home = tempfile::tempdir().unwrap();
    let output = bench(home.path()).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr, "", "progress is for terminals");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for what in [
        "fdatasync",
        "durable post, 1 client",
        "durable posts, 64 clients",
        "page of 50",
        "start → first answer",
        "resident, idle",
        "streams",
        "its engine runs",
    ] {
        let is_it = |row: &&Value| row["what"].as_str().unwrap().contains(what);
        let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{what}"));
        assert!(row["skep"]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(names(home.path()), [""; 0]);
}

#[tokio::test]
async fn what_is_stopped_early_leaves_nothing_either() {
    let home = tempfile::tempdir().unwrap();
    let mut child = bench(home.path()).spawn().unwrap();
    let pid = child.id().unwrap();
    let own = format!(".skep-bench-{pid}");
    let hive = home.path().join(&own).join("post-alone/hive.redb");
    eventually("a server is measured", PATIENCE, || {
        hive.exists().then_some(())
    })
    .await;
    signal(pid, rustix::process::Signal::INT);
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert_eq!(names(home.path()), [""; 0]);
    processes::are_gone(&own, PATIENCE).await;
}
