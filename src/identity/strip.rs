//! The agent's credential never leaves.

use http::HeaderMap;
use http::HeaderName;
use http::header::AUTHORIZATION;
use http::header::PROXY_AUTHORIZATION;

use super::agents::API_KEY_FIELDS;
use super::key::contains_key;

/// Removes every field that an agent's credential can be in: `Authorization`,
/// `Proxy-Authorization`, `x-api-key`, `api-key`, and any other field with a key of ours in it.
///
/// `Cookie` stays, unless a key of ours is in it: it is never read as a credential here, so what
/// it holds is a session that the agent has with the upstream, and without it the call would be
/// another call than the one that was approved.
pub fn strip(fields: &mut HeaderMap) {
    fields.remove(AUTHORIZATION);
    fields.remove(PROXY_AUTHORIZATION);
    for name in API_KEY_FIELDS {
        fields.remove(name);
    }
    // A search over a few hundred bytes. It catches SDKs that repeat the key where nobody looks.
    let leaking: Vec<HeaderName> =
        fields.iter().filter(|(_, value)| contains_key(value.as_bytes())).map(|(name, _)| name.clone()).collect();
    for name in leaking {
        fields.remove(name);
    }
}
