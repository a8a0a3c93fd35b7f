//! A connection for one approved call, opened before the call is claimed: from the claim to the
//! first byte there is then nothing to wait for, and an upstream that cannot be reached uses no
//! approval up.

use http::Request;
use http::Response;
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioTimer;

use crate::proxy::payload::Outgoing;

use super::connector::Connector;

/// An open connection that nothing was sent on.
#[derive(Debug)]
pub(in crate::proxy) enum Dedicated {
    Http1(http1::SendRequest<Outgoing>),
    Http2(http2::SendRequest<Outgoing>),
}

/// Why there is none.
pub(super) type OpenError = Box<dyn std::error::Error + Send + Sync>;

impl Dedicated {
    /// Connects, and answers once a request can be sent.
    pub(super) async fn open(connector: &Connector) -> Result<Self, OpenError> {
        let io = connector.open().await?;
        if io.inner().is_http2() {
            let (mut sender, connection) =
                http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(io).await?;
            tokio::spawn(async move { drop(connection.await) });
            sender.ready().await?;
            return Ok(Self::Http2(sender));
        }
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        sender.ready().await?;
        Ok(Self::Http1(sender))
    }

    /// Sends the one request.
    ///
    /// # Errors
    /// hyper's, if the upstream breaks off; something may have been sent then.
    pub(super) async fn send(self, mut request: Request<Outgoing>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(mut sender) => {
                // The target of HTTP/1.1 is the path alone (RFC 9112 §3.2.1).
                let target = request.uri().path_and_query().cloned();
                *request.uri_mut() = target.map(Uri::from).unwrap_or_default();
                sender.send_request(request).await
            }
            Self::Http2(mut sender) => sender.send_request(request).await,
        }
    }
}
