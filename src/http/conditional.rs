//! Answers that have a version: `ETag`, `Last-Modified`, `If-None-Match`, `If-Range`, `Range`; and files served so.

use std::fs::File;

use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::body::Body;
use super::error::{ApiError, ErrorCode};
use super::range::Range;
use super::request::Request;
use super::response::Response;

/// Whether the client holds this version already (`If-None-Match`, else `If-Modified-Since`): answer 304.
pub fn is_unchanged(headers: &HeaderMap, etag: &str, modified: Option<Timestamp>) -> bool {
    let mut tags = headers.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        // Weak comparison: what is compared is never sent.
        return tags
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(|tag| tag.trim())
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
    }
    let since = header(headers, IF_MODIFIED_SINCE).and_then(parse_http_date);
    match (since, modified) {
        (Some(since), Some(modified)) => modified.as_second() <= since.as_second(),
        _ => false,
    }
}

/// Whether a range may be cut from this version (`If-Range`). A date is too coarse to promise that, a tag is not.
fn range_applies(headers: &HeaderMap, etag: &str) -> bool {
    match headers.get(IF_RANGE) {
        None => true,
        Some(tag) => tag.as_bytes() == etag.as_bytes(),
    }
}

/// An instant as HTTP writes it, `Sun, 22 Nov 2026 10:15:30 GMT`.
pub fn http_date(at: Timestamp) -> Option<HeaderValue> {
    let text = rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .ok()?;
    HeaderValue::try_from(text).ok()
}

fn parse_http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A file, or the first bytes of one, as an answer: validators, 304, 206, 416. It is never compressed, because its tag
/// names these bytes.
///
/// ```no_run
/// # use skep::http::{FileAnswer, Request, Response, ApiError};
/// # fn f(req: &Request, file: std::fs::File, length: u64) -> Result<Response, ApiError> {
/// FileAnswer::new(file, length, "text/plain; charset=utf-8")
///     .etag("01939f-4711")
///     .cache_control("public, max-age=3600, immutable")
///     .answer(req)
/// # }
/// ```
pub struct FileAnswer {
    file: File,
    length: u64,
    etag: Option<String>,
    modified: Option<Timestamp>,
    headers: HeaderMap,
}

impl FileAnswer {
    /// The first `length` bytes of `file`.
    pub fn new(file: File, length: u64, content_type: &str) -> FileAnswer {
        let mut headers = HeaderMap::new();
        let octets = HeaderValue::from_static("application/octet-stream");
        let content_type = HeaderValue::try_from(content_type).unwrap_or(octets);
        headers.insert(CONTENT_TYPE, content_type);
        FileAnswer {
            file,
            length,
            etag: None,
            modified: None,
            headers,
        }
    }

    /// The strong tag of these bytes, without quotes. A file without one is served whole only.
    pub fn etag(mut self, tag: &str) -> FileAnswer {
        let tag: String = tag
            .chars()
            .filter(|c| c.is_ascii_graphic() && *c != '"')
            .collect();
        let tag = format!("\"{tag}\"");
        if let Ok(value) = HeaderValue::try_from(tag.as_str()) {
            self.headers.insert(ETAG, value);
            self.headers
                .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            self.etag = Some(tag);
        }
        self
    }

    /// When the bytes were last changed.
    pub fn modified(mut self, at: Timestamp) -> FileAnswer {
        if let Some(value) = http_date(at) {
            self.headers.insert(LAST_MODIFIED, value);
            self.modified = Some(at);
        }
        self
    }

    /// What caches may do with it.
    pub fn cache_control(mut self, text: &'static str) -> FileAnswer {
        self.headers
            .insert(CACHE_CONTROL, HeaderValue::from_static(text));
        self
    }

    /// A download under this name rather than something to look at; the name may be any text.
    pub fn attachment(self, name: &str) -> FileAnswer {
        self.disposition("attachment", name)
    }

    /// Something to look at, which keeps this name when it is saved.
    pub fn inline(self, name: &str) -> FileAnswer {
        self.disposition("inline", name)
    }

    fn disposition(mut self, kind: &str, name: &str) -> FileAnswer {
        let text = format!("{kind}; filename*=UTF-8''{}", encode_name(name));
        if let Ok(value) = HeaderValue::try_from(text) {
            self.headers.insert(CONTENT_DISPOSITION, value);
        }
        self
    }

    /// The answer to this request.
    pub fn answer(self, request: &Request) -> Result<Response, ApiError> {
        let asked = request.headers();
        if let Some(etag) = &self.etag
            && is_unchanged(asked, etag, self.modified)
        {
            return Ok(self.with_body(StatusCode::NOT_MODIFIED, Body::empty()));
        }
        let range = match &self.etag {
            Some(etag) if range_applies(asked, etag) => {
                Range::parse(header(asked, RANGE), self.length)
            }
            _ => Range::Whole,
        };
        let clone = |file: &File| file.try_clone().map_err(ApiError::internal);
        match range {
            Range::Whole => {
                let body = Body::file(clone(&self.file)?, 0, self.length);
                Ok(self.with_body(StatusCode::OK, body))
            }
            Range::Part { start, end } => {
                let body = Body::file(clone(&self.file)?, start, end - start + 1);
                let range = content_range(&format!("{start}-{end}"), self.length);
                let answer = self.with_body(StatusCode::PARTIAL_CONTENT, body);
                Ok(answer.with_header(CONTENT_RANGE, range))
            }
            Range::Unsatisfiable => Err(ApiError::new(
                ErrorCode::RangeNotSatisfiable,
                format!("There are {} bytes", self.length),
            )
            .header(CONTENT_RANGE, content_range("*", self.length))),
        }
    }

    fn with_body(self, status: StatusCode, body: Body) -> Response {
        let mut response = Response::new(status).uncompressed();
        *response.headers_mut() = self.headers;
        response.set_body(body);
        response
    }
}

fn content_range(part: &str, length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes {part}/{length}"))
        .unwrap_or(HeaderValue::from_static("bytes */0"))
}

/// RFC 8187: everything but the plainest characters as `%xx`, so no name can end the parameter or the header.
fn encode_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                text.push(byte as char);
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_version_the_client_holds_is_unchanged() {
        let unchanged = |value| is_unchanged(&headers(&[(IF_NONE_MATCH, value)]), "\"a\"", None);
        assert!(unchanged("\"a\""));
        assert!(unchanged("W/\"a\""));
        assert!(unchanged("\"x\", \"a\""));
        assert!(unchanged("*"));
        assert!(!unchanged("\"b\""));
        assert!(!unchanged("a"));
        assert!(!is_unchanged(&HeaderMap::new(), "\"a\"", None));
    }

    #[test]
    fn dates_count_only_when_there_is_no_tag() {
        let modified: Timestamp = "2026-11-22T10:15:30.7Z".parse().unwrap();
        let since = |value| headers(&[(IF_MODIFIED_SINCE, value)]);
        let same = "Sun, 22 Nov 2026 10:15:30 GMT";
        assert_eq!(http_date(modified).unwrap(), same);
        assert!(is_unchanged(&since(same), "\"a\"", Some(modified)));
        let earlier = since("Sun, 22 Nov 2026 10:15:29 GMT");
        assert!(!is_unchanged(&earlier, "\"a\"", Some(modified)));
        assert!(!is_unchanged(&since("yesterday"), "\"a\"", Some(modified)));
        let both = headers(&[(IF_MODIFIED_SINCE, same), (IF_NONE_MATCH, "\"b\"")]);
        assert!(!is_unchanged(&both, "\"a\"", Some(modified)));
    }

    #[test]
    fn a_range_is_cut_only_from_the_version_it_was_begun_with() {
        let with = |value| headers(&[(IF_RANGE, value)]);
        assert!(range_applies(&HeaderMap::new(), "\"a\""));
        assert!(range_applies(&with("\"a\""), "\"a\""));
        assert!(!range_applies(&with("W/\"a\""), "\"a\""));
        assert!(!range_applies(&with("\"b\""), "\"a\""));
        assert!(!range_applies(
            &with("Sun, 22 Nov 2026 10:15:30 GMT"),
            "\"a\""
        ));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            encode_name("a b\"\r\n;\u{e9}.txt"),
            "a%20b%22%0D%0A%3B%C3%A9.txt"
        );
    }
}
