//! Which pages and names may reach this server: `Host` against DNS rebinding, `Origin` against other sites' scripts.

use std::net::IpAddr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Version};

use super::error::{ApiError, ErrorCode};
use super::response::Response;

const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What scripts of an allowed origin may send.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, \
    If-None-Match, Range, X-Request-Id";
/// What they may read.
const EXPOSED_HEADERS: &str = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, \
    Idempotent-Replayed, Link, Deprecation, Sunset, Location";
const MAX_AGE_S: &str = "600";

/// Who may ask: from which pages, and under which names.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Origins besides our own, as `https://example.com`.
    pub allowed: Vec<String>,
    /// The names this server goes by in public, without port.
    pub public_names: Vec<String>,
    /// The public name whose every port speaks TLS, for `Strict-Transport-Security`.
    pub https_only: Option<String>,
    /// Whether only loopback and the public names are taken as `Host`: the server listens on loopback.
    pub loopback_only: bool,
}

/// An origin from the list that asked; its answer may be read by that page.
#[derive(Debug, Clone)]
pub(super) struct CrossOrigin(HeaderValue);

impl Origins {
    /// Checks `Host`, then `Origin`, before anything else is done for the request.
    pub(super) fn check(&self, parts: &Parts) -> Result<Option<CrossOrigin>, ApiError> {
        let host = host(parts)?;
        if let Some(host) = host
            && self.loopback_only
            && !self.is_ours(host)
        {
            return Err(ApiError::new(
                ErrorCode::HostNotAllowed,
                "This server does not go by that name",
            ));
        }
        let Some(origin) = parts.headers.get(ORIGIN) else {
            return Ok(None);
        };
        let text = origin.to_str().unwrap_or("null");
        if self.allowed.iter().any(|allowed| allowed == text) {
            return Ok(Some(CrossOrigin(origin.clone())));
        }
        // Behind a proxy that ends TLS we cannot know our own scheme, so the authority alone decides.
        let authority = text.split_once("://").map(|(_, authority)| authority);
        match (authority, host) {
            (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(None),
            _ => Err(ApiError::new(
                ErrorCode::OriginNotAllowed,
                "Pages of that origin may not use this server",
            )),
        }
    }

    /// Whether browsers may be told to use nothing but TLS for the host of this request. They keep that for every port
    /// of it, so it takes the operator's word.
    pub(super) fn is_https_only(&self, parts: &Parts) -> bool {
        match (&self.https_only, host(parts)) {
            (Some(name), Ok(Some(host))) => without_port(host).eq_ignore_ascii_case(name),
            _ => false,
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || self
                .public_names
                .iter()
                .any(|public| public.eq_ignore_ascii_case(name))
    }

    /// Says to caches that another page may get another answer, also on the answers to pages of our own.
    pub(super) fn vary(&self, headers: &mut HeaderMap) {
        if !self.allowed.is_empty() {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// The sources that may show the console in a frame.
    pub(super) fn frame_ancestors(&self) -> String {
        let mut sources = vec!["'self'"];
        sources.extend(self.allowed.iter().map(String::as_str));
        sources.join(" ")
    }
}

/// The name the client called us by: the authority of an absolute address, else the one `Host` header. HTTP/1.1 has a
/// `Host` beside an absolute address passed over; in HTTP/2, where it says the same or nothing, another one is a fault
/// (RFC 9113, section 8.3.1).
fn host(parts: &Parts) -> Result<Option<&str>, ApiError> {
    if let Some(authority) = parts.uri.authority() {
        let is_same = |host: &HeaderValue| {
            let host = host.as_bytes();
            host.eq_ignore_ascii_case(authority.as_str().as_bytes())
        };
        if parts.version == Version::HTTP_2 && !parts.headers.get_all(HOST).iter().all(is_same) {
            return Err(ApiError::bad_request(
                "The Host header is not what :authority says",
            ));
        }
        return Ok(Some(authority.as_str()));
    }
    let mut lines = parts.headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (Some(host), None) => match host.to_str() {
            Ok(host) => Ok(Some(host)),
            Err(_) => Err(ApiError::bad_request("The Host header is not text")),
        },
        // Browsers always send it; simple probes over HTTP/1.0 do not.
        (None, _) if parts.version == Version::HTTP_10 => Ok(None),
        (None, _) => Err(ApiError::bad_request("The Host header is missing")),
        (Some(_), Some(_)) => Err(ApiError::bad_request("There is more than one Host header")),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether this is a browser asking before it sends the real request.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl CrossOrigin {
    /// Lets the page read the answer.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED_HEADERS),
        );
    }
}

/// Answers a preflight. What an allowed origin may send is the same for every path.
pub(super) fn preflight(allowed: bool) -> Response {
    let mut response = Response::no_content();
    if allowed {
        let headers = response.headers_mut();
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hyper::Request;

    fn check(origins: &Origins, host: &str, origin: Option<&str>) -> Result<bool, ErrorCode> {
        let mut request = Request::get("/").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        origins
            .check(&parts)
            .map(|cross| cross.is_some())
            .map_err(|error| error.code())
    }

    #[test]
    fn a_loopback_server_answers_to_loopback_and_its_public_name_only() {
        let origins = Origins {
            public_names: vec!["hive.example".to_owned()],
            loopback_only: true,
            ..Origins::default()
        };
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.1.2.3:1",
            "localhost",
            "LOCALHOST:3",
            "[::1]",
            "[::1]:8080",
            "hive.example",
            "hive.example:443",
        ] {
            assert_eq!(check(&origins, host, None), Ok(false), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.hive.example",
            "192.168.1.1",
            "10.0.0.1:8080",
            "localhost:80:80",
            "user@localhost",
        ] {
            assert_eq!(
                check(&origins, host, None),
                Err(ErrorCode::HostNotAllowed),
                "{host}"
            );
        }
        assert_eq!(check(&Origins::default(), "any.example", None), Ok(false));
    }

    #[test]
    fn another_origin_is_refused_unless_it_is_on_the_list() {
        let origins = Origins {
            allowed: vec!["https://app.example".to_owned()],
            ..Origins::default()
        };
        let from = |origin| check(&origins, "hive.example:8080", Some(origin));
        assert_eq!(from("http://hive.example:8080"), Ok(false));
        assert_eq!(from("https://hive.example:8080"), Ok(false));
        assert_eq!(from("https://app.example"), Ok(true));
        for origin in [
            "null",
            "",
            "http://hive.example",
            "http://hive.example:80800",
            "http://app.example",
            "https://app.example.evil",
            "https://evil.example",
        ] {
            assert_eq!(from(origin), Err(ErrorCode::OriginNotAllowed), "{origin}");
        }
    }
}
