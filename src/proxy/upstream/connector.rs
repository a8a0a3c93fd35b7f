//! Connects to an upstream: the address that was checked is the address that is dialled.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::Connected;
use hyper_util::client::legacy::connect::Connection;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::proxy::tls;
use crate::proxy::tls::TlsError;

use super::UpstreamSettings;

/// Why an upstream cannot be set up or reached.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The URL is none of an upstream.
    #[error("`{0}` is not the URL of an upstream; use `https://HOST[:PORT]` or `http://HOST[:PORT]`, without a path")]
    Url(String),
    /// The roots cannot be read.
    #[error("the private roots of the upstream cannot be used")]
    Roots(#[from] TlsError),
    /// The roots hold something that is no root.
    #[error("`{path}` holds a certificate that cannot be a root")]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The platform's roots cannot be used.
    #[error("the platform's certificates cannot be used; name the roots with `ca`")]
    Platform(#[source] rustls::Error),
    /// The name leads nowhere.
    #[error("`{host}` cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The name leads to where no upstream is.
    #[error("`{host}` leads to {address}, which is no address of an upstream; `allow_addresses` can permit it")]
    Address {
        /// The name.
        host: String,
        /// Where it leads.
        address: IpAddr,
    },
    /// Nobody answers.
    #[error("{address} does not accept a connection")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with `{host}` failed")]
    Handshake {
        /// The name.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It takes too long.
    #[error("`{host}` was not connected to within {} s", within.as_secs())]
    Timeout {
        /// The name.
        host: String,
        /// How long it may take.
        within: Duration,
    },
}

/// Connects to one upstream.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    allow_addresses: Vec<IpNet>,
    within: Duration,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({}:{})", self.0.host, self.0.port)
    }
}

impl Connector {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let refuse = || UpstreamError::Url(settings.url.to_string());
        let secure = match settings.url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refuse()),
        };
        let host = settings.url.host().filter(|host| !host.is_empty()).ok_or_else(refuse)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if settings.url.path() != "/" || settings.url.query().is_some() {
            return Err(refuse());
        }
        let port = settings.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| refuse())?;
            Some((TlsConnector::from(Arc::new(client_config(settings)?)), name))
        } else {
            None
        };
        let allow_addresses = settings.allow_addresses.clone();
        Ok(Self(Arc::new(Inner { host, port, tls, allow_addresses, within: settings.timeouts.connect })))
    }
}

fn client_config(settings: &UpstreamSettings) -> Result<ClientConfig, UpstreamError> {
    let builder = ClientConfig::builder();
    let mut config = match &settings.ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in tls::read_chain(path)? {
                roots.add(certificate).map_err(|source| UpstreamError::Root { path: path.clone(), source })?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        None => builder.with_platform_verifier().map_err(UpstreamError::Platform)?.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Connector {
    /// A new connection, within the time for that.
    ///
    /// # Errors
    /// [`UpstreamError`] says what went wrong; nothing of any call was sent.
    pub(super) async fn open(&self) -> Result<TokioIo<Transport>, UpstreamError> {
        let inner = &self.0;
        match tokio::time::timeout(inner.within, inner.connect()).await {
            Ok(connected) => connected.map(TokioIo::new),
            Err(_) => Err(UpstreamError::Timeout { host: inner.host.clone(), within: inner.within }),
        }
    }
}

impl Inner {
    async fn connect(&self) -> Result<Transport, UpstreamError> {
        let host = || self.host.clone();
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<_> = found.map_err(|source| UpstreamError::Resolve { host: host(), source })?.collect();
        let mut last = UpstreamError::Resolve { host: host(), source: io::ErrorKind::NotFound.into() };
        for address in addresses {
            if !self.may_dial(address.ip()) {
                return Err(UpstreamError::Address { host: host(), address: address.ip() });
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return self.secure(stream).await,
                Err(source) => last = UpstreamError::Connect { address, source },
            }
        }
        Err(last)
    }

    async fn secure(&self, stream: TcpStream) -> Result<Transport, UpstreamError> {
        let handshake = |source| UpstreamError::Handshake { host: self.host.clone(), source };
        stream.set_nodelay(true).map_err(handshake)?;
        match &self.tls {
            None => Ok(Transport::Plain(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(handshake)?;
                Ok(Transport::Tls(Box::new(stream)))
            }
        }
    }

    /// Link-local addresses are where clouds keep the credentials of the machine itself; nobody
    /// means them by an upstream. Nor those that are nobody's.
    fn may_dial(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let suspicious = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
            IpAddr::V6(v6) => {
                v6.is_unicast_link_local()
                    || v6.is_multicast()
                    || v6.is_unspecified()
                    // The metadata service of a large cloud, at its IPv6 address.
                    || v6.segments() == [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254]
            }
        };
        !suspicious || self.allow_addresses.iter().any(|net| net.contains(&address))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Transport>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Transport>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.open().await })
    }
}

/// A connection to an upstream.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Whether both sides have agreed on HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        if self.is_http2() { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
