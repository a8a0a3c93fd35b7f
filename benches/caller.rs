//! Somebody with a key who calls, over each kind of connection.

use std::io::Write;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::Method;
use http::Request;
use http::header;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Somebody with a key.
pub(crate) struct Caller {
    address: SocketAddr,
    tls: TlsConnector,
    authorization: String,
    pub(crate) version: Version,
}

/// The kind of connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
    /// HTTP/1.1 without TLS.
    Plain,
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "h1" => Ok(Self::Http1),
            "h2" => Ok(Self::Http2),
            "plain" => Ok(Self::Plain),
            _ => anyhow::bail!("`{text}` is none of h1, h2 and plain"),
        }
    }
}

impl Caller {
    pub(crate) fn new(address: &str, ca: &str, key_file: &str, version: Version) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca)?)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![if version == Version::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let key = std::fs::read_to_string(key_file).with_context(|| format!("`{key_file}` cannot be read"))?;
        Ok(Self {
            address: address.parse()?,
            tls: TlsConnector::from(Arc::new(config)),
            authorization: format!("Bearer {}", key.trim()),
            version,
        })
    }

    pub(crate) async fn http1(&self) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = self.connect().await?;
        let sender = if self.version == Version::Plain {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(self.secure(stream).await?)).await?;
            tokio::spawn(connection);
            sender
        };
        Ok(sender)
    }

    pub(crate) async fn http2(&self) -> anyhow::Result<http2::SendRequest<Full<Bytes>>> {
        let stream = self.secure(self.connect().await?).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::builder().method(method).header(header::AUTHORIZATION, &self.authorization);
        let request = match self.version {
            Version::Http1 | Version::Plain => request.uri(path).header(header::HOST, "localhost"),
            Version::Http2 => request.uri(format!("https://localhost{path}")),
        };
        let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
        Ok(request.body(Full::new(body))?)
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn secure(&self, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
        Ok(self.tls.connect(ServerName::try_from("localhost")?, stream).await?)
    }
}

pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
