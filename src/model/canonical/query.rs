//! A query, without what a presigned URL has anew each time.

use crate::model::CanonicalHasher;

/// Adds the query, byte for byte and in its own order.
///
/// Of a presigned URL (AWS or Google, signature version 4) the date and the signature are left
/// out: they prove who asks and since when. The credential, the expiry and the list of signed
/// fields stay. Azure's `sig`, `se` and `st` stay too: the names are too short to be sure of.
pub(super) fn hash(query: Option<&str>, hasher: &mut CanonicalHasher) {
    let Some(query) = query else { return hasher.count(0) };
    let Some(scheme) = PRESIGNED.iter().find(|scheme| scheme.iter().all(|name| is_once(query, name))) else {
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

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// The parameters that make a presigned URL; the first two are its date and its signature.
const PRESIGNED: [[&str; 5]; 2] = [
    ["X-Amz-Date", "X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders"],
    ["X-Goog-Date", "X-Goog-Signature", "X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-SignedHeaders"],
];
