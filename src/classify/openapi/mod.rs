//! The `openapi` dialect: an OpenAPI document says what a request would do.
//!
//! Owns the reading of documents and the matching of paths. The document is the operator's, and is
//! believed; what it does not describe is unclassified. Start at [`OpenApi::parse`].

mod document;
mod error;
mod kind;
mod paths;
mod template;

pub use document::DOCUMENT_BYTES_MAX;
pub use error::OpenApiError;
pub use error::TemplateFault;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ::http::Method;

use crate::model::Access;
use crate::model::Action;
use crate::model::ActionKind;
use crate::model::Actions;
use crate::model::HttpRequest;
use crate::wire::check_path;

use super::http::access_of;
use super::http::kind_of;

use document::Document;
use document::PathItem;
use document::RawOperation;
use document::Server;
use paths::Leaf;
use paths::Match;
use paths::Paths;
use template::SEGMENTS_MAX;

/// An API, compiled from its OpenAPI 3.0, 3.1 or 3.2 document. Immutable.
#[derive(Debug)]
pub struct OpenApi {
    operations: Vec<Operation>,
    paths: Paths,
}

/// One operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The name of its action: `openapi:exportCustomers`, or `openapi:GET /customers/{id}` where
    /// the document gives it no id.
    pub name: String,
    /// Its `operationId`.
    pub id: Option<String>,
    /// Its method.
    pub method: Method,
    /// Its path as the document has it, without the server's base path.
    pub path: String,
    /// What it amounts to: by the configuration, else by `x-holdpoint-kind`, else by the method.
    pub kind: ActionKind,
    /// Whether it only looks.
    pub access: Access,
    /// Whether it cannot be undone (`x-holdpoint-irreversible`).
    pub irreversible: bool,
    /// Its summary, or the first line of its description.
    pub summary: Option<String>,
}

impl OpenApi {
    /// Reads a document: JSON if it begins with `{`, else YAML. `kinds` are the operator's own
    /// kinds for operations, by `operationId`, or by method and path where there is none.
    ///
    /// The base path is that of the first server. References to path items within the document
    /// are followed.
    ///
    /// # Errors
    /// [`OpenApiError`] if the document cannot be read, is contradictory, or describes calls that
    /// can never be made; and if `kinds` names an operation that it does not describe.
    pub fn parse(text: &str, kinds: &BTreeMap<String, ActionKind>) -> Result<Self, OpenApiError> {
        let document = document::read(text)?;
        check_version(&document)?;
        refuse_stray(&document.stray, || "the document".to_owned())?;
        let root = base_path(&document.servers, || "the document".to_owned())?;
        let mut api = Self { operations: Vec::new(), paths: Paths::default() };
        for (path, item) in &document.paths.0 {
            let item = resolve(path, item, &document)?;
            refuse_stray(&item.stray, || format!("the path `{path}`"))?;
            let base = match &item.servers {
                Some(servers) => Cow::Owned(base_path(servers, || format!("the path `{path}`"))?),
                None => Cow::Borrowed(root.as_str()),
            };
            for (method, raw) in &item.operations {
                let at = || format!("{method} {path}");
                let base = match &raw.servers {
                    Some(servers) => Cow::Owned(base_path(servers, at)?),
                    None => Cow::Borrowed(&*base),
                };
                api.add(&base, Operation::new(method, path, raw, kinds)?)?;
            }
        }
        if api.operations.is_empty() {
            return Err(OpenApiError::NoOperations);
        }
        api.check_ids(kinds)?;
        Ok(api)
    }

    /// What `request` would do.
    ///
    /// One action for the operation that it is. Where two paths of the document match and neither
    /// is more concrete, both: the upstream might take either. A HEAD that the document does not
    /// describe is the GET of the same path, as servers have it; an export without its content is
    /// a mere read.
    pub fn classify(&self, request: &HttpRequest) -> Actions {
        let unclassified = || Actions::unclassified(UNCLASSIFIED, Some(request.path.clone()));
        match self.paths.find(&request.path) {
            Match::Nothing => unclassified(),
            Match::One(leaf) => self.action(leaf, request).map_or_else(unclassified, Actions::one),
            Match::Several(leaves) => {
                let actions: Option<Vec<_>> = leaves.iter().map(|leaf| self.action(leaf, request)).collect();
                actions.and_then(Actions::new).unwrap_or_else(unclassified)
            }
        }
    }

    /// All operations, in the document's order.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }

    fn action(&self, leaf: &Leaf, request: &HttpRequest) -> Option<Action> {
        let resource = || request.path.clone();
        if let Some(operation) = leaf.operation(&request.method) {
            return self.operations.get(operation).map(|operation| operation.action(resource()));
        }
        if request.method != Method::HEAD {
            return None;
        }
        let get = leaf.operation(&Method::GET).and_then(|operation| self.operations.get(operation))?;
        Some(get.without_content(resource()))
    }

    fn add(&mut self, base: &str, operation: Operation) -> Result<(), OpenApiError> {
        if self.operations.len() == OPERATIONS_MAX {
            return Err(OpenApiError::TooManyOperations);
        }
        let path = &operation.path;
        // A path without its slash must not be glued to the base path.
        let whole = if path.starts_with('/') { format!("{base}{path}") } else { path.clone() };
        let segments = template::parse(&whole).map_err(|fault| OpenApiError::Template { path: path.clone(), fault })?;
        self.paths
            .insert(&segments, path, operation.method.clone(), self.operations.len())
            .map_err(|first| OpenApiError::SamePath { first, second: path.clone() })?;
        self.operations.push(operation);
        Ok(())
    }

    /// Every id is used once, and every configured kind is for one of them.
    fn check_ids(&self, kinds: &BTreeMap<String, ActionKind>) -> Result<(), OpenApiError> {
        let mut known: BTreeMap<&str, &Operation> = BTreeMap::new();
        for operation in &self.operations {
            match known.entry(operation.key()) {
                Entry::Vacant(entry) => drop(entry.insert(operation)),
                Entry::Occupied(entry) => {
                    return Err(OpenApiError::DuplicateId {
                        id: operation.key().to_owned(),
                        first: entry.get().place(),
                        second: operation.place(),
                    });
                }
            }
        }
        match kinds.keys().find(|id| !known.contains_key(id.as_str())) {
            Some(id) => Err(OpenApiError::UnknownOperation { id: id.clone(), known: some_of(&known) }),
            None => Ok(()),
        }
    }
}

impl Operation {
    fn new(
        method: &Method,
        path: &str,
        raw: &RawOperation,
        kinds: &BTreeMap<String, ActionKind>,
    ) -> Result<Self, OpenApiError> {
        let place = format!("{method} {path}");
        refuse_stray(&raw.stray, || place.clone())?;
        if let Some(id) = &raw.id
            && (id.is_empty() || id.chars().count() > ID_CHARS_MAX || id.chars().any(char::is_control))
        {
            return Err(OpenApiError::OperationId {
                at: place,
                id: id.chars().take(80).collect::<String>().escape_debug().to_string(),
            });
        }
        let marked = match &raw.kind {
            Some(given) => Some(kind::parse(given).ok_or_else(|| OpenApiError::UnknownKind {
                at: place.clone(),
                given: given.escape_debug().to_string(),
            })?),
            None => None,
        };
        let key = raw.id.as_deref().unwrap_or(&place);
        let named = kinds.get(key).copied().or(marked);
        Ok(Self {
            name: format!("openapi:{key}"),
            id: raw.id.clone(),
            method: method.clone(),
            path: path.to_owned(),
            kind: named.unwrap_or_else(|| kind_of(method)),
            access: named.map_or_else(|| access_of(method), |kind| access_of_kind(kind, method)),
            irreversible: raw.irreversible,
            summary: summary(raw),
        })
    }

    /// What the configuration calls it: its id, or its method and path.
    fn key(&self) -> &str {
        self.name.strip_prefix("openapi:").unwrap_or(&self.name)
    }

    fn place(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn action(&self, resource: String) -> Action {
        Action {
            name: self.name.clone(),
            kind: self.kind,
            access: self.access,
            resource: Some(resource),
            irreversible: self.irreversible,
            summary: self.summary.clone(),
        }
    }

    /// A HEAD for this GET, which the document does not describe. Nothing is taken out, so an
    /// export is a mere read. Any other kind stays: many servers run the handler of GET for it,
    /// with whatever else that does.
    fn without_content(&self, resource: String) -> Action {
        let kind = match self.kind {
            ActionKind::DataExport => ActionKind::Read,
            kind => kind,
        };
        Action { kind, ..self.action(resource) }
    }
}

/// Whether an operation of a kind that somebody chose only looks. A kind that changes something
/// does so with any method.
fn access_of_kind(kind: ActionKind, method: &Method) -> Access {
    match kind {
        ActionKind::Read => Access::Read,
        ActionKind::DataExport => access_of(method),
        ActionKind::Write
        | ActionKind::Delete
        | ActionKind::PrivilegeEscalation
        | ActionKind::CredentialIssue
        | ActionKind::InfrastructureChange
        | ActionKind::NetworkChange
        | ActionKind::ConfigurationChange
        | ActionKind::Execute
        | ActionKind::Payment
        | ActionKind::Unknown => Access::Write,
    }
}

fn check_version(document: &Document) -> Result<(), OpenApiError> {
    let accepted = |version: &str| {
        ["3.0", "3.1", "3.2"]
            .iter()
            .any(|known| version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    match (&document.version, &document.swagger) {
        (Some(version), _) if accepted(version) => Ok(()),
        (Some(version), _) | (None, Some(version)) => {
            Err(OpenApiError::Version(version.chars().take(80).collect::<String>().escape_debug().to_string()))
        }
        (None, None) => Err(OpenApiError::NoVersion),
    }
}

fn refuse_stray(stray: &[String], at: impl Fn() -> String) -> Result<(), OpenApiError> {
    match stray.first() {
        Some(name) => Err(OpenApiError::UnknownExtension { at: at(), name: name.clone() }),
        None => Ok(()),
    }
}

/// The path of the first server's URL, with the defaults of its variables and without a slash at
/// its end. No server is the server `/`.
fn base_path(servers: &[Server], at: impl Fn() -> String) -> Result<String, OpenApiError> {
    let Some(server) = servers.first() else { return Ok(String::new()) };
    let refuse = |why| OpenApiError::Server { at: at(), url: server.url.clone(), why };
    let mut url = server.url.clone();
    for (name, variable) in &server.variables {
        let placeholder = format!("{{{name}}}");
        if url.contains(&placeholder) {
            let default = variable.default.as_deref().ok_or_else(|| refuse("has a variable without a default"))?;
            url = url.replace(&placeholder, default);
        }
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|start| rest.get(start..)).unwrap_or(""),
        None if url.is_empty() || url.starts_with('/') => &url,
        None => return Err(refuse("is relative to the document; write a whole URL, or a path that begins with `/`")),
    };
    if path.contains(['{', '}']) {
        return Err(refuse("has a variable in its path that `variables` does not define"));
    }
    if path.contains(['?', '#']) {
        return Err(refuse("holds a query or a fragment; write scheme, host and path only"));
    }
    let path = path.trim_end_matches('/');
    if !path.is_empty() && check_path(path).is_err() {
        return Err(refuse("has a path that is not in normal form, so that no call could have it"));
    }
    Ok(path.to_owned())
}

/// Follows the references of a path item within the document.
fn resolve<'a>(path: &str, item: &'a PathItem, document: &'a Document) -> Result<&'a PathItem, OpenApiError> {
    let mut item = item;
    for _ in 0..REFERENCES_MAX {
        let Some(reference) = &item.reference else { return Ok(item) };
        let refuse = |why| OpenApiError::Reference { path: path.to_owned(), reference: reference.clone(), why };
        if !item.operations.is_empty() || item.servers.is_some() || !item.stray.is_empty() {
            return Err(refuse("stands beside operations of its own; keep one of the two"));
        }
        let fragment = reference
            .strip_prefix('#')
            .ok_or_else(|| refuse("is outside of the document; bundle it into one first"))?;
        let pointer = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let find = |entries: &'a [(String, PathItem)], name: &str| {
            let name = name.replace("~1", "/").replace("~0", "~");
            entries.iter().find(|(known, _)| *known == name).map(|(_, item)| item)
        };
        let found = if let Some(name) = pointer.strip_prefix("/components/pathItems/") {
            find(&document.components.path_items.0, name)
        } else if let Some(name) = pointer.strip_prefix("/paths/") {
            find(&document.paths.0, name)
        } else {
            return Err(refuse("is no path item; refer to `#/components/pathItems/...` or `#/paths/...`"));
        };
        item = found.ok_or_else(|| refuse("is not in the document"))?;
    }
    Err(OpenApiError::Reference {
        path: path.to_owned(),
        reference: item.reference.clone().unwrap_or_default(),
        why: "leads on too often, or in a circle",
    })
}

/// The summary, or the first line of the description: one line for people.
fn summary(raw: &RawOperation) -> Option<String> {
    let first_line = |text: &Option<String>| {
        let line = text.as_deref()?.lines().map(str::trim).find(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(SUMMARY_CHARS_MAX).collect())
    };
    first_line(&raw.summary).or_else(|| first_line(&raw.description))
}

fn some_of(known: &BTreeMap<&str, &Operation>) -> String {
    let some = known.keys().take(10).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    match known.len().saturating_sub(10) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// The most operations of one document: the largest public ones have about 16,000.
const OPERATIONS_MAX: usize = 20_000;
/// The longest `operationId`: it becomes part of names that people read.
const ID_CHARS_MAX: usize = 200;
/// The longest summary that reviewers are shown.
const SUMMARY_CHARS_MAX: usize = 300;
/// How often a reference may lead to another one.
const REFERENCES_MAX: usize = 8;
/// The name of the action of a request that the document does not describe.
const UNCLASSIFIED: &str = "openapi:unclassified";

#[cfg(test)]
mod tests;
