//! One thing that happened, before it is sealed into a leaf.
//!
//! Borrows what it can: an event lives only until it is sealed, and every allowed call makes two.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::ApprovalId;
use crate::model::Assurance;
use crate::model::CallId;
use crate::model::DecisionId;
use crate::model::EventId;
use crate::model::PolicyDigest;
use crate::model::Sha256;
use crate::model::Timestamp;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Names it.
    pub id: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The approval it is about.
    pub subject: Option<ApprovalId>,
    /// The leaf hash of the previous event of the same approval; `None` for its first.
    pub prev: Option<Sha256>,
    /// The policies that had their say in it.
    pub policy: Option<PolicyDigest>,
    /// Who did it.
    pub actor: Actor<'a>,
    /// What everybody who sees the log may read.
    pub data: Fields<'a>,
    /// What stands in the log only as a salted commitment: reasons, e-mail addresses, queries.
    /// Never a secret: those are not kept at all.
    pub private: Vec<(&'static str, Value)>,
}

/// Who did what an event tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor<'a> {
    /// An agent.
    Principal {
        /// Its configured name.
        id: Cow<'a, str>,
    },
    /// A reviewer.
    Person {
        /// Their pseudonym, `prs_…` (`Log::pseudonym`), never their name.
        id: Cow<'a, str>,
        /// How sure we are that it was them.
        assurance: Assurance,
        /// The channel they used, such as `api`.
        channel: Cow<'a, str>,
    },
    /// Holdpoint itself.
    System,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// What happened, from a closed set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the leaf, such as `approval.decided`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The kind whose word this is.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The policy allowed a call.
    RequestAllowed => "request.allowed",
    /// The policy denied a call.
    RequestDenied => "request.denied",
    /// A call repeats one that has run under an approval, and got that one's answer. Data:
    /// `approval`.
    RequestReplayed => "request.replayed",
    /// The policy holds a call for approval.
    RequestHeld => "request.held",
    /// An approval was opened. Data: `digest`, `requirements`, `closure`, `escalation`.
    ApprovalCreated => "approval.created",
    /// It has waited so long that others may approve it as well.
    ApprovalEscalated => "approval.escalated",
    /// A reviewer looked at it.
    ApprovalViewed => "approval.viewed",
    /// A reviewer asked a question.
    ApprovalAsked => "approval.asked",
    /// The question was answered.
    ApprovalAnswered => "approval.answered",
    /// One reviewer approved or denied. Data: `verdict`, `digest`, `groups`.
    ApprovalDecided => "approval.decided",
    /// Enough of the right people approved.
    ApprovalApproved => "approval.approved",
    /// A reviewer denied it.
    ApprovalDenied => "approval.denied",
    /// Nobody decided in time.
    ApprovalExpired => "approval.expired",
    /// The caller's side took it back.
    ApprovalWithdrawn => "approval.withdrawn",
    /// It was approved, and the approval was taken back before the call ran.
    ApprovalRevoked => "approval.revoked",
    /// It was approved, and no caller came for it in time.
    ApprovalLapsed => "approval.lapsed",
    /// The call is about to be sent: from approved to forwarding.
    ApprovalClaimed => "approval.claimed",
    /// The claim was given back: nothing was sent.
    ApprovalUnclaimed => "approval.unclaimed",
    /// The call ran, and the upstream answered.
    ApprovalCompleted => "approval.completed",
    /// The call was not carried out.
    ApprovalFailed => "approval.failed",
    /// Whether the call ran is not known.
    ApprovalUnknown => "approval.unknown",
    /// The caller hung up; the approval stays open.
    ApprovalCallerLeft => "approval.caller_left",
    /// A caller waits for it again.
    ApprovalCallerJoined => "approval.caller_joined",
    /// How an allowed call ended.
    UpstreamCompleted => "upstream.completed",
    /// A set of policies came into force.
    PolicyLoaded => "policy.loaded",
    /// A configuration came into force.
    ConfigChanged => "config.changed",
    /// A key was made.
    KeyCreated => "key.created",
    /// The log was opened. Data: `vkey`.
    LogOpened => "log.opened",
    /// The log can be written again, or was cut back to its last whole entry.
    LogRecovered => "log.recovered",
    /// The log was closed in good order.
    LogClosed => "log.closed",
}

/// Named values in the order of their names, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(&'static str, Field<'a>)>); // Invariant: sorted, distinct ASCII names.

/// One value of an event. There are no fractions: they have no spelling that all readers agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number; beyond 2^53 it cannot be sealed.
    Integer(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// A hash.
    Digest(Sha256),
    /// A call's name.
    Call(CallId),
    /// A decision's name.
    Decision(DecisionId),
    /// An approval's name.
    Approval(ApprovalId),
    /// An event's name.
    Event(EventId),
    /// A point in time.
    Time(Timestamp),
    /// Several values in their own order.
    List(Vec<Field<'a>>),
    /// Named values.
    Object(Fields<'a>),
}

impl<'a> Fields<'a> {
    /// No values yet.
    pub fn new() -> Self {
        Self(Vec::with_capacity(8))
    }

    /// The same with `name` set to `value`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Field<'a>>) -> Self {
        self.set(name, value);
        self
    }

    /// The same with `name` set to `value`, if there is one.
    #[must_use]
    pub fn with_some(mut self, name: &'static str, value: Option<impl Into<Field<'a>>>) -> Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Sets `name` to `value`, in the place of an earlier one.
    pub fn set(&mut self, name: &'static str, value: impl Into<Field<'a>>) {
        debug_assert!(name.is_ascii(), "names of fields are ASCII");
        let value = value.into();
        match self.0.binary_search_by(|(other, _)| (*other).cmp(name)) {
            Ok(at) => {
                if let Some(field) = self.0.get_mut(at) {
                    field.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// The values in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Field<'a>)> {
        self.0.iter()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

macro_rules! into_field {
    ($($from:ty => |$value:ident| $field:expr;)*) => {
        $(impl<'a> From<$from> for Field<'a> {
            fn from($value: $from) -> Self { $field }
        })*
    };
}

into_field! {
    bool => |value| Field::Bool(value);
    u16 => |value| Field::Integer(value.into());
    u32 => |value| Field::Integer(value.into());
    i64 => |value| Field::Integer(value);
    // Too large is too large: sealing refuses it either way.
    u64 => |value| Field::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    usize => |value| Field::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    &'a str => |value| Field::Text(Cow::Borrowed(value));
    String => |value| Field::Text(Cow::Owned(value));
    Cow<'a, str> => |value| Field::Text(value);
    Sha256 => |value| Field::Digest(value);
    CallId => |value| Field::Call(value);
    DecisionId => |value| Field::Decision(value);
    ApprovalId => |value| Field::Approval(value);
    EventId => |value| Field::Event(value);
    Timestamp => |value| Field::Time(value);
    Fields<'a> => |value| Field::Object(value);
}

impl<'a, T: Into<Field<'a>>> From<Vec<T>> for Field<'a> {
    fn from(values: Vec<T>) -> Self {
        Field::List(values.into_iter().map(Into::into).collect())
    }
}

impl<'a, T: Into<Field<'a>>> FromIterator<T> for Field<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Field::List(values.into_iter().map(Into::into).collect())
    }
}
