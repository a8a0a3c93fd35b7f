//! A query, without what a presigned URL has anew each time.

use crate::model::CanonicalHasher;

/// Adds the query, byte for byte and in its own order.
///
/// Of a presigned URL (AWS or Google, signature version 4) the date and the signature are left
/// out: they prove who asks and since when. The credential, the expiry and the list of signed
/// fields stay. Azure's `sig`, `se` and `st` stay too: the names are too short to be sure of. What is
/// left out must be letters and digits alone: to servers that also divide a query at `;`, anything
/// else could be one more parameter, or another decoder's `&`.
pub(super) fn hash(query: Option<&str>, hasher: &mut CanonicalHasher) {
    let Some(query) = query else { return hasher.count(0) };
    let presigned = |scheme: &&[&str; 5]| {
        scheme.iter().all(|name| is_once(query, name)) && scheme.iter().take(2).all(|name| is_plain(query, name))
    };
    let Some(scheme) = PRESIGNED.iter().find(presigned) else {
        hasher.count(1);
        return hasher.field(query.as_bytes());
    };
    let [date, signature, ..] = scheme;
    let kept = || query.split('&').filter(|pair| ![*date, *signature].contains(&name(pair)));
    hasher.count(2);
    hasher.field(date.as_bytes());
    hasher.count(kept().count());
    kept().for_each(|pair| hasher.field(pair.as_bytes()));
}

fn is_once(query: &str, wanted: &str) -> bool {
    query.split('&').filter(|pair| name(pair).eq_ignore_ascii_case(wanted)).count() == 1
        && query.split('&').any(|pair| name(pair) == wanted)
}

/// Whether the value of `wanted` can be nothing but one value.
fn is_plain(query: &str, wanted: &str) -> bool {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == wanted);
    values.all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// The parameters that make a presigned URL; the first two are its date and its signature.
const PRESIGNED: [[&str; 5]; 2] = [
    ["X-Amz-Date", "X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders"],
    ["X-Goog-Date", "X-Goog-Signature", "X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-SignedHeaders"],
];
