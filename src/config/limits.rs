//! What callers can use up at most.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde::Serialize;

use super::duration::HumanDuration;
use super::size::ByteSize;

/// What callers can use up at most. Every limit that strikes is counted in the metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections of agents at a time; further ones wait in the system's queue. Default `20000`:
    /// twice the held calls, at some 20 KiB each.
    pub connections_max: NonZeroU32,
    /// Until a TLS handshake is done. Default `10s`: slow links need two.
    pub handshake_timeout: HumanDuration,
    /// Until the head of a request is there, from the first moment at which one could come; so
    /// also how long an unused connection is kept. Default `1m`: SDKs keep theirs less long.
    pub header_timeout: HumanDuration,
    /// The head of a request. Default `16KiB`: what servers usually accept.
    pub header_bytes_max: ByteSize,
    /// The longest silence of a caller within a body. Default `30s`: a body that has begun comes
    /// without pauses.
    pub body_timeout: HumanDuration,
    /// Requests at a time on one HTTP/2 connection. Default `128`: clients open another
    /// connection beyond it, and more serves floods only.
    pub streams_max: NonZeroU32,
    /// The body of a call whose policy looks at bodies, in memory; a longer one is answered 413,
    /// for looking at a part would prove nothing. At most `16MiB`. Default `1MiB`: calls that
    /// people can judge are smaller.
    pub inspect_bytes_max: ByteSize,
    /// The body of a held call; a longer one is answered 413. Up to `inspect_bytes_max` it is kept
    /// in memory for as long as people think, beyond it in an encrypted file in the folder `spool`.
    /// At least `inspect_bytes_max`. Default `64MiB`: more than anybody reads before they decide.
    pub hold_bytes_max: ByteSize,
    /// The bodies of all held calls together, as far as they are in memory; a call that does not
    /// fit is answered 503. At least `inspect_bytes_max`. Default `256MiB`: a flood must not take
    /// the machine's memory. A change takes effect at the next start.
    pub held_bytes_total_max: ByteSize,
    /// The bodies of all held calls together, as far as they are in files; a call that does not
    /// fit is answered 503. At least `hold_bytes_max`. Default `1GiB`: a flood must not take the
    /// disk. A change takes effect at the next start.
    pub spooled_bytes_total_max: ByteSize,
    /// The bodies of more than `64KiB` that are kept in the store for reviewers to read, all
    /// together; a call that does not fit is answered 503. One is kept until its approval is over,
    /// also after the caller has left. At least `hold_bytes_max`. Default `1GiB`: a flood must not
    /// take the disk.
    pub stored_bytes_total_max: ByteSize,
    /// Calls held at a time; a further one is answered 503. Default `10000`: no group of people
    /// decides on more.
    pub held_calls_max: NonZeroU32,
    /// Undecided approvals of one principal; a further call is answered 429. Default `100`: an
    /// agent that asks for more is in a loop.
    pub pending_per_principal_max: NonZeroU32,
    /// Undecided approvals by one rule; a further call is answered 429. Default `1000`: a rule
    /// that holds more holds too much.
    pub pending_per_rule_max: NonZeroU32,
    /// How long running calls may go on after the signal to stop. Default `30s`: what container
    /// platforms give a process before they kill it.
    pub drain_timeout: HumanDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: count(20_000),
            handshake_timeout: HumanDuration::seconds(10),
            header_timeout: HumanDuration::seconds(60),
            header_bytes_max: ByteSize::bytes(16 << 10),
            body_timeout: HumanDuration::seconds(30),
            streams_max: count(128),
            inspect_bytes_max: ByteSize::bytes(1 << 20),
            hold_bytes_max: ByteSize::bytes(64 << 20),
            held_bytes_total_max: ByteSize::bytes(256 << 20),
            spooled_bytes_total_max: ByteSize::bytes(1 << 30),
            stored_bytes_total_max: ByteSize::bytes(1 << 30),
            held_calls_max: count(10_000),
            pending_per_principal_max: count(100),
            pending_per_rule_max: count(1_000),
            drain_timeout: HumanDuration::seconds(30),
        }
    }
}

const fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a constant above zero")
}

/// The most that `inspect_bytes_max` can be: beyond it an evaluation takes too long.
pub(super) const INSPECT_BYTES_CAP: ByteSize = ByteSize::bytes(16 << 20);

/// The least that `header_bytes_max` can be: below it ordinary requests fail.
pub(super) const HEADER_BYTES_FLOOR: ByteSize = ByteSize::bytes(8 << 10);
