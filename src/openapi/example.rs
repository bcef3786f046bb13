//! An example of each answer, made of its schema: what a field's own example says, else the plainest value there is.

use serde_json::{Value, json};

const ID: &str = "019ac0de-0000-7000-8000-000000000001";
/// 2026-11-22 10:15:30 UTC.
const TIME_MS: u64 = 1_795_342_530_000;
/// How deep types may hold each other before an example stops.
const DEPTH_MAX: usize = 8;

/// Adds one to every JSON answer of an operation that says all went well.
pub(super) fn add(operation: &mut Value, schemas: &Value) {
    let responses = operation["responses"].as_object_mut();
    for (status, response) in responses.into_iter().flatten() {
        let json = response.pointer_mut("/content/application~1json");
        if let Some(json) = json.filter(|_| status.starts_with('2')) {
            json["example"] = of(&json["schema"], "", schemas, 0);
        }
    }
}

fn of(schema: &Value, name: &str, schemas: &Value, depth: usize) -> Value {
    let given = schema["examples"]
        .get(0)
        .or(schema.get("const"))
        .or(schema["enum"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    if let Some(target) = schema["$ref"].as_str() {
        let target = target.rsplit('/').next().unwrap_or_default();
        return match depth < DEPTH_MAX {
            true => of(&schemas[target], name, schemas, depth + 1),
            false => Value::Null,
        };
    }
    let choices = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(first) = choices.and_then(|choices| choices.first()) {
        let may_be_null = choices
            .into_iter()
            .flatten()
            .any(|choice| choice["type"] == "null");
        return match may_be_null {
            true => Value::Null,
            false => of(first, name, schemas, depth + 1),
        };
    }
    let is = |kind: &str| match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|found| found == kind),
        found => found == kind,
    };
    if is("null") {
        return Value::Null;
    }
    if is("object") {
        let properties = schema["properties"].as_object();
        let fields = properties.into_iter().flatten();
        return fields
            .map(|(name, schema)| (name.clone(), of(schema, name, schemas, depth + 1)))
            .collect();
    }
    if is("array") {
        return json!([of(&schema["items"], name, schemas, depth + 1)]);
    }
    if is("string") {
        return if schema["format"] == "uuid" {
            ID.into()
        } else {
            "…".into()
        };
    }
    if is("boolean") {
        return false.into();
    }
    let is_time = name == "ts" || name == "at" || name.ends_with("_at");
    if is_time { TIME_MS.into() } else { 0.into() }
}
