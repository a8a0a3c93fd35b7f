//! What a call would do: one [`Action`], or several where one call carries a batch.

use serde::Deserialize;
use serde::Serialize;

/// One thing that a call would do, as policy and reviewers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Dialect, then the operation, such as `http:GET` or `openapi:exportCustomers`.
    pub name: String,
    /// What the action amounts to, from the vocabulary that holds across dialects.
    pub kind: ActionKind,
    /// Whether it only looks, or changes something.
    pub access: Access,
    /// What it is done to, such as `/clusters/prod-1`; absent where the dialect cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// True where it cannot be undone.
    #[serde(default)]
    pub irreversible: bool,
    /// One sentence for people, from the dialect's own documents and never from the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// The closed vocabulary that policies can rely on across dialects (DESIGN 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Looks at something.
    Read,
    /// Creates or changes something.
    Write,
    /// Removes something.
    Delete,
    /// Takes data out in bulk.
    DataExport,
    /// Gives somebody more rights.
    PrivilegeEscalation,
    /// Makes or reveals a credential.
    CredentialIssue,
    /// Changes machines, clusters or other infrastructure.
    InfrastructureChange,
    /// Changes who can reach what over the network.
    NetworkChange,
    /// Changes settings.
    ConfigurationChange,
    /// Runs code.
    Execute,
    /// Moves money.
    Payment,
    /// Could not be read; policy should treat it as the worst.
    Unknown,
}

impl ActionKind {
    /// The word that policies and records use, such as `data-export`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::DataExport => "data-export",
            Self::PrivilegeEscalation => "privilege-escalation",
            Self::CredentialIssue => "credential-issue",
            Self::InfrastructureChange => "infrastructure-change",
            Self::NetworkChange => "network-change",
            Self::ConfigurationChange => "configuration-change",
            Self::Execute => "execute",
            Self::Payment => "payment",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether an action only looks, or changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Looks, and changes nothing.
    Read,
    /// Changes something, or may.
    Write,
}

impl Access {
    /// The word that policies and records use: `read` or `write`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Every action of one call; never empty, because `every` over nothing would allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Actions(Vec<Action>); // Invariant: at least one.

impl Actions {
    /// One action, which is the usual call.
    pub fn one(action: Action) -> Self {
        Self(vec![action])
    }

    /// Several actions; `None` if there is none to speak of.
    pub fn new(actions: Vec<Action>) -> Option<Self> {
        (!actions.is_empty()).then_some(Self(actions))
    }

    /// A call that could not be read: one action of kind `unknown` that may write.
    pub fn unclassified(name: &str, resource: Option<String>) -> Self {
        Self::one(Action {
            name: name.to_owned(),
            kind: ActionKind::Unknown,
            access: Access::Write,
            resource,
            irreversible: false,
            summary: None,
        })
    }

    /// The actions, in the call's own order.
    pub fn iter(&self) -> std::slice::Iter<'_, Action> {
        self.0.iter()
    }

    /// The first action, which names the call where only one line fits.
    pub fn first(&self) -> &Action {
        self.0.first().expect("the constructors refuse an empty list")
    }

    /// The actions as a slice of at least one.
    pub fn as_slice(&self) -> &[Action] {
        &self.0
    }
}
