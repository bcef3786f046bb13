//! Tokens where they should not be, and tokens that nobody issued.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::token::claims;
use crate::support::{Method, TestServer};

/// Whoever sees an answer, a log or the disk must not get in by it: an address with a token is never repeated.
#[tokio::test]
async fn a_token_in_an_address_comes_back_nowhere() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    user.chat().await;
    let secret = user.access.rsplit('.').next().unwrap().to_owned();
    let token = format!("token={}", user.access);
    let calls = [
        (Method::Get, "/api/local/sessions?limit=1&".to_owned()),
        (
            Method::Get,
            "/api/local/sessions?cursor=nonsense&".to_owned(),
        ),
        (Method::Get, format!("/api/local/sessions/{chat}?")),
        (Method::Get, "/api/nowhere?".to_owned()),
        (Method::Get, "/?".to_owned()),
        (Method::Get, "/nowhere/?".to_owned()),
        (Method::Delete, "/api/me?".to_owned()),
        (Method::Options, "/api/me?".to_owned()),
        (Method::Post, "/api/workers?".to_owned()),
        (Method::Post, "/api/auth/login?".to_owned()),
    ];
    for (method, path) in calls {
        let call = server.call(method, &format!("{path}{token}"));
        let call = call
            .json(&json!({ "name": path }))
            .header("Referer", &format!("http://x/?{token}"));
        let answer = call.send().await;
        for (name, value) in &answer.headers {
            assert!(!value.contains(&secret), "{name} of {path}");
        }
        assert!(!answer.text().contains(&secret), "the body of {path}");
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
    }
    let stopped = server.stop().await;
    assert!(!stopped.stderr.contains(&secret), "{}", stopped.stderr);
    assert!(!stopped.stderr.contains("token="), "{}", stopped.stderr);
    assert_eq!(holding(&stopped.data, secret.as_bytes()), [""; 0]);
}

/// The files below a directory that hold these bytes.
fn holding(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            if memchr::memmem::find(&content, bytes).is_some() {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// CVE-2018-0114 and its kin: what a token says of its own key is not believed.
#[tokio::test]
async fn a_token_cannot_bring_its_own_key() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let own = b"the attacker's own key, long enough";
    let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(own), "alg": "HS256" });
    let signed = |header: &Value, key: &[u8]| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}", part(header), part(&claims(&user.access)));
        let key = EncodingKey::from_secret(key);
        let signature = jsonwebtoken::crypto::sign(unsigned.as_bytes(), &key, Algorithm::HS256);
        format!("{unsigned}.{}", signature.unwrap())
    };
    let with = |name: &str, value: Value| {
        let mut header = json!({ "alg": "HS256", "typ": "JWT" });
        header[name] = value;
        header
    };
    for header in [
        with("jwk", jwk.clone()),
        with("jku", json!("http://127.0.0.1:1/keys")),
        with("x5u", json!("file:///dev/null")),
        with("x5c", json!(["AAAA"])),
        with("kid", json!("../../../../dev/null")),
        with("kid", json!("' UNION SELECT 'x")),
        with("crit", json!(["exp"])),
        with("zip", json!("DEF")),
    ] {
        for key in [&own[..], b"", b"\0"] {
            let forged = user.with_token(&signed(&header, key));
            forged.get("/api/me").await.refused(401, "invalid_token");
        }
    }
    for algorithm in [
        "None", "NONE", "nOnE", "hs256", "RS256", "ES256", "EdDSA", "",
    ] {
        let header = json!({ "alg": algorithm, "typ": "JWT", "jwk": jwk });
        let forged = signed(&header, own);
        let (unsigned, _) = forged.rsplit_once('.').unwrap();
        for token in [forged.clone(), format!("{unsigned}.")] {
            let forged = user.with_token(&token);
            forged.get("/api/me").await.refused(401, "invalid_token");
        }
    }
    user.get("/api/me").await.expect(200);
}
