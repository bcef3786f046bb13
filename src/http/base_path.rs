//! A path below which everything is, when a proxy serves other things beside it.
//!
//! It is taken off each request before anything looks at its path, and put before each path that an answer names. A
//! request without it is taken as it is: some proxies take it off themselves, and probes come straight.

use bytes::Bytes;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue, LINK, LOCATION};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;

use super::response::Response;

/// `/skep`, or nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct BasePath(String);

impl BasePath {
    pub(super) fn new(path: &str) -> BasePath {
        BasePath(path.to_owned())
    }

    /// Takes the base off the request's path. The base alone, without its slash, is answered with where to go.
    pub(super) fn take_off(&self, parts: &mut Parts) -> Option<Response> {
        if self.0.is_empty() {
            return None;
        }
        let rest = parts.uri.path().strip_prefix(self.0.as_str())?;
        if rest.is_empty() {
            let status = hyper::StatusCode::PERMANENT_REDIRECT;
            let there = HeaderValue::from_static("/");
            return Some(Response::new(status).with_header(LOCATION, there));
        }
        if !rest.starts_with('/') {
            return None;
        }
        let both = parts.uri.path_and_query()?.as_str();
        let rest = Bytes::copy_from_slice(&both.as_bytes()[self.0.len()..]);
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        uri.path_and_query = PathAndQuery::from_maybe_shared(rest).ok();
        parts.uri = Uri::from_parts(uri).unwrap_or_default();
        None
    }

    /// Puts the base before the paths that headers name.
    pub(super) fn put_on(&self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        if let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok())
            && location.starts_with('/')
            && let Ok(value) = HeaderValue::try_from(format!("{}{location}", self.0))
        {
            headers.insert(LOCATION, value);
        }
        let links: Vec<HeaderValue> = headers.get_all(LINK).iter().cloned().collect();
        if links.is_empty() {
            return;
        }
        headers.remove(LINK);
        for link in links {
            let moved = link
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix("</"))
                .and_then(|rest| HeaderValue::try_from(format!("<{}/{rest}", self.0)).ok());
            headers.append(LINK, moved.unwrap_or(link));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn taken(base: &str, uri: &str) -> (String, bool) {
        let request = hyper::Request::get(uri).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let redirected = BasePath::new(base).take_off(&mut parts).is_some();
        (parts.uri.to_string(), redirected)
    }

    #[test]
    fn the_base_is_taken_off_and_nothing_else() {
        for (base, uri, rest) in [
            ("", "/skep/api", "/skep/api"),
            ("/skep", "/skep/", "/"),
            ("/skep", "/skep/api/me?a=/skep/b", "/api/me?a=/skep/b"),
            ("/skep", "/skep/skep/api", "/skep/api"),
            ("/skep", "/api/me", "/api/me"),
            ("/skep", "/skepper", "/skepper"),
            ("/skep", "http://h:1/skep/x", "http://h:1/x"),
            ("/a/b", "/a/b/c", "/c"),
        ] {
            assert_eq!(taken(base, uri), (rest.to_owned(), false), "{base} {uri}");
        }
        assert!(taken("/skep", "/skep").1);
        assert!(taken("/skep", "/skep?a=b").1);
    }

    #[test]
    fn paths_in_headers_get_the_base() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/api/workers/1"));
        for link in [
            "</api/x?cursor=1>; rel=\"next\"",
            "<https://e.org/>; rel=\"deprecation\"",
        ] {
            headers.append(LINK, HeaderValue::from_static(link));
        }
        BasePath::new("/skep").put_on(&mut headers);
        assert_eq!(headers[LOCATION], "/skep/api/workers/1");
        let links: Vec<_> = headers.get_all(LINK).iter().collect();
        assert_eq!(links[0], "</skep/api/x?cursor=1>; rel=\"next\"");
        assert_eq!(links[1], "<https://e.org/>; rel=\"deprecation\"");
    }
}
