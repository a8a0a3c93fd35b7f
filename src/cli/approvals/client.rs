//! Talks to the admin API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where the admin API is, and who asks.
#[derive(Debug, Args)]
pub(super) struct Connection {
    /// The admin address
    #[arg(long, global = true, env = "HOLDPOINT_SERVER", value_name = "URL", default_value = "https://127.0.0.1:9443")]
    server: Uri,
    /// The file with your token
    #[arg(long, global = true, env = "HOLDPOINT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Your token; only from the environment, since arguments are seen by everybody
    #[arg(long, global = true, env = "HOLDPOINT_TOKEN", hide = true, hide_env_values = true)]
    token: Option<String>,
    /// The certificates to trust, in PEM; the system's if not given
    #[arg(long, global = true, env = "HOLDPOINT_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A client of the admin API.
pub(super) struct Client {
    server: Uri,
    token: SecretString,
    tls: Option<TlsConnector>,
}

/// An answer that is not the wanted one.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) code: String,
    detail: String,
}

impl Client {
    pub(super) fn new(connection: &Connection) -> anyhow::Result<Self> {
        let token = match (&connection.token_file, &connection.token) {
            (Some(path), _) => std::fs::read_to_string(path)
                .with_context(|| format!("the token file `{}` cannot be read", path.display()))?,
            (None, Some(token)) => token.clone(),
            (None, None) => anyhow::bail!(
                "no token is given; name its file with `--token-file` or HOLDPOINT_TOKEN_FILE, or put it into HOLDPOINT_TOKEN"
            ),
        };
        let tls = match connection.server.scheme_str() {
            Some("https") => Some(TlsConnector::from(Arc::new(trust(connection.ca.as_ref())?))),
            Some("http") => None,
            _ => anyhow::bail!("`{}` is no address of a server; use `https://HOST:PORT`", connection.server),
        };
        Ok(Self { server: connection.server.clone(), token: SecretString::from(token.trim()), tls })
    }

    /// What the server has at `path`.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        read(self.send(Method::GET, path, None, &[]).await?).await
    }

    /// Sends `body` to `path`.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        read(self.send(Method::POST, path, Some(body), &[]).await?).await
    }

    /// Begins to listen to the events at `path`, behind the one with the id `after`.
    pub(super) async fn listen(&self, path: &str, after: Option<&str>) -> anyhow::Result<Incoming> {
        let fields: Vec<_> = after.map(|id| ("last-event-id", id)).into_iter().collect();
        let response = self.send(Method::GET, path, None, &fields).await?;
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(read(response).await.err().unwrap_or_else(|| anyhow::anyhow!("no events")))
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        fields: &[(&'static str, &str)],
    ) -> anyhow::Result<Response<Incoming>> {
        let body_bytes = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.authority().map_or("", http::uri::Authority::as_str))
            .header(header::USER_AGENT, concat!("holdpoint/", env!("CARGO_PKG_VERSION")))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body_bytes)))?;
        tokio::time::timeout(ANSWER_WITHIN, self.exchange(request))
            .await
            .with_context(|| format!("`{}` did not answer within {} s", self.server, ANSWER_WITHIN.as_secs()))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let host = self.server.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.server.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await.with_context(|| {
            format!(
                "`{}` cannot be reached; is `holdpoint serve` running there? (`--server` names another)",
                self.server
            )
        })?;
        let mut sender = match &self.tls {
            None => open(TokioIo::new(stream)).await?,
            Some(connector) => {
                let name = ServerName::try_from(host.clone())?;
                let stream = connector.connect(name, stream).await.with_context(|| {
                    format!("`{}` has a certificate that is not trusted; name its authority with `--ca`", self.server)
                })?;
                open(TokioIo::new(stream)).await?
            }
        };
        Ok(sender.send_request(request).await?)
    }
}

async fn open<S>(io: S) -> anyhow::Result<http1::SendRequest<Full<Bytes>>>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await?;
    // Its errors arrive with the request's answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn read(response: Response<Incoming>) -> anyhow::Result<Value> {
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        anyhow::ensure!(!value.is_null(), "the answer is not JSON; is this the admin address of Holdpoint?");
        return Ok(value);
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let detail = text("detail").unwrap_or_else(|| format!("the server answers {status}"));
    Err(Refused { status, code: text("code").unwrap_or_default(), detail: super::text::visible(&detail) }.into())
}

fn trust(ca: Option<&PathBuf>) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder();
    let Some(path) = ca else { return Ok(builder.with_platform_verifier()?.with_no_client_auth()) };
    let mut roots = RootCertStore::empty();
    let unreadable = || format!("the certificates in `{}` cannot be read", path.display());
    for certificate in CertificateDer::pem_file_iter(path).with_context(unreadable)? {
        roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A page of 500 approvals, or one with a body of 8 MiB in Base64.
const ANSWER_BYTES_MAX: usize = 64 << 20;
