//! Which header fields a digest covers: all but those that SDKs vary and no server acts on.

use http::HeaderMap;
use http::HeaderName;

use crate::model::CanonicalHasher;

/// Adds the fields that carry meaning and that `covers` says yes to, in the order of their names,
/// and the values of one name in their own order.
pub(super) fn hash(fields: &HeaderMap, covers: impl Fn(&str) -> bool, hasher: &mut CanonicalHasher) {
    hash_those(fields, |name| !is_volatile(name) && covers(name), hasher);
}

/// Adds every field as it is.
pub(super) fn hash_exactly(fields: &HeaderMap, hasher: &mut CanonicalHasher) {
    hash_those(fields, |_| true, hasher);
}

fn hash_those(fields: &HeaderMap, covers: impl Fn(&str) -> bool, hasher: &mut CanonicalHasher) {
    let mut names: Vec<&HeaderName> = fields.keys().filter(|name| covers(name.as_str())).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    hasher.count(names.len());
    for name in names {
        hasher.field(name.as_str().as_bytes());
        let values = fields.get_all(name);
        hasher.count(values.iter().count());
        values.iter().for_each(|value| hasher.field(value.as_bytes()));
    }
}

/// True for fields that differ between two attempts at one call, or between two calls for the same
/// thing, and that change nothing of what the upstream does (REALITIES 3). `baggage` is not among
/// them, because applications route by it.
fn is_volatile(name: &str) -> bool {
    name.starts_with("x-b3-")
        || name.starts_with("x-datadog-")
        || matches!(
            name,
            // Who asks, in the words of the client's makers.
            "user-agent"
                | "x-amz-user-agent"
                | "x-goog-api-client"
                | "x-stripe-client-telemetry"
                | "x-stripe-client-user-agent"
                // When.
                | "date"
                | "x-amz-date"
                | "x-goog-date"
                | "x-ms-date"
                // How often, and how patiently.
                | "amz-sdk-request"
                | "x-stainless-read-timeout"
                | "x-stainless-retry-count"
                | "x-stainless-timeout"
                // Under which name in the SDK's or the agent's books.
                | "amz-sdk-invocation-id"
                | "idempotency-key"
                | "kubectl-session"
                | "x-ms-client-request-id"
                | "x-request-id"
                // On which trace.
                | "b3"
                | "sentry-trace"
                | "traceparent"
                | "tracestate"
                | "x-amzn-trace-id"
                | "x-cloud-trace-context"
        )
}
