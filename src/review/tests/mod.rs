//! The whole admin API over a real store and a real audit log, without sockets.

mod api;
mod events;
mod fixture;
mod openapi;
mod web;

pub(crate) use fixture::Fixture;
