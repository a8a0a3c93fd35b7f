//! Holdpoint: a reverse proxy that holds AI agents' calls until the right people approve.
//!
//! The rooms, in order; a room uses only rooms above it in this list (`tests/tidy.rs`).

pub mod model;

pub mod wire;

pub mod classify;

pub mod policy;

pub mod identity;

pub mod audit;

pub mod approval;

pub mod gate;

pub mod credentials;

pub mod review;

pub mod proxy;

pub mod config;

pub mod telemetry;

pub mod server;

pub mod cli;
