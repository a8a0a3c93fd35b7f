//! An upstream with TLS that says nothing until it is told to, and then only listens.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::wait::DEADLINE;

/// What it has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    connections: usize,
    bytes: usize,
}

/// The upstream; it ends with the test.
pub(crate) struct Silent {
    pub(crate) address: SocketAddr,
    speak: watch::Sender<bool>,
    seen: watch::Receiver<Seen>,
}

impl Silent {
    /// Starts it with the certificate of the test in `folder`. Connections can be opened, and their TLS
    /// handshake is not answered.
    pub(crate) async fn start(folder: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (speak, spoken) = watch::channel(false);
        let (see, seen) = watch::channel(Seen::default());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                see.send_modify(|seen| seen.connections += 1);
                let (acceptor, mut spoken, see) = (acceptor.clone(), spoken.clone(), see.clone());
                tokio::spawn(async move {
                    spoken.wait_for(|&speak| speak).await.ok()?;
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut buffer = [0; 4096];
                    loop {
                        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
                        see.send_modify(|seen| seen.bytes += count);
                    }
                    #[expect(unreachable_code, reason = "it gives the block its type")]
                    Some(())
                });
            }
        });
        Self { address, speak, seen }
    }

    /// Waits for a connection.
    pub(crate) async fn connected(&self) {
        let mut seen = self.seen.clone();
        let connected = seen.wait_for(|seen| seen.connections > 0);
        assert!(tokio::time::timeout(DEADLINE, connected).await.is_ok(), "nobody has connected");
    }

    /// Answers handshakes from now on.
    pub(crate) fn speak(&self) {
        self.speak.send_replace(true);
    }

    /// How many bytes of requests it has been sent.
    pub(crate) fn bytes(&self) -> usize {
        self.seen.borrow().bytes
    }
}
