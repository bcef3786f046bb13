//! The name of one request, in the answer, in the error body and in the log.

use std::fmt::{self, Write as _};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::header::HeaderValue;
use jiff::{Timestamp, tz::TimeZone};

/// The longest id a client may bring.
const LENGTH_MAX: usize = 128;

/// A client's own id when it is harmless in a log, else `req_` + UTC time + random.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Keeps the client's id if it is 1 to 128 characters of `A-Za-z0-9._-`, else makes one.
    pub fn accept(inbound: Option<&HeaderValue>) -> RequestId {
        match inbound.map(HeaderValue::as_bytes) {
            Some(id) if is_valid(id) => match std::str::from_utf8(id) {
                Ok(id) => RequestId(id.into()),
                Err(_) => RequestId::generate(),
            },
            _ => RequestId::generate(),
        }
    }

    /// A fresh id, `req_20261122T101530Z_9f3kq2`.
    pub fn generate() -> RequestId {
        let now = TimeZone::UTC.to_datetime(Timestamp::now());
        let mut id = String::with_capacity(30);
        // Writing to a string cannot fail.
        let _ = write!(
            id,
            "req_{:04}{:02}{:02}T{:02}{:02}{:02}Z_",
            now.year(),
            now.month(),
            now.day(),
            now.hour(),
            now.minute(),
            now.second()
        );
        let mut random = random();
        for _ in 0..6 {
            let digit = (random % 36) as u32;
            random /= 36;
            id.push(char::from_digit(digit, 36).unwrap_or('0'));
        }
        RequestId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the value of `X-Request-Id`.
    pub fn header_value(&self) -> HeaderValue {
        // Both ways to an id allow visible ASCII only.
        HeaderValue::try_from(self.as_str()).unwrap_or(HeaderValue::from_static("invalid"))
    }
}

fn is_valid(id: &[u8]) -> bool {
    (1..=LENGTH_MAX).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Ids need to differ, not to be secret, so a keyed hash of a counter spares a system call per request.
fn random() -> u64 {
    static KEY: OnceLock<std::hash::RandomState> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    KEY.get_or_init(std::hash::RandomState::new)
        .hash_one(NEXT.fetch_add(1, Ordering::Relaxed))
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn accept(id: &[u8]) -> RequestId {
        RequestId::accept(Some(&HeaderValue::from_bytes(id).unwrap()))
    }

    #[test]
    fn a_harmless_id_is_kept_and_any_other_is_replaced() {
        assert_eq!(accept(b"Trace-1.2_x").as_str(), "Trace-1.2_x");
        assert_eq!(accept(&[b'a'; 128]).as_str().len(), 128);
        for hostile in [
            &b""[..],
            &[b'a'; 129],
            b"a b",
            b"a\tb",
            b"{\"x\"}",
            "\u{e9}".as_bytes(),
            b"\xff\xfe",
        ] {
            assert!(accept(hostile).as_str().starts_with("req_"), "{hostile:?}");
        }
    }

    #[test]
    fn a_made_id_names_time_and_differs() {
        let (a, b) = (RequestId::generate(), RequestId::generate());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), "req_20261122T101530Z_9f3kq2".len());
        assert!(is_valid(a.as_str().as_bytes()));
    }
}
