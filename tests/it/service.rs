//! Skep as a service: the unit, who is asked to run it, and where the sign-in link is not to be read.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{Method, PATIENCE, Setup, TestServer, eventually};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn skep(home: &Path, path: &str, words: &[&str]) -> Ran {
    let run = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(words)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output();
    let output = timeout(PATIENCE, run).await.expect("it ends").unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn the_unit_has_what_engines_need() {
    let home = tempfile::tempdir().unwrap();
    let path = "/opt/engines/bin:/usr/bin:/bin";
    let data = ["--data", "/data/a hive"];
    let printed = skep(
        home.path(),
        path,
        &[&data[..], &["service", "print"]].concat(),
    )
    .await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    for line in [
        format!("Environment=\"PATH={path}\""),
        format!(
            "ExecStart=\"{}\" serve --data \"/data/a hive\"",
            env!("CARGO_BIN_EXE_skep")
        ),
        "PassEnvironment=SSH_AUTH_SOCK".to_owned(),
        "KillMode=mixed".to_owned(),
        "Restart=on-failure".to_owned(),
    ] {
        assert!(
            printed.stdout.lines().any(|told| told == line),
            "{line} in {}",
            printed.stdout
        );
    }
    let words = ["service", "print", "--system", "--run-as", "bee"];
    let system = skep(home.path(), path, &words).await;
    assert!(system.stdout.contains("\nUser=bee\n"), "{}", system.stdout);
}

/// A dry run says everything and does nothing.
#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let unit = home.path().join(".config/systemd/user/skep.service");
    for (what, said) in [
        (
            "install",
            [
                "Would write",
                "Would run: systemctl --user enable --now skep.service",
            ],
        ),
        (
            "uninstall",
            [
                "Would remove",
                "Would run: systemctl --user disable --now skep.service",
            ],
        ),
    ] {
        let ran = skep(home.path(), "/nowhere", &["service", what, "--dry-run"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(
            ran.stdout.contains(unit.to_str().unwrap()),
            "{}",
            ran.stdout
        );
        for said in said {
            assert!(ran.stdout.contains(said), "{said} in {}", ran.stdout);
        }
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn where_there_is_no_systemd_it_says_so() {
    let home = tempfile::tempdir().unwrap();
    for what in ["install", "uninstall", "status"] {
        let ran = skep(home.path(), "/nowhere", &["service", what]).await;
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("there is no systemd"), "{}", ran.stderr);
        assert!(ran.stderr.contains("skep service print"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

/// What systemd is asked, in order, by a `systemctl` that only writes it down.
#[tokio::test]
async fn installing_writes_the_unit_and_starts_it() {
    let home = tempfile::tempdir().unwrap();
    let asked = home.path().join("asked");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let systemctl = bin.join("systemctl");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\n", asked.display());
    std::fs::write(&systemctl, script).unwrap();
    std::fs::set_permissions(&systemctl, PermissionsExt::from_mode(0o755)).unwrap();
    let unit = home.path().join(".config/systemd/user/skep.service");
    let path = format!("{}:/usr/bin:/bin", bin.display());

    let installed = skep(home.path(), &path, &["service", "install"]).await;
    assert_eq!(installed.code, Some(0), "{}", installed.stderr);
    assert!(
        installed.stdout.contains("skep login-link"),
        "{}",
        installed.stdout
    );
    let printed = skep(home.path(), &path, &["service", "print"]).await;
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), printed.stdout);
    let removed = skep(home.path(), &path, &["service", "uninstall"]).await;
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    assert!(!unit.exists());
    let expected = "--user show --property=Version\n--user daemon-reload\n--user enable --now skep.service\n\
                    --user show --property=Version\n--user disable --now skep.service\n--user daemon-reload\n";
    assert_eq!(std::fs::read_to_string(&asked).unwrap(), expected);
}

/// Whoever may read the system's journal may not sign in.
#[tokio::test]
async fn the_link_stays_out_of_the_journal() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("hive");
    std::fs::create_dir(&data).unwrap();
    let path = home.path().join("journal");
    let journal = std::fs::File::create(&path).unwrap();
    let metadata = journal.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let _server = Setup::default()
        .env("JOURNAL_STREAM", &stream)
        .command(home.path(), &data)
        .stdout(journal)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(&path).ok();
    let text = eventually("it announces itself", PATIENCE, || {
        read().filter(|text| text.lines().count() == 2)
    })
    .await;
    assert!(text.contains("Sign in: say `skep login-link`"), "{text}");
    assert!(!text.contains("code="), "{text}");
}

/// A new link signs in once, and makes the one before it void.
#[tokio::test]
async fn a_login_link_can_be_had_at_any_time() {
    let server = TestServer::start().await;
    let data = server.data.to_str().unwrap();
    let ran = skep(
        server.home.path(),
        "/usr/bin:/bin",
        &["--data", data, "login-link"],
    )
    .await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let prefix = format!("http://{}/#code=", server.address);
    let code = ran.stdout.trim().strip_prefix(&prefix).unwrap().to_owned();
    let redeem = |code: &str| {
        let call = server.call(Method::Post, "/api/auth/redeem");
        call.json(&serde_json::json!({ "code": code })).send()
    };
    assert!(
        ran.stderr.contains("links from before are void"),
        "{}",
        ran.stderr
    );
    redeem(&server.code)
        .await
        .refused(401, "invalid_credentials");
    redeem(&code).await.expect(200);
    redeem(&code).await.refused(401, "invalid_credentials");
    let stopped = server.stop().await;
    let data = stopped.data.to_str().unwrap();
    let ran = skep(
        stopped.home.path(),
        "/usr/bin:/bin",
        &["--data", data, "login-link"],
    )
    .await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("does not run"), "{}", ran.stderr);
}
