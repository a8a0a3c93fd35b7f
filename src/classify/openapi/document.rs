//! The parts of an OpenAPI document that we read. All the rest, above all the schemas, is passed
//! over without being kept.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use http::Method;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

use super::error::OpenApiError;

/// The longest document that is read: the largest public ones have about 30 MB.
pub const DOCUMENT_BYTES_MAX: usize = 40 << 20;

/// Nesting in YAML; real documents have about 30 levels. (JSON is passed over without recursion.)
const YAML_DEPTH_MAX: usize = 64;
/// Enough for the largest public documents.
const YAML_NODES_MAX: usize = 4_000_000;
/// Anchors are rare in OpenAPI, which has `$ref`.
const YAML_ALIASES_MAX: usize = 1_000;

/// Reads a document: JSON if it begins with `{`, else YAML.
pub(super) fn read(text: &str) -> Result<Document, OpenApiError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(OpenApiError::TooLong { bytes: text.len() });
    }
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let document: Result<Keyed<Document>, _> = serde_json::from_str(text);
        return document
            .map(|Keyed(document)| document)
            .map_err(|error| OpenApiError::Syntax { format: "JSON", detail: error.to_string() });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: YAML_DEPTH_MAX,
            flow_nesting_limit: YAML_DEPTH_MAX,
            max_nodes: YAML_NODES_MAX,
            max_events: 2 * YAML_NODES_MAX,
            max_aliases: YAML_ALIASES_MAX,
            max_anchors: YAML_ALIASES_MAX,
            max_documents: 1,
        },
        strict_booleans: true,
        // `Keyed` refuses them, in our words.
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let document: Result<Keyed<Document>, _> = serde_saphyr::from_str_with_options(text, options);
    document
        .map(|Keyed(document)| document)
        .map_err(|error| OpenApiError::Syntax { format: "YAML", detail: error.to_string() })
}

/// The root.
#[derive(Default)]
pub(super) struct Document {
    pub(super) version: Option<String>,
    /// The version of Swagger, OpenAPI's forerunner.
    pub(super) swagger: Option<String>,
    pub(super) servers: Vec<Server>,
    pub(super) paths: Entries<PathItem>,
    pub(super) components: Components,
    pub(super) stray: Vec<String>,
}

/// What can be referred to.
#[derive(Default)]
pub(super) struct Components {
    pub(super) path_items: Entries<PathItem>,
}

/// One path, with its operations in the document's order.
#[derive(Default)]
pub(super) struct PathItem {
    pub(super) reference: Option<String>,
    pub(super) servers: Option<Vec<Server>>,
    pub(super) operations: Vec<(Method, RawOperation)>,
    pub(super) stray: Vec<String>,
}

/// One operation.
#[derive(Default)]
pub(super) struct RawOperation {
    pub(super) id: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) description: Option<String>,
    pub(super) servers: Option<Vec<Server>>,
    pub(super) kind: Option<String>,
    pub(super) irreversible: bool,
    pub(super) stray: Vec<String>,
}

/// Where the paths begin.
#[derive(Deserialize)]
pub(super) struct Server {
    pub(super) url: String,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Variable>,
}

/// A variable of a server's URL.
#[derive(Deserialize)]
pub(super) struct Variable {
    pub(super) default: Option<String>,
}

/// A map whose keys are the document's own, in its order.
pub(super) struct Entries<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl FromKeys for Document {
    const WHAT: &'static str = "an OpenAPI document";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "openapi" => self.version = Some(map.next_value()?),
            "swagger" => self.swagger = Some(map.next_value()?),
            "servers" => self.servers = map.next_value()?,
            "paths" => Keyed(self.paths) = map.next_value()?,
            "components" => Keyed(self.components) = map.next_value()?,
            _ => pass_over(key, map, &mut self.stray)?,
        }
        Ok(())
    }
}

impl FromKeys for Components {
    const WHAT: &'static str = "the components";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "pathItems" => Keyed(self.path_items) = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl FromKeys for PathItem {
    const WHAT: &'static str = "a path item";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let method = match key {
            "$ref" => return map.next_value().map(|reference| self.reference = Some(reference)),
            "servers" => return map.next_value().map(|servers| self.servers = Some(servers)),
            "additionalOperations" => {
                let Keyed(Entries::<RawOperation>(operations)) = map.next_value()?;
                for (method, operation) in operations {
                    let method = method.parse().map_err(|_| A::Error::custom(format!("`{method}` is no method")))?;
                    self.operations.push((method, operation));
                }
                return Ok(());
            }
            "get" => Method::GET,
            "head" => Method::HEAD,
            "post" => Method::POST,
            "put" => Method::PUT,
            "patch" => Method::PATCH,
            "delete" => Method::DELETE,
            "options" => Method::OPTIONS,
            "trace" => Method::TRACE,
            "query" => Method::QUERY,
            _ => return pass_over(key, map, &mut self.stray),
        };
        let Keyed(operation) = map.next_value()?;
        self.operations.push((method, operation));
        Ok(())
    }
}

impl FromKeys for RawOperation {
    const WHAT: &'static str = "an operation";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "operationId" => self.id = Some(map.next_value()?),
            "summary" => self.summary = map.next_value()?,
            "description" => self.description = map.next_value()?,
            "servers" => self.servers = Some(map.next_value()?),
            "x-holdpoint-kind" => self.kind = Some(map.next_value()?),
            "x-holdpoint-irreversible" => self.irreversible = map.next_value()?,
            _ => pass_over(key, map, &mut self.stray)?,
        }
        Ok(())
    }
}

impl<T: FromKeys> FromKeys for Entries<T> {
    const WHAT: &'static str = "a map by name";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key.starts_with("x-") {
            map.next_value::<IgnoredAny>()?;
        } else {
            let Keyed(value) = map.next_value()?;
            self.0.push((key.to_owned(), value));
        }
        Ok(())
    }
}

/// Passes over what we do not read, but remembers extensions of ours that do not belong here: a
/// misspelt one must not be lost in silence.
fn pass_over<'de, A: MapAccess<'de>>(key: &str, map: &mut A, stray: &mut Vec<String>) -> Result<(), A::Error> {
    if key.starts_with("x-holdpoint") {
        stray.push(key.to_owned());
    }
    map.next_value::<IgnoredAny>().map(drop)
}

/// What is read from a map, key by key.
trait FromKeys: Default {
    /// What is expected, for messages.
    const WHAT: &'static str;

    /// Takes the value of `key` from `map`.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Reads a [`FromKeys`], and refuses a key that is there twice: parsers differ in which they take.
struct Keyed<T>(T);

impl<'de, T: FromKeys> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeyedVisitor(PhantomData)).map(Self)
    }
}

struct KeyedVisitor<T>(PhantomData<T>);

impl<'de, T: FromKeys> Visitor<'de> for KeyedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            value.take(&key, &mut map)?;
            seen.insert(key);
        }
        Ok(value)
    }
}
