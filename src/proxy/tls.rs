//! Which certificate a connection sees, and what TLS it may speak.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::server::Acceptor;
use rustls::server::ParsedCertificate;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Where a certificate and its key stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain in PEM, leaf first. It is shown to those who ask for a name that it is valid for.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read as PEM.
    #[error("`{path}` cannot be read as PEM; it has to hold a {expected}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// The file has no certificate.
    #[error("`{path}` holds no certificate")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not fit together.
    #[error("the certificate `{certificate}` and the key `{key}` cannot be used together")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// The certificates of one listener. A reload makes a new table; connections keep what they saw.
#[derive(Debug)]
pub struct TlsTable {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    leaf: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

impl TlsTable {
    /// Reads the files. The first certificate answers those who ask for an unknown name or none.
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used.
    pub fn load(certificates: &[CertificateFiles]) -> Result<Self, TlsError> {
        let entries = certificates.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    fn choose(&self, name: Option<&str>) -> Option<Arc<ServerConfig>> {
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let fits = |entry: &&Entry| {
            let parsed = ParsedCertificate::try_from(&entry.leaf);
            let parsed_and_name = parsed.ok().zip(name.as_ref());
            parsed_and_name.is_some_and(|(parsed, name)| verify_server_name(&parsed, name).is_ok())
        };
        // With one certificate there is nothing to choose.
        let fitting = if self.entries.len() > 1 { self.entries.iter().find(fits) } else { None };
        fitting.or(self.entries.first()).map(|entry| Arc::clone(&entry.config))
    }

    /// Finishes the handshake within `timeout`. Answers with the stream and the name that the
    /// client asked for, in lower case.
    ///
    /// # Errors
    /// What went wrong, for the log; the client has been told by an alert where there is one.
    pub async fn accept(
        &self,
        stream: TcpStream,
        timeout: Duration,
    ) -> std::io::Result<(Box<TlsStream<TcpStream>>, Option<String>)> {
        let handshake = async {
            let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let name = start.client_hello().server_name().map(str::to_ascii_lowercase);
            let config = self.choose(name.as_deref()).ok_or(std::io::ErrorKind::NotFound)?;
            // Boxed, since it is large and moves from future to future.
            Ok((Box::new(start.into_stream(config).await?), name))
        };
        tokio::time::timeout(timeout, handshake).await.map_err(|_| std::io::ErrorKind::TimedOut)?
    }
}

fn entry(files: &CertificateFiles) -> Result<Entry, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let leaf = chain.first().cloned().ok_or_else(|| TlsError::Empty { path: files.certificate.clone() })?;
    let pem = |source| TlsError::Pem { path: files.key.clone(), expected: "private key", source };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(pem)?;
    let pair = |source| TlsError::Pair { certificate: files.certificate.clone(), key: files.key.clone(), source };
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(pair)?;
    Ok(Entry { leaf, config: Arc::new(config) })
}

/// Reads every certificate of a PEM file.
///
/// # Errors
/// [`TlsError`] if there is none or the file cannot be read.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { path: path.to_owned(), expected: "certificate", source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(chain) }
}
