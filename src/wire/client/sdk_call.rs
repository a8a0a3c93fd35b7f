//! Which call of an SDK a request belongs to, and which attempt at it.

use std::time::Duration;

use http::HeaderMap;

use super::agent::Agent;

/// What an SDK says about the call that a request is an attempt at.
///
/// All of it is a claim of the client. Two requests with one id are attempts at one call only if
/// their digests are equal too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdkCall {
    /// The id that stays the same over all attempts at one call: `Idempotency-Key`,
    /// `amz-sdk-invocation-id`, the `gccl-invocation-id` in `x-goog-api-client`, or, of Azure's
    /// JavaScript SDK only, `x-ms-client-request-id`. 1 to 255 bytes of printable ASCII.
    pub id: Option<String>,
    /// Which attempt this is, counted from 1.
    pub attempt: Option<u32>,
    /// After how many attempts the SDK gives up, where it says so.
    pub attempts_max: Option<u32>,
}

impl SdkCall {
    pub(super) fn read(agent: &Agent<'_>, headers: &HeaderMap) -> Self {
        let (attempt, attempts_max) = match text(headers, "amz-sdk-request") {
            Some(request) => (parameter(request, "attempt"), parameter(request, "max")),
            None => (retries(headers).and_then(|retries| retries.checked_add(1)), None),
        };
        Self { id: call_id(agent, headers).map(str::to_owned), attempt, attempts_max }
    }
}

fn call_id<'a>(agent: &Agent<'_>, headers: &'a HeaderMap) -> Option<&'a str> {
    // What the agent's own code chose outlasts what its SDK makes up anew for each call.
    id(text(headers, "idempotency-key"))
        .or_else(|| id(text(headers, "amz-sdk-invocation-id")))
        .or_else(|| id(invocation(text(headers, "x-goog-api-client")?)))
        .or_else(|| {
            // The Python SDK makes a new one for each attempt (REALITIES 3).
            let constant = agent.names_prefix("azsdk-js-");
            id(text(headers, "x-ms-client-request-id").filter(|_| constant))
        })
}

/// How long the client says that it waits for the first byte, in whole or broken seconds.
///
/// The Python SDKs send `NOT_GIVEN` in the older `x-stainless-timeout` where the default holds.
pub(super) fn told_timeout(headers: &HeaderMap) -> Option<Duration> {
    seconds(text(headers, "x-stainless-read-timeout")).or_else(|| seconds(text(headers, "x-stainless-timeout")))
}

/// The one value of a field, if it is printable ASCII and not too long.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|value| value.len() <= FIELD_BYTES_MAX)?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn id(text: Option<&str>) -> Option<&str> {
    let printable =
        |id: &&str| (1..=CALL_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| (b' '..=b'~').contains(&b));
    text.map(str::trim).filter(printable)
}

/// The id in `gl-python/3.11.7 gccl/3.17.1 gccl-invocation-id/0f3c...`.
fn invocation(field: &str) -> Option<&str> {
    only(field.split(' ').filter_map(|token| token.strip_prefix("gccl-invocation-id/")))
}

/// The number of `name` in `ttl=20261124T125545Z; attempt=2; max=3`.
fn parameter(field: &str, name: &str) -> Option<u32> {
    number(only(field.split(';').filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('=')))?)
        .filter(|&number| number > 0)
}

fn retries(headers: &HeaderMap) -> Option<u32> {
    number(text(headers, "x-stainless-retry-count")?)
}

/// A plain number that a counter of attempts may be.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| plain && number <= ATTEMPTS_MAX)
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    // `f64` would also read `inf`, `1e9` and signs.
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))?;
    let timeout = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    (Duration::from_millis(1)..=TIMEOUT_MAX).contains(&timeout).then_some(timeout)
}

/// The only item; none where there are two, because then nobody knows which one holds.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let item = items.next()?;
    items.next().is_none().then_some(item)
}

/// The most bytes that a call id may have: the limit of Stripe's `Idempotency-Key`.
pub const CALL_ID_BYTES_MAX: usize = 255;
/// `x-goog-api-client` is the longest of these fields, some 200 bytes.
const FIELD_BYTES_MAX: usize = 1024;
/// No SDK tries as often; a larger number is not a counter.
const ATTEMPTS_MAX: u32 = 1_000_000;
/// Beyond a month nobody waits; a longer time-out is not one.
const TIMEOUT_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
