//! Sockets: the agents' listener, TLS, HTTP/1.1 and HTTP/2, and the way to the upstreams.
//!
//! Each core has a listener, a runtime and upstream connections of its own, and shares nothing
//! with the others on the path of a call but immutable snapshots. Does not own what a call means
//! or whether it may leave (`gate`). Start at [`Core`].

mod kept;
mod listener;
mod sockets;
mod tls;

mod answer;
mod connection;
mod drain;
mod http;
mod own;
mod payload;
mod readback;
mod sse;
mod watched;

mod route;
mod upgrade;
mod upstream;

mod metrics;

pub use connection::Limits;
pub use drain::unused;
pub use http::Shared;
pub use http::Snapshot;
pub use listener::Core;
pub use metrics::Metrics;
pub use route::Match;
pub use route::Route;
pub use route::RouteError;
pub use route::Routes;
pub use sockets::BindError;
pub use sockets::Sharing;
pub use sockets::address_of;
pub use sockets::bind;
pub use sockets::listen;
pub use sockets::spread;
pub use tls::CertificateFiles;
pub use tls::TlsError;
pub use tls::TlsTable;
pub use upstream::Timeouts;
pub use upstream::Upstream;
pub use upstream::UpstreamError;
pub use upstream::UpstreamSettings;
