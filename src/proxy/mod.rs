//! Sockets: the agents' listener, TLS, HTTP/1.1 and HTTP/2, and the way to the upstreams.
//!
//! Each core has a listener, a runtime and upstream connections of its own, and shares nothing
//! with the others on the path of a call but immutable snapshots. Does not own what a call means
//! or whether it may leave (`gate`). Start at [`Core`].

mod kept;
mod listener;
mod tls;

mod answer;
mod connection;
mod http;
mod http1;
mod own;
mod payload;
mod readback;
mod rewind;
mod sse;

mod route;
mod upgrade;
mod upstream;

mod metrics;

pub use connection::Limits;
pub use http::Shared;
pub use http::Snapshot;
pub use listener::BindError;
pub use listener::Core;
pub use listener::bind;
pub use metrics::Metrics;
pub use route::Match;
pub use route::Route;
pub use route::RouteError;
pub use route::Routes;
pub use tls::CertificateFiles;
pub use tls::TlsError;
pub use tls::TlsTable;
pub use upstream::Timeouts;
pub use upstream::Upstream;
pub use upstream::UpstreamError;
pub use upstream::UpstreamSettings;
