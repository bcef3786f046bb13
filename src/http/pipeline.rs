//! What happens to every request, in order: [`Pipeline::answer`] is the whole of it.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, LINK, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::admission::Running;
use super::assets::Assets;
use super::base_path::BasePath;
use super::body::Body;
use super::compression::{self, Encoding};
use super::envelope::Envelope;
use super::error::{ApiError, ErrorCode};
use super::forwarded::Proxies;
use super::idempotency::{InProgress, Kept, Once, Turn, replayed};
use super::origin::{self, CrossOrigin, Origins};
use super::panics::REQUEST;
use super::rate_limit::{Meter, RateLimits};
use super::request::Request;
use super::request_body::{RequestBody, Rest, body_bytes_max};
use super::request_id::RequestId;
use super::response::Response;
use super::router::{Deprecation, Found, Policy, Route, Router};
use super::server::{Limits, Server};
use super::whole::Whole;
use crate::metrics::RequestMetrics;

/// Without `includeSubDomains`: other names are not ours to speak for.
const HTTPS_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the pipeline asks of the shared state: who is calling.
pub trait Authenticate: Send + Sync + 'static {
    /// A verified caller. Handlers find it with `req.extension::<Caller>()`.
    type Caller: Clone + Send + Sync + 'static;

    /// Says who brings this token and whether that may use this route at all (`req.policy()`). `None` means that no token
    /// came; the answer is then [`ApiError::missing_token`] unless the policy lets a cookie do. Called for every route
    /// that is not public, before its body is read; it must not block for longer than a read of the store.
    fn authenticate(&self, req: &Request, token: Option<&str>) -> Result<Self::Caller, ApiError>;

    /// Whose rate limits a caller counts against, and whose idempotency keys it uses: the same number for all that act
    /// for one user.
    fn user(&self, _caller: &Self::Caller) -> u128 {
        0
    }

    /// Refuses what the tier does not include.
    fn check_feature(&self, _feature: &'static str) -> Result<(), ApiError> {
        Ok(())
    }

    /// What an earlier request with this idempotency key left; what this one leaves, its handler has to keep together
    /// with its effect.
    fn kept(&self, _key: &[u8; 32]) -> Result<Option<Kept>, ApiError> {
        Ok(None)
    }
}

/// The steps between a parsed request head and the bytes of its answer.
pub(super) struct Pipeline<S> {
    state: Arc<S>,
    router: Router<S>,
    assets: Option<Assets>,
    origins: Origins,
    base_path: BasePath,
    unrouted: Unrouted,
    rate_limits: RateLimits,
    proxies: Proxies,
    limits: Limits,
    closing: CancellationToken,
    running: Running,
    in_progress: InProgress,
    document_policy: HeaderValue,
    resource_policy: HeaderValue,
}

impl<S: Authenticate> Pipeline<S> {
    pub(super) fn new(
        server: Server<S>,
        closing: CancellationToken,
        running: Running,
    ) -> Pipeline<S> {
        let ancestors = server.origins.frame_ancestors();
        let policy = |sources: &str| {
            HeaderValue::try_from(format!(
                "default-src 'none'; {sources}; base-uri 'none'; form-action 'self'; \
                 frame-ancestors {ancestors}"
            ))
            .unwrap_or(HeaderValue::from_static("default-src 'none'"))
        };
        Pipeline {
            document_policy: policy(
                "script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                 media-src 'self' blob:; font-src 'self'; connect-src 'self'; \
                 manifest-src 'self'; worker-src 'self'; frame-src 'self'",
            ),
            resource_policy: policy("img-src 'self'; media-src 'self'"),
            state: server.state,
            router: server.router,
            assets: server.assets,
            base_path: server.base_path,
            unrouted: server.unrouted,
            origins: server.origins,
            rate_limits: server.rate_limits,
            proxies: server.proxies,
            limits: server.limits,
            closing,
            running,
            in_progress: InProgress::default(),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers one request. Every request takes these steps, and every refusal becomes an answer in one place.
    pub(super) async fn answer(
        &self,
        peer: IpAddr,
        request: hyper::Request<Incoming>,
    ) -> hyper::Response<Body> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let id = RequestId::accept(parts.headers.get(X_REQUEST_ID));
        let method = parts.method.clone();
        let path = parts.uri.path().to_owned();
        let encoding = Encoding::accepted(&parts.headers);
        let https_only = self.origins.is_https_only(&parts);
        let rest = Rest::of(&parts, &body);
        let body = RequestBody::new(body, rest.clone(), self.limits.body_chunk);

        let mut cross_origin = None;
        let mut metrics = &self.unrouted.other;
        let mut envelope = Envelope::Own;
        let outcome = match self.base_path.take_off(&mut parts) {
            Some(elsewhere) => Ok(elsewhere),
            None => {
                envelope = Envelope::of(parts.uri.path());
                let decided = self.decide(parts, body, peer, &id, &mut cross_origin, &mut metrics);
                decided.await
            }
        };

        let mut response = outcome.unwrap_or_else(|error| error.into_enveloped(envelope, &id));
        compression::compress(encoding, &mut response).await;
        self.add_headers(&mut response, &id, cross_origin);
        if https_only {
            let headers = response.headers_mut();
            headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_FOR_A_YEAR);
        }
        if method == Method::HEAD {
            drop_body(&mut response);
        }
        let status = response.status();
        let duration = started.elapsed();
        metrics.observe(status.as_u16(), duration);
        log(&method, &path, metrics.route(), &response, duration, &id);
        if let Some(rest) = rest
            && !rest.is_received().await
        {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.into()
    }

    /// Everything that can refuse, cheapest and most hostile first, and then the handler.
    async fn decide<'s>(
        &'s self,
        mut parts: Parts,
        mut body: RequestBody,
        peer: IpAddr,
        id: &RequestId,
        cross_origin: &mut Option<CrossOrigin>,
        metrics: &mut &'s Arc<RequestMetrics>,
    ) -> Result<Response, ApiError> {
        self.check_length(&parts)?;
        *cross_origin = self.origins.check(&parts)?;
        if origin::is_preflight(&parts) {
            return Ok(origin::preflight(cross_origin.is_some()));
        }
        if self.closing.is_cancelled() {
            return Err(shutting_down());
        }
        let (route, values) = match self.router.find(&parts.method, parts.uri.path()) {
            Found::Route(route, values) => {
                *metrics = &route.metrics;
                (Arc::clone(route), values)
            }
            Found::OtherMethods(methods) => return other_methods(&parts.method, &methods),
            Found::Nothing => return self.serve_asset(&parts, metrics).await,
        };
        if parts.method == Method::HEAD {
            parts.method = Method::GET;
        }
        // Any other origin was refused or is on the list.
        let own_origin = cross_origin.is_none() && parts.headers.contains_key(ORIGIN);
        let bytes_max = body_bytes_max(&route.policy, &parts.headers);
        body.set_bytes_max(bytes_max);
        if body.length() > bytes_max {
            return Err(ApiError::payload_too_large(route.policy.body_bytes_max));
        }
        let request = Request {
            body,
            peer: self.proxies.client(peer, &parts.headers),
            parts,
            values,
            policy: route.policy,
            own_origin,
            once: None,
            id: id.clone(),
            closing: self.closing.clone(),
            left: CancellationToken::new(),
        };
        let mut said = Vec::new();
        if let Some(deprecation) = &route.policy.deprecated {
            said.extend(deprecation.headers());
        }
        let mut meter = self.rate_limits.meter(route.policy.rate);
        let outcome = self.admit_and_run(route, request, &mut meter).await;
        if let Some(meter) = &meter {
            said.extend(self.rate_limits.headers(meter));
        }
        say(said, outcome)
    }

    /// What a request to a route has to pass, and its handler.
    async fn admit_and_run(
        &self,
        route: Arc<Route<S>>,
        mut request: Request,
        meter: &mut Option<Meter>,
    ) -> Result<Response, ApiError> {
        if let Some(meter) = meter {
            self.rate_limits.count_address(meter, request.peer)?;
        }
        let caller = self.authenticate(&mut request)?;
        let user = caller.map(|caller| self.state.user(&caller));
        if let (Some(meter), Some(user)) = (meter, user) {
            self.rate_limits.count_user(meter, user)?;
        }
        if let Some(feature) = route.policy.feature {
            self.state.check_feature(feature)?;
        }
        let mut turn = None;
        if route.policy.idempotent
            && let Some(once) = Once::of(&request, user.unwrap_or_default())?
        {
            turn = Some(self.in_progress.enter(once.key)?);
            if let Some(answer) = self.repeated(&route, &mut request, once).await? {
                return Ok(replayed(answer));
            }
        }
        self.run(route, request, turn).await
    }

    /// The answer to a request whose key was used before; else the request is the first with it.
    async fn repeated(
        &self,
        route: &Route<S>,
        request: &mut Request,
        once: Once,
    ) -> Result<Option<Response>, ApiError> {
        let fingerprint = request.take_fingerprint().await?;
        request.once = Some(Once {
            fingerprint,
            ..once
        });
        let Some(fingerprint) = fingerprint else {
            return Ok(None);
        };
        let Some(kept) = self.state.kept(&once.key)? else {
            return Ok(None);
        };
        once.check(&kept, &fingerprint)?;
        route.repeat(&self.state, &kept.outcome).transpose()
    }

    fn check_length(&self, parts: &Parts) -> Result<(), ApiError> {
        let query = parts.uri.query().map_or(0, |query| query.len() + 1);
        if parts.uri.path().len() + query > self.limits.uri_bytes_max {
            return Err(uri_too_long(self.limits.uri_bytes_max));
        }
        Ok(())
    }

    /// Who calls, where the route asks for that.
    fn authenticate(&self, request: &mut Request) -> Result<Option<S::Caller>, ApiError> {
        let Policy { public, cookie, .. } = request.policy;
        if public {
            return Ok(None);
        }
        let token = request.token()?;
        if token.is_none() && !cookie {
            return Err(ApiError::missing_token());
        }
        let caller = self.state.authenticate(request, token.as_deref())?;
        drop(token);
        request.insert_extension(caller.clone());
        Ok(Some(caller))
    }

    /// Runs the handler. One that may change something goes on when its client hangs up, so that it is not torn; one that
    /// only reads ends with its client. Neither can take the connection down by panicking.
    async fn run(
        &self,
        route: Arc<Route<S>>,
        request: Request,
        turn: Option<Turn>,
    ) -> Result<Response, ApiError> {
        let safe = *request.method() == Method::GET;
        let id = request.id.clone();
        let left = request.left.clone();
        let handler = AssertUnwindSafe(route.call(Arc::clone(&self.state), request)).catch_unwind();
        let handler = REQUEST.scope(id, handler);
        let outcome = if safe {
            handler.await
        } else {
            let running = self.running.enter();
            // The client that leaves drops this; the handler goes on and may look.
            let here = left.drop_guard();
            let outcome = Whole::new(async move {
                let outcome = handler.await;
                drop((running, turn));
                outcome
            })
            .await;
            here.disarm();
            outcome
        };
        // The panic itself was logged where it happened, with this request's id.
        outcome.unwrap_or_else(|_| Err(ApiError::panicked()))
    }

    async fn serve_asset<'s>(
        &'s self,
        parts: &Parts,
        metrics: &mut &'s Arc<RequestMetrics>,
    ) -> Result<Response, ApiError> {
        let not_found = || ApiError::not_found("path");
        let assets = self.assets.as_ref().ok_or_else(not_found)?;
        let (asset, is_kept) = assets.find(parts.uri.path()).ok_or_else(not_found)?;
        *metrics = &self.unrouted.console;
        match parts.method {
            Method::GET | Method::HEAD => Ok(asset.answer(&parts.headers, is_kept).await),
            _ => other_methods(&parts.method, &[Method::GET, Method::HEAD]),
        }
    }

    /// The headers every answer carries.
    fn add_headers(
        &self,
        response: &mut Response,
        id: &RequestId,
        cross_origin: Option<CrossOrigin>,
    ) {
        let is_unchanged = response.status() == StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        let is_document = headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        let policy = match is_document {
            true => &self.document_policy,
            false => &self.resource_policy,
        };
        // A browser takes the headers of a 304 for those of what it has kept: a page would get the policy of a picture.
        if !is_unchanged {
            headers
                .entry(CONTENT_SECURITY_POLICY)
                .or_insert_with(|| policy.clone());
        }
        add_safety_headers(headers);
        if is_document {
            for (name, value) in DOCUMENT_HEADERS {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
        }
        self.origins.vary(headers);
        if let Some(cross_origin) = cross_origin {
            cross_origin.allow(headers);
        }
        headers.insert(X_REQUEST_ID, id.header_value());
        self.base_path.put_on(headers);
    }
}

/// Where requests are counted that no route is meant by.
pub(super) struct Unrouted {
    pub(super) console: Arc<RequestMetrics>,
    pub(super) other: Arc<RequestMetrics>,
}

impl Default for Unrouted {
    fn default() -> Unrouted {
        Unrouted {
            console: RequestMetrics::new("GET", "console"),
            other: RequestMetrics::new("any", "none"),
        }
    }
}

/// What only matters to a page that is shown.
const DOCUMENT_HEADERS: [(&str, &str); 2] = [
    ("cross-origin-opener-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

fn add_safety_headers(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

/// The answer to a request that never became one, from the server itself.
pub(super) fn refuse(error: ApiError) -> Response {
    let id = RequestId::generate();
    let status = error.code().status().as_u16();
    tracing::debug!(status, request.id = %id, error = error.code().as_str(), "refused before it was a request");
    let mut response = error.into_response(&id);
    add_safety_headers(response.headers_mut());
    response
        .headers_mut()
        .insert(X_REQUEST_ID, id.header_value());
    response
}

/// What was asked and what came of it. The query stays out of it: it may hold a token.
fn log(
    method: &Method,
    path: &str,
    route: &'static str,
    response: &Response,
    duration: Duration,
    id: &RequestId,
) {
    let method = method.as_str();
    let duration_ms = duration.as_secs_f64() * 1000.0;
    // An answer that stays open has no length.
    let bytes = response.body().length();
    let is_fault = response.status().is_server_error();
    let status = response.status().as_u16();
    match is_fault {
        true => {
            tracing::warn!(request.id = %id, method, path, route, status, duration_ms, bytes, "request")
        }
        false => {
            tracing::debug!(request.id = %id, method, path, route, status, duration_ms, bytes, "request")
        }
    }
}

pub(super) fn uri_too_long(bytes_max: usize) -> ApiError {
    ApiError::new(
        ErrorCode::UriTooLong,
        format!("The address may have at most {bytes_max} bytes"),
    )
}

fn shutting_down() -> ApiError {
    ApiError::new(ErrorCode::ShuttingDown, "The server is going down").retry_after(5)
}

fn other_methods(method: &Method, allowed: &[Method]) -> Result<Response, ApiError> {
    let refusal = ApiError::method_not_allowed(allowed);
    if method != Method::OPTIONS {
        return Err(refusal);
    }
    let mut response = Response::no_content();
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    Ok(response)
}

/// Adds headers to an answer, also to a refusal.
fn say(
    said: Vec<(HeaderName, HeaderValue)>,
    outcome: Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    match outcome {
        Ok(mut answer) => {
            for (name, value) in said {
                // Appended: a page of a list has a link of its own.
                answer.headers_mut().append(name, value);
            }
            Ok(answer)
        }
        Err(refusal) => Err(said.into_iter().fold(refusal, |refusal, (name, value)| {
            refusal.header(name, value)
        })),
    }
}

impl Deprecation {
    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let said = [
            (
                HeaderName::from_static("deprecation"),
                format!("@{}", self.since_s),
            ),
            (HeaderName::from_static("sunset"), self.sunset.to_owned()),
            (LINK, format!("<{}>; rel=\"deprecation\"", self.link)),
        ];
        said.into_iter()
            .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
    }
}

/// Leaves a `HEAD` answer with the headers its `GET` would have had.
fn drop_body(response: &mut Response) {
    if let Some(length) = response.body().length()
        && response.status() != StatusCode::NO_CONTENT
        && response.status() != StatusCode::NOT_MODIFIED
    {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.set_body(Body::empty());
}
