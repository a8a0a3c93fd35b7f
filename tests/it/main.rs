//! Black-box tests: they start the real program and talk to it over the network.

#![allow(clippy::unwrap_used, reason = "in a test it says where the test cannot go on")]

mod audit;
mod bodies;
mod callers;
mod calls;
mod cli;
mod crashes;
mod demo;
mod forwarding;
mod ingress;
mod reload;
mod secrets;
mod stopping;
mod support;
