//! A leaf, read back.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;

use crate::model::ApprovalId;
use crate::model::EventId;
use crate::model::Sha256;
use crate::model::Timestamp;

use super::super::canonical;
use super::super::canonical::NotCanonical;
use super::super::event::EventKind;

/// A leaf, read back, in so far as it can be verified.
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) time: Timestamp,
    pub(super) kind: EventKind,
    pub(super) subject: Option<ApprovalId>,
    pub(super) prev: Option<Sha256>,
    pub(super) actor: Who,
    pub(super) data: Map<String, Value>,
    /// What it commits to without showing it.
    pub(super) commitments: BTreeSet<String>,
}

/// Who did what a leaf tells.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Who {
    /// An agent.
    Principal {
        #[serde(rename = "id")]
        _id: String,
    },
    /// A reviewer.
    Person {
        id: String,
        #[serde(rename = "assurance")]
        _assurance: String,
        #[serde(rename = "channel")]
        _channel: String,
    },
    /// Holdpoint itself.
    System,
}

/// Why bytes are not a leaf.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnEntry {
    #[error("it is not canonical JSON: {0}")]
    Canonical(#[from] NotCanonical),
    #[error("it is not an event: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("its version is {0}, and only 1 is known")]
    Version(u64),
    #[error("its type `{0}` is not known to this version of the verifier")]
    Type(String),
}

impl Entry {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotAnEntry> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Shape {
            v: u64,
            id: EventId,
            time: Timestamp,
            r#type: String,
            subject: Option<ApprovalId>,
            prev: Option<Sha256>,
            #[serde(rename = "instance")]
            _instance: String,
            #[serde(rename = "policy")]
            _policy: Option<Sha256>,
            actor: Who,
            data: Map<String, Value>,
            #[serde(default)]
            sd: BTreeSet<String>,
        }
        let shape: Shape = serde_json::from_value(canonical::parse(bytes)?)?;
        if shape.v != 1 {
            return Err(NotAnEntry::Version(shape.v));
        }
        let Some(kind) = EventKind::from_word(&shape.r#type) else {
            return Err(NotAnEntry::Type(shape.r#type.escape_debug().take(80).collect()));
        };
        Ok(Self {
            id: shape.id,
            time: shape.time,
            kind,
            subject: shape.subject,
            prev: shape.prev,
            actor: shape.actor,
            data: shape.data,
            commitments: shape.sd,
        })
    }

    /// A text of its data.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name).and_then(Value::as_str)
    }

    /// Something of its data, in the form it should have.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.data.get(name).and_then(|value| T::deserialize(value).ok())
    }
}
