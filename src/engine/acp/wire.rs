//! JSON-RPC 2.0, one message a line.

use serde_json::{Value, json};

/// The longest id that an agent may give its own request; it comes back in the answer.
const ID_BYTES_MAX: usize = 256;

/// What is not there: a method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that make no sense.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// It should have worked, or was refused.
pub(super) const INTERNAL_ERROR: i64 = -32603;
/// The agent is not signed in.
pub(super) const AUTH_REQUIRED: i64 = -32000;
/// A file is not there.
pub(super) const RESOURCE_NOT_FOUND: i64 = -32002;

/// What a line is.
#[derive(Debug)]
pub(super) enum Message {
    /// The agent wants an answer.
    Request {
        /// To be repeated in the answer.
        id: Value,
        /// What it wants.
        method: String,
        /// Of what.
        params: Value,
    },
    /// The agent says something.
    Notification {
        /// What kind.
        method: String,
        /// What.
        params: Value,
    },
    /// The agent answers the request of that number.
    Answer {
        /// The number.
        id: u64,
        /// What it answers.
        result: Result<Value, Failure>,
    },
}

/// An error in a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    /// Its number.
    pub code: i64,
    /// A sentence.
    pub message: String,
}

impl Failure {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn parse(error: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::trim).map(str::to_owned);
        let message = text(&error["message"]).unwrap_or_default();
        let data = &error["data"];
        let detail = [data, &data["details"], &data["message"], &data["error"]];
        let detail = detail.into_iter().find_map(text).unwrap_or_default();
        let message = match (message.is_empty(), detail.is_empty()) {
            (_, true) => message,
            (true, _) => detail,
            _ if message.contains(&detail) => message,
            _ => format!("{message}: {detail}"),
        };
        Self {
            code: error["code"].as_i64().unwrap_or(INTERNAL_ERROR),
            message,
        }
    }
}

/// The message in a line; `None`: it is none, and in the log.
pub(super) fn parse(line: &[u8]) -> Option<Message> {
    let mut line: Value = serde_json::from_slice(line).ok()?;
    let message = line.as_object_mut()?;
    let id = message.remove("id");
    let params = message.remove("params").unwrap_or_default();
    if let Some(Value::String(method)) = message.remove("method") {
        return match id {
            None => Some(Message::Notification { method, params }),
            Some(id) if is_id(&id) => Some(Message::Request { id, method, params }),
            Some(_) => None,
        };
    }
    let id = id.as_ref().and_then(Value::as_u64)?;
    let result = match (message.remove("result"), message.remove("error")) {
        (_, Some(error)) if !error.is_null() => Err(Failure::parse(&error)),
        (Some(result), _) => Ok(result),
        (None, _) => return None,
    };
    Some(Message::Answer { id, result })
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= ID_BYTES_MAX,
        Value::Number(_) => true,
        _ => false,
    }
}

/// The line of a request.
pub(super) fn request(id: u64, method: &str, params: &Value) -> String {
    line(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

/// The line of a notification.
pub(super) fn notification(method: &str, params: &Value) -> String {
    line(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
}

/// The line of an answer.
pub(super) fn answer(id: &Value, result: &Result<Value, Failure>) -> String {
    line(&match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Failure { code, message }) => json!({
            "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message }
        }),
    })
}

fn line(message: &Value) -> String {
    format!("{message}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_is_a_message_or_nothing() {
        let kind = |line: &str| match parse(line.as_bytes()) {
            None => "nothing".to_owned(),
            Some(Message::Request { id, method, .. }) => format!("request {id} {method}"),
            Some(Message::Notification { method, .. }) => format!("says {method}"),
            Some(Message::Answer { id, result: Ok(_) }) => format!("answer {id}"),
            Some(Message::Answer {
                id,
                result: Err(failure),
            }) => format!("failure {id} {} {}", failure.code, failure.message),
        };
        let long = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(ID_BYTES_MAX));
        let too_long = format!(r#"{{"id":"{}x","method":"m"}}"#, "x".repeat(ID_BYTES_MAX));
        assert!(kind(&long).starts_with("request"));
        for (line, means) in [
            (too_long.as_str(), "nothing"),
            (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, "answer 7"),
            (r#"{"id":7,"result":{},"error":null}"#, "answer 7"),
            (
                r#"{"id":7,"error":{"code":-1,"message":"no","data":{"details":"why"}}}"#,
                "failure 7 -1 no: why",
            ),
            (r#"{"id":7,"error":"no"}"#, "failure 7 -32603 "),
            (r#"{"id":"a","method":"m"}"#, r#"request "a" m"#),
            (r#"{"method":"m"}"#, "says m"),
            (r#"{"id":null,"method":"m"}"#, "nothing"),
            (r#"{"id":{},"method":"m"}"#, "nothing"),
            (r#"{"id":-7,"result":1}"#, "nothing"),
            (r#"{"id":7}"#, "nothing"),
            ("[]", "nothing"),
            ("", "nothing"),
            ("not json", "nothing"),
        ] {
            assert_eq!(kind(line), means, "{line}");
        }
    }

    #[test]
    fn what_is_told_is_one_line() {
        let said = request(1, "m", &json!({ "text": "two\nlines" }));
        assert_eq!(said.matches('\n').count(), 1);
        assert!(matches!(
            parse(said.trim_end().as_bytes()),
            Some(Message::Request { .. })
        ));
        let refused = Err(Failure::new(METHOD_NOT_FOUND, "no"));
        let said = answer(&json!("a"), &refused);
        assert_eq!(
            said,
            "{\"error\":{\"code\":-32601,\"message\":\"no\"},\"id\":\"a\",\"jsonrpc\":\"2.0\"}\n"
        );
    }
}
