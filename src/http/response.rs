//! An answer: a status, headers and a body, and the few shapes most answers have.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::body::Body;

/// The answer to a request.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    compress: bool,
}

impl Response {
    /// An answer with a status and nothing else.
    pub fn new(status: StatusCode) -> Response {
        Response {
            status,
            headers: HeaderMap::new(),
            body: Body::empty(),
            compress: true,
        }
    }

    /// 200 with a JSON body.
    pub fn ok(view: &(impl Serialize + ?Sized)) -> Response {
        Response::json(StatusCode::OK, view)
    }

    /// 201 with the address of what was made, and the thing itself.
    pub fn created(location: &str, view: &(impl Serialize + ?Sized)) -> Response {
        let response = Response::json(StatusCode::CREATED, view);
        match HeaderValue::try_from(location) {
            Ok(value) => response.with_header(LOCATION, value),
            Err(_) => response,
        }
    }

    /// 202 with a JSON body: it is queued, and on disk.
    pub fn accepted(view: &(impl Serialize + ?Sized)) -> Response {
        Response::json(StatusCode::ACCEPTED, view)
    }

    /// 200 `{"status":"deleted"}`.
    pub fn deleted() -> Response {
        Response::ok(&json!({ "status": "deleted" }))
    }

    /// 204.
    pub fn no_content() -> Response {
        Response::new(StatusCode::NO_CONTENT)
    }

    /// Any status with a JSON body.
    pub fn json(status: StatusCode, view: &(impl Serialize + ?Sized)) -> Response {
        // Only a map with keys that are no strings fails here, which is a bug of the view and no input's doing; the
        // pipeline answers the panic as 500.
        let bytes = serde_json::to_vec(view).expect("a view is made of what JSON can say");
        Response::bytes(status, "application/json", bytes)
    }

    /// 200 with plain text.
    pub fn text(text: impl Into<Bytes>) -> Response {
        Response::bytes(StatusCode::OK, "text/plain; charset=utf-8", text)
    }

    /// Any bytes of a content type.
    pub fn bytes(
        status: StatusCode,
        content_type: &'static str,
        bytes: impl Into<Bytes>,
    ) -> Response {
        let mut response = Response::new(status);
        response
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.body = bytes.into().into();
        response
    }

    /// 200 whose body is sent as the stream yields it; never compressed.
    pub fn stream(
        content_type: &'static str,
        stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Response {
        let mut response = Response::new(StatusCode::OK);
        response
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.body = Body::stream(stream);
        response
    }

    /// The same answer with a header set.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Response {
        self.headers.insert(name, value);
        self
    }

    /// The same answer with one more `Set-Cookie`.
    pub fn with_cookie(mut self, cookie: HeaderValue) -> Response {
        self.headers.append(header::SET_COOKIE, cookie);
        self
    }

    /// The same answer, sent as it is whatever the client accepts.
    pub fn uncompressed(mut self) -> Response {
        self.compress = false;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Replaces the body; the headers stay as they are.
    pub fn set_body(&mut self, body: Body) {
        self.body = body;
    }

    pub(super) fn may_compress(&self) -> bool {
        self.compress
    }
}

impl From<Response> for hyper::Response<Body> {
    fn from(response: Response) -> hyper::Response<Body> {
        let mut answer = hyper::Response::new(response.body);
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers;
        answer
    }
}
