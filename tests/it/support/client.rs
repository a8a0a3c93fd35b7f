//! Clients: one call by HTTP/1.1 or HTTP/2, and raw bytes inside TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::wait::DEADLINE;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    /// The body as JSON, or null.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `code` of a problem document.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A field's value, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// One call, on a connection of its own.
#[derive(Clone)]
pub(crate) struct Call {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    http2: bool,
    request: Request<Bytes>,
}

impl Call {
    pub(crate) fn new(address: SocketAddr, tls: &Arc<ClientConfig>, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
        Self { address, tls: Arc::clone(tls), http2: false, request }
    }

    /// The same by HTTP/2.
    pub(crate) fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// The same with a field, in the place of others of this name.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    /// The same without a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    /// The same with this body.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// Sends it from a task of its own, to be waited for or aborted.
    pub(crate) fn spawn(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(self.send())
    }

    /// The same for one of many, who may wait until the last of them is there.
    pub(crate) fn spawn_patient(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(async { read(self.exchange().await.unwrap()).await.unwrap() })
    }

    /// The same, for those who expect that the connection breaks.
    pub(crate) async fn try_send(self) -> Result<Answer, hyper::Error> {
        let exchange = async { read(self.exchange().await?).await };
        tokio::time::timeout(DEADLINE, exchange).await.expect("no answer came")
    }

    async fn exchange(self) -> Result<Response<Incoming>, hyper::Error> {
        let protocol: &[u8] = if self.http2 { b"h2" } else { b"http/1.1" };
        let Ok(stream) = connect(self.address, &self.tls, &[protocol], "127.0.0.1").await else {
            // Nobody listens: told like any other broken connection.
            let (io, _) = tokio::io::duplex(1);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
            tokio::spawn(connection);
            return sender.send_request(self.request.map(Full::new)).await;
        };
        let mut request = self.request.map(Full::new);
        if self.http2 {
            let host = request.headers_mut().remove("host").unwrap();
            let target = request.uri().to_string();
            *request.uri_mut() = format!("https://{}{target}", host.to_str().unwrap()).parse().unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let connection = tokio::spawn(connection);
            let response = sender.send_request(request).await;
            // Dropping the call ends the connection; an answer that has begun may be read to its end.
            drop(connection);
            response
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    }
}

/// Calls one after the other on a connection that is kept, as SDKs make them.
#[derive(Default)]
pub(crate) struct Kept(Option<SendRequest<Full<Bytes>>>);

impl Kept {
    /// Sends it and reads the whole answer. A connection that the server says it is done with, or has
    /// closed, is replaced; a call that fails is not sent again.
    pub(crate) async fn try_send(&mut self, call: Call) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let mut sender = match self.0.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let stream = connect(call.address, &call.tls, &[b"http/1.1"], "127.0.0.1").await?;
                let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        let answer = read(sender.send_request(call.request.map(Full::new)).await?).await?;
        if answer.field("connection") != "close" && sender.ready().await.is_ok() {
            self.0 = Some(sender);
        }
        Ok(answer)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let (status, headers, body) = (parts.status.as_u16(), parts.headers, body.to_bytes());
    Ok(Answer { status, headers, body, trailers })
}

/// A connection on which a test writes what it likes.
pub(crate) struct Wire(TlsStream<TcpStream>);

impl Wire {
    pub(crate) async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>, name: &str) -> Self {
        Self(connect(address, tls, &[b"http/1.1"], name).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.unwrap();
    }

    /// The same where the other side may close before it has read all.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref()).await?;
        self.0.flush().await
    }

    /// Says that nothing more will be written.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// All that comes until the server closes the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut all = Vec::new();
        let read = tokio::time::timeout(DEADLINE, self.0.read_to_end(&mut all)).await;
        assert!(read.is_ok(), "the connection stays open; so far: {}", String::from_utf8_lossy(&all));
        String::from_utf8_lossy(&all).into_owned()
    }

    /// All that comes until `text` is in it.
    pub(crate) async fn read_until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&all).contains(text) {
                let count = self.0.read_buf(&mut all).await.unwrap();
                assert!(count > 0, "the connection ended before `{text}`: {}", String::from_utf8_lossy(&all));
            }
        };
        assert!(tokio::time::timeout(DEADLINE, read).await.is_ok(), "`{text}` has not come");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The serial number of the server's certificate, whole.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Trusts the authority in `ca`.
pub(crate) fn trusting(ca: &Path) -> Arc<ClientConfig> {
    trusting_over(ca, rustls::ALL_VERSIONS)
}

/// The same over these versions of TLS only.
pub(crate) fn trusting_over(ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Connects to the server of this name, and offers these protocols.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: &Arc<ClientConfig>,
    protocols: &[&[u8]],
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut tls = ClientConfig::clone(tls);
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await?;
    // As HTTP/2 clients do; else each full window waits for an acknowledgement that is delayed.
    stream.set_nodelay(true)?;
    let connecting = TlsConnector::from(Arc::new(tls)).connect(name, stream);
    tokio::time::timeout(DEADLINE, connecting).await?
}
