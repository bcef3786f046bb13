//! In which form a refusal is told: each protocol that is spoken here has its own, with the same facts in it.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::error::{ApiError, ErrorCode};
use super::request_id::RequestId;

/// The form of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// Our own: `error`, `message`, `details`, `requestId`.
    Own,
    /// OpenAI's: all of it below `error`, the stable word as `code`.
    OpenAi,
    /// JSON-RPC's: a number as `code`, the stable word below `data`.
    JsonRpc,
}

/// JSON-RPC 2.0: what is not JSON, what is no request, and what is our fault.
const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const INTERNAL_ERROR: i64 = -32_603;

impl Envelope {
    /// The form that clients of this path read, whether there is a route or not.
    pub fn of(path: &str) -> Envelope {
        match path.split('/').nth(1) {
            Some("v1") => Envelope::OpenAi,
            Some("mcp") => Envelope::JsonRpc,
            _ => Envelope::Own,
        }
    }

    /// An error's body, for an answer that has begun already.
    pub fn body(self, error: &ApiError, request_id: &RequestId) -> Bytes {
        self.wrap(error.code(), error.message(), error.facts(), request_id)
    }

    pub(super) fn wrap(
        self,
        code: ErrorCode,
        message: &str,
        details: &Value,
        request_id: &RequestId,
    ) -> Bytes {
        let body = match self {
            Envelope::OpenAi => json!({ "error": {
                "message": message,
                "type": openai_type(code.status()),
                "param": details.pointer("/errors/0/field").unwrap_or(&Value::Null),
                "code": code.as_str(),
                "details": details,
                "requestId": request_id.as_str(),
            } }),
            Envelope::Own | Envelope::JsonRpc => json!({
                "jsonrpc": "2.0",
                "id": null,
                "error": {
                    "code": jsonrpc_code(code),
                    "message": message,
                    "data": {
                        "error": code.as_str(),
                        "details": details,
                        "requestId": request_id.as_str(),
                    },
                },
            }),
        };
        Bytes::from(body.to_string())
    }
}

fn openai_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 | 429 => "rate_limit_error",
        403 => "permission_error",
        404 => "not_found_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn jsonrpc_code(code: ErrorCode) -> i64 {
    match code {
        ErrorCode::InvalidJson => PARSE_ERROR,
        _ if code.status().is_server_error() => INTERNAL_ERROR,
        _ => INVALID_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_protocol_is_spoken() {
        for (path, envelope) in [
            ("/v1/models", Envelope::OpenAi),
            ("/v1", Envelope::OpenAi),
            ("/v1x", Envelope::Own),
            ("/mcp", Envelope::JsonRpc),
            ("/api/v1", Envelope::Own),
            ("", Envelope::Own),
        ] {
            assert_eq!(Envelope::of(path), envelope, "{path}");
        }
    }
}
