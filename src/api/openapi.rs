//! What the API says of itself.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::caller::require;
use super::routes;
use crate::app::App;
use crate::http::{ApiError, Request, Response};
use crate::openapi::{self, About};

/// What the comments of the handlers and of their files say, by their path below this module.
static COMMENTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/handlers.rs"));

/// What holds for every operation.
const DESCRIPTION: &str = "\
The console uses nothing but these calls. To begin: take an API key (`skep token`, or Settings → API keys) and send it as \
`Authorization: Bearer …`; make a chat with `POST /api/local/sessions`, post to its `messages`, and read the answer in its \
`stream`.

Times are Unix milliseconds, ids UUIDv7. Lists are arrays, newest first unless it says otherwise, of at most 1000 rows; \
where there are more, a `Link` header leads to the next page. A field without a value is there and `null`; fields that \
nobody knows are passed over.

Every answer that says no, from any layer, is an `Error`: branch on its `error`, show its `message`, and quote its \
`requestId`, which is also the `X-Request-Id`.

A token may also come as `?token=`. Sign in for one that lasts an hour, or make an API key that \
lasts as long as you like. `HEAD` works wherever `GET` does; a path that answers to other methods says 405 and which.";

/// The groups in the order in which somebody needs them who begins; new ones come last.
const GROUPS: &[&str] = &[
    "auth",
    "tokens",
    "sessions",
    "messages",
    "streams",
    "permissions",
    "media",
    "workers",
    "bee",
    "engine options",
    "executions",
    "logs",
    "log pieces",
    "tasks",
    "memory",
    "search",
    "usage",
    "v1",
    "answer",
    "mcp",
    "system",
    "settings",
    "storage",
    "retention",
    "backup",
    "health",
    "openapi",
    "agents",
    "chat",
    "stream",
];

/// The OpenAPI document.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the document is made as JSON; this says which")]
pub(super) struct Document {
    /// The version of the format.
    #[schemars(example = &"3.1.0")]
    openapi: String,
    info: Map<String, Value>,
    paths: Map<String, Value>,
    components: Map<String, Value>,
}

/// `GET /api/openapi.json` -- this document.
pub async fn get_document(_app: Arc<App>, req: Request) -> Result<Response, ApiError> {
    require(&req)?;
    Ok(served())
}

/// `GET /docs/openapi.json` -- this document for whoever reads the documentation: it holds no secret.
pub async fn get_public_document(_app: Arc<App>, _req: Request) -> Result<Response, ApiError> {
    Ok(served())
}

fn served() -> Response {
    // Hardly anybody asks, so it is made when somebody does; what it is made of does not change while we run.
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let bytes = DOCUMENT.get_or_init(|| document().to_string().into());
    Response::bytes(StatusCode::OK, "application/json", bytes.clone())
}

/// The OpenAPI document of all routes.
pub fn document() -> Value {
    let says = |path: &str| {
        let path = path.strip_prefix("api::").unwrap_or(path);
        let mut comments = COMMENTS.iter();
        comments.find(|(of, _)| *of == path).map(|(_, says)| *says)
    };
    let about = About {
        title: "Skep",
        version: env!("CARGO_PKG_VERSION"),
        description: DESCRIPTION,
        says: &says,
        groups: GROUPS,
        cookie: "skep_media_<instance>",
    };
    // How much may be uploaded is a setting, and not said.
    openapi::document(&about, &routes(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::doc::BodyDoc;

    fn comment_of(handler: &str) -> Option<&'static str> {
        let path = handler.strip_prefix("skep::api::").unwrap();
        COMMENTS
            .iter()
            .find(|(of, _)| *of == path)
            .map(|(_, says)| *says)
    }

    /// What a new route has to say, and where; the message tells whoever adds one.
    #[test]
    fn every_route_is_documented() {
        for route in routes(1) {
            let (line, handler) = (
                format!("{} {}", route.method, route.pattern),
                route.doc.handler,
            );
            let comment = comment_of(handler).unwrap_or_default();
            let begins = format!("`{line}");
            assert!(
                comment.starts_with(&begins) && comment.contains(" -- "),
                "{handler} needs a comment that begins with {begins}` -- and says in a sentence what it does"
            );
            assert!(
                !route.doc.answers.is_empty(),
                "{line} needs .answers::<View>(200), .lists::<View>(), .says(200, \"word\") or the like in routes()"
            );
            if let Some(BodyDoc::Json { example, .. }) = &route.doc.body {
                let parsed = serde_json::from_str::<Value>(example);
                assert!(
                    parsed.is_ok_and(|body| body.is_object()),
                    "the example of {line}: {example}"
                );
            }
        }
    }

    /// Who begins needs to sign in first, then to say something.
    #[test]
    fn groups_stand_in_the_order_of_need() {
        let document = document();
        let tags = document["tags"].as_array().unwrap();
        let names: Vec<&str> = tags
            .iter()
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, GROUPS, "a new group needs its place in GROUPS");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Vec::new();
        for route in routes(1) {
            let name = route.doc.handler.rsplit("::").next().unwrap();
            assert!(!names.contains(&name), "two handlers are called {name}");
            names.push(name);
        }
    }
}
