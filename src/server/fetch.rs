//! Fetching a file from an `https` server: one connection, one question, a bounded answer.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one question may take, connection and all.
const FETCH_WITHIN: Duration = Duration::from_secs(20);

/// What the server answered.
#[derive(Debug)]
pub(super) enum Fetched {
    /// It is still the one with that entity tag.
    NotModified,
    /// Another one.
    New {
        /// All of it.
        bytes: Bytes,
        /// What to ask with the next time, if the server gave anything.
        etag: Option<HeaderValue>,
    },
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL has no host.
    #[error("`{0}` has no host that can be connected to")]
    Url(String),
    /// The roots cannot be used.
    #[error("the certificate authorities in `{path}` cannot be used: {problem}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The platform's roots cannot be used.
    #[error("the certificate authorities of this machine cannot be used")]
    Platform(#[source] rustls::Error),
    /// It cannot be reached.
    #[error("the server cannot be reached")]
    Connect(#[source] io::Error),
    /// It broke off.
    #[error("the server broke off")]
    Http(#[from] hyper::Error),
    /// It answers with something else.
    #[error("the server answers {0}, not 200")]
    Status(StatusCode),
    /// The answer is too long or broke off.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long.
    #[error("it took longer than {} s", FETCH_WITHIN.as_secs())]
    TooSlow,
}

/// Fetches `url`, unless it still has the entity tag `etag`. Redirects are not followed: where a
/// policy comes from is what the configuration says.
pub(super) async fn fetch(
    url: &str,
    ca: Option<&Path>,
    etag: Option<&HeaderValue>,
    bytes_max: usize,
) -> Result<Fetched, FetchError> {
    let asked = ask(url, ca, etag, bytes_max);
    tokio::time::timeout(FETCH_WITHIN, asked).await.unwrap_or(Err(FetchError::TooSlow))
}

async fn ask(
    url: &str,
    ca: Option<&Path>,
    etag: Option<&HeaderValue>,
    bytes_max: usize,
) -> Result<Fetched, FetchError> {
    let refuse = || FetchError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| refuse())?;
    let host = uri.host().ok_or_else(refuse)?;
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server = ServerName::try_from(name.clone()).map_err(|_| refuse())?;
    let stream = TcpStream::connect((name, uri.port_u16().unwrap_or(443))).await.map_err(FetchError::Connect)?;
    let connector = TlsConnector::from(Arc::new(client_config(ca)?));
    let stream = connector.connect(server, stream).await.map_err(FetchError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move { drop(connection.await) });
    let answered = async {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(target).header(header::HOST, authority).header(header::USER_AGENT, AGENT);
        let request = etag.into_iter().fold(request, |request, etag| request.header(header::IF_NONE_MATCH, etag));
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).map_err(|_| refuse())?).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Fetched::NotModified),
            StatusCode::OK => {}
            status => return Err(FetchError::Status(status)),
        }
        let etag = response.headers().get(header::ETAG).cloned();
        let body = Limited::new(response.into_body(), bytes_max).collect().await.map_err(FetchError::Body)?;
        Ok(Fetched::New { bytes: body.to_bytes(), etag })
    };
    let answered = answered.await;
    connection.abort();
    answered
}

const AGENT: &str = concat!("holdpoint/", env!("CARGO_PKG_VERSION"));

fn client_config(ca: Option<&Path>) -> Result<ClientConfig, FetchError> {
    let builder = ClientConfig::builder();
    let Some(path) = ca else {
        return Ok(builder.with_platform_verifier().map_err(FetchError::Platform)?.with_no_client_auth());
    };
    let failed = |problem: String| FetchError::Roots { path: path.to_owned(), problem };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is none".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
