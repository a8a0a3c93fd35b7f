//! The admin API over HTTP/1.1, one connection a request: a few requests need no pool.

use std::future::Future;
use std::io;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::review::api::Problem;

use super::ConnectionArgs;
use super::failure::Exit;
use super::failure::Failure;

/// A server, and who we are there.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    server: String,
    host: String,
    port: u16,
    authority: HeaderValue,
    authorization: Option<HeaderValue>,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    /// As whoever the token of `args`, or else `token`, belongs to. Nothing is sent yet.
    ///
    /// # Errors
    /// If the server's name, the token or the certificates cannot be used.
    pub(super) fn new(args: &ConnectionArgs, token: Option<&SecretString>) -> Result<Self, Failure> {
        Ok(Self { authorization: Some(authorization(args, token)?), ..Self::anonymous(args)? })
    }

    /// As whoever `token` belongs to, whatever `args` say.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(in crate::cli) fn with_token(args: &ConnectionArgs, token: &SecretString) -> Result<Self, Failure> {
        Ok(Self { authorization: Some(bearer(token)?), ..Self::anonymous(args)? })
    }

    /// As nobody.
    ///
    /// # Errors
    /// If the server's name or the certificates cannot be used.
    pub(in crate::cli) fn anonymous(args: &ConnectionArgs) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::usage(format!("--server is `{}`: {why}", args.server));
        let uri: Uri = args.server.parse().map_err(|_| bad("not a URL such as `https://127.0.0.1:9443`"))?;
        let host = uri.host().ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("it ends after host and port"));
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(Arc::new(tls(args)?)),
            Some("http") if is_this_machine(&host) => None,
            Some("http") => return Err(bad("plain http would show your token to the network; use https")),
            _ => return Err(bad("it has to begin with `https://`")),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let authority = HeaderValue::try_from(authority).map_err(|_| bad("not a URL"))?;
        Ok(Self { server: args.server.clone(), host, port, authority, authorization: None, tls })
    }

    /// Reads JSON.
    pub(in crate::cli) async fn get(&self, target: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, target, None).await
    }

    /// Sends and reads JSON.
    pub(in crate::cli) async fn post(&self, target: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, target, Some(body)).await
    }

    async fn ask(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let response = self.send(method, target, body, &[]).await?;
        let body = self.within(REPLY_WITHIN, Limited::new(response, REPLY_BYTES_MAX).collect()).await?;
        let bytes = body.map_err(|error| Failure::error(format!("{}: the answer broke off: {error}", self.server)))?;
        serde_json::from_slice(&bytes.to_bytes())
            .map_err(|error| Failure::error(format!("{}: the answer cannot be read: {error}", self.server)))
    }

    /// Opens the stream of events, after the one whose id is `last`.
    pub(super) async fn events(&self, last: Option<&str>) -> Result<Incoming, Failure> {
        let last = last.map(|last| ("last-event-id", last));
        self.send(Method::GET, "/v1/events", None, last.as_slice()).await
    }

    /// Opens the whole body of a call.
    pub(super) async fn download(&self, id: &str) -> Result<Incoming, Failure> {
        self.send(Method::GET, &format!("/v1/approvals/{}/body", encode(id)), None, &[]).await
    }

    /// The next piece of an answer that comes in pieces.
    pub(super) async fn frame(
        &self,
        next: impl Future<Output = Option<hyper::Result<Frame<Bytes>>>>,
    ) -> Result<Option<Frame<Bytes>>, Failure> {
        let frame = self.within(REPLY_WITHIN, next).await?.transpose();
        frame.map_err(|error| Failure::error(format!("{}: the answer broke off: {error}", self.server)))
    }

    /// The body of a successful answer.
    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
        fields: &[(&str, &str)],
    ) -> Result<Incoming, Failure> {
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, self.authority.clone())
            .header(
                header::ACCEPT,
                "application/json, application/problem+json, text/event-stream, application/octet-stream",
            )
            .header(header::USER_AGENT, concat!("holdpoint/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(bytes)).map_err(|error| Failure::error(error.to_string()))?;
        let response = self.within(REPLY_WITHIN, self.exchange(request)).await??;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response.into_body());
        }
        let body = self.within(REPLY_WITHIN, Limited::new(response.into_body(), REPLY_BYTES_MAX).collect()).await?;
        let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body.to_bytes()).ok());
        Err(problem.map_or_else(
            || Failure::error(format!("{} answered {status}; is it the admin address of holdpoint?", self.server)),
            Failure::from,
        ))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, Failure> {
        let tcp =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| self.unreachable(&error))?;
        match &self.tls {
            None => self.exchange_over(tcp, request).await,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone())
                    .map_err(|_| Failure::usage(format!("--server: `{}` cannot be in a certificate", self.host)))?;
                let connector = TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name, tcp).await.map_err(|error| self.untrusted(&error))?;
                self.exchange_over(tls, request).await
            }
        }
    }

    async fn exchange_over(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let broke = |error: hyper::Error| Failure::error(format!("{}: the connection broke off: {error}", self.server));
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(broke)?;
        // Ends with the connection, which ends once the answer is read or dropped.
        tokio::spawn(async move { connection.await.ok() });
        sender.send_request(request).await.map_err(broke)
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(limit, work).await.map_err(|_| {
            let seconds = limit.as_secs();
            Failure::new(Exit::Expired, format!("{} has not answered within {seconds} s", self.server))
        })
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let advice = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused: is `holdpoint serve` running? set --server",
            _ => "cannot be reached: set --server",
        };
        let cause =
            if error.kind() == io::ErrorKind::ConnectionRefused { String::new() } else { format!(" ({error})") };
        Failure::error(format!("{}: {advice}{cause}", self.server))
    }

    fn untrusted(&self, error: &io::Error) -> Failure {
        let text = error.to_string();
        let advice = if text.contains("UnknownIssuer") || text.contains("certificate") {
            "; if its certificate is from a CA of your own, set --ca"
        } else {
            ""
        };
        Failure::error(format!("{}: no secure connection: {text}{advice}", self.server))
    }
}

/// Text for a segment of a path or the query of a URL.
pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, &RESERVED).to_string()
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls(args: &ConnectionArgs) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::error(error.to_string()))?;
    let Some(path) = &args.ca else {
        let builder = builder.with_platform_verifier().map_err(|error| {
            Failure::error(format!("the certificates of this system cannot be used: {error}; set --ca"))
        })?;
        return Ok(builder.with_no_client_auth());
    };
    let bad = |why: String| Failure::usage(format!("--ca `{}`: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("it holds no certificate in PEM form".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn authorization(args: &ConnectionArgs, token: Option<&SecretString>) -> Result<HeaderValue, Failure> {
    let from_file = args.token_file.as_ref().map(|path| {
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| Failure::usage(format!("--token-file `{}` cannot be read: {error}", path.display())))?;
        Ok::<_, Failure>(SecretString::from(text.trim().to_owned()))
    });
    let from_file = from_file.transpose()?;
    let token = from_file.as_ref().or(token).filter(|token| !token.expose_secret().is_empty());
    let token = token.ok_or_else(|| {
        Failure::usage(
            "there is no token: sign in with `holdpoint login`, or set --token-file FILE or HOLDPOINT_TOKEN to one that \
             `holdpoint tokens create` made",
        )
    })?;
    bearer(token)
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Failure> {
    let value = format!("Bearer {}", token.expose_secret());
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| Failure::usage("the token holds characters that no token has; is it the right file?"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// All but letters, digits and what stands in ids and lists.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b',');

/// How long an answer may take.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// More than the largest call that can be held, in Base64, and much less than memory.
const REPLY_BYTES_MAX: usize = 256 * 1024 * 1024;

const TOKEN_BYTES_MAX: u64 = 4096;
