//! Tokens as the server makes them, with what a test wants in them: signed with the key that lies in its directory.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;

use super::TestServer;

/// The claims of a token, read without looking at its signature.
pub fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let body = token.split('.').nth(1).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(body)
        .expect("base64");
    serde_json::from_slice(&bytes).expect("claims")
}

/// A token that this server would have made, had it wanted to.
pub fn signed(server: &TestServer, claims: &Value) -> String {
    let key = std::fs::read(server.data.join("keys/signing.key")).expect("the key");
    signed_with(&key, Algorithm::HS256, claims)
}

pub fn signed_with(key: &[u8], algorithm: Algorithm, claims: &Value) -> String {
    encode(
        &Header::new(algorithm),
        claims,
        &EncodingKey::from_secret(key),
    )
    .expect("a token")
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    age.expect("after 1970").as_secs()
}
