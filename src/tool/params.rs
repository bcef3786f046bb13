//! What a tool takes: the JSON Schema that is offered, and the check that a call fits it, from one table.

use serde_json::{Map, Value, json};

use super::ToolError;

/// An argument.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether a call needs it.
    pub required: bool,
    /// What it means.
    pub description: &'static str,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// An integer, not negative.
    Number,
    /// `true` or `false`.
    Flag,
    /// An array of strings.
    Words,
}

impl Kind {
    fn json_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "integer",
            Self::Flag => "boolean",
            Self::Words => "array",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_u64(),
            Self::Flag => value.is_boolean(),
            Self::Words => value
                .as_array()
                .is_some_and(|words| words.iter().all(Value::is_string)),
        }
    }
}

impl Param {
    /// One that a call needs.
    pub const fn required(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            required: true,
            description,
        }
    }

    /// One that a call may leave out.
    pub const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            description,
        }
    }
}

/// The JSON Schema of an object with these members.
pub fn schema(params: &[Param]) -> Value {
    let mut properties = Map::new();
    for param in params {
        let mut property = json!({
            "type": param.kind.json_type(),
            "description": param.description,
        });
        if param.kind == Kind::Number {
            property["minimum"] = json!(0);
        }
        if param.kind == Kind::Words {
            property["items"] = json!({ "type": "string" });
        }
        properties.insert(param.name.to_owned(), property);
    }
    let required: Vec<&str> = params
        .iter()
        .filter(|param| param.required)
        .map(|param| param.name)
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The arguments of a call, if they fit. Models send `null` for what they leave out, and nothing at all for no
/// arguments; both are fine.
pub fn checked(params: &[Param], args: Value) -> Result<Value, ToolError> {
    let invalid = |message: String| Err(ToolError::InvalidArguments(message));
    let mut given = match args {
        Value::Null => Map::new(),
        Value::Object(given) => given,
        _ => return invalid("the arguments must be a JSON object".to_owned()),
    };
    given.retain(|_, value| !value.is_null());
    for (name, value) in &given {
        match params.iter().find(|param| param.name == name) {
            None => {
                let known: Vec<&str> = params.iter().map(|param| param.name).collect();
                let known = match known.as_slice() {
                    [] => "it takes none".to_owned(),
                    known => format!("there are {}", known.join(", ")),
                };
                return invalid(format!("there is no argument {name:?}; {known}"));
            }
            Some(param) if !param.kind.fits(value) => {
                let expected = param.kind.json_type();
                let of = if param.kind == Kind::Words {
                    " of strings"
                } else {
                    ""
                };
                return invalid(format!("{name:?} must be of type {expected}{of}"));
            }
            Some(_) => {}
        }
    }
    match params
        .iter()
        .find(|param| param.required && !given.contains_key(param.name))
    {
        Some(missing) => invalid(format!(
            "{:?} is missing: {}",
            missing.name, missing.description
        )),
        None => Ok(Value::Object(given)),
    }
}
