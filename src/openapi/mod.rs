//! The OpenAPI 3.1 document, made of the table of routes.
//!
//! - **Owns** what the document says: how a route, its policy and its types become an operation with every answer it can
//!   give. Whatever follows from the policy is derived here, so that no route says it twice.
//! - **Must never know** a noun of the product, or a handler.
//! - **Start reading at** [`document`]; then [`operation`](self::operation), then [`refusals`](self::refusals).

mod curl;
mod example;
mod operation;
mod refusals;

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http::{ErrorCode, Route};

/// What is not in the table of routes.
pub struct About<'a> {
    /// The name of the program.
    pub title: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What holds for every operation, Markdown.
    pub description: &'a str,
    /// What the code says of a handler, or of the module it is in, by its path.
    pub says: &'a dyn Fn(&str) -> Option<&'static str>,
    /// The names of the groups, in the order in which they are shown; others follow by name.
    pub groups: &'a [&'a str],
    /// The name of the cookie that does in place of a token.
    pub cookie: &'a str,
}

/// The document.
pub fn document<S>(about: &About<'_>, routes: &[Route<S>]) -> Value {
    let mut types = Types::new();
    let mut responses = Map::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut tags = BTreeMap::new();
    for route in routes {
        let operation = operation::operation(about, route, &mut types, &mut responses);
        let path = paths.entry(route.pattern).or_default();
        path.insert(route.method.as_str().to_lowercase(), operation);
        let module = operation::module(route.doc.handler);
        tags.insert(
            operation::tag(module),
            (about.says)(module).unwrap_or_default(),
        );
    }
    let place = |name: &str| about.groups.iter().position(|group| *group == name);
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
    let tags: Vec<Value> = tags
        .into_iter()
        .map(|(name, says)| json!({ "name": name, "description": says }))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": types.into_schemas(),
            "responses": responses,
            "headers": headers(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token or an API key.",
                },
                "token": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "The same in the query, for clients that cannot set a header.",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": about.cookie,
                    "description": "What the console holds for images and downloads; for same-origin GET alone.",
                },
            },
        },
    });
    let schemas = document["components"]["schemas"].clone();
    for path in document["paths"].as_object_mut().into_iter().flatten() {
        for operation in path.1.as_object_mut().into_iter().flatten() {
            example::add(operation.1, &schemas);
        }
    }
    document
}

/// The schemas of what is taken and of what is answered, which differ: what is answered is always there.
pub(crate) struct Types {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Types {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            taken: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    /// # Panics
    /// When a type has two shapes, one that is taken and another that is answered: name one of them otherwise.
    fn into_schemas(mut self) -> Map<String, Value> {
        let mut schemas = self.answered.take_definitions(true);
        for (name, schema) in self.taken.take_definitions(true) {
            let other = schemas.insert(name.clone(), schema.clone());
            assert!(
                other.is_none_or(|other| other == schema),
                "two types are called {name}"
            );
        }
        schemas.insert("Error".to_owned(), error_schema());
        schemas
    }
}

fn error_schema() -> Value {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "The body of every answer that says no.",
        "properties": {
            "error": {
                "type": "string",
                "enum": codes,
                "description": "A stable word for programs.",
            },
            "message": { "type": "string", "description": "A sentence for people." },
            "details": {
                "type": ["object", "null"],
                "description": "The facts, as far as there are any: `errors [{field, message}]` of a 422, `limit` of a 402 or 413 …",
            },
            "requestId": {
                "type": "string",
                "description": "What the log has this request under.",
            },
        },
        "required": ["error", "message", "details", "requestId"],
    })
}

/// Headers that answers share.
fn headers() -> Value {
    let header =
        |says: &str, kind: &str| json!({ "description": says, "schema": { "type": kind } });
    json!({
        "X-Request-Id": header("What the log has this request under; a valid one that came is kept.", "string"),
        "RateLimit": header("What is left of the limit (draft-ietf-httpapi-ratelimit-headers).", "string"),
        "RateLimit-Policy": header("The limit that this counts against.", "string"),
        "Retry-After": header("Seconds until it is worth trying again.", "integer"),
        "X-Should-Retry": header("`false` where a run was made and failed: another one is not made unasked.", "string"),
        "WWW-Authenticate": header("Always `Bearer`.", "string"),
        "Location": header("The address of what was made.", "string"),
        "Link": header("`rel=\"next\"`: the next page; absent on the last one. `rel=\"deprecation\"`: what to read about a route that goes away.", "string"),
        "Idempotent-Replayed": header("`true` where this is the answer that the key was given before.", "string"),
        "Deprecation": header("Since when the route is deprecated, `@` and Unix seconds (RFC 9745).", "string"),
        "Sunset": header("From when on it may be gone (RFC 8594).", "string"),
        "ETag": header("The version of these bytes.", "string"),
        "Last-Modified": header("When they were last changed.", "string"),
        "Accept-Ranges": header("`bytes` where parts can be asked for.", "string"),
        "Content-Range": header("Which part this is.", "string"),
        "Content-Disposition": header("Whether to show or to keep it, and under which name.", "string"),
        "Cache-Control": header("What caches may do with it.", "string"),
    })
}
