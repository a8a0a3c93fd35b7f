//! What a call would do, in one sentence that the agent has no part in.
//!
//! The words come from the dialect's own documents and from the kind of action, never from the call.

use crate::approval::RequestLine;
use crate::model::Action;
use crate::model::ActionKind;

use super::inert::Inert;

/// One thing that the call would do.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// Such as `Exports all customers with their contact data`.
    pub(super) sentence: Inert,
    /// What it is done to. The agent has chosen it.
    pub(super) resource: Option<Inert>,
    /// The operation's name, such as `openapi:exportCustomers`.
    pub(super) name: Inert,
    /// Such as `data export`.
    pub(super) kind: &'static str,
    pub(super) irreversible: bool,
}

impl Effect {
    pub(super) fn of(action: &Action) -> Self {
        let summary = action.summary.as_deref().map(|summary| summary.trim().trim_end_matches('.'));
        let sentence = match summary.filter(|summary| !summary.is_empty()) {
            Some(summary) => Inert::line(summary),
            None => Inert::line(said_by_kind(action.kind)),
        };
        Self {
            sentence,
            resource: action.resource.as_ref().map(Inert::line),
            name: Inert::line(&action.name),
            kind: kind_words(action.kind),
            irreversible: action.irreversible,
        }
    }
}

impl Effect {
    /// The same on a page that shows the request line: what stands there anyway is not said twice.
    pub(super) fn beside(mut self, line: &RequestLine) -> Self {
        let path = line.target.split('?').next().unwrap_or_default();
        self.resource = self.resource.filter(|resource| resource.as_str() != path);
        self
    }
}

/// The same for a list and a title: the first sentence, and how many more there are.
pub(super) fn in_short(actions: &[Action]) -> String {
    let Some(first) = actions.first() else { return "Does something that could not be read".to_owned() };
    let sentence = Effect::of(first).sentence.as_str().to_owned();
    match actions.len() - 1 {
        0 => sentence,
        more => format!("{sentence}, and {more} more"),
    }
}

fn said_by_kind(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Read => "Reads something",
        ActionKind::Write => "Creates or changes something",
        ActionKind::Delete => "Deletes something",
        ActionKind::DataExport => "Takes data out in bulk",
        ActionKind::PrivilegeEscalation => "Gives somebody more rights",
        ActionKind::CredentialIssue => "Makes or reveals a credential",
        ActionKind::InfrastructureChange => "Changes infrastructure",
        ActionKind::NetworkChange => "Changes who can reach what over the network",
        ActionKind::ConfigurationChange => "Changes settings",
        ActionKind::Execute => "Runs code",
        ActionKind::Payment => "Moves money",
        ActionKind::Unknown => "Does something that could not be read: take it for the worst",
    }
}

fn kind_words(kind: ActionKind) -> &'static str {
    match kind {
        ActionKind::Read => "read",
        ActionKind::Write => "write",
        ActionKind::Delete => "delete",
        ActionKind::DataExport => "data export",
        ActionKind::PrivilegeEscalation => "privilege escalation",
        ActionKind::CredentialIssue => "credential issue",
        ActionKind::InfrastructureChange => "infrastructure change",
        ActionKind::NetworkChange => "network change",
        ActionKind::ConfigurationChange => "configuration change",
        ActionKind::Execute => "execute",
        ActionKind::Payment => "payment",
        ActionKind::Unknown => "unknown",
    }
}
