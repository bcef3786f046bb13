//! TLS of the server's own: who gets in, what a changed certificate does, and what is said when it cannot be used.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::http::{Call, raw};
use crate::support::{Answer, Method, PATIENCE, Setup, TestServer};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Settings with a pair of files that a test may write to.
struct Pair {
    dir: tempfile::TempDir,
}

impl Pair {
    fn new(name: &str) -> Self {
        let pair = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        pair.become_pair(name);
        pair
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    fn become_pair(&self, name: &str) {
        std::fs::copy(fixture(&format!("{name}.key")), self.key()).unwrap();
        std::fs::copy(fixture(&format!("{name}.pem")), self.cert()).unwrap();
    }

    fn setup(&self) -> Setup {
        let (cert, key) = (self.cert(), self.key());
        Setup::default()
            .arg("--tls-cert")
            .arg(text(&cert))
            .arg("--tls-key")
            .arg(text(&key))
    }
}

/// A client that trusts one of the fixtures' certificates, and nothing else.
pub(crate) async fn connect(
    server: &TestServer,
    trusted: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let cert = CertificateDer::from_pem_file(fixture(&format!("{trusted}.pem"))).unwrap();
    roots.add(cert).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(server.address).await?;
    let connector = TlsConnector::from(Arc::new(config));
    connector
        .connect("localhost".try_into().unwrap(), socket)
        .await
}

async fn send(server: &TestServer, call: Call) -> Answer {
    let socket = connect(server, "one", &["http/1.1"]).await.unwrap();
    let answer = timeout(PATIENCE, call.send_over(socket)).await;
    answer.expect("an answer").unwrap()
}

/// The link says https, the cookies are for https alone, and both versions are offered.
#[tokio::test]
async fn a_server_with_a_certificate_speaks_https() {
    let server = Pair::new("one").setup().start().await;
    let url = format!("https://{}", server.address);
    assert_eq!(server.announced[0], format!("Skep is ready at {url}"));
    assert!(server.announced[1].starts_with(&format!("Sign in: {url}/#code=")));
    let redeem = server
        .call(Method::Post, "/api/auth/redeem")
        .json(&serde_json::json!({ "code": server.code }));
    let signed_in = send(&server, redeem).await.expect(200);
    let cookies: Vec<&str> = signed_in.all("set-cookie").collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        assert!(cookie.contains("; Secure"), "{cookie}");
    }
    for (offered, taken) in [
        (vec!["h2", "http/1.1"], "h2"),
        (vec!["http/1.1"], "http/1.1"),
    ] {
        let stream = connect(&server, "one", &offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol();
        assert_eq!(protocol, Some(taken.as_bytes()));
    }
    server.stop().await;
}

/// Browsers keep `Strict-Transport-Security` for every port of a host, so it is said only where the operator says that
/// the host's own https port is Skep.
#[tokio::test]
async fn a_host_is_https_only_when_the_operator_says_its_origin() {
    let pair = Pair::new("one");
    for (public_url, said) in [
        ("", false),
        ("https://hive.example:8443", false),
        ("http://hive.example", false),
        ("https://hive.example", true),
    ] {
        let setup = pair.setup().env("SKEP_PUBLIC_URL", public_url);
        let server = setup.start().await;
        let health = |host: &str| server.call(Method::Get, "/healthz").header("Host", host);
        let own = send(&server, health(&server.address.to_string())).await;
        assert_eq!(own.header("strict-transport-security"), None);
        if !public_url.is_empty() {
            let public = send(&server, health("hive.example")).await.expect(200);
            let header = public.header("strict-transport-security");
            assert_eq!(header.is_some(), said, "{public_url}");
        }
    }
}

/// The one before stays while the new files are not a pair, and the new pair is served without a restart.
#[tokio::test]
async fn a_changed_certificate_is_served_and_a_broken_one_is_not() {
    let pair = Pair::new("one");
    let server = pair.setup().start().await;
    connect(&server, "one", &[]).await.expect("the first pair");

    // As a renewal that was broken off leaves it.
    std::fs::copy(fixture("two.pem"), pair.cert()).unwrap();
    trust(&server, "one", |server| {
        server.stderr().contains("the one before stays")
    })
    .await;
    assert!(server.stderr().contains("does not belong"));

    pair.become_pair("two");
    trust(&server, "two", |_| true).await;
    assert!(connect(&server, "one", &[]).await.is_err());
    let stderr = server.stop().await.stderr;
    assert_eq!(stderr.matches("the one before stays").count(), 1);
}

/// Connects until a client that trusts only this certificate gets in and `is_so`.
async fn trust(server: &TestServer, trusted: &str, is_so: impl Fn(&TestServer) -> bool) {
    let seen = async {
        loop {
            let connected = connect(server, trusted, &[]).await.is_ok();
            if connected && is_so(server) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, seen).await.expect("the certificate");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let (cert, key) = (fixture("one.pem"), fixture("one.key"));
    let other_key = fixture("two.key");
    let missing = data.path().join("missing.pem");
    for (cert, key, words) in [
        (
            &cert,
            &other_key,
            vec!["two.key", "does not belong", "one.pem"],
        ),
        (
            &key,
            &cert,
            vec!["one.key", "no certificate", "is it the key?"],
        ),
        (
            &cert,
            &cert,
            vec!["one.pem", "no private key", "BEGIN PRIVATE KEY"],
        ),
        (&missing, &key, vec!["missing.pem", "cannot read"]),
        (&cert, &missing, vec!["missing.pem", "cannot read"]),
    ] {
        let setup = Setup::default()
            .arg("--tls-cert")
            .arg(text(cert))
            .arg("--tls-key")
            .arg(text(key));
        let (code, stderr) = setup.fails_to_start(data.path()).await;
        assert_eq!(code, Some(1), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word} in {stderr}");
        }
    }
    for (one, needed) in [("--tls-cert", "tls_key"), ("--tls-key", "tls_cert")] {
        let setup = Setup::default().arg(one).arg(text(&cert));
        let (code, stderr) = setup.fails_to_start(data.path()).await;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(needed), "{stderr}");
    }
}

/// With TLS nothing else is needed to listen everywhere.
#[tokio::test]
async fn a_server_with_a_certificate_may_listen_beyond_loopback() {
    let server = Pair::new("one").setup().listen("0.0.0.0:0").start().await;
    assert!(server.address.ip().is_unspecified());
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_tls_is_told() {
    let server = Pair::new("one").setup().start().await;
    let answer = raw(server.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("speaks https only"), "{answer}");
}

/// Clients that begin a handshake and say no more lose their connection, and those who wait for a place get it.
#[tokio::test]
async fn handshakes_are_bounded_in_time_and_number() {
    let setup = Pair::new("one");
    let server = setup
        .setup()
        .env("SKEP_TLS_HANDSHAKE_TIMEOUT_S", "2")
        .env("SKEP_TLS_HANDSHAKES_MAX", "2")
        .start()
        .await;
    let mut slow = Vec::new();
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(begun).await.unwrap();
        slow.push(socket);
    }
    let others = async {
        // Two places are taken by who says no more, so this one waits, and may be too late the first time.
        while connect(&server, "one", &[]).await.is_err() {}
    };
    timeout(PATIENCE, others).await.expect("a place");
    for mut socket in slow {
        let ended = timeout(PATIENCE, socket.read(&mut [0; 16])).await;
        assert!(matches!(ended.expect("it ends"), Ok(0) | Err(_)));
    }
}

/// What is no handshake ends its own connection and nothing else.
#[tokio::test]
async fn noise_instead_of_a_handshake_is_nobody_elses_concern() {
    let server = Pair::new("one").setup().start().await;
    let mut noise = vec![0x16, 0x03, 0x01, 0xff, 0xff];
    noise.extend((0..4096_u32).map(|n| (n * 31 % 251) as u8));
    for end in [1, 5, 6, 100, noise.len()] {
        raw(server.address, &noise[..end]).await;
    }
    connect(&server, "one", &["h2"]).await.expect("a handshake");
    server.stop().await;
}

/// The other commands find the server and speak to it, whoever signed its certificate.
#[tokio::test]
async fn the_other_commands_reach_a_server_with_tls() {
    let server = Pair::new("one").setup().start().await;
    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_skep"))
        .arg("--data")
        .arg(&server.data)
        .arg("token")
        .env_clear()
        .env("HOME", server.home.path())
        .output();
    let output = timeout(PATIENCE, run).await.expect("it ends").unwrap();
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    let me = server.call(Method::Get, "/api/me").bearer(token.trim());
    send(&server, me).await.expect(200);
}
