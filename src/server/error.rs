//! Why the server does not start, or a reload has no effect.

use std::io;
use std::path::PathBuf;

use crate::approval::ApprovalError;
use crate::approval::store::OpenError as StoreError;
use crate::audit;
use crate::classify::OpenApiError;
use crate::config::ConfigError;
use crate::credentials::CredentialError;
use crate::credentials::SecretError;
use crate::gate::SpoolError;
use crate::identity::KeySetError;
use crate::identity::PeopleError;
use crate::identity::key::KeyError;
use crate::identity::oidc::SetupError;
use crate::policy::LoadErrors;
use crate::policy::bundle::BundleError;
use crate::proxy::BindError;
use crate::proxy::RouteError;
use crate::proxy::TlsError;
use crate::proxy::UpstreamError;

use super::fetch::FetchError;
use super::hand_over::TakeOverError;
use super::sockets::SocketError;

/// Why the server does not start, or a reload has no effect.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(ConfigError),
    /// A file cannot be read.
    #[error("`{path}` cannot be read; it is named by `{key}` in the configuration")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where the configuration names it.
        key: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A bundle cannot be fetched.
    #[error("the bundle cannot be fetched from {from}")]
    FetchBundle {
        /// Its URL.
        from: String,
        /// Why not.
        source: Box<FetchError>,
    },
    /// A bundle cannot be used.
    #[error("the bundle {from} cannot be used")]
    Bundle {
        /// Its URL or file.
        from: String,
        /// What is wrong.
        source: BundleError,
    },
    /// A server that gives none.
    #[error("there is no bundle at `{from}`")]
    NoBundle {
        /// Its URL.
        from: String,
    },
    /// The policies cannot be used.
    #[error("the policies cannot be used\n{0}")]
    Policy(LoadErrors),
    /// An OpenAPI document cannot be used.
    #[error("the OpenAPI document `{path}` of the upstream `{upstream}` cannot be used")]
    OpenApi {
        /// The upstream.
        upstream: String,
        /// The document.
        path: PathBuf,
        /// What is wrong.
        source: OpenApiError,
    },
    /// A credential cannot be used.
    #[error("a credential cannot be used")]
    Credential(#[from] CredentialError),
    /// The secret that proves us to the identity provider cannot be read.
    #[error("`reviewers.oidc.client_secret` cannot be used")]
    ClientSecret(#[source] SecretError),
    /// Sign-in cannot be set up.
    #[error("`reviewers.oidc` cannot be used")]
    Oidc(#[from] SetupError),
    /// A file of keys or tokens cannot be used.
    #[error("the keys cannot be used")]
    Keys(#[from] KeyError),
    /// The keys contradict each other.
    #[error("the keys cannot be used together")]
    KeySet(#[from] KeySetError),
    /// The people contradict each other.
    #[error("`reviewers.aliases` cannot be used")]
    People(#[from] PeopleError),
    /// Two upstreams answer to the same requests.
    #[error(transparent)]
    Routes(#[from] RouteError),
    /// A certificate cannot be used.
    #[error("a certificate cannot be used")]
    Tls(#[from] TlsError),
    /// An upstream cannot be set up.
    #[error("the upstream `{name}` cannot be used")]
    Upstream {
        /// Its name.
        name: String,
        /// What is wrong.
        source: Box<UpstreamError>,
    },
    /// The signing key cannot be used.
    #[error("the signing key cannot be used")]
    SigningKey(#[from] audit::SigningKeyError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened")]
    Audit(#[from] audit::OpenError),
    /// The audit log could not be closed in good order.
    #[error("the audit log was not closed in good order")]
    CloseAudit(#[from] audit::CloseError),
    /// The store cannot be opened.
    #[error("the approval store cannot be opened")]
    Store(#[from] StoreError),
    /// The folder for long bodies cannot be used.
    #[error("long bodies of held calls cannot be kept")]
    Spool(#[from] SpoolError),
    /// What was left behind cannot be brought to an end.
    #[error("the approvals cannot be used")]
    Approvals(#[from] ApprovalError),
    /// A figure is registered twice.
    #[error("the metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// Another process has what one process at a time can have.
    #[error(
        "another process serves this configuration; stop it, or start this one with `--take-over`, which does so \
         without refusing a connection"
    )]
    Running(#[source] Box<ServerError>),
    /// Sockets that were passed cannot be used.
    #[error(transparent)]
    Sockets(#[from] SocketError),
    /// The running process does not hand over.
    #[error("cannot take over")]
    TakeOver(#[from] TakeOverError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not give what is needed.
    #[error("the system does not give what the server needs")]
    System(#[from] io::Error),
}
