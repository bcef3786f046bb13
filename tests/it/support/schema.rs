//! A small JSON Schema validator (2020-12): the words that our document uses, and a refusal of every other, so that none
//! is passed over in silence.

use serde_json::Value;

/// Words that say nothing about a value.
const ANNOTATIONS: [&str; 7] = [
    "description",
    "title",
    "default",
    "examples",
    "example",
    "deprecated",
    "contentMediaType",
];

/// Why a value does not fit a schema; `root` is the document that `$ref` leads into.
pub fn check(schema: &Value, value: &Value, root: &Value, at: &str) -> Result<(), String> {
    let fault = |why: String| Err(format!("{at}: {why}: {}", shortened(value)));
    let words = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(words) => words,
        other => return fault(format!("not a schema: {other}")),
    };
    for (word, said) in words {
        let number = || said.as_f64().expect("a number");
        match word.as_str() {
            "$ref" => check(target(said, root), value, root, at)?,
            "type" if !is_of(said, value) => return fault(format!("not of type {said}")),
            "const" if value != said => return fault(format!("not {said}")),
            "enum" if !list(said).contains(value) => return fault(format!("not one of {said}")),
            "allOf" => {
                for one in list(said) {
                    check(one, value, root, at)?;
                }
            }
            "anyOf" | "oneOf" => {
                let faults: Vec<String> = list(said)
                    .iter()
                    .filter_map(|one| check(one, value, root, at).err())
                    .collect();
                let fitting = list(said).len() - faults.len();
                if fitting == 0 || (word == "oneOf" && fitting > 1) {
                    return fault(format!("{fitting} of {word} fit: {}", faults.join("; ")));
                }
            }
            "required" => {
                let is_missing = |name: &&Value| {
                    value.is_object() && value.get(name.as_str().unwrap()).is_none()
                };
                if let Some(name) = list(said).iter().find(is_missing) {
                    return fault(format!("{name} is missing"));
                }
            }
            "properties" => {
                for (name, schema) in said.as_object().expect("schemas by name") {
                    if let Some(value) = value.get(name) {
                        check(schema, value, root, &format!("{at}.{name}"))?;
                    }
                }
            }
            "additionalProperties" if said.is_boolean() => {
                assert_eq!(said, true, "closed objects are not checked here");
            }
            "additionalProperties" => {
                let known = words.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        check(said, value, root, &format!("{at}.{name}"))?;
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(said, item, root, &format!("{at}[{index}]"))?;
                }
            }
            "minimum" if value.as_f64().is_some_and(|value| value < number()) => {
                return fault(format!("less than {said}"));
            }
            "maximum" if value.as_f64().is_some_and(|value| value > number()) => {
                return fault(format!("more than {said}"));
            }
            "minLength" if characters(value).is_some_and(|count| count < number()) => {
                return fault(format!("shorter than {said}"));
            }
            "maxLength" if characters(value).is_some_and(|count| count > number()) => {
                return fault(format!("longer than {said}"));
            }
            "format" if said == "uuid" => {
                let is_id = |text: &str| uuid::Uuid::parse_str(text).is_ok();
                if value.as_str().is_some_and(|text| !is_id(text)) {
                    return fault("no UUID".to_owned());
                }
            }
            "type" | "const" | "enum" | "minimum" | "maximum" | "minLength" | "maxLength"
            | "format" => {}
            word if ANNOTATIONS.contains(&word) || word.starts_with("x-") => {}
            word => return fault(format!("the validator does not know {word}")),
        }
    }
    Ok(())
}

/// What a `$ref` into the document means.
pub fn target<'r>(reference: &Value, root: &'r Value) -> &'r Value {
    let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
    let found = pointer.and_then(|pointer| root.pointer(pointer));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn list(said: &Value) -> &Vec<Value> {
    said.as_array().expect("a list")
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
        Value::String(kind) => match kind.as_str() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other} is no type"),
        },
        other => panic!("{other} is no type"),
    }
}

fn characters(value: &Value) -> Option<f64> {
    Some(value.as_str()?.chars().count() as f64)
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(300).collect()
}
