//! No process that an engine started outlives its execution or the server.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use skep::guard::{Ended, Guarded, Guards, Spec};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// Far above what anything here takes; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn guards() -> Arc<Guards> {
    Arc::new(Guards::running(PathBuf::from(env!("CARGO_BIN_EXE_skep"))))
}

fn sh(script: &str) -> Spec {
    Spec {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: PathBuf::from("/"),
        grace_period_ms: 300,
        confinement: None,
    }
}

/// Everything it printed, and how it ended.
async fn to_end(mut guarded: Guarded) -> (String, String, Ended) {
    drop(guarded.stdin);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ended = tokio::time::timeout(PATIENCE, async {
        let (_, _, ended) = tokio::join!(
            guarded.stdout.read_to_end(&mut out),
            guarded.stderr.read_to_end(&mut err),
            guarded.control.ended()
        );
        ended
    })
    .await
    .expect("everything ended");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(out), text(err), ended)
}

/// The first line that it prints, once it has.
async fn first_line(guarded: &mut Guarded) -> String {
    let mut line = String::new();
    let mut reader = BufReader::new(&mut guarded.stdout);
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line))
        .await
        .expect("a line")
        .unwrap();
    line.trim().to_owned()
}

pub fn lives(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && !stat.contains(") Z ")
}

async fn gone(pid: i32) {
    let begun = Instant::now();
    while lives(pid) {
        assert!(begun.elapsed() < PATIENCE, "{pid} still lives");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn pids(line: &str) -> Vec<i32> {
    line.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn an_engine_gets_its_input_and_its_end_is_reported() {
    let mut guarded = guards()
        .start(&sh("cat; echo oops >&2; exit 7"))
        .await
        .unwrap();
    guarded.stdin.write_all(b"hello").await.unwrap();
    let (out, err, ended) = to_end(guarded).await;
    assert_eq!((out.as_str(), err.as_str()), ("hello", "oops\n"));
    assert_eq!(ended.code, Some(7));
    assert_eq!(ended.left_behind_killed, 0);

    let (_, _, ended) = to_end(guards().start(&sh("kill -TERM $$")).await.unwrap()).await;
    assert_eq!((ended.code, ended.signal), (None, Some(15)));
}

#[tokio::test]
async fn an_engine_gets_exactly_the_given_environment() {
    let mut spec = sh("cat /proc/self/environ");
    spec.argv = vec!["/bin/cat".to_owned(), "/proc/self/environ".to_owned()];
    spec.env = BTreeMap::from([
        ("A".to_owned(), "1".to_owned()),
        ("B".to_owned(), "two words".to_owned()),
    ]);
    let (out, _, _) = to_end(guards().start(&spec).await.unwrap()).await;
    let mut variables: Vec<&str> = out.split_terminator('\0').collect();
    variables.sort_unstable();
    assert_eq!(variables, ["A=1", "B=two words"]);
}

/// More than a socket holds, as a whole: 1 MB of environment.
#[tokio::test]
async fn a_large_environment_arrives_whole() {
    let mut spec = sh("env | wc -c");
    for number in 0..10 {
        spec.env.insert(format!("V{number}"), "x".repeat(100_000));
    }
    let (out, _, _) = to_end(guards().start(&spec).await.unwrap()).await;
    assert!(out.trim().parse::<u32>().unwrap() > 1_000_000, "{out}");
}

/// Also none that the server itself was started with, which is why one is leaked here on purpose.
#[tokio::test]
async fn an_engine_inherits_no_descriptors() {
    let leaked = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let mut spec = sh("");
    spec.argv = vec!["/bin/ls".to_owned(), "/proc/self/fd".to_owned()];
    let (out, _, _) = to_end(guards().start(&spec).await.unwrap()).await;
    // 3 is the listing's own.
    assert_eq!(
        out.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
}

#[tokio::test]
async fn an_engine_has_its_own_group_in_the_session_of_its_guard() {
    let mut guarded = guards()
        .start(&sh("cut -d' ' -f1,5,6 /proc/$$/stat; read line"))
        .await
        .unwrap();
    let line = first_line(&mut guarded).await;
    let [pid, group, session] = pids(&line)[..] else {
        panic!("{line}");
    };
    assert_eq!(pid, guarded.pid as i32);
    assert_eq!(group, pid);
    // From /proc like the engine's: the session of a test in a container may be none of its own, which is 0.
    let ours = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ours: Vec<&str> = ours.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_ne!(session.to_string(), ours[3]);
    to_end(guarded).await;
}

#[tokio::test]
async fn what_cannot_start_says_so() {
    let mut spec = sh("");
    spec.argv = vec!["/nonexistent/engine".to_owned()];
    let error = guards().start(&spec).await.unwrap_err();
    assert!(error.message.contains("/nonexistent/engine"), "{error}");
    spec.argv.clear();
    assert!(guards().start(&spec).await.is_err());
    let error = Arc::new(Guards::running(PathBuf::from("/nonexistent/skep")))
        .start(&sh(""))
        .await
        .unwrap_err();
    assert!(error.message.contains("guard"), "{error}");
}

/// A daemon that left session, group and parent and still holds the pipes: the worst of left-behinds.
#[tokio::test]
async fn a_daemonised_grandchild_dies_with_its_engine() {
    let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 100; done' & wait_for() { sleep 0.2; }; wait_for";
    let mut guarded = guards().start(&sh(script)).await.unwrap();
    let daemon = pids(&first_line(&mut guarded).await)[0];
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.left_behind_killed >= 1, "{ended:?}");
    assert!(!lives(daemon));
}

#[tokio::test]
async fn stop_is_polite_then_certain() {
    let mut polite = guards()
        .start(&sh(
            "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
        ))
        .await
        .unwrap();
    assert_eq!(first_line(&mut polite).await, "ready");
    polite.control.stop().await;
    let (out, _, ended) = to_end(polite).await;
    assert_eq!((out.as_str(), ended.code), ("bye\n", Some(3)));

    let mut deaf = guards()
        .start(&sh("trap '' TERM; echo ready; while :; do sleep 100; done"))
        .await
        .unwrap();
    assert_eq!(first_line(&mut deaf).await, "ready");
    let begun = Instant::now();
    deaf.control.stop().await;
    let pid = deaf.pid as i32;
    let (_, _, ended) = to_end(deaf).await;
    assert_eq!(ended.signal, Some(9));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(!lives(pid));
}

#[tokio::test]
async fn kill_does_not_wait() {
    let mut guarded = guards()
        .start(&sh("trap '' TERM; echo ready; sleep 100"))
        .await
        .unwrap();
    assert_eq!(first_line(&mut guarded).await, "ready");
    guarded.control.kill().await;
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!(ended.signal, Some(9));
}

/// Processes that fork for as long as they live, each in a session of its own.
#[tokio::test]
async fn a_fork_bomb_is_stopped() {
    let script = "bomb() { setsid sh -c 'echo $$; while :; do sleep 0.01 & sleep 0.01; done' & }; \
         for i in 1 2 3 4 5 6 7 8 9 10; do bomb; bomb; bomb; bomb; bomb; done; echo ready; sleep 100";
    let mut guarded = guards().start(&sh(script)).await.unwrap();
    let mut reader = BufReader::new(&mut guarded.stdout);
    let mut bombs = Vec::new();
    let mut line = String::new();
    while bombs.len() < 50 {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        if let Ok(pid) = line.trim().parse() {
            bombs.push(pid);
        }
    }
    drop(reader);
    guarded.control.stop().await;
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!(ended.survivors, 0);
    for pid in bombs {
        assert!(!lives(pid), "{pid}");
    }
}

/// The server's death is the end of the socket, however it died.
#[tokio::test]
async fn everything_dies_with_the_server() {
    let mut guarded = guards().start(&sh(HOLDING_ON)).await.unwrap();
    let daemon = pids(&first_line(&mut guarded).await)[0];
    let engine = guarded.pid as i32;
    drop(guarded);
    gone(daemon).await;
    gone(engine).await;
}

/// An engine of the same user can stop its guard; the run must not wait for that for ever.
#[tokio::test]
async fn a_guard_that_is_stopped_goes_on() {
    let mut guarded = guards()
        .start(&sh("echo ready; read line; exit 5"))
        .await
        .unwrap();
    assert_eq!(first_line(&mut guarded).await, "ready");
    kill_process(parent(guarded.pid as i32), Signal::STOP).unwrap();
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!(ended.code, Some(5));
}

/// In processes of their own, since they make themselves the heir of orphans and kill all of them.
#[test]
fn what_a_lost_guard_left_behind_is_swept_up() {
    for alone in [
        "sweep_after_a_killed_guard",
        "sweep_after_a_guard_that_does_not_answer",
    ] {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("guard::{alone}"), "--ignored"])
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{alone}");
    }
}

#[tokio::test]
#[ignore = "run by the test above, alone"]
async fn sweep_after_a_killed_guard() {
    let guards = guards();
    guards.adopt_orphans().unwrap();
    let mut other = guards
        .start(&sh("echo ready; read line; exit 5"))
        .await
        .unwrap();
    assert_eq!(first_line(&mut other).await, "ready");

    let mut browser = std::process::Command::new("/bin/sleep")
        .arg("100")
        .env(skep::guard::NOT_AN_ENGINE, "1")
        .spawn()
        .unwrap();

    let mut guarded = guards.start(&sh(HOLDING_ON)).await.unwrap();
    let daemon = pids(&first_line(&mut guarded).await)[0];
    let engine = guarded.pid as i32;
    kill_process(parent(engine), Signal::KILL).unwrap();
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!((ended.code, ended.signal, ended.survivors), (None, None, 0));
    assert!(ended.left_behind_killed >= 2, "{ended:?}");
    assert!(!lives(daemon) && !lives(engine));

    // Another execution is not touched by it, nor is what the server opened for its user.
    let (_, _, ended) = to_end(other).await;
    assert_eq!(ended.code, Some(5));
    assert!(browser.try_wait().unwrap().is_none());
    browser.kill().unwrap();
}

/// An engine of the same user can stop its guard, too.
#[tokio::test]
#[ignore = "run by the test above, alone"]
async fn sweep_after_a_guard_that_does_not_answer() {
    let guards = guards();
    guards.adopt_orphans().unwrap();
    let mut guarded = guards.start(&sh(HOLDING_ON)).await.unwrap();
    let daemon = pids(&first_line(&mut guarded).await)[0];
    let engine = guarded.pid as i32;
    kill_process(parent(engine), Signal::STOP).unwrap();
    guarded.control.kill().await;
    guarded.control.abandon();
    let (_, _, ended) = to_end(guarded).await;
    assert_eq!(ended.survivors, 0);
    assert!(!lives(daemon) && !lives(engine));
}

/// An engine and a daemon of its own, neither of which listens; it prints the daemon's process.
const HOLDING_ON: &str =
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; sleep 100; :' & sleep 100; :";

fn parent(pid: i32) -> Pid {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    Pid::from_raw(fields.split_whitespace().nth(1).unwrap().parse().unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "prints what a guard costs; run alone: cargo test --release -- --ignored --nocapture what_a_guard_costs"]
async fn what_a_guard_costs() {
    const RUNS: usize = 200;
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        (times[RUNS / 2], times[RUNS * 99 / 100])
    };
    let guards = guards();
    let mut spec = sh("");
    spec.argv = vec!["/bin/true".to_owned()];
    let (mut to_exec, mut whole) = (Vec::new(), Vec::new());
    let (mut plain_to_exec, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let guarded = guards.start(&spec).await.unwrap();
        to_exec.push(begun.elapsed());
        to_end(guarded).await;
        whole.push(begun.elapsed());
        let begun = Instant::now();
        let child = tokio::process::Command::new("/bin/true")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        plain_to_exec.push(begun.elapsed());
        child.wait_with_output().await.unwrap();
        plain.push(begun.elapsed());
    }
    println!(
        "start to the engine's exec (median, p99): {:?}",
        median(to_exec)
    );
    println!("start to everything gone: {:?}", median(whole));
    println!(
        "the same without a guard: {:?}, {:?}",
        median(plain_to_exec),
        median(plain)
    );
}
