//! Tokens and cookies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use skep::auth::cookies::Cookies;
use skep::auth::token::{Claims, Key, TokenError, TokenKind};

use super::choice;

const KEY: [u8; 32] = *b"a key that only this server has.";
const NOW_S: u64 = 1_000_000;

/// Only what this key signed for this instance is believed, for its own use and its own time.
pub fn tokens(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let key = Key::from_bytes(&KEY);
    let text = String::from_utf8_lossy(rest);
    match which % 5 {
        // A token as it comes.
        0 => refused(&key, &text),
        // A header and claims of the attacker's own, signed by a key he knows, or not at all.
        1 => {
            let (header, claims) = text.split_once('\n').unwrap_or((&text, ""));
            let unsigned = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(claims)
            );
            refused(&key, &format!("{unsigned}."));
            for algorithm in ["HS256", "HS384", "HS512"] {
                let algorithm = algorithm.parse().expect("an algorithm");
                let other = jsonwebtoken::EncodingKey::from_secret(b"another key");
                let signature = jsonwebtoken::crypto::sign(unsigned.as_bytes(), &other, algorithm);
                refused(&key, &format!("{unsigned}.{}", signature.expect("signed")));
            }
        }
        // A good token with some bytes changed.
        2 => {
            let good = key.issue(&claims(TokenKind::Access, NOW_S + 10));
            let mut changed = good.clone().into_bytes();
            for edit in rest.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % changed.len();
                changed[at] = edit[2];
            }
            let changed = String::from_utf8_lossy(&changed);
            if changed != good {
                refused(&key, &changed);
            }
        }
        // Claims as this server would sign them: what it says is what is read.
        3 => {
            if let Ok(claims) = serde_json::from_slice::<Claims>(rest) {
                let token = key.issue(&claims);
                match key.verify_any(&token, "hive", NOW_S) {
                    Ok(read) => {
                        assert_eq!(read, claims);
                        assert!(read.iss == "hive" && NOW_S < read.exp);
                    }
                    Err(TokenError::Expired) => assert!(claims.exp <= NOW_S),
                    Err(TokenError::Invalid) => {
                        assert!(claims.iss != "hive" || token.len() > 4096, "{claims:?}");
                    }
                }
                for kind in [TokenKind::Access, TokenKind::Refresh, TokenKind::Media] {
                    let taken = key.verify(&token, "hive", kind, NOW_S).is_ok();
                    assert!(!taken || kind == claims.kind);
                }
            }
        }
        _ => cookie(&text),
    }
}

fn claims(kind: TokenKind, exp: u64) -> Claims {
    Claims {
        iss: "hive".to_owned(),
        sub: "admin".to_owned(),
        kind,
        jti: "1".to_owned(),
        family: "2".to_owned(),
        scopes: None,
        iat: NOW_S - 10,
        exp,
    }
}

fn refused(key: &Key, token: &str) {
    let verified = key.verify_any(token, "hive", NOW_S);
    assert_eq!(verified, Err(TokenError::Invalid), "{token:?}");
}

/// A cookie is one cookie with our attributes, whatever is put into it.
fn cookie(text: &str) {
    let cookies = Cookies::new(text, false, "/skep");
    let set = cookies.set("refresh", text, "/api/auth", 60);
    let set = set.to_str().expect("text");
    let attributes: Vec<&str> = set.split("; ").skip(1).collect();
    assert_eq!(
        attributes,
        [
            "Path=/skep/api/auth",
            "Max-Age=60",
            "HttpOnly",
            "SameSite=Strict"
        ],
        "{set:?}"
    );
    let (name, value) = set.split_once('=').expect("a pair");
    assert_eq!(name, cookies.name("refresh"));
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    assert!(
        !value
            .split(';')
            .next()
            .expect("a value")
            .contains([' ', ',', '"'])
    );
}
