//! The files of the demo: made once, and used again when the demo is started on the same folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use secrecy::ExposeSecret;

use crate::identity::KeyHolder;
use crate::identity::key;
use crate::model::Timestamp;

/// The files of the demo.
pub(super) struct Files {
    pub(super) folder: PathBuf,
}

/// The configured name of the example upstream.
pub(super) const UPSTREAM: &str = "example";

/// The reviewers, and who they are in the configuration.
const REVIEWERS: [(&str, &str); 2] = [("ana", "ana@example.com"), ("bo", "bo@example.com")];

const AGENT: &str = "deploy-bot";

/// What does not depend on chance, as it stands in the repository.
const TEXTS: [(&str, &str); 6] = [
    ("holdpoint.yaml", include_str!("holdpoint.yaml")),
    ("openapi.yaml", include_str!("../../../examples/quickstart/openapi.yaml")),
    ("policies/reads.rego", include_str!("../../../policies/starter/reads.rego")),
    ("policies/writes.rego", include_str!("../../../policies/starter/writes.rego")),
    ("policies/customer-export.rego", include_str!("../../../policies/starter/customer-export.rego")),
    ("policies/infrastructure.rego", include_str!("../../../policies/starter/infrastructure.rego")),
];

impl Files {
    /// Makes whatever is not there yet.
    pub(super) fn make(folder: &Path, now: Timestamp) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        for inner in ["", "policies", "keys", "tokens"] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(inner))?;
        }
        let files = Self { folder: folder.to_owned() };
        // The configuration comes last: a folder that has one is complete.
        if files.config().exists() {
            return Ok(files);
        }
        files.make_certificates()?;
        files.make_keys(now)?;
        for (name, text) in TEXTS.iter().rev() {
            files.write(name, text.as_bytes())?;
        }
        Ok(files)
    }

    /// The configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("holdpoint.yaml")
    }

    /// The certificate that clients have to trust.
    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The file with the agent's key.
    pub(super) fn agent_key_file(&self) -> PathBuf {
        self.folder.join("agent.key")
    }

    /// The agent's key.
    pub(super) fn agent_key(&self) -> anyhow::Result<String> {
        read(&self.agent_key_file())
    }

    /// The reviewers' tokens, by name.
    pub(super) fn reviewer_tokens(&self) -> anyhow::Result<BTreeMap<&'static str, String>> {
        REVIEWERS.iter().map(|(name, _)| Ok((*name, read(&self.token_file(name))?))).collect()
    }

    /// Writes a file for each reviewer that a shell can read, with what the command line needs.
    pub(super) fn write_environments(&self, admin: SocketAddr) -> anyhow::Result<()> {
        for (name, _) in REVIEWERS {
            let text = format!(
                "export HOLDPOINT_SERVER='https://{admin}'\nexport HOLDPOINT_CA='{}'\nexport HOLDPOINT_TOKEN_FILE='{}'\n",
                self.ca().display(),
                self.token_file(name).display(),
            );
            self.write(&format!("{name}.env"), text.as_bytes())?;
        }
        Ok(())
    }

    fn token_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.token"))
    }

    fn make_certificates(&self) -> anyhow::Result<()> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Holdpoint demo CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);
        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, "Holdpoint demo");
        server.use_authority_key_identifier_extension = true;
        server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let signed = server.signed_by(&server_key, &issuer)?;
        // The authority's key is not kept: nobody can make further certificates with it.
        self.write("ca.pem", certificate.pem().as_bytes())?;
        self.write("server.pem", signed.pem().as_bytes())?;
        self.write("server.key", server_key.serialize_pem().as_bytes())
    }

    fn make_keys(&self, now: Timestamp) -> anyhow::Result<()> {
        let agent = key::generate(KeyHolder::Principal(AGENT.to_owned()), None, now, None)?;
        self.replace("keys/deploy-bot")?;
        key::append_to_file(&self.folder.join("keys/deploy-bot"), &agent.record)?;
        self.write("agent.key", agent.secret.expose_secret().as_bytes())?;
        self.replace("tokens/reviewers")?;
        for (name, person) in REVIEWERS {
            let token = key::generate(KeyHolder::Reviewer(person.parse()?), None, now, None)?;
            key::append_to_file(&self.folder.join("tokens/reviewers"), &token.record)?;
            self.write(&format!("{name}.token"), token.secret.expose_secret().as_bytes())?;
        }
        let mut secret = [0; 24];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("upstream.token", secret.as_bytes())
    }

    /// A start that was cut short may have left a part behind.
    fn replace(&self, name: &str) -> anyhow::Result<()> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.folder.join(name);
        let write = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(bytes)
        };
        write().with_context(|| format!("`{}` cannot be written", path.display()))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok(text.trim().to_owned())
}
