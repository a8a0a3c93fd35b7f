//! The least that a TLS reverse proxy in Rust can do: what our own work is measured against.
//!
//! `bench-passthrough ADDRESS CERTIFICATE KEY UPSTREAM THREADS` has the same crates, TLS settings,
//! allocator and layout as holdpoint (a listener, a runtime and upstream connections for each
//! core), and does nothing with a request but send it on. It has no time-outs and no limits. With
//! `DELETE` it never answers, which is the least that holding a call can cost.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use holdpoint::proxy;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::header;
use http::uri::Authority;
use http::uri::Scheme;
use http_body_util::Either;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

/// One core's way to the upstream.
struct Core {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    host: HeaderValue,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key, upstream, threads] = arguments.as_slice() else {
        anyhow::bail!("usage: bench-passthrough ADDRESS CERTIFICATE KEY UPSTREAM THREADS");
    };
    let address: SocketAddr = address.parse().context("ADDRESS is none")?;
    let upstream: Authority = upstream.parse().context("UPSTREAM is no HOST:PORT")?;
    let threads: usize = threads.parse().context("THREADS is no number")?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(certificate, key)?));
    let mut running = Vec::new();
    for _ in 0..threads {
        let listener = proxy::listen(proxy::bind(address, proxy::Sharing::Cores)?)?;
        let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
        running.push(std::thread::spawn(move || serve(listener, &acceptor, upstream)));
    }
    for thread in running {
        thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
    }
    Ok(())
}

fn tls(certificate: &str, key: &str) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(config)
}

fn serve(listener: std::net::TcpListener, acceptor: &TlsAcceptor, upstream: Authority) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(50))
            .pool_max_idle_per_host(256)
            .set_host(false)
            .build(connector);
        let core = Arc::new(Core { client, host: HeaderValue::try_from(upstream.as_str())?, upstream });
        loop {
            let (stream, _) = listener.accept().await?;
            let (acceptor, core) = (acceptor.clone(), Arc::clone(&core));
            tokio::spawn(async move {
                // A connection that breaks is the caller's business.
                let _ = connection(stream, &acceptor, core).await;
            });
        }
    })
}

async fn connection(stream: TcpStream, acceptor: &TlsAcceptor, core: Arc<Core>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| pass(Arc::clone(&core), request));
    let io = TokioIo::new(stream);
    let served = if http2 {
        http2::Builder::new(TokioExecutor::new()).max_concurrent_streams(128).serve_connection(io, service).await
    } else {
        http1::Builder::new().serve_connection(io, service).await
    };
    served.map_err(io::Error::other)
}

async fn pass(core: Arc<Core>, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    if request.method() == Method::DELETE {
        return std::future::pending().await;
    }
    let target = request.uri().path_and_query().cloned();
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(core.upstream.clone());
    let Ok(uri) = target.into_iter().fold(uri, http::uri::Builder::path_and_query).build() else {
        return Ok(failed(StatusCode::BAD_REQUEST));
    };
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_11;
    request.headers_mut().remove(header::CONNECTION);
    request.headers_mut().insert(header::HOST, core.host.clone());
    match core.client.request(request).await {
        Ok(answer) => Ok(answer.map(Either::Left)),
        Err(_) => Ok(failed(StatusCode::BAD_GATEWAY)),
    }
}

fn failed(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Empty::new()));
    *answer.status_mut() = status;
    answer
}
