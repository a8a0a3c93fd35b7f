//! An event, sealed: the bytes that stand in the log, their hash, and what they commit to.

use crate::model::Assurance;
use crate::model::EventId;
use crate::model::Sha256;

use super::canonical;
use super::disclosure::Disclosure;
use super::event::Actor;
use super::event::Event;
use super::event::Field;
use super::event::Fields;
use super::tree;

/// An event, sealed: canonical JSON, its hash, and the disclosures that it commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    id: EventId,
    prefixed: Vec<u8>, // Invariant: a zero byte, then at most ENTRY_BYTES_MAX bytes of canonical JSON.
    hash: Sha256,      // Invariant: the hash of `prefixed`.
    disclosures: Vec<String>,
}

/// Why an event cannot be a leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// It is longer than an entry can be.
    #[error(
        "the event `{id}` takes {bytes} bytes, but an audit entry has at most {ENTRY_BYTES_MAX}; log a hash instead"
    )]
    TooLong {
        /// The event.
        id: EventId,
        /// Its length.
        bytes: usize,
    },
    /// It has a number that not every reader of JSON can hold.
    #[error("the event `{id}` has the number {number}, which is beyond 2^53; log it as text")]
    Number {
        /// The event.
        id: EventId,
        /// The number.
        number: i64,
    },
    /// Bytes that were kept for a leaf are none.
    #[error("the bytes kept for an audit entry are not one: {0}")]
    NotALeaf(String),
}

/// The longest entry: its length stands before it as two bytes (C2SP tlog-tiles).
pub(super) const ENTRY_BYTES_MAX: usize = 65_535;

impl Event<'_> {
    /// Seals this event as seen by the replica `instance`. `salt` draws 128 random bits for each
    /// private field.
    ///
    /// # Errors
    /// [`LeafError`] if it is too long or has a number beyond 2^53.
    pub fn seal(&self, instance: &str, mut salt: impl FnMut() -> [u8; 16]) -> Result<Leaf, LeafError> {
        let disclosures: Vec<String> =
            self.private.iter().map(|(name, value)| Disclosure::text(salt(), name, value)).collect();
        // The first byte marks a leaf (RFC 6962 §2.1) and saves hashing a copy.
        let mut out = Vec::with_capacity(LEAF_BYTES_USUAL);
        out.push(tree::LEAF_PREFIX);
        // RFC 8785 §3.2.3 wants the names sorted, so this order is not one to change.
        out.extend_from_slice(br#"{"actor":"#);
        push_actor(&mut out, &self.actor);
        out.extend_from_slice(br#","data":"#);
        push_fields(&mut out, &self.data).map_err(|number| LeafError::Number { id: self.id, number })?;
        out.extend_from_slice(br#","id":"#);
        push_id(&mut out, &self.id);
        out.extend_from_slice(br#","instance":"#);
        canonical::push_text(&mut out, instance);
        if let Some(policy) = &self.policy {
            out.extend_from_slice(br#","policy":"#);
            push_digest(&mut out, policy);
        }
        if let Some(prev) = &self.prev {
            out.extend_from_slice(br#","prev":"#);
            push_digest(&mut out, prev);
        }
        if !disclosures.is_empty() {
            out.extend_from_slice(br#","sd":"#);
            push_commitments(&mut out, &disclosures);
        }
        if let Some(subject) = &self.subject {
            out.extend_from_slice(br#","subject":"#);
            push_id(&mut out, subject);
        }
        out.extend_from_slice(br#","time":"#);
        canonical::push_time(&mut out, self.time);
        out.extend_from_slice(br#","type":"#);
        canonical::push_text(&mut out, self.kind.as_str());
        out.extend_from_slice(br#","v":1}"#);
        Leaf::new(self.id, out, disclosures)
    }
}

impl Leaf {
    fn new(id: EventId, prefixed: Vec<u8>, disclosures: Vec<String>) -> Result<Self, LeafError> {
        let bytes = prefixed.len() - 1;
        if bytes > ENTRY_BYTES_MAX {
            return Err(LeafError::TooLong { id, bytes });
        }
        Ok(Self { id, hash: Sha256::of(&prefixed), prefixed, disclosures })
    }

    /// A leaf that was sealed before and kept somewhere else, such as in an outbox.
    ///
    /// # Errors
    /// [`LeafError::NotALeaf`] if these are not the bytes of a leaf.
    pub fn restore(bytes: &[u8], disclosures: Vec<String>) -> Result<Self, LeafError> {
        let value = canonical::parse(bytes).map_err(|error| LeafError::NotALeaf(error.to_string()))?;
        let id = value.get("id").and_then(serde_json::Value::as_str).and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| LeafError::NotALeaf("it has no `id` of an event".into()))?;
        let mut prefixed = Vec::with_capacity(1 + bytes.len());
        prefixed.push(tree::LEAF_PREFIX);
        prefixed.extend_from_slice(bytes);
        Self::new(id, prefixed, disclosures)
    }

    /// The event's name.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The canonical JSON that stands in the log.
    pub fn bytes(&self) -> &[u8] {
        self.prefixed.get(1..).unwrap_or_default()
    }

    /// The leaf hash (RFC 6962 §2.1), which the next event of the same approval names as `prev`.
    pub fn hash(&self) -> Sha256 {
        self.hash
    }

    /// What the leaf commits to, for the side store.
    pub fn disclosures(&self) -> &[String] {
        &self.disclosures
    }
}

fn push_actor(out: &mut Vec<u8>, actor: &Actor<'_>) {
    match actor {
        Actor::Principal { id } => {
            out.extend_from_slice(br#"{"id":"#);
            canonical::push_text(out, id);
            out.extend_from_slice(br#","kind":"principal"}"#);
        }
        Actor::Person { id, assurance, channel } => {
            let assurance = match assurance {
                Assurance::Chat => "chat",
                Assurance::Session => "session",
                Assurance::Stepup => "stepup",
            };
            out.extend_from_slice(br#"{"assurance":"#);
            canonical::push_text(out, assurance);
            out.extend_from_slice(br#","channel":"#);
            canonical::push_text(out, channel);
            out.extend_from_slice(br#","id":"#);
            canonical::push_text(out, id);
            out.extend_from_slice(br#","kind":"person"}"#);
        }
        Actor::System => out.extend_from_slice(br#"{"kind":"system"}"#),
    }
}

fn push_fields(out: &mut Vec<u8>, fields: &Fields<'_>) -> Result<(), i64> {
    out.push(b'{');
    for (index, (name, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        canonical::push_text(out, name);
        out.push(b':');
        push_field(out, field)?;
    }
    out.push(b'}');
    Ok(())
}

/// Fails with the first number that is too large.
fn push_field(out: &mut Vec<u8>, field: &Field<'_>) -> Result<(), i64> {
    match field {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Bool(true) => out.extend_from_slice(b"true"),
        Field::Bool(false) => out.extend_from_slice(b"false"),
        Field::Integer(number) if number.unsigned_abs() > canonical::INTEGER_MAX => return Err(*number),
        Field::Integer(number) => canonical::push_display(out, number),
        Field::Text(text) => canonical::push_text(out, text),
        Field::Digest(digest) => push_digest(out, digest),
        Field::Call(id) => push_id(out, id),
        Field::Decision(id) => push_id(out, id),
        Field::Approval(id) => push_id(out, id),
        Field::Event(id) => push_id(out, id),
        Field::Time(time) => canonical::push_time(out, *time),
        Field::Object(fields) => push_fields(out, fields)?,
        Field::List(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_field(out, item)?;
            }
            out.push(b']');
        }
    }
    Ok(())
}

/// Ids are letters, digits and `_`, so that they need no escapes.
fn push_id(out: &mut Vec<u8>, id: &dyn std::fmt::Display) {
    out.push(b'"');
    canonical::push_display(out, id);
    out.push(b'"');
}

fn push_digest(out: &mut Vec<u8>, digest: &Sha256) {
    out.extend_from_slice(b"\"sha256:");
    canonical::push_hex(out, digest.as_bytes());
    out.push(b'"');
}

/// Sorted, so that the order does not tell which field is which (RFC 9901 §4.2.4.1).
fn push_commitments(out: &mut Vec<u8>, disclosures: &[String]) {
    let mut commitments: Vec<String> = disclosures.iter().map(|text| Disclosure::commitment(text)).collect();
    commitments.sort_unstable();
    for (index, commitment) in commitments.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        canonical::push_text(out, commitment);
    }
    out.push(b']');
}

/// Enough for the two leaves of an allowed call, so that their buffers do not grow.
const LEAF_BYTES_USUAL: usize = 768;

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::model::ApprovalId;
    use crate::model::IdSource;
    use crate::model::Timestamp;

    use super::super::event::EventKind;
    use super::*;

    fn event<'a>(data: Fields<'a>) -> Event<'a> {
        let source = IdSource::new([1; 10]);
        let time = Timestamp::from_unix_micros(1_795_238_219_123_456);
        Event {
            id: EventId::new(&source, time),
            time,
            kind: EventKind::ApprovalDecided,
            subject: Some(ApprovalId::new(&source, time)),
            prev: Some(Sha256::of(b"previous")),
            policy: Some(Sha256::of(b"policy")),
            actor: Actor::Person {
                id: "prs_00112233445566778899aabbccddeeff".into(),
                assurance: Assurance::Session,
                channel: "api".into(),
            },
            data,
            private: Vec::new(),
        }
    }

    fn text(leaf: &Leaf) -> &str {
        std::str::from_utf8(leaf.bytes()).unwrap()
    }

    #[test]
    fn a_leaf_reads_like_this() {
        let data = Fields::new()
            .with("verdict", "approve")
            .with("digest", Sha256::of(b"call"))
            .with("groups", vec!["data-owners", "security"]);
        let mut event = event(data);
        event.private = vec![("reason", json!("looks right")), ("email", json!("ana@example.com"))];
        let mut salt = 0;
        let leaf = event.seal("node-1", || {
            salt += 1;
            [salt; 16]
        });
        let leaf = leaf.unwrap();
        assert_snapshot!(text(&leaf), @r#"{"actor":{"assurance":"session","channel":"api","id":"prs_00112233445566778899aabbccddeeff","kind":"person"},"data":{"digest":"sha256:7edb360f06acaef2cc80dba16cf563f199d347db4443da04da0c8173e3f9e4ed","groups":["data-owners","security"],"verdict":"approve"},"id":"evt_01a1fc894d7371018101010101010101","instance":"node-1","policy":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812","prev":"sha256:6da0633528deaa0144e7b058315f0b753ec0b945163a72bf96a0d18180f9de0d","sd":["-t0uHXo0dE695a9Gol6NeZX3bHqC2ahuQeY74FfrF-I","h3XgvNongcOw41G0L1YHHdmuKAKAikJEO8u2p9iw2qI"],"subject":"apr_01a1fc894d7371019f3678b87e4b7d14","time":"2026-11-21T05:16:59.123456Z","type":"approval.decided","v":1}"#);
        assert_eq!(leaf.disclosures().len(), 2);
        assert_eq!(Leaf::restore(leaf.bytes(), leaf.disclosures().to_vec()).unwrap(), leaf);
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let mut event = event(Fields::new());
        (event.subject, event.prev, event.policy, event.actor) = (None, None, None, Actor::System);
        assert_snapshot!(text(&event.seal("node-1", || [0; 16]).unwrap()), @r#"{"actor":{"kind":"system"},"data":{},"id":"evt_01a1fc894d7371018101010101010101","instance":"node-1","time":"2026-11-21T05:16:59.123456Z","type":"approval.decided","v":1}"#);
    }

    #[test]
    fn what_no_reader_could_hold_is_refused() {
        let long = "x".repeat(ENTRY_BYTES_MAX);
        let refused = event(Fields::new().with("text", long.as_str())).seal("node-1", || [0; 16]);
        assert!(matches!(refused, Err(LeafError::TooLong { .. })), "{refused:?}");
        let refused = event(Fields::new().with("bytes", u64::MAX)).seal("node-1", || [0; 16]);
        assert!(matches!(refused, Err(LeafError::Number { .. })), "{refused:?}");
        assert!(event(Fields::new().with("bytes", 9_007_199_254_740_991_u64)).seal("node-1", || [0; 16]).is_ok());
    }

    #[test]
    fn every_kind_is_known_by_its_word() {
        for &kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.as_str()), Some(kind));
        }
    }

    fn any_field() -> impl Strategy<Value = Field<'static>> {
        let simple = prop_oneof![
            Just(Field::Null),
            any::<bool>().prop_map(Field::from),
            (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Field::from),
            any::<String>().prop_map(Field::from),
            any::<[u8; 32]>().prop_map(|bytes| Field::from(Sha256::from_bytes(bytes))),
            (0_i64..4_000_000_000_000_000).prop_map(|micros| Field::from(Timestamp::from_unix_micros(micros))),
        ];
        simple.prop_recursive(3, 20, 5, |inner| {
            let names = prop::sample::select(vec!["", "a", "b", "B", "a_b", "aa", "\n", "\""]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Field::List),
                prop::collection::vec((names, inner), 0..5).prop_map(|fields| {
                    let empty = Fields::new();
                    Field::Object(fields.into_iter().fold(empty, |all, (name, field)| all.with(name, field)))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_leaf_is_canonical(field in any_field(), instance in any::<String>()) {
            let leaf = event(Fields::new().with("z", field.clone()).with("a", field)).seal(&instance, || [0; 16]).unwrap();
            prop_assert!(canonical::parse(leaf.bytes()).is_ok(), "{}", text(&leaf));
        }
    }
}
