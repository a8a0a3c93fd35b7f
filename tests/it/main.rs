//! Black-box tests: they start the real program and talk to it over the network.

mod callers;
mod calls;
mod crashes;
mod ingress;
mod stopping;
mod support;
