//! Requests to the identity provider: few, small, and each with an end.
//!
//! No redirect is followed, since an answer from elsewhere is nobody's. One connection a request,
//! because there is one sign-in a minute at most. Encrypted, unless the provider is on this machine.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::settings::SetupError;

/// Asks one identity provider.
#[derive(Clone, Debug)]
pub(super) struct Http {
    tls: Arc<ClientConfig>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("`{0}` is not a URL that may be asked; it has to begin with `https://`")]
    Url(String),
    #[error("`{host}` cannot be connected to")]
    Connect { host: String, source: io::Error },
    #[error("there is no secure connection to `{host}`")]
    Tls { host: String, source: io::Error },
    #[error("the connection to `{host}` broke off")]
    Broke { host: String, source: hyper::Error },
    #[error("the answer of `{host}` has more than {ANSWER_BYTES_MAX} bytes, or broke off")]
    Body { host: String },
    #[error("`{host}` has not answered within {} s", WITHIN.as_secs())]
    Slow { host: String },
}

impl Http {
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, SetupError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(SetupError::Tls)?;
        let config = match ca {
            None => builder.with_platform_verifier().map_err(SetupError::Tls)?.with_no_client_auth(),
            Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        };
        Ok(Self { tls: Arc::new(config) })
    }

    /// The answer to `request`, whatever its status.
    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let slow = || HttpError::Slow { host: host.clone() };
        tokio::time::timeout(WITHIN, self.exchange(request)).await.map_err(|_| slow())?
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let bad = || {
            HttpError::Url(format!(
                "{}://{}",
                parts.uri.scheme_str().unwrap_or_default(),
                parts.uri.host().unwrap_or_default()
            ))
        };
        let host = parts.uri.host().ok_or_else(bad)?.to_owned();
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match parts.uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_this_machine(&name) => false,
            _ => return Err(bad()),
        };
        let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
        let authority = HeaderValue::try_from(authority).map_err(|_| bad())?;
        let port = parts.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        parts.uri = target.parse().map_err(|_| bad())?;
        parts.headers.insert(header::HOST, authority);
        parts.headers.insert(header::USER_AGENT, HeaderValue::from_static("holdpoint"));
        let request = Request::from_parts(parts, Full::new(Bytes::from(body)));
        let connect = |source| HttpError::Connect { host: host.clone(), source };
        let tcp = TcpStream::connect((name.as_str(), port)).await.map_err(connect)?;
        if !secure {
            return over(tcp, request, host).await;
        }
        let server = ServerName::try_from(name).map_err(|_| HttpError::Url(host.clone()))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(server, tcp).await;
        over(stream.map_err(|source| HttpError::Tls { host: host.clone(), source })?, request, host).await
    }
}

async fn over(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    host: String,
) -> Result<Response<Vec<u8>>, HttpError> {
    let broke = |source| HttpError::Broke { host: host.clone(), source };
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(io)).await.map_err(broke)?;
    // Ends with the connection, which ends once the answer is read or dropped.
    tokio::spawn(async move { connection.await.ok() });
    let (parts, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| HttpError::Body { host })?;
    Ok(Response::from_parts(parts, body.to_bytes().into()))
}

fn roots(path: &Path) -> Result<RootCertStore, SetupError> {
    let bad = |source| SetupError::Roots { path: path.to_owned(), source };
    let other = |error: String| bad(io::Error::other(error));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| other(error.to_string()))? {
        let certificate = certificate.map_err(|error| other(error.to_string()))?;
        roots.add(certificate).map_err(|error| other(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(other("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Whether a host is this machine by its own words.
pub(super) fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// What went wrong with all its causes, in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// From the name look-up to the last byte; people wait for it.
const WITHIN: Duration = Duration::from_secs(10);

/// Key sets and tokens of large providers have some ten thousand bytes.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
