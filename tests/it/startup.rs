//! Starts that must not happen, and what they say; and the two lines of those that do.

use crate::support::server::signal;
use crate::support::{Setup, TestServer};

#[tokio::test]
async fn two_lines_say_where_it_is_and_how_to_get_in() {
    let server = TestServer::start().await;
    let address = server.address;
    assert!(address.ip().is_loopback() && address.port() != 0);
    let expected = [
        format!("Skep is ready at http://{address}"),
        format!("Sign in: http://{address}/#code={}", server.code),
    ];
    assert_eq!(server.announced, expected);
    assert!(server.code.len() >= 32, "not to be guessed");
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_names_the_first() {
    let server = TestServer::start().await;
    let (code, stderr) = Setup::default().fails_to_start(&server.data).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains(&server.pid().to_string()) && stderr.contains("--data"),
        "{stderr}"
    );
    server.log_in().await.get("/api/me").await.expect(200);
}

/// The lock dies with its process: after a kill nothing has to be cleared away.
#[tokio::test]
async fn a_killed_server_leaves_no_lock() {
    let server = TestServer::start().await;
    let server = server.kill().await.start().await;
    server.log_in().await.get("/api/me").await.expect(200);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = TestServer::start().await;
    let other = tempfile::tempdir().unwrap();
    let setup = Setup::default().listen(&server.address.to_string());
    let (code, stderr) = setup.fails_to_start(other.path()).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains(&server.address.to_string()) && stderr.contains("--listen"),
        "{stderr}"
    );
}

#[tokio::test]
async fn settings_that_are_not_understood_name_file_and_line() {
    let data = tempfile::tempdir().unwrap();
    for (text, named) in [
        (
            "listen = \"127.0.0.1:0\"\n\nunknown_key = 1\n",
            ["line 3", "unknown_key"],
        ),
        (
            "max_concurrent_executions = \"many\"\n",
            ["line 1", "max_concurrent_executions"],
        ),
        ("[limits]\nstreams_max = 0\n", ["line 2", "streams_max"]),
        (
            "[engines.mine]\nkind = \"telnet\"\n",
            ["line 2", "engines.mine"],
        ),
        (
            "[engines.mine]\nkind = \"command\"\n",
            ["engines.mine", "argv"],
        ),
        ("default_engine = \"nope\"\n", ["line 1", "nope"]),
        ("listen = \n", ["line 1", "skep.toml"]),
    ] {
        let (code, stderr) = Setup::settings(text).fails_to_start(data.path()).await;
        assert_eq!(code, Some(2), "{stderr}");
        let path = data.path().join("skep.toml");
        assert!(stderr.contains(&path.display().to_string()), "{stderr}");
        for word in named {
            assert!(stderr.contains(word), "{word} in {stderr}");
        }
    }
}

#[tokio::test]
async fn a_wrong_command_line_has_an_exit_code_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    for arg in ["--nonsense", "nonsense"] {
        let (code, stderr) = Setup::default().arg(arg).fails_to_start(data.path()).await;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(arg), "{stderr}");
    }
    let (code, stderr) = Setup::default()
        .listen("nonsense")
        .fails_to_start(data.path())
        .await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--listen"), "{stderr}");
}

#[tokio::test]
async fn beyond_loopback_it_asks_for_a_proxy() {
    let data = tempfile::tempdir().unwrap();
    let (code, stderr) = Setup::default()
        .listen("0.0.0.0:0")
        .fails_to_start(data.path())
        .await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--behind-proxy"), "{stderr}");
}

/// `/proc` can be written to by nobody, not even by root.
#[tokio::test]
async fn a_directory_that_cannot_be_written_says_so() {
    for path in ["/proc/skep", "/proc/self", "/dev/null"] {
        let (code, stderr) = Setup::default()
            .fails_to_start(std::path::Path::new(path))
            .await;
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            (stderr.contains("/proc") || stderr.contains("/dev/null")) && stderr.contains("--data"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn a_bad_first_password_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::default()
        .without_password()
        .env("SKEP_PASSWORD", "x");
    let (code, stderr) = setup.fails_to_start(data.path()).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("SKEP_PASSWORD"), "{stderr}");
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_password_that_comes_too_late_is_said_to() {
    let stopped = TestServer::start().await.stop().await;
    assert!(
        !stopped.stderr.contains("is not used"),
        "{}",
        stopped.stderr
    );
    let stderr = stopped.start().await.stop().await.stderr;
    assert!(stderr.contains("SKEP_PASSWORD is not used"), "{stderr}");
}

/// By default the log says where the data is and how to stop, and not what is asked.
#[tokio::test]
async fn requests_are_logged_to_those_who_ask_for_it() {
    let setup = Setup::default();
    for (level, logged) in [("", false), ("info", false), ("debug", true)] {
        let server = setup.clone().env("SKEP_LOG_LEVEL", level).start().await;
        server.log_in().await.get("/api/me").await.expect(200);
        let stderr = server.stop().await.stderr;
        assert_eq!(stderr.contains("/api/me"), logged, "{level}: {stderr}");
        assert!(stderr.contains("Ctrl-C stops"), "{stderr}");
    }
    let quiet = setup.arg("--log-level").arg("error").start().await;
    assert_eq!(quiet.stop().await.stderr, "");
}

/// A service manager tells a process, and then its group, in the same moment.
#[tokio::test]
async fn a_signal_and_its_echo_are_one_wish() {
    let server = TestServer::start().await;
    for _ in 0..3 {
        signal(server.pid(), rustix::process::Signal::TERM);
    }
    let stderr = server.stop().await.stderr;
    assert!(stderr.contains("stopped"), "{stderr}");
}

/// A journal of a newer version is left as it is, for the newer version.
#[tokio::test]
async fn a_journal_of_a_newer_version_is_refused_and_not_touched() {
    let server = TestServer::start().await;
    server.log_in().await.chat().await;
    let stopped = server.stop().await;
    let journal = stopped.data.join("journal");
    let segment = std::fs::read_dir(&journal)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&segment).unwrap();
    // Format 2, with the checksum of a header that says so.
    bytes[8] = 2;
    let sum = crc32c::crc32c(&bytes[..44]).to_le_bytes();
    bytes[44..48].copy_from_slice(&sum);
    std::fs::write(&segment, &bytes).unwrap();
    let (code, stderr) = Setup::default().fails_to_start(&stopped.data).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("newer"), "{stderr}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
}

/// Damage where it was durable is said, with file and offset, and nothing starts on half of the truth.
#[tokio::test]
async fn a_damaged_journal_is_refused_with_file_and_offset() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for _ in 0..20 {
        user.chat().await;
    }
    let stopped = server.stop().await;
    let segment = std::fs::read_dir(stopped.data.join("journal"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[120] ^= 0xff;
    std::fs::write(&segment, &bytes).unwrap();
    std::fs::remove_file(stopped.data.join("hive.redb")).unwrap();
    let (code, stderr) = Setup::default().fails_to_start(&stopped.data).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("damaged at byte"), "{stderr}");
    assert!(
        stderr.contains("run `skep verify`, then `skep restore`"),
        "{stderr}"
    );
    assert!(
        stderr.contains(segment.file_name().unwrap().to_str().unwrap()),
        "{stderr}"
    );
}
