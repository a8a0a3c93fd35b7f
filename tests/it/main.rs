//! Black-box tests: they start the real program and talk to it over the network.

mod audit;
mod callers;
mod calls;
mod crashes;
mod forwarding;
mod ingress;
mod reload;
mod secrets;
mod stopping;
mod support;
