//! What a call would do: an HTTP request becomes actions, in the words of a dialect.
//!
//! A dialect names every action in a call; what it cannot read is one action of kind `unknown`,
//! never a guess. Does not decide anything: that is `policy`. Pure: no IO, no clock.
//! Start at [`Dialect::classify`].

mod http;
mod openapi;

pub use openapi::DOCUMENT_BYTES_MAX;
pub use openapi::OpenApi;
pub use openapi::OpenApiError;
pub use openapi::Operation;
pub use openapi::TemplateFault;

use std::sync::Arc;

use crate::model::Actions;
use crate::model::HttpRequest;

/// The language in which an upstream is spoken to.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// Plain HTTP: the method says it all.
    Http,
    /// An API described by an OpenAPI document.
    OpenApi(Arc<OpenApi>),
}

impl Dialect {
    /// What `request` would do. A WebSocket handshake is the same in all dialects: it opens a line
    /// on which anything may follow.
    pub fn classify(&self, request: &HttpRequest) -> Actions {
        if request.websocket {
            return http::websocket(request);
        }
        match self {
            Self::Http => http::classify(request),
            Self::OpenApi(document) => document.classify(request),
        }
    }

    /// The dialect's name, with which the names of its actions begin.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::OpenApi(_) => "openapi",
        }
    }
}
