//! Black-box tests: they start the real program and talk to it over the network.

#![allow(clippy::unwrap_used, reason = "in a test it says where the test cannot go on")]

mod audit;
mod bodies;
mod bundles;
mod callers;
mod calls;
mod cli;
mod crashes;
mod demo;
mod forwarding;
mod http2;
mod ingress;
mod limits;
mod obligations;
mod reload;
mod secrets;
mod shadow;
mod sockets;
mod stopping;
mod support;
mod tls;
mod verdicts;
