//! Black-box tests: they start the real program and talk to it over the network.

#![allow(clippy::unwrap_used, reason = "in a test it says where the test cannot go on")]

mod audit;
mod bodies;
mod bundles;
mod callers;
mod calls;
mod cli;
mod crash_points;
mod crashes;
mod demo;
mod deploys;
mod encodings;
mod forwarding;
mod http2;
mod ingress;
mod limits;
mod long_bodies;
mod obligations;
mod policy;
mod reload;
mod retries;
mod secrets;
mod shadow;
mod sockets;
mod stopping;
mod support;
mod systemd;
mod tls;
mod verdicts;
