//! What a client is told when something did not go as asked.
//!
//! An [`ApiError`] is a stable code, a sentence for people and, for the log alone, a cause. It becomes an answer only
//! in the pipeline, which knows the request id.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::envelope::Envelope;
use super::request_id::RequestId;
use super::response::Response;

/// Defines the codes once: variant, status, the word on the wire.
macro_rules! error_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $status:ident, $text:literal;)*) => {
        /// The stable words programs branch on. A code has one status for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $doc])* $variant,)* }

        impl ErrorCode {
            /// Every code there is, in the order of the contract.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The HTTP status this code always comes with.
            pub fn status(self) -> StatusCode {
                match self { $(ErrorCode::$variant => StatusCode::$status,)* }
            }

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }
        }
    };
}

error_codes! {
    /// The body is not JSON.
    InvalidJson = BAD_REQUEST, "invalid_json";
    /// A wrong type, a missing field, a bad query value or header.
    BadRequest = BAD_REQUEST, "bad_request";
    /// The route needs a token and none came.
    MissingToken = UNAUTHORIZED, "missing_token";
    /// The token is not one of ours, or not of the kind this route takes.
    InvalidToken = UNAUTHORIZED, "invalid_token";
    /// The token was ours and its time is over.
    ExpiredToken = UNAUTHORIZED, "expired_token";
    /// Name or password is wrong; which of them is not said.
    InvalidCredentials = UNAUTHORIZED, "invalid_credentials";
    /// A signed call whose signature does not hold.
    InvalidSignature = UNAUTHORIZED, "invalid_signature";
    /// A limit of the tier is reached.
    TierLimit = PAYMENT_REQUIRED, "tier_limit";
    /// The tier does not include the feature.
    LicenseFeatureRequired = FORBIDDEN, "license_feature_required";
    /// The token is good and lacks the scope.
    Forbidden = FORBIDDEN, "forbidden";
    /// A page of another origin asked.
    OriginNotAllowed = FORBIDDEN, "origin_not_allowed";
    /// The `Host` is none of ours (DNS rebinding).
    HostNotAllowed = FORBIDDEN, "host_not_allowed";
    /// Nothing is there.
    NotFound = NOT_FOUND, "not_found";
    /// Something is there that does not answer to this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed";
    /// The body is larger than the route takes.
    PayloadTooLarge = PAYLOAD_TOO_LARGE, "payload_too_large";
    /// The request line is too long.
    UriTooLong = URI_TOO_LONG, "uri_too_long";
    /// The body is of another content type than the route takes.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type";
    /// The request head is too large.
    HeadersTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large";
    /// No byte of the range asked for exists.
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE, "range_not_satisfiable";
    /// Wrong state, or a name that is taken.
    Conflict = CONFLICT, "conflict";
    /// The first request with this idempotency key is still running.
    IdempotencyInProgress = CONFLICT, "idempotency_in_progress";
    /// The directory is not one that may be removed.
    WorkDirNotOwned = CONFLICT, "work_dir_not_owned";
    /// A copy that waits for its confirmation.
    Held = CONFLICT, "held";
    /// Well formed, and not acceptable; `details.errors` says what.
    ValidationFailed = UNPROCESSABLE_ENTITY, "validation_failed";
    /// The idempotency key was used for another body.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY, "idempotency_key_reused";
    /// Too many requests.
    RateLimited = TOO_MANY_REQUESTS, "rate_limited";
    /// Our fault; the log knows why.
    Internal = INTERNAL_SERVER_ERROR, "internal";
    /// A model provider is down or overloaded.
    UpstreamUnavailable = SERVICE_UNAVAILABLE, "upstream_unavailable";
    /// A queue or the connection limit is full.
    Overloaded = SERVICE_UNAVAILABLE, "overloaded";
    /// The disk is full.
    StorageFull = SERVICE_UNAVAILABLE, "storage_full";
    /// A sync failed, so nothing is written any more.
    ReadOnly = SERVICE_UNAVAILABLE, "read_only";
    /// The server is going down.
    ShuttingDown = SERVICE_UNAVAILABLE, "shutting_down";
}

/// After how many seconds a client may try again when nobody said.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// Anything a log can print.
type Cause = Box<dyn StdError + Send + Sync>;

/// An answer that says no. The cause is for the log and never leaves the process.
pub struct ApiError(Box<Inner>);

struct Inner {
    code: ErrorCode,
    message: String,
    details: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Cause>,
}

impl ApiError {
    /// An error of any code; `message` is a sentence for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError(Box::new(Inner {
            code,
            message: message.into(),
            details: Value::Null,
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// 404 for the noun that was asked for.
    pub fn not_found(noun: &str) -> ApiError {
        ApiError::new(ErrorCode::NotFound, format!("There is no such {noun}"))
    }

    /// 400: what is wrong with the request.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::BadRequest, message)
    }

    /// 409: the state, or a name that is taken, stands against it.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Conflict, message)
    }

    /// 403: the token is good and not enough.
    pub fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Forbidden, message)
    }

    /// 401: no token came.
    pub fn missing_token() -> ApiError {
        ApiError::new(
            ErrorCode::MissingToken,
            "A token is needed here, as `Authorization: Bearer …`",
        )
    }

    /// 401: not a token of ours, or not of the kind that is taken here.
    pub fn invalid_token() -> ApiError {
        ApiError::new(ErrorCode::InvalidToken, "The token is not valid")
    }

    /// 401: the token's time is over.
    pub fn expired_token() -> ApiError {
        ApiError::new(ErrorCode::ExpiredToken, "The token has expired")
    }

    /// 401: name or password is wrong.
    pub fn invalid_credentials() -> ApiError {
        ApiError::new(
            ErrorCode::InvalidCredentials,
            "The user name or the password is wrong",
        )
    }

    /// 422 with every (field, message) that stands against it.
    pub fn validation<F, M>(errors: impl IntoIterator<Item = (F, M)>) -> ApiError
    where
        F: Into<String>,
        M: Into<String>,
    {
        let errors: Vec<(String, String)> = errors
            .into_iter()
            .map(|(field, message)| (field.into(), message.into()))
            .collect();
        let sentence = match errors.as_slice() {
            [(field, message)] => format!("{field}: {message}"),
            _ => format!("{} fields are not acceptable", errors.len()),
        };
        let list: Vec<Value> = errors
            .into_iter()
            .map(|(field, message)| json!({ "field": field, "message": message }))
            .collect();
        ApiError::new(ErrorCode::ValidationFailed, sentence).details(json!({ "errors": list }))
    }

    /// 413: the body is larger than `bytes_max`.
    pub fn payload_too_large(bytes_max: u64) -> ApiError {
        ApiError::new(
            ErrorCode::PayloadTooLarge,
            format!("The body may have at most {bytes_max} bytes"),
        )
        .details(json!({ "limit": bytes_max }))
    }

    /// 415: `expected` is what the route takes.
    pub fn unsupported_media_type(expected: &str) -> ApiError {
        ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!("The body must be {expected}"),
        )
    }

    /// 405 with the methods that would have been answered.
    pub fn method_not_allowed(allow: &[Method]) -> ApiError {
        let list = allow
            .iter()
            .map(Method::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("This path answers to {list}");
        let error = ApiError::new(ErrorCode::MethodNotAllowed, message);
        match HeaderValue::try_from(list) {
            Ok(value) => error.header(ALLOW, value),
            Err(_) => error,
        }
    }

    /// 429 with the seconds until it is worth trying again.
    pub fn rate_limited(message: impl Into<String>, retry_after_s: u64) -> ApiError {
        ApiError::new(ErrorCode::RateLimited, message).retry_after(retry_after_s)
    }

    /// 500. The client learns nothing of the cause; the log has it under the request's id.
    pub fn internal(cause: impl Into<Cause>) -> ApiError {
        ApiError::new(ErrorCode::Internal, "Something went wrong on our side").cause(cause)
    }

    /// 500 for a panic, which was logged where it happened.
    pub(super) fn panicked() -> ApiError {
        ApiError::new(ErrorCode::Internal, "Something went wrong on our side")
    }

    /// Adds the facts a program can use.
    pub fn details(mut self, details: impl Serialize) -> ApiError {
        self.0.details = serde_json::to_value(details).unwrap_or(Value::Null);
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> ApiError {
        self.0.headers.push((name, value));
        self
    }

    /// Says after how many seconds to come back.
    pub fn retry_after(self, seconds: u64) -> ApiError {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds what the log should know.
    pub fn cause(mut self, cause: impl Into<Cause>) -> ApiError {
        self.0.cause = Some(cause.into());
        self
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts that a program can use.
    pub fn facts(&self) -> &Value {
        &self.0.details
    }

    /// Makes the answer and writes the cause, if there is one, into the log: once, and only here.
    pub fn into_response(self, request_id: &RequestId) -> Response {
        self.into_enveloped(Envelope::Own, request_id)
    }

    /// The same, in the form that the clients of another protocol read.
    pub fn into_enveloped(self, envelope: Envelope, request_id: &RequestId) -> Response {
        let Inner {
            code,
            message,
            details,
            headers,
            cause,
        } = *self.0;
        if let Some(cause) = cause {
            let cause = causes(&*cause);
            if code.status().is_server_error() {
                tracing::error!(request.id = %request_id, error = code.as_str(), cause, "request failed");
            } else {
                tracing::debug!(request.id = %request_id, error = code.as_str(), cause, "request refused");
            }
        }
        let mut response = Response::new(code.status());
        let set = response.headers_mut();
        set.extend(headers);
        match code.status() {
            StatusCode::UNAUTHORIZED => {
                set.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                set.entry(RETRY_AFTER)
                    .or_insert(HeaderValue::from(RETRY_AFTER_DEFAULT_S));
            }
            _ => {}
        }
        set.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = match envelope {
            Envelope::Own => body(code, &message, details, request_id),
            other => other.wrap(code, &message, &details, request_id),
        };
        response.set_body(body.into());
        response
    }
}

/// The body of every error, from whichever layer.
pub(super) fn body(
    code: ErrorCode,
    message: &str,
    details: Value,
    request_id: &RequestId,
) -> Bytes {
    #[derive(Serialize)]
    struct Wire<'a> {
        error: &'a str,
        message: &'a str,
        details: Value,
        #[serde(rename = "requestId")]
        request_id: &'a str,
    }
    let wire = Wire {
        error: code.as_str(),
        message,
        details,
        request_id: request_id.as_str(),
    };
    Bytes::from(serde_json::to_vec(&wire).unwrap_or_default())
}

/// The error and everything under it, in one line.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("details", &self.0.details)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.message)
    }
}

impl StdError for ApiError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs branch on these words; a changed line here is a broken client.
    #[test]
    fn codes_and_their_statuses_are_the_contract() {
        let table: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|code| format!("{} {}", code.status().as_u16(), code.as_str()))
            .collect();
        let expected = "400 invalid_json, 400 bad_request, 401 missing_token, 401 invalid_token, \
            401 expired_token, 401 invalid_credentials, 401 invalid_signature, 402 tier_limit, \
            403 license_feature_required, 403 forbidden, 403 origin_not_allowed, \
            403 host_not_allowed, 404 not_found, 405 method_not_allowed, 413 payload_too_large, \
            414 uri_too_long, 415 unsupported_media_type, 431 headers_too_large, \
            416 range_not_satisfiable, 409 conflict, 409 idempotency_in_progress, \
            409 work_dir_not_owned, 409 held, 422 validation_failed, 422 idempotency_key_reused, \
            429 rate_limited, 500 internal, 503 upstream_unavailable, 503 overloaded, \
            503 storage_full, 503 read_only, 503 shutting_down";
        assert_eq!(table.join(", "), expected);
    }
}
