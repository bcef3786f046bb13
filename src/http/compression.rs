//! `br` and `gzip` for text that is worth it.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    VARY,
};

use super::response::Response;

/// Below this, headers outweigh the gain.
const BYTES_MIN: usize = 1024;
/// Up to this size an answer is compressed where it is; above, on the blocking pool, so that others are not held up.
const INLINE_BYTES_MAX: usize = 32 * 1024;
/// 256 KiB of window: larger ones cost memory and gain nothing at the sizes we send.
const BROTLI_WINDOW_BITS: u32 = 18;

/// A content coding we can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
}

/// How long to search for a smaller result.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effort {
    /// For an answer that is sent once.
    Fast,
    /// For a file that is compressed once and sent often.
    Thorough,
}

impl Encoding {
    /// The coding the client likes best, and of those it likes the same the smaller one; `None` is none at all. What
    /// says that it takes neither these nor plain bytes is sent plain bytes.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Encoding> {
        let wanted = Wanted::of(headers);
        let identity = wanted.identity.unwrap_or(0);
        let gzip = (wanted.weight(wanted.gzip), Encoding::Gzip);
        let brotli = (wanted.weight(wanted.brotli), Encoding::Brotli);
        let (weight, encoding) = if gzip.0 > brotli.0 { gzip } else { brotli };
        (weight > 0 && weight >= identity).then_some(encoding)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Brotli => "br",
            Encoding::Gzip => "gzip",
        }
    }

    /// The bytes in this coding.
    pub(super) fn compress(self, bytes: &[u8], effort: Effort) -> io::Result<Vec<u8>> {
        let out = Vec::with_capacity(bytes.len() / 3);
        match self {
            Encoding::Brotli => {
                let quality = match effort {
                    Effort::Fast => 3,
                    Effort::Thorough => 9,
                };
                let mut writer =
                    brotli::CompressorWriter::new(out, 4096, quality, BROTLI_WINDOW_BITS);
                writer.write_all(bytes)?;
                writer.flush()?;
                Ok(writer.into_inner())
            }
            Encoding::Gzip => {
                let level = match effort {
                    Effort::Fast => 2,
                    Effort::Thorough => 9,
                };
                let mut writer = GzEncoder::new(out, flate2::Compression::new(level));
                writer.write_all(bytes)?;
                writer.finish()
            }
        }
    }
}

/// What `Accept-Encoding` says of the codings we know, in thousandths (RFC 9110, 12.5.3).
#[derive(Default)]
struct Wanted {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Of every coding that is not named.
    others: Option<u16>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Wanted {
        let mut wanted = Wanted::default();
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        for item in lines.flat_map(|line| line.split(',')) {
            let (coding, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
            let Some(weight) = weight(parameter) else {
                continue;
            };
            let place = match coding.trim().to_ascii_lowercase().as_str() {
                "br" => &mut wanted.brotli,
                "gzip" | "x-gzip" => &mut wanted.gzip,
                "identity" => &mut wanted.identity,
                "*" => &mut wanted.others,
                _ => continue,
            };
            *place = Some(weight);
        }
        wanted
    }

    fn weight(&self, named: Option<u16>) -> u16 {
        named.or(self.others).unwrap_or(0)
    }
}

/// A weight as the grammar has it, from `q=0` to `q=1` with up to three digits. What is no weight refuses nothing and
/// asks for nothing.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.trim().split_once('=')?;
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    let is_number = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !name.eq_ignore_ascii_case("q") || !is_number {
        return None;
    }
    let thousandths: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Compresses an answer that is whole, text, large enough and not bound to its exact bytes by a tag or a range.
pub(super) async fn compress(accepted: Option<Encoding>, response: &mut Response) {
    let Some(bytes) = response.body().as_bytes() else {
        return;
    };
    let set = response.headers();
    let fits = response.may_compress()
        && bytes.len() > BYTES_MIN
        && set.get(CONTENT_TYPE).is_some_and(is_text)
        && !set.contains_key(CONTENT_ENCODING)
        && !set.contains_key(CONTENT_RANGE)
        && !set.contains_key(ETAG);
    if !fits {
        return;
    }
    let bytes = bytes.clone();
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(encoding) = accepted else {
        return;
    };
    if let Some(smaller) = compressed(encoding, bytes, Effort::Fast).await {
        response.set_body(smaller.into());
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
}

/// The bytes in this coding, unless that fails or is no gain.
pub(super) async fn compressed(encoding: Encoding, bytes: Bytes, effort: Effort) -> Option<Bytes> {
    let length = bytes.len();
    let work = move || encoding.compress(&bytes, effort);
    let result = match (effort, length <= INLINE_BYTES_MAX) {
        (Effort::Fast, true) => work(),
        _ => tokio::task::spawn_blocking(work).await.ok()?,
    };
    result
        .ok()
        .filter(|smaller| smaller.len() < length)
        .map(Bytes::from)
}

/// Whether a content type is text, whatever its parameters.
pub(super) fn is_text(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    (essence.starts_with("text/") && essence != "text/event-stream")
        || matches!(
            essence,
            "application/json"
                | "application/javascript"
                | "application/manifest+json"
                | "application/xml"
                | "image/svg+xml"
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;

    #[test]
    fn the_better_coding_the_client_takes_is_chosen() {
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Some(Encoding::Brotli)),
            ("gzip", Some(Encoding::Gzip)),
            ("GZIP", Some(Encoding::Gzip)),
            ("Gzip;Q=0.3, BR;q=0", Some(Encoding::Gzip)),
            ("x-gzip", Some(Encoding::Gzip)),
            ("br;q=0, gzip;q=0.1", Some(Encoding::Gzip)),
            ("br;q=0.1,gzip ; q=0.2", Some(Encoding::Gzip)),
            ("br;q=0.001, gzip;q=0.001", Some(Encoding::Brotli)),
            ("br; q=0.0", None),
            ("br;q=0.000", None),
            ("*", Some(Encoding::Brotli)),
            ("br;q=0, *", Some(Encoding::Gzip)),
            ("gzip, *;q=0", Some(Encoding::Gzip)),
            ("gzip;q=0.5, *;q=0.4", Some(Encoding::Gzip)),
            ("gzip;q=0, *;q=0", None),
            ("identity", None),
            ("identity;q=0", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Encoding::Gzip)),
            ("identity;q=0, gzip;q=0.5", Some(Encoding::Gzip)),
            ("br;q=1.000", Some(Encoding::Brotli)),
            // No weight at all.
            ("br;q=2", None),
            ("br;q=1.001, gzip", Some(Encoding::Gzip)),
            ("br;q=0.1234, gzip;q=+1, *;q=0.é", None),
            ("br;q=NaN, gzip;level=9", None),
            (";q=1, ,;", None),
            ("brotli, gzipped", None),
            ("", None),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.clone())]);
            assert_eq!(Encoding::accepted(&headers), expected, "{value:?}");
        }
        assert_eq!(Encoding::accepted(&HeaderMap::new()), None);
        let mut lines = HeaderMap::new();
        lines.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        lines.append(ACCEPT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(Encoding::accepted(&lines), Some(Encoding::Brotli));
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let text = "a worker does real work. ".repeat(400);
        for effort in [Effort::Fast, Effort::Thorough] {
            let small = Encoding::Brotli.compress(text.as_bytes(), effort).unwrap();
            let mut back = String::new();
            brotli::Decompressor::new(&small[..], 4096)
                .read_to_string(&mut back)
                .unwrap();
            assert!(back == text && small.len() < text.len() / 10);
            let small = Encoding::Gzip.compress(text.as_bytes(), effort).unwrap();
            let mut back = String::new();
            flate2::read::GzDecoder::new(&small[..])
                .read_to_string(&mut back)
                .unwrap();
            assert!(back == text && small.len() < text.len() / 10);
        }
    }
}
