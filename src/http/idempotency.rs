//! `Idempotency-Key`: a request that is sent again is answered again, not done again.
//!
//! What is kept, and for how long, is the application's to say. Here is whose key it is, whether the first request with it
//! still runs, and whether the same was asked for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use super::error::{ApiError, ErrorCode};
use super::request::Request;
use super::response::Response;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key.
const KEY_BYTES_MAX: usize = 255;
/// When to ask again for what is still being done.
const RETRY_AFTER_S: u64 = 1;

/// The key of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// SHA-256 of user, method, path and key.
    pub key: [u8; 32],
    /// SHA-256 of the body. Of a multipart body, whose boundary differs each time, only the handler can say what it is.
    pub fingerprint: Option<[u8; 32]>,
}

/// What an earlier request with the same key left.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Of the body it had.
    pub fingerprint: [u8; 32],
    /// What its route makes the answer of.
    pub outcome: Vec<u8>,
}

impl Once {
    /// The key that a request brings; `None` when it brings none.
    pub(super) fn of(request: &Request, user: u128) -> Result<Option<Once>, ApiError> {
        let mut lines = request.headers().get_all(IDEMPOTENCY_KEY).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        let key = parse(line).filter(|_| lines.next().is_none());
        let key = key.ok_or_else(|| {
            ApiError::bad_request(format!(
                "Idempotency-Key: must be 1 to {KEY_BYTES_MAX} visible ASCII characters"
            ))
        })?;
        let scope = scope(user, request.method(), request.uri().path(), key);
        Ok(Some(Once {
            key: scope,
            fingerprint: None,
        }))
    }

    /// 422 unless the same is asked for as when this was kept.
    pub fn check(&self, kept: &Kept, fingerprint: &[u8; 32]) -> Result<(), ApiError> {
        if kept.fingerprint == *fingerprint {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::IdempotencyKeyReused,
            "This idempotency key was used for another body; take a new key for a new request",
        ))
    }
}

/// SHA-256 of a body.
pub fn fingerprint(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Says of an answer that it was made before.
pub fn replayed(answer: Response) -> Response {
    answer.with_header(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))
}

/// 409: the first request with this key has not been answered yet.
pub fn in_progress() -> ApiError {
    ApiError::new(
        ErrorCode::IdempotencyInProgress,
        "The first request with this idempotency key is still running",
    )
    .retry_after(RETRY_AFTER_S)
}

/// A key in quotes is the same without.
fn parse(line: &HeaderValue) -> Option<&[u8]> {
    let bytes = line.as_bytes();
    let bare = bytes
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    let key = bare.unwrap_or(bytes);
    let is_key = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    is_key.then_some(key)
}

fn scope(user: u128, method: &Method, path: &str, key: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(user.to_be_bytes());
    // Neither a method nor a path holds a line break.
    for part in [method.as_str().as_bytes(), path.as_bytes(), key] {
        hash.update(b"\n");
        hash.update(part);
    }
    hash.finalize().into()
}

/// The keys whose first request still runs; no more than there are requests.
#[derive(Clone, Default)]
pub(super) struct InProgress(Arc<Mutex<HashSet<[u8; 32]>>>);

/// A first request, until this is dropped.
pub(super) struct Turn {
    in_progress: InProgress,
    key: [u8; 32],
}

impl InProgress {
    /// The turn of this key, unless it is another request's.
    pub(super) fn enter(&self, key: [u8; 32]) -> Result<Turn, ApiError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key) {
            return Err(in_progress());
        }
        Ok(Turn {
            in_progress: self.clone(),
            key,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let keys = &self.in_progress.0;
        let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_with_or_without_quotes() {
        let key = |text: &[u8]| {
            let line = HeaderValue::from_bytes(text).unwrap();
            parse(&line).map(|key| String::from_utf8(key.to_vec()).unwrap())
        };
        assert_eq!(key(b"9d8a-1"), Some("9d8a-1".to_owned()));
        assert_eq!(key(b"\"9d8a-1\""), Some("9d8a-1".to_owned()));
        assert_eq!(key(b"\"half"), Some("\"half".to_owned()));
        assert_eq!(key(&[b'k'; KEY_BYTES_MAX]).unwrap().len(), KEY_BYTES_MAX);
        for bad in [
            &b""[..],
            b"\"\"",
            b"a b",
            b"a\tb",
            &[b'k'; KEY_BYTES_MAX + 1],
            "\u{e9}".as_bytes(),
        ] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_belongs_to_its_user_and_its_route() {
        let post = |user, path| scope(user, &Method::POST, path, b"k");
        assert_eq!(post(0, "/a"), post(0, "/a"));
        assert_ne!(post(0, "/a"), post(1, "/a"));
        assert_ne!(post(0, "/a"), post(0, "/b"));
        assert_ne!(post(0, "/a"), scope(0, &Method::PUT, "/a", b"k"));
        assert_ne!(post(0, "/a"), scope(0, &Method::POST, "/a", b"K"));
    }

    #[test]
    fn one_request_at_a_time_has_the_turn() {
        let keys = InProgress::default();
        let first = keys.enter([1; 32]).unwrap();
        let _other = keys.enter([2; 32]).unwrap();
        let refused = keys.enter([1; 32]).err().unwrap();
        assert_eq!(refused.code(), ErrorCode::IdempotencyInProgress);
        drop(first);
        keys.enter([1; 32]).unwrap();
    }
}
