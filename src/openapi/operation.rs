//! One route as an operation.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{About, Types, curl, refusals};
use crate::http::doc::{AnswerDoc, BodyDoc, Content, EventDoc, QueryDoc, RouteDoc};
use crate::http::{Envelope, Policy, Route};

/// The headers of a file.
const OF_FILES: [&str; 5] = [
    "ETag",
    "Last-Modified",
    "Accept-Ranges",
    "Content-Disposition",
    "Cache-Control",
];

pub(super) fn operation<S>(
    about: &About<'_>,
    route: &Route<S>,
    types: &mut Types,
    shared: &mut Map<String, Value>,
) -> Value {
    let Route { policy, doc, .. } = route;
    let name = name(doc.handler);
    let mut operation = json!({
        "operationId": name,
        "summary": sentence(&name.replace('_', " ")),
        "description": description((about.says)(below_crate(doc.handler)).unwrap_or_default()),
        "tags": [tag(module(doc.handler))],
        "parameters": parameters(route, types),
        "responses": responses(route, types, shared),
        "security": security(policy),
        "x-scope": if policy.public { Value::Null } else { policy.scope.into() },
        "x-rate-limit": policy.is_limited().then_some(policy.rate),
        "x-codeSamples": [{ "lang": "Shell", "label": "curl", "source": curl::source(route) }],
    });
    if let Some(body) = &doc.body {
        operation["requestBody"] = request_body(body, types);
    }
    if policy.deprecated.is_some() {
        operation["deprecated"] = true.into();
    }
    operation
}

/// `skep::api::workers::list_workers` is `api::workers::list_workers` to us.
fn below_crate(handler: &str) -> &str {
    handler.split_once("::").map_or(handler, |(_, rest)| rest)
}

fn name(handler: &str) -> &str {
    handler.rsplit("::").next().unwrap_or(handler)
}

/// The path of the module that a handler is in.
pub(super) fn module(handler: &str) -> &str {
    below_crate(handler)
        .rsplit_once("::")
        .map_or("", |(module, _)| module)
}

/// What the operations of a module are called together, in words.
pub(super) fn tag(module: &str) -> String {
    name(module).replace('_', " ")
}

/// What stands after `--` in a handler's comment, and whatever follows.
fn description(comment: &str) -> String {
    sentence(
        comment
            .split_once(" -- ")
            .map_or("", |(_, rest)| rest)
            .trim(),
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.map_or_else(String::new, |first| first.chain(letters).collect())
}

fn security(policy: &Policy) -> Value {
    if policy.public {
        return json!([]);
    }
    let needs = [policy.scope];
    let mut ways = vec![json!({ "bearer": needs }), json!({ "token": needs })];
    if policy.cookie {
        ways.push(json!({ "cookie": needs }));
    }
    ways.into()
}

fn parameters<S>(route: &Route<S>, types: &mut Types) -> Vec<Value> {
    let Route { policy, doc, .. } = route;
    let mut found: Vec<Value> = route
        .values()
        .map(|name| {
            let schema = match name.ends_with("_id") {
                true => json!({ "type": "string", "format": "uuid" }),
                false => json!({ "type": "string", "minLength": 1 }),
            };
            json!({ "in": "path", "name": name, "required": true, "schema": schema })
        })
        .collect();
    found.extend(doc.query.iter().map(|query| of_query(query, types)));
    if doc.is_paged {
        found.push(json!({
            "in": "query", "name": "limit", "description": "The most rows of the answer.",
            "schema": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 1000 },
        }));
        found.push(json!({
            "in": "query", "name": "cursor",
            "description": "Where to go on: as the `Link` of the page before says.",
            "schema": { "type": "string" },
        }));
    }
    if policy.idempotent {
        found.push(json!({
            "in": "header", "name": "Idempotency-Key",
            "description": "Any text of your own. The same request with the same key has its effect once; the first answer is kept for 24 h.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }));
    }
    let is_stream = has(doc, |content| matches!(content, Content::Events(_)));
    // What begins something new has no place to go on from.
    if is_stream && route.method == Method::GET {
        let says = "The last id that was seen: everything stored after it is sent first. 0 is all there is; without it the stream begins now.";
        for (place, name) in [("header", "Last-Event-ID"), ("query", "last_event_id")] {
            found.push(json!({
                "in": place, "name": name, "description": says,
                "schema": { "type": "string" },
            }));
        }
    }
    if has(doc, |content| matches!(content, Content::File(_))) {
        for (name, says) in [
            ("Range", "Which bytes to send."),
            ("If-Range", "Sends the range only of this version."),
            ("If-None-Match", "Answers 304 if this is still the version."),
            ("If-Modified-Since", "Answers 304 if nothing changed since."),
        ] {
            found.push(json!({
                "in": "header", "name": name, "description": says, "schema": { "type": "string" },
            }));
        }
    }
    found
}

fn of_query(query: &QueryDoc, types: &mut Types) -> Value {
    let mut parameter = json!({
        "in": "query",
        "name": query.name,
        "description": query.says,
        "schema": (query.schema)(&mut types.taken),
    });
    if let Some(example) = query.example {
        parameter["required"] = true.into();
        parameter["example"] = example.into();
    }
    parameter
}

fn has(doc: &RouteDoc, is: impl Fn(&Content) -> bool) -> bool {
    doc.answers.iter().any(|answer| is(&answer.content))
}

fn request_body(body: &BodyDoc, types: &mut Types) -> Value {
    match body {
        BodyDoc::Json {
            schema,
            example,
            is_optional,
        } => json!({
            "required": !is_optional,
            "content": { "application/json": {
                "schema": schema(&mut types.taken),
                // A test finds an example that is none.
                "example": serde_json::from_str::<Value>(example).unwrap_or_default(),
            } },
        }),
        BodyDoc::File { part } => json!({
            "required": true,
            "content": { "multipart/form-data": { "schema": {
                "type": "object",
                "properties": { *part: { "type": "string", "format": "binary" } },
                "required": [part],
            } } },
        }),
    }
}

fn responses<S>(route: &Route<S>, types: &mut Types, shared: &mut Map<String, Value>) -> Value {
    let mut all = Map::new();
    for answer in &route.doc.answers {
        let status = answer.status.as_str().to_owned();
        let one = response(route, answer, types);
        match all.get_mut(&status) {
            // One status in two forms, as the request asks.
            Some(other) => merge(other, one),
            None => {
                all.insert(status, one);
            }
        }
        if let Content::File(content_type) = answer.content {
            let mut part = response(route, answer, types);
            part["description"] = "The part that was asked for.".into();
            part["headers"]["Content-Range"] = header("Content-Range");
            part["content"] = json!({ content_type: {} });
            all.insert("206".to_owned(), part);
            let mut names = headers_of_all(&route.policy);
            names.extend(OF_FILES);
            let headers = headers(&names);
            let unchanged =
                json!({ "description": "It is still that version.", "headers": headers });
            all.insert("304".to_owned(), unchanged);
        }
    }
    let envelope = Envelope::of(route.pattern);
    for (status, codes) in refusals::of(route) {
        let key = status.as_str();
        let refusal = refusals::response(envelope, status, &codes, shared);
        match all.get_mut(key) {
            // One status with two shapes: what the route itself answers, or why it does not.
            Some(answer) => {
                let content = &mut answer["content"]["application/json"];
                let one = content["schema"].take();
                content["schema"] = json!({ "anyOf": [one, refusals::schema(envelope, &codes)] });
            }
            None => {
                all.insert(key.to_owned(), refusal);
            }
        }
    }
    all.into()
}

/// Adds what another form of an answer has.
fn merge(answer: &mut Value, other: Value) {
    for part in ["headers", "content"] {
        if let (Some(all), Some(more)) = (answer[part].as_object_mut(), other[part].as_object()) {
            all.extend(more.clone());
        }
    }
    if let (Some(says), Some(more)) = (
        answer["description"].as_str(),
        other["description"].as_str(),
    ) {
        answer["description"] = format!("{says}, or: {more}").into();
    }
}

/// The headers that every answer of a route may have.
fn headers_of_all(policy: &Policy) -> Vec<&'static str> {
    let mut names = vec!["X-Request-Id"];
    if policy.is_limited() {
        names.extend(["RateLimit", "RateLimit-Policy"]);
    }
    if policy.deprecated.is_some() {
        names.extend(["Deprecation", "Sunset", "Link"]);
    }
    names
}

fn response<S>(route: &Route<S>, answer: &AnswerDoc, types: &mut Types) -> Value {
    let Route { policy, doc, .. } = route;
    let mut names = headers_of_all(policy);
    if answer.status.as_u16() == 201 {
        names.push("Location");
    }
    if doc.is_paged {
        names.push("Link");
    }
    if policy.idempotent {
        names.push("Idempotent-Replayed");
    }
    let (says, content) = match &answer.content {
        Content::Json(schema) => {
            let schema = schema(&mut types.answered);
            ("", json!({ "application/json": { "schema": schema } }))
        }
        Content::Status(word) => {
            let schema = json!({
                "type": "object",
                "properties": { "status": { "const": word } },
                "required": ["status"],
            });
            ("", json!({ "application/json": { "schema": schema } }))
        }
        Content::Nothing => ("", Value::Null),
        Content::File(content_type) => {
            names.extend(OF_FILES);
            ("All of it.", json!({ *content_type: {} }))
        }
        Content::Bytes(content_type) => {
            names.extend(["Content-Disposition", "Cache-Control"]);
            ("The bytes, as they come.", json!({ *content_type: {} }))
        }
        Content::Events(events) => {
            let events: Vec<Value> = events(&mut types.answered).into_iter().map(event).collect();
            // No schema: some take it for the body's, others for each event's.
            let content = json!({ "text/event-stream": { "x-events": events } });
            (
                "Events (server-sent), each of them with the data that `x-events` says. The answer stays open; a comment every 15 s says that it lives.",
                content,
            )
        }
    };
    let says = match says {
        "" => answer.status.canonical_reason().unwrap_or_default(),
        says => says,
    };
    let mut response = json!({ "description": says, "headers": headers(&names) });
    if !content.is_null() {
        response["content"] = content;
    }
    response
}

fn event(event: EventDoc) -> Value {
    json!({
        "event": event.name,
        "id": event.is_stored,
        "description": event.says,
        "schema": event.data,
    })
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

pub(super) fn headers<'n>(names: impl IntoIterator<Item = &'n &'n str>) -> Value {
    let headers = names
        .into_iter()
        .map(|name| ((*name).to_owned(), header(name)));
    Value::Object(headers.collect())
}
