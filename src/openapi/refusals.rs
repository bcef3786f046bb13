//! Why a route may say no: what follows from its policy, its path and what it takes, and what it says itself.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::operation::headers;
use crate::http::ErrorCode::{self, *};
use crate::http::doc::{BodyDoc, Content};
use crate::http::{Envelope, Route};

/// Every code by its status.
pub(super) fn of<S>(route: &Route<S>) -> BTreeMap<StatusCode, Vec<ErrorCode>> {
    let Route { policy, doc, .. } = route;
    // Whatever the route: these are said before it is known, or because the server is not well.
    let mut codes = vec![
        OriginNotAllowed,
        HostNotAllowed,
        PayloadTooLarge,
        UriTooLong,
        HeadersTooLarge,
        Internal,
        Overloaded,
        ShuttingDown,
    ];
    if policy.is_limited() {
        codes.push(RateLimited);
    }
    if !policy.public {
        codes.extend([MissingToken, InvalidToken, ExpiredToken]);
        if policy.scope != "read" {
            codes.push(Forbidden);
        }
    }
    if route.values().next().is_some() {
        codes.push(NotFound);
    }
    let streams = |content: &Content| matches!(content, Content::Events(_));
    if !doc.query.is_empty() || doc.is_paged || doc.answers.iter().any(|a| streams(&a.content)) {
        codes.push(BadRequest);
    }
    match &doc.body {
        Some(BodyDoc::Json { .. }) => {
            codes.extend([
                InvalidJson,
                BadRequest,
                UnsupportedMediaType,
                ValidationFailed,
            ]);
        }
        Some(BodyDoc::File { .. }) => codes.extend([BadRequest, UnsupportedMediaType]),
        None => {}
    }
    if doc
        .answers
        .iter()
        .any(|answer| matches!(answer.content, Content::File(_)))
    {
        codes.push(RangeNotSatisfiable);
    }
    if policy.makes.is_some() {
        codes.push(TierLimit);
    }
    if policy.feature.is_some() {
        codes.push(LicenseFeatureRequired);
    }
    if policy.idempotent {
        codes.extend([BadRequest, IdempotencyInProgress, IdempotencyKeyReused]);
    }
    if route.method != Method::GET {
        codes.extend([StorageFull, ReadOnly]);
    }
    codes.extend(&doc.refusals);
    let mut by_status: BTreeMap<StatusCode, Vec<ErrorCode>> = BTreeMap::new();
    // In the order of the contract, each of them once.
    for code in ErrorCode::ALL.iter().filter(|code| codes.contains(code)) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
}

/// A reference to the answer with these codes, which routes share.
pub(super) fn response(
    envelope: Envelope,
    status: StatusCode,
    codes: &[ErrorCode],
    shared: &mut Map<String, Value>,
) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let protocol = match envelope {
        Envelope::Own => "",
        Envelope::OpenAi => "openai.",
        Envelope::JsonRpc => "jsonrpc.",
    };
    let name = format!("{protocol}{}.{}", status.as_str(), words.join("."));
    let reference = json!({ "$ref": format!("#/components/responses/{name}") });
    shared.entry(name).or_insert_with(|| {
        // Also where there is no limit: such a header may always be missing.
        let mut names = vec!["X-Request-Id", "RateLimit", "RateLimit-Policy"];
        match status {
            StatusCode::UNAUTHORIZED => names.push("WWW-Authenticate"),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                names.push("Retry-After");
            }
            StatusCode::RANGE_NOT_SATISFIABLE => names.push("Content-Range"),
            StatusCode::CONFLICT if codes.contains(&IdempotencyInProgress) => {
                names.push("Retry-After");
            }
            _ => {}
        }
        if codes.contains(&IdempotencyInProgress) {
            names.push("Retry-After");
        }
        if envelope == Envelope::OpenAi {
            names.push("X-Should-Retry");
        }
        json!({
            "description": words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            "headers": headers(&names),
            "content": { "application/json": { "schema": schema(envelope, codes) } },
        })
    });
    reference
}

pub(super) fn schema(envelope: Envelope, codes: &[ErrorCode]) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let text = json!({ "type": "string" });
    match envelope {
        Envelope::Own => json!({
            "$ref": "#/components/schemas/Error",
            "properties": { "error": { "enum": words } },
        }),
        Envelope::OpenAi => json!({
            "type": "object",
            "properties": { "error": {
                "type": "object",
                "properties": {
                    "message": text, "type": text, "param": { "type": ["string", "null"] },
                    "code": { "enum": words }, "details": {}, "requestId": text,
                },
                "required": ["message", "type", "param", "code", "requestId"],
            } },
            "required": ["error"],
        }),
        Envelope::JsonRpc => json!({
            "type": "object",
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "error": {
                    "type": "object",
                    "properties": {
                        "code": { "type": "integer" }, "message": text,
                        "data": {
                            "type": "object",
                            "properties": { "error": { "enum": words }, "requestId": text },
                            "required": ["error", "requestId"],
                        },
                    },
                    "required": ["code", "message", "data"],
                },
            },
            "required": ["jsonrpc", "error"],
        }),
    }
}
