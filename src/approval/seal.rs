//! The signature over a record. Whoever acts on a record checks it first, so that editing the
//! store or forging a message releases nothing.
//!
//! Every record is sealed as it stands, not only an approved one: whoever could take a reviewer
//! out of the requirements, or add a review, would not need to forge the outcome. What this
//! cannot show is that an older record was put back whole; the audit log shows that.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;

use crate::audit::SigningKey;
use crate::model::CanonicalHasher;
use crate::model::Principal;
use crate::model::Sha256;

use super::record::Approval;

/// An Ed25519 signature (RFC 8032) over a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seal(String); // Invariant: none; whatever does not verify is not believed.

impl Seal {
    /// Signs `approval` as it stands.
    pub fn new(approval: &Approval, key: &SigningKey) -> Self {
        Self(STANDARD.encode(key.sign(sealed(approval).as_bytes())))
    }

    /// Whether this is `key`'s signature over `approval` as it stands.
    pub fn is_valid(&self, approval: &Approval, key: &SigningKey) -> bool {
        let signature = STANDARD.decode(&self.0).unwrap_or_default();
        key.verify(sealed(approval).as_bytes(), &signature)
    }
}

/// What is signed: every field but the seal, and but the principal's claims, whose fractions need
/// not come back from JSON as they went. Taken apart in full, so that no new field is forgotten.
fn sealed(approval: &Approval) -> Sha256 {
    let Approval {
        id,
        version,
        created,
        expires,
        principal,
        closure,
        upstream,
        actions,
        line,
        request_sha256,
        digest,
        policy,
        decision,
        obligations,
        reason,
        context,
        state,
        reviews,
        messages,
        caller,
        escalated,
        seal: _,
        link,
    } = approval;
    let Principal { id: name, kind, owners, groups, claims: _, authn, chain } = principal;
    let mut hasher = CanonicalHasher::new("holdpoint/approval/v1");
    field(&mut hasher, &(id, version, created, expires));
    field(&mut hasher, &(name, kind, owners, groups, authn, chain));
    field(&mut hasher, &(closure, upstream, actions, line));
    field(&mut hasher, &(request_sha256, digest, policy, decision, obligations, reason, context));
    field(&mut hasher, &(state, reviews, messages, caller, link));
    // Records from before there were escalations have none.
    if *escalated > 0 {
        field(&mut hasher, escalated);
    }
    hasher.finish()
}

fn field(hasher: &mut CanonicalHasher, value: &impl Serialize) {
    // JSON keeps these apart and comes back as it went: names, numbers and texts in a fixed order.
    let text = serde_json::to_vec(value).expect("names, numbers and texts can always be written");
    hasher.field(&text);
}
