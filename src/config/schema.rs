//! The configuration file as a JSON Schema, for editors and for the reference.

use serde_json::Value;

use super::Config;

/// The JSON Schema (2020-12) of the configuration file, made from the types that read it.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    without_null(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), "holdpoint.yaml".into());
    }
    schema
}

/// An optional key is left out, never written without a value; the derived schema permits both.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get("type")
                && let [one, null] = types.as_slice()
                && null == "null"
            {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
            if let Some(Value::Array(choices)) = object.get("anyOf")
                && let [Value::Object(one), null] = choices.as_slice()
                && null.get("type").is_some_and(|kind| kind == "null")
            {
                let one = one.clone();
                object.remove("anyOf");
                object.extend(one);
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
