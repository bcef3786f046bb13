//! A request as a handler sees it: path values, query, JSON, multipart, cookies, and who asks from where.
//!
//! Everything read from here is hostile until it is parsed; every failure is an [`ApiError`] that names what is wrong.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Uri};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use tokio_util::sync::CancellationToken;

use super::error::{ApiError, ErrorCode};
use super::idempotency::{self, Once};
use super::request_body::RequestBody;
use super::request_id::RequestId;
use super::router::{PathValues, Policy};

/// A request that found its route.
pub struct Request {
    pub(super) parts: Parts,
    pub(super) body: RequestBody,
    pub(super) values: PathValues,
    pub(super) policy: Policy,
    pub(super) peer: IpAddr,
    pub(super) own_origin: bool,
    pub(super) once: Option<Once>,
    pub(super) id: RequestId,
    pub(super) closing: CancellationToken,
    pub(super) left: CancellationToken,
}

impl Request {
    /// The method; `GET` for a `HEAD` request too.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The address as the client wrote it. Its query may hold a token, so it never goes to a log.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// A header's text, if it is there and is text.
    pub fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.parts.headers.get(name.into())?.to_str().ok()
    }

    /// The address of the other end of the connection.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether a page of ours asked, by its `Origin`. Where a cookie changes something, only that counts.
    pub fn is_own_origin(&self) -> bool {
        self.own_origin
    }

    /// The id of this request, as the client and the log know it.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// What the route table says about this route.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The idempotency key, where the route honours one and the request brings it.
    pub fn once(&self) -> Option<&Once> {
        self.once.as_ref()
    }

    /// Takes the body in, so that it can be told from another one. A multipart body stays outside: it is as large as
    /// its file, and its boundary is another one each time.
    pub(super) async fn take_fingerprint(&mut self) -> Result<Option<[u8; 32]>, ApiError> {
        let essence = self
            .header(CONTENT_TYPE)
            .map(media_type)
            .unwrap_or_default();
        if essence.eq_ignore_ascii_case("multipart/form-data") {
            return Ok(None);
        }
        let bytes = self.bytes().await?;
        let fingerprint = idempotency::fingerprint(&bytes);
        self.body = RequestBody::whole(bytes);
        Ok(Some(fingerprint))
    }

    /// Cancelled when the server goes down: an answer that stays open ends then.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Cancelled when the client hangs up before it is answered. A handler that may change something goes on then; one
    /// whose work is for this client alone may end it.
    pub fn left(&self) -> &CancellationToken {
        &self.left
    }

    /// What an earlier step found out about this request, by its type.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.parts.extensions.get()
    }

    /// Leaves something for later steps, by its type.
    pub fn insert_extension<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.parts.extensions.insert(value);
    }

    /// A value of the path, percent-decoded. One that does not parse names nothing that exists, hence 404.
    pub fn path<T: FromStr>(&self, name: &str) -> Result<T, ApiError> {
        self.values
            .get(name)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| ApiError::not_found(name.strip_suffix("_id").unwrap_or("resource")))
    }

    /// A query parameter; the first of its name counts, unknown ones are ignored. One that does not parse is 400.
    pub fn query<T>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr<Err: Display>,
    {
        let Some(text) = self.query_text(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|why| {
            ApiError::bad_request(format!("Query parameter {name}: {why}"))
                .details(serde_json::json!({ "parameter": name }))
        })
    }

    /// A query parameter as text.
    pub fn query_text(&self, name: &str) -> Option<String> {
        query_pairs(self.parts.uri.query()?)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim_matches('"'))
    }

    /// The token this request brings: `Authorization: Bearer`, else `?token=`. An `Authorization` of another form is
    /// refused rather than passed over, because the header wins.
    pub fn token(&self) -> Result<Option<Cow<'_, str>>, ApiError> {
        let Some(value) = self.parts.headers.get(AUTHORIZATION) else {
            return Ok(self
                .query_text("token")
                .filter(|token| !token.is_empty())
                .map(Cow::Owned));
        };
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        match token {
            Some(token) if !token.is_empty() => Ok(Some(Cow::Borrowed(token))),
            _ => Err(ApiError::invalid_token()),
        }
    }

    /// The JSON body, whole and parsed.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        self.json_optional().await?.ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidJson,
                "The body is empty; JSON is expected",
            )
        })
    }

    /// The JSON body, or nothing when there is no body at all.
    pub async fn json_optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        if self.body.is_empty() {
            return Ok(None);
        }
        let essence = self.header(CONTENT_TYPE).map(media_type);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(ApiError::unsupported_media_type("application/json"));
        }
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        parse_json(&bytes).map(Some)
    }

    /// The whole body, bounded by the route's limit.
    pub async fn bytes(&mut self) -> Result<Bytes, ApiError> {
        let Some(first) = self.body.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.body.next().await.transpose()? else {
            return Ok(first);
        };
        let mut all = BytesMut::with_capacity(first.len() + second.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.body.next().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The parts of a `multipart/form-data` body as they arrive. Field errors become answers with `?`.
    pub fn multipart(&mut self) -> Result<multer::Multipart<'static>, ApiError> {
        let expected = || ApiError::unsupported_media_type("multipart/form-data with a boundary");
        let content_type = self.header(CONTENT_TYPE).ok_or_else(expected)?;
        let boundary = multer::parse_boundary(content_type).map_err(|_| expected())?;
        let body = self.body.detach();
        let limit = multer::SizeLimit::new().per_field(self.policy.body_bytes_max);
        let constraints = multer::Constraints::new().size_limit(limit);
        Ok(multer::Multipart::with_constraints(
            body,
            boundary,
            constraints,
        ))
    }
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| (error.path().to_string(), error.into_inner()))
        .and_then(|value| match parser.end() {
            Ok(()) => Ok(value),
            Err(error) => Err((String::new(), error)),
        });
    // serde would take an array for an object, its items as the fields in the order of our source.
    if parsed.is_ok() && bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bad_request("The body: an object is expected"));
    }
    parsed.map_err(|(path, error)| {
        // A wrong type may be found before the place where the text stops being JSON at all.
        let error = match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => error,
            Err(error) => error,
        };
        match error.classify() {
            Category::Data if path.is_empty() || path == "." => {
                ApiError::bad_request(format!("The body: {error}"))
            }
            Category::Data => ApiError::bad_request(format!("{path}: {error}"))
                .details(serde_json::json!({ "field": path })),
            _ => ApiError::new(
                ErrorCode::InvalidJson,
                format!("The body is not JSON: {error}"),
            )
            .details(serde_json::json!({ "line": error.line(), "column": error.column() })),
        }
    })
}

/// The decoded pairs of a query string.
fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_query(key), decode_query(value))
        })
}

fn decode_query(text: &str) -> String {
    let spaced = text.replace('+', " ");
    String::from_utf8_lossy(&percent_decode(&spaced)).into_owned()
}

/// Replaces `%xx` by its byte and leaves a `%` that is none alone.
pub(super) fn percent_decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|digit| (*digit as char).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Shape {
        name: String,
        tags: Option<Vec<String>>,
    }

    fn refusal(json: &str) -> (ErrorCode, String) {
        let error = parse_json::<Shape>(json.as_bytes()).unwrap_err();
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn broken_json_is_told_from_json_of_the_wrong_shape() {
        for broken in [
            "{",
            "nul",
            "{\"name\":\"a\"} x",
            "\u{feff}{}",
            &"[".repeat(100_000),
        ] {
            assert_eq!(refusal(broken).0, ErrorCode::InvalidJson);
        }
        assert!(refusal("{\n \"name\": x}").1.contains("line 2 column"));
        let (code, message) = refusal("{\"name\":5}");
        assert_eq!(code, ErrorCode::BadRequest);
        assert!(message.starts_with("name: "), "{message}");
        assert!(refusal("{}").1.contains("`name`"));
        assert!(
            refusal("{\"name\":\"a\",\"tags\":[1]}")
                .1
                .starts_with("tags[0]: ")
        );
        for no_object in ["[]", "[\"a\", null]", "null", "5"] {
            assert_eq!(refusal(no_object).0, ErrorCode::BadRequest, "{no_object}");
        }
        assert!(parse_json::<Shape>(b"{\"name\":\"a\",\"unknown\":1}").is_ok());
    }

    #[test]
    fn a_query_is_decoded_and_survives_any_text() {
        let pairs: Vec<_> =
            query_pairs("a=1&&b=x+y%20z&c&%C3%A9=%E2%82%AC&d=%&e=%zz&f=%ff=&").collect();
        let expected = [
            ("a", "1"),
            ("b", "x y z"),
            ("c", ""),
            ("\u{e9}", "\u{20ac}"),
            ("d", "%"),
            ("e", "%zz"),
            ("f", "\u{fffd}="),
        ];
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(pairs, expected);
    }
}
