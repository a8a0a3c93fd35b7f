//! Many callers that wait: opens connections, sends a request on each, and keeps them until its
//! standard input ends. Prints a line once all requests are sent.
//!
//! `bench-holders PORT PATH COUNT CA KEY`; each request has a query of its own.

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, path, count, ca, key] = arguments.as_slice() else { return Err("five arguments".into()) };
    let (port, count): (u16, usize) = (port.parse()?, count.parse()?);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    // Not all handshakes at once: that would measure the backlog.
    let places = Arc::new(Semaphore::new(64));
    let (sent, mut all_sent) = mpsc::channel(count.max(1));
    for index in 0..count {
        let (connector, places, sent) = (connector.clone(), Arc::clone(&places), sent.clone());
        let head =
            format!("GET {path}?n={index} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n\r\n");
        tokio::spawn(async move {
            let Ok(place) = places.acquire_owned().await else { return };
            let result = hold(connector, port, &head).await;
            drop(place);
            let _ = sent.send(result.is_ok()).await;
            if let Ok(mut stream) = result {
                // Whatever comes, comes at the end.
                let _ = stream.read(&mut [0; 512]).await;
            }
        });
    }
    let mut good = 0;
    for _ in 0..count {
        good += usize::from(all_sent.recv().await.unwrap_or(false));
    }
    writeln!(std::io::stdout(), "{good} sent")?;
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await??;
    Ok(())
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn hold(connector: TlsConnector, port: u16, head: &str) -> std::io::Result<Stream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let name = ServerName::try_from("127.0.0.1").map_err(std::io::Error::other)?;
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    Ok(stream)
}
