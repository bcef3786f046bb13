//! The table of routes: method, pattern, handler, policy.
//!
//! Lookup walks the path's segments down a tree, a literal before a `{value}`. A path nobody knows is 404, a path that is
//! known under other methods is 405 with `Allow`, `HEAD` is served wherever `GET` is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use super::doc::RouteDoc;
use super::error::ApiError;
use super::rate_limit::UNLIMITED;
use super::request::{Request, percent_decode};
use super::response::Response;
use crate::metrics::RequestMetrics;

/// Bodies are JSON and small unless a route says otherwise.
pub const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// What a route asks of a request before its handler sees it, and what is said about it.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Whether anyone may call it.
    pub public: bool,
    /// What a token must allow, in the words of the application: `read` for GET, else `admin`, unless the route says.
    pub scope: &'static str,
    /// Whether the application may take a cookie in place of the token (images, downloads).
    pub cookie: bool,
    /// Whether the token of a running agent does as well, which is good for nothing else.
    pub agents: bool,
    /// The largest body.
    pub body_bytes_max: u64,
    /// Which rate limit it counts against, or `unlimited`.
    pub rate: &'static str,
    /// Whether a repeated `Idempotency-Key` is answered with the first answer.
    pub idempotent: bool,
    /// What it makes one more of, in the words of the application, where a tier may limit that.
    pub makes: Option<&'static str>,
    /// What a tier has to include for it, in the words of the application.
    pub feature: Option<&'static str>,
    /// Since when not to use it any more, and what instead.
    pub deprecated: Option<Deprecation>,
}

impl Policy {
    /// Whether it counts against a rate limit at all.
    pub fn is_limited(&self) -> bool {
        self.rate != UNLIMITED
    }
}

/// That a route goes away: RFC 9745 and RFC 8594.
#[derive(Debug, Clone, Copy)]
pub struct Deprecation {
    /// Unix seconds since when it is deprecated.
    pub since_s: i64,
    /// The HTTP date from which on it may be gone.
    pub sunset: &'static str,
    /// Where to read on.
    pub link: &'static str,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;
type Repeat<S> = Box<dyn Fn(&S, &[u8]) -> Result<Response, ApiError> + Send + Sync>;
type Handler<S> = Box<dyn Fn(Arc<S>, Request) -> Answer + Send + Sync>;

/// One line of the table.
pub struct Route<S> {
    /// The method; `GET` answers `HEAD` as well.
    pub method: Method,
    /// The path; a segment `{name}` takes any non-empty text.
    pub pattern: &'static str,
    /// What differs from the rule.
    pub policy: Policy,
    /// What it takes and answers.
    pub doc: RouteDoc,
    /// What was asked of it.
    pub metrics: Arc<RequestMetrics>,
    handler: Handler<S>,
    repeat: Option<Repeat<S>>,
}

impl<S> Route<S> {
    /// A route for any method. The rule: a caller is needed, 1 MiB of body.
    pub fn new<H, F>(method: Method, pattern: &'static str, handler: H) -> Route<S>
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        let scope = if method == Method::GET {
            "read"
        } else {
            "admin"
        };
        Route {
            metrics: RequestMetrics::new(method.as_str(), pattern),
            method,
            pattern,
            policy: Policy {
                public: false,
                scope,
                cookie: false,
                agents: false,
                body_bytes_max: BODY_BYTES_MAX,
                rate: "default",
                idempotent: false,
                makes: None,
                feature: None,
                deprecated: None,
            },
            doc: RouteDoc::new(std::any::type_name::<H>()),
            handler: Box::new(move |state, request| Box::pin(handler(state, request))),
            repeat: None,
        }
    }

    /// Anyone may call it.
    pub fn public(mut self) -> Route<S> {
        self.policy.public = true;
        self
    }

    /// The token must allow this.
    pub fn scope(mut self, scope: &'static str) -> Route<S> {
        self.policy.scope = scope;
        self
    }

    /// A cookie does in place of a token.
    pub fn cookie(mut self) -> Route<S> {
        self.policy.cookie = true;
        self
    }

    /// The token of a running agent does, too.
    pub fn agents(mut self) -> Route<S> {
        self.policy.agents = true;
        self
    }

    /// Takes bodies up to this size.
    pub fn body_bytes_max(mut self, bytes: u64) -> Route<S> {
        self.policy.body_bytes_max = bytes;
        self
    }

    /// Counts against this rate limit.
    pub fn rate(mut self, family: &'static str) -> Route<S> {
        self.policy.rate = family;
        self
    }

    /// Counts against no rate limit: whoever watches over the server asks as often as it likes.
    pub fn unlimited(self) -> Route<S> {
        self.rate(UNLIMITED)
    }

    /// Honours `Idempotency-Key`: a repeated request is answered with what `repeat` makes of the outcome that the
    /// application kept.
    pub fn idempotent(
        mut self,
        repeat: impl Fn(&S, &[u8]) -> Result<Response, ApiError> + Send + Sync + 'static,
    ) -> Route<S> {
        self.policy.idempotent = true;
        self.repeat = Some(Box::new(repeat));
        self
    }

    /// Makes one more of this.
    pub fn makes(mut self, resource: &'static str) -> Route<S> {
        self.policy.makes = Some(resource);
        self
    }

    /// Is served only where the tier includes this.
    pub fn feature(mut self, feature: &'static str) -> Route<S> {
        self.policy.feature = Some(feature);
        self
    }

    /// Says on every answer that it goes away.
    pub fn deprecated(
        mut self,
        since_s: i64,
        sunset: &'static str,
        link: &'static str,
    ) -> Route<S> {
        self.policy.deprecated = Some(Deprecation {
            since_s,
            sunset,
            link,
        });
        self
    }

    /// The names of the values in its path, in order.
    pub fn values(&self) -> impl Iterator<Item = &'static str> {
        segments(self.pattern).filter_map(value_name)
    }

    /// The answer to a request that was answered before; `None` where keys are not honoured.
    pub(super) fn repeat(&self, state: &S, outcome: &[u8]) -> Option<Result<Response, ApiError>> {
        self.repeat.as_ref().map(|repeat| repeat(state, outcome))
    }

    pub(super) fn call(&self, state: Arc<S>, request: Request) -> Answer {
        (self.handler)(state, request)
    }
}

macro_rules! route_of_method {
    ($($(#[doc = $doc:literal])* $name:ident = $method:ident;)*) => {$(
        $(#[doc = $doc])*
        pub fn $name<S, H, F>(pattern: &'static str, handler: H) -> Route<S>
        where
            H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
            F: Future<Output = Result<Response, ApiError>> + Send + 'static,
        {
            Route::new(Method::$method, pattern, handler)
        }
    )*};
}

route_of_method! {
    /// A `GET` route, and `HEAD` with it.
    get = GET;
    /// A `POST` route.
    post = POST;
    /// A `PUT` route.
    put = PUT;
    /// A `PATCH` route.
    patch = PATCH;
    /// A `DELETE` route.
    delete = DELETE;
}

/// The values of a path's `{name}` segments, decoded.
#[derive(Debug, Default)]
pub(super) struct PathValues(Vec<(&'static str, String)>);

impl PathValues {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What the table says about a method and a path.
pub(super) enum Found<'r, S> {
    /// A route and the values of its path.
    Route(&'r Arc<Route<S>>, PathValues),
    /// The path exists, for these methods.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
}

/// The table, ready for lookup.
pub struct Router<S> {
    root: Node<S>,
}

struct Node<S> {
    literals: Vec<(&'static str, Node<S>)>,
    value: Option<Box<Node<S>>>,
    routes: Vec<Arc<Route<S>>>,
}

impl<S> Node<S> {
    fn new() -> Node<S> {
        Node {
            literals: Vec::new(),
            value: None,
            routes: Vec::new(),
        }
    }
}

impl<S> Router<S> {
    /// Builds the tree.
    ///
    /// # Panics
    /// When two routes have the same method and path: the table is written by hand, and its first test finds that.
    pub fn new(routes: Vec<Route<S>>) -> Router<S> {
        let mut root = Node::new();
        for route in routes {
            let mut node = &mut root;
            for segment in segments(route.pattern) {
                node = if value_name(segment).is_some() {
                    node.value.get_or_insert_with(|| Box::new(Node::new()))
                } else {
                    let at = match node.literals.iter().position(|(text, _)| *text == segment) {
                        Some(at) => at,
                        None => {
                            node.literals.push((segment, Node::new()));
                            node.literals.len() - 1
                        }
                    };
                    &mut node.literals[at].1
                };
            }
            assert!(
                !node.routes.iter().any(|other| other.method == route.method),
                "{} {} is routed twice",
                route.method,
                route.pattern
            );
            node.routes.push(Arc::new(route));
        }
        Router { root }
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_, S> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let Some(path) = path.strip_prefix('/') else {
            return Found::Nothing;
        };
        let mut raw = Vec::new();
        let Some(node) = descend(&self.root, path, &mut raw) else {
            return Found::Nothing;
        };
        let Some(route) = node.routes.iter().find(|route| route.method == *method) else {
            return Found::OtherMethods(allowed(node));
        };
        let names = route.values();
        let mut values = Vec::with_capacity(raw.len());
        for (name, value) in names.zip(raw) {
            // A value that is no text is the name of nothing.
            let Ok(value) = String::from_utf8(percent_decode(value).into_owned()) else {
                return Found::Nothing;
            };
            values.push((name, value));
        }
        Found::Route(route, PathValues(values))
    }
}

/// Finds the node of a path, trying literals first and going back to a value where that leads nowhere. The depth is
/// bounded by the deepest pattern.
fn descend<'r, 'p, S>(
    node: &'r Node<S>,
    path: &'p str,
    values: &mut Vec<&'p str>,
) -> Option<&'r Node<S>> {
    let (segment, rest) = match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    };
    let onward = |next: &'r Node<S>, values: &mut Vec<&'p str>| match rest {
        Some(rest) => descend(next, rest, values),
        None if next.routes.is_empty() => None,
        None => Some(next),
    };
    let literal = node.literals.iter().find(|(text, _)| *text == segment);
    if let Some(found) = literal.and_then(|(_, next)| onward(next, values)) {
        return Some(found);
    }
    let next = node.value.as_deref().filter(|_| !segment.is_empty())?;
    values.push(segment);
    let found = onward(next, values);
    if found.is_none() {
        values.pop();
    }
    found
}

fn allowed<S>(node: &Node<S>) -> Vec<Method> {
    let mut methods = Vec::new();
    for route in &node.routes {
        methods.push(route.method.clone());
        if route.method == Method::GET {
            methods.push(Method::HEAD);
        }
    }
    methods
}

fn segments(pattern: &'static str) -> impl Iterator<Item = &'static str> {
    pattern.trim_start_matches('/').split('/')
}

fn value_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(_: Arc<()>, _: Request) -> Result<Response, ApiError> {
        Ok(Response::no_content())
    }

    fn router() -> Router<()> {
        Router::new(vec![
            get("/healthz", answer),
            get("/api/tasks", answer),
            post("/api/tasks", answer),
            post("/api/tasks/preview", answer),
            get("/api/tasks/{id}", answer),
            delete("/api/tasks/{id}", answer),
            post("/api/tasks/{id}/run", answer),
            get("/api/media/{session_id}/{name}", answer),
        ])
    }

    fn found(method: Method, path: &str) -> String {
        match router().find(&method, path) {
            Found::Route(route, values) => format!("{} {:?}", route.pattern, values.0),
            Found::OtherMethods(methods) => format!("405 {methods:?}"),
            Found::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn a_path_finds_its_route_and_values() {
        assert_eq!(found(Method::GET, "/healthz"), "/healthz []");
        assert_eq!(found(Method::GET, "/api/tasks"), "/api/tasks []");
        assert_eq!(found(Method::HEAD, "/api/tasks"), "/api/tasks []");
        assert_eq!(
            found(Method::GET, "/api/tasks/7"),
            "/api/tasks/{id} [(\"id\", \"7\")]"
        );
        assert_eq!(
            found(Method::POST, "/api/tasks/preview"),
            "/api/tasks/preview []"
        );
        assert_eq!(
            found(Method::GET, "/api/media/a%20b/%C3%A9%2Fx"),
            "/api/media/{session_id}/{name} [(\"session_id\", \"a b\"), (\"name\", \"\u{e9}/x\")]"
        );
    }

    #[test]
    fn a_value_may_be_spelled_like_a_literal() {
        assert_eq!(
            found(Method::POST, "/api/tasks/preview/run"),
            "/api/tasks/{id}/run [(\"id\", \"preview\")]"
        );
    }

    #[test]
    fn a_known_path_names_its_methods() {
        assert_eq!(found(Method::PUT, "/api/tasks"), "405 [GET, HEAD, POST]");
        assert_eq!(found(Method::GET, "/api/tasks/7/run"), "405 [POST]");
    }

    #[test]
    fn an_unknown_path_is_nothing() {
        for path in [
            "",
            "/",
            "*",
            "/api",
            "/api/",
            "/api/tasks/",
            "/api/tasks//run",
            "/api/tasks/7/",
            "/api/tasks/7/run/x",
            "/api/media/%ff/x",
            "//api/tasks",
            "/API/tasks",
        ] {
            assert_eq!(found(Method::GET, path), "404", "{path}");
        }
    }

    #[test]
    #[should_panic(expected = "POST /a/{y} is routed twice")]
    fn a_path_is_routed_once() {
        Router::new(vec![post("/a/{x}", answer), post("/a/{y}", answer)]);
    }
}
