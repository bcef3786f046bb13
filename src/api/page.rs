//! Lists: `?limit=`, `?cursor=` and the `Link` header.

use hyper::header::{HeaderValue, LINK};
use serde::Serialize;

use crate::http::{ApiError, Request, Response};
use crate::store::Cursor;

/// The most rows of a page, and how many there are when the client does not say.
pub const ROWS_MAX: usize = 1000;

/// Which page the client asks for.
pub struct PageQuery {
    /// How many rows at most.
    pub limit: usize,
    /// After which row.
    pub cursor: Option<Cursor>,
}

impl PageQuery {
    /// What the query says.
    pub fn of(req: &Request) -> Result<Self, ApiError> {
        let limit = req.query::<usize>("limit")?.unwrap_or(ROWS_MAX);
        if !(1..=ROWS_MAX).contains(&limit) {
            return Err(ApiError::bad_request(format!(
                "limit: must be 1 to {ROWS_MAX}"
            )));
        }
        let cursor = req
            .query_text("cursor")
            .filter(|text| !text.is_empty())
            .map(|text| {
                Cursor::decode(&text)
                    .ok_or_else(|| ApiError::bad_request("cursor: is none of ours"))
            });
        Ok(Self {
            limit,
            cursor: cursor.transpose()?,
        })
    }
}

/// A bare array, with a link to the next page where there is one.
pub fn answer<T: Serialize>(req: &Request, rows: &[T], next: Option<Cursor>) -> Response {
    linked(req, Response::ok(rows), next)
}

/// An answer with a link to the next page where there is one.
pub fn linked(req: &Request, response: Response, next: Option<Cursor>) -> Response {
    let Some(next) = next else { return response };
    let query = req.uri().query().unwrap_or_default();
    // A token in the query must not come back in a header.
    let kept = query.split('&').filter(|pair| {
        // Only names as we write them: `%74oken` is a token too.
        let name = pair.split('=').next().unwrap_or_default();
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            && !["", "cursor", "token"].contains(&name)
    });
    let cursor = format!("cursor={}", next.encode());
    let query: Vec<&str> = kept.chain([cursor.as_str()]).collect();
    let link = format!("<{}?{}>; rel=\"next\"", req.uri().path(), query.join("&"));
    match HeaderValue::try_from(link) {
        Ok(link) => response.with_header(LINK, link),
        Err(_) => response,
    }
}
