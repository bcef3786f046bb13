//! JSON with what differs from run to run masked, so that a test can say the whole body.

use serde_json::Value;

/// Times become `"<time>"`, ids `<id>` wherever they stand in a text, and the data directory `<data>`.
pub fn masked(value: &Value, data: &std::path::Path) -> Value {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|n| n > 1_600_000_000_000) => {
            "<time>".into()
        }
        Value::String(text) => mask_text(&text.replace(&*data.to_string_lossy(), "<data>")).into(),
        Value::Array(items) => items.iter().map(|item| masked(item, data)).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), masked(value, data)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn mask_text(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while !rest.is_empty() {
        if rest.is_char_boundary(36.min(rest.len())) && rest.len() >= 36 && is_id(&rest[..36]) {
            out.push_str("<id>");
            rest = &rest[36..];
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    out
}

/// Whether this is a UUID of version 7, as every id is.
pub fn is_id(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok_and(|id| id.get_version_num() == 7)
}
