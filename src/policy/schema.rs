//! The shape of `input`, as JSON Schema: for people, for editors, and for finding misspelt paths.

use serde_json::Value;
use serde_json::json;

/// The JSON Schema (2020-12) of what policies are given as `input`. It describes version 1; a
/// change that could change an answer gets a new version.
pub fn input_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://holdpoint.dev/schemas/policy-input-1.json",
        "title": "Holdpoint policy input",
        "description": "What a policy is given about one call.",
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "principal", "actions", "request", "upstream", "context"],
        "properties": {
            "version": { "const": 1, "description": "The version of this document." },
            "principal": principal(),
            "actions": {
                "description": "Everything that the call would do. There is always at least one; what could not be read is one action of kind `unknown`.",
                "type": "array", "minItems": 1, "items": action(),
            },
            "request": request(),
            "upstream": object("Where the call goes.", &["name", "environment", "labels"], json!({
                "name": { "type": "string", "description": "The configured name." },
                "environment": { "type": "string", "description": "Such as `production`; empty where the operator named none." },
                "labels": { "type": "object", "additionalProperties": { "type": "string" }, "description": "The operator's labels." },
            })),
            "context": object("The circumstances.", &["time", "weekday", "source_ip"], json!({
                "time": { "type": "string", "format": "date-time", "description": "When the policy is asked, in UTC." },
                "weekday": { "enum": WEEKDAYS, "description": "The day of the week of `time`." },
                "source_ip": { "type": "string", "description": "The address that the call came from." },
                "reason": { "type": "string", "description": "Why, in the agent's own words; not to be believed." },
                "approved_before": object(
                    "What people have approved before; only for policies that name it.",
                    &["same_fingerprint_30d"],
                    json!({
                        "same_fingerprint_30d": {
                            "type": "integer", "minimum": 0, "maximum": 500,
                            "description": "How many calls of this principal with the same digest, under the same policy, people have approved and were sent within 30 days.",
                        },
                    }),
                ),
                "ticket": { "type": "string", "description": "The agent's ticket or session; not to be believed." },
            })),
            "approval": {
                "description": "The approval, when the policy is asked again after people have approved the call.",
                "type": "object", "additionalProperties": true,
            },
        },
    })
}

/// The same for `schemas:` annotations and `opa check --schema`. OPA knows draft 7, looks at `type`
/// and `properties`, and would look up `$id`.
pub fn rego_schema() -> Value {
    let mut schema = input_schema();
    plain(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$id");
        object.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    }
    schema
}

/// Gives every closed set of values its type, and draft 7's form.
fn plain(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.contains_key("enum") {
        object.insert("type".to_owned(), "string".into());
    }
    if let Some(only) = object.remove("const") {
        object.insert("type".to_owned(), "integer".into());
        object.insert("enum".to_owned(), vec![only].into());
    }
    let named = object.get_mut("properties").and_then(Value::as_object_mut);
    named.into_iter().flat_map(|named| named.values_mut()).for_each(plain);
    ["items", "additionalProperties"].iter().for_each(|of| object.get_mut(*of).into_iter().for_each(plain));
}

/// The values of `input.context.weekday`.
pub(super) const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn object(description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object", "description": description, "additionalProperties": false,
        "required": required, "properties": properties,
    })
}

fn principal() -> Value {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    object(
        "Who calls.",
        &["id", "kind", "owners", "groups", "claims", "authn", "chain"],
        json!({
            "id": { "type": "string", "description": "The configured name." },
            "kind": { "enum": ["agent"] },
            "owners": names,
            "groups": names,
            "claims": { "type": "object", "additionalProperties": true, "description": "What the operator wrote about it." },
            "authn": object("How it proved who it is.", &["method", "key_id"], json!({
                "method": { "type": "string", "description": "Such as `api-key`." },
                "key_id": { "type": "string", "description": "The public id of the credential." },
            })),
            "chain": { "type": "array", "items": { "type": "string" }, "description": "On whose behalf it acts, nearest first." },
        }),
    )
}

fn action() -> Value {
    object(
        "One thing that the call would do.",
        &["name", "kind", "access", "irreversible"],
        json!({
            "name": { "type": "string", "description": "Dialect and operation, such as `openapi:exportCustomers`." },
            "kind": { "enum": [
                "read", "write", "delete", "data-export", "privilege-escalation", "credential-issue",
                "infrastructure-change", "network-change", "configuration-change", "execute", "payment", "unknown",
            ] },
            "access": { "enum": ["read", "write"] },
            "resource": { "type": "string", "description": "What it is done to." },
            "irreversible": { "type": "boolean" },
            "summary": { "type": "string", "description": "One sentence from the dialect's own documents." },
        }),
    )
}

fn request() -> Value {
    let values = json!({
        "type": "object",
        "additionalProperties": { "type": "array", "items": { "type": "string" } },
    });
    object(
        "The HTTP request, as it will be sent.",
        &["method", "scheme", "authority", "host", "path", "headers", "websocket"],
        json!({
            "method": { "type": "string" },
            "scheme": { "enum": ["http", "https"], "description": "How the agent reached us." },
            "authority": { "type": "string", "description": "The host that the agent asked for, with its port where it is not the scheme's own." },
            "host": { "type": "string", "description": "The authority without its port." },
            "path": { "type": "string", "description": "The path exactly as it will be sent." },
            "path_segments": {
                "type": "array", "items": { "type": "string" },
                "description": "The path's parts, percent-decoded; absent if one of them is not UTF-8.",
            },
            "query": described(&values, "The query's parameters, decoded as a form; absent without a query, or if it cannot be decoded."),
            "query_raw": { "type": "string", "description": "The query exactly as it will be sent; absent without a query." },
            "headers": described(&values, "The fields that will be sent, names in lower case; bytes that are not ASCII are read as ISO 8859-1."),
            "body": { "description": "The body as JSON, or a form as an object of arrays, without its content coding; absent if it is neither or was not read." },
            "body_error": { "type": "string", "description": "Why a body that is not empty is not in `body`." },
            "body_bytes": { "type": "integer", "minimum": 0, "description": "How long the body is without its content coding; absent if it was not read." },
            "content_type": { "type": "string", "description": "The media type in lower case, without parameters." },
            "websocket": { "type": "boolean", "description": "True for a WebSocket handshake." },
        }),
    )
}

fn described(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), description.into());
    }
    schema
}

/// A place in the input, and whether it may be absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'s> {
    /// What the schema says of it; `Null` where it says nothing.
    pub(super) schema: &'s Value,
    /// True if it, or something above it, need not be there.
    pub(super) optional: bool,
}

impl<'s> Place<'s> {
    /// All of the input.
    pub(super) fn root(schema: &'s Value) -> Self {
        Self { schema, optional: false }
    }

    /// The member `name` of an object.
    pub(super) fn name(self, name: &str) -> Self {
        let known = self.schema.get("properties").and_then(|properties| properties.get(name));
        let required = self.schema.get("required").and_then(Value::as_array);
        let is_required = required.is_some_and(|required| required.iter().any(|required| required == name));
        let schema = known.or_else(|| self.schema.get("additionalProperties")).unwrap_or(&Value::Null);
        Self { schema, optional: self.optional || known.is_none() || !is_required }
    }

    /// The item of an array at `index`.
    pub(super) fn index(self, index: Option<u64>) -> Self {
        let least = self.schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        Self { optional: self.optional || index.is_none_or(|index| index >= least), ..self.item() }
    }

    /// Some item of an array, or some member of an object.
    pub(super) fn any(self) -> Self {
        self.index(Some(0))
    }

    /// What the items of an array, or the further members of an object, are like.
    pub(super) fn item(self) -> Self {
        let of = ["items", "additionalProperties"].iter().find_map(|of| self.schema.get(of));
        Self { schema: of.unwrap_or(&Value::Null), ..self }
    }
}

/// Follows `path` through `schema`.
///
/// # Errors
/// As much of `path` as leads to the first name that cannot be there.
pub(super) fn follow<'p, 's>(schema: &Value, path: &'p [&'s str]) -> Result<(), &'p [&'s str]> {
    let mut here = schema;
    for (index, name) in path.iter().enumerate() {
        let known = here.get("properties").and_then(|properties| properties.get(name));
        here = match (known, here.get("additionalProperties")) {
            (Some(known), _) => known,
            (None, Some(Value::Object(_))) => here.get("additionalProperties").unwrap_or(&Value::Null),
            (None, Some(Value::Bool(false))) => return Err(path.get(..=index).unwrap_or(path)),
            // Anything may be here, or nothing that has names.
            (None, _) => return Ok(()),
        };
    }
    Ok(())
}

/// The names that can follow `path`.
pub(super) fn names<'v>(schema: &'v Value, path: &[&str]) -> Vec<&'v str> {
    let here = path.iter().try_fold(schema, |here, name| here.get("properties")?.get(name));
    let properties = here.and_then(|here| here.get("properties")?.as_object());
    properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str)).collect()
}
