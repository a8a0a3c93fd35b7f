//! What a proxy costs that does nothing but pass on: the same libraries, TLS settings, allocator and
//! threads as Holdpoint, and none of its work.
//!
//! `bench-passthrough PORT UPSTREAM_PORT CERTIFICATE KEY THREADS`. `GET /park` is answered never, to
//! measure what a waiting connection costs.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use http::Response;
use http::Uri;
use http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Origin = Client<HttpConnector, Incoming>;

async fn pass(
    client: Origin,
    upstream: u16,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
    if request.uri().path() == "/park" {
        std::future::pending::<()>().await;
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = Uri::try_from(format!("http://127.0.0.1:{upstream}{path}")).unwrap_or_default();
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::CONNECTION);
    parts.version = http::Version::HTTP_11;
    let mut response = client.request(Request::from_parts(parts, body)).await?;
    response.headers_mut().remove(header::CONNECTION);
    Ok(response)
}

async fn serve(port: u16, upstream: u16, tls: Arc<rustls::ServerConfig>) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4_096)?;
    let listener = tokio::net::TcpListener::from_std(socket.into())?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Origin = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, client) = (acceptor.clone(), client.clone());
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request| pass(client.clone(), upstream, request));
            let io = TokioIo::new(stream);
            if h2 {
                let _ = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .serve_connection(io, service)
                    .await;
            } else {
                let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await;
            }
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, upstream, certificate, key, threads] = arguments.as_slice() else { return Err("five arguments".into()) };
    let (port, upstream, threads): (u16, u16, usize) = (port.parse()?, upstream.parse()?, threads.parse()?);
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let tls = Arc::clone(&tls);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(serve(port, upstream, tls))
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}
