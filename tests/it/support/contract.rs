//! The OpenAPI document, by which every answer that any test gets is judged: its status must be documented, and so
//! must its content type, its shape and the headers we add.

use std::sync::OnceLock;

use serde_json::Value;

use super::http::Answer;
use super::schema;
use super::sse::Event;

static DOCUMENT: OnceLock<Value> = OnceLock::new();

/// Headers that any answer may have: of the protocol, of the browser's safety, and of another origin's page.
const ANYWHERE: [&str; 16] = [
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "date",
    "vary",
    "allow",
    "cache-control",
    "set-cookie",
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-resource-policy",
    "x-accel-buffering",
    "strict-transport-security",
];

/// The document. A test holds the served one against it.
pub fn document() -> &'static Value {
    DOCUMENT.get_or_init(skep::api::openapi::document)
}

/// Headers that every answer of a deprecated route has.
const OF_DEPRECATED: [&str; 3] = ["deprecation", "sunset", "link"];

/// The operation that a method and a path mean.
pub fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let paths = document()["paths"].as_object()?;
    let fits = |pattern: &str| {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(name), Some(value)) if name.starts_with('{') && !value.is_empty() => {}
                (Some(literal), Some(value)) if literal == value => {}
                _ => return false,
            }
        }
    };
    // A literal before a value.
    let found = paths
        .iter()
        .filter(|(pattern, _)| fits(pattern))
        .min_by_key(|(pattern, _)| pattern.matches('{').count())?;
    let method = if method == "HEAD" { "GET" } else { method };
    found.1.get(method.to_lowercase())
}

/// Judges an answer. The body of a stream is judged event by event, elsewhere.
pub fn judge(method: &str, path: &str, answer: &Answer, has_body: bool) {
    let root = document();
    if let Err(fault) = judged(root, method, path, answer, has_body) {
        panic!("{method} {path} answers {} and {fault}", answer.status);
    }
}

fn judged(
    root: &Value,
    method: &str,
    path: &str,
    answer: &Answer,
    has_body: bool,
) -> Result<(), String> {
    let error = &root["components"]["schemas"]["Error"];
    let Some(operation) = operation(method, path) else {
        let is_json = answer.header("content-type") == Some("application/json");
        return match answer.status {
            // Other protocols' errors have their forms, which the routes' own documentation judges.
            400.. if path.starts_with("/v1") || path.starts_with("/mcp") => Ok(()),
            400.. if has_body && is_json => schema::check(error, &answer.json(), root, "body"),
            _ => Ok(()),
        };
    };
    if method == "OPTIONS" || is_of_no_route(answer) {
        return Ok(());
    }
    let response = &operation["responses"][answer.status.to_string()];
    let response = match response.get("$ref") {
        Some(reference) => schema::target(reference, root),
        None if response.is_null() => {
            return Err(format!("that is undocumented: {}", answer.text()));
        }
        None => response,
    };
    let documented = response["headers"].as_object();
    for (name, _) in &answer.headers {
        let is_known = ANYWHERE.contains(&name.to_lowercase().as_str())
            || name.to_lowercase().starts_with("access-control-")
            || (operation["deprecated"] == true && OF_DEPRECATED.contains(&name.as_str()))
            || documented.is_some_and(|known| known.keys().any(|k| k.eq_ignore_ascii_case(name)));
        if !is_known {
            return Err(format!("its header {name} is undocumented"));
        }
    }
    let Some(content) = response["content"].as_object() else {
        return Ok(());
    };
    if !has_body || answer.header("content-encoding").is_some() {
        return Ok(());
    }
    let found = answer.header("content-type").unwrap_or_default();
    let Some(content) = content.get(found).or(content.get("*/*")) else {
        return Err(format!("its content type {found:?} is undocumented"));
    };
    match content.get("schema") {
        Some(schema) if found == "application/json" => {
            schema::check(schema, &answer.json(), root, "body")
        }
        _ => Ok(()),
    }
}

/// What the protocol itself refuses, before there is a route: the document speaks of routes.
fn is_of_no_route(answer: &Answer) -> bool {
    matches!(answer.status, 405 | 505) || (answer.status == 400 && answer.headers.is_empty())
}

/// Judges an event of a stream.
pub fn judge_event(path: &str, event: &Event) {
    let root = document();
    let events = operation("GET", path)
        .map(|operation| &operation["responses"]["200"]["content"]["text/event-stream"])
        .and_then(|content| content["x-events"].as_array());
    // Whatever is streamed without a description of its events has none that could be wrong.
    let Some(events) = events else { return };
    let documented = events.iter().find(|known| known["event"] == *event.name);
    let documented = documented.unwrap_or_else(|| panic!("{path}: {} is undocumented", event.name));
    assert_eq!(documented["id"], event.id.is_some(), "{path}: {event:?}");
    schema::check(&documented["schema"], &event.data, root, &event.name)
        .unwrap_or_else(|fault| panic!("{path}: {fault}"));
}
