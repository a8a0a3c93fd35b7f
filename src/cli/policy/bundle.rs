//! `holdpoint policy bundle`: policies in one signed file, for servers to fetch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::out;
use crate::policy::Inspection;
use crate::policy::bundle;
use crate::policy::bundle::ARCHIVE_BYTES_MAX;
use crate::policy::bundle::Bundle;
use crate::policy::bundle::BundleKey;
use crate::policy::bundle::BundleSigningKey;
use crate::policy::bundle::Verification;

use super::Form;
use super::source::ConfigArg;

/// What to do with bundles.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BundleCommand {
    /// Pack policies that load, without their tests
    Build(BuildArgs),
    /// Sign a bundle that is there, in the place of whoever signed it before
    Sign(SignArgs),
    /// Check the signature of a bundle, and that what is in it loads
    Verify(VerifyArgs),
}

/// What to pack.
#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// The policy's folder
    path: PathBuf,
    /// The file to write, such as `bundle.tar.gz`
    file: PathBuf,
    /// What to call this version; shown in a metric
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    revision: String,
    /// The Ed25519 private key (PKCS#8, PEM) to sign with; without it the bundle is not signed
    #[arg(short, long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

/// What to sign.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// The bundle
    file: PathBuf,
    /// The Ed25519 private key (PKCS#8, PEM); `openssl genpkey -algorithm ed25519` writes one
    #[arg(short, long, value_name = "FILE")]
    key: PathBuf,
}

/// What to verify.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The bundle
    file: PathBuf,
    /// The Ed25519 public key (PEM) of whoever should have signed it
    #[arg(short, long, value_name = "FILE")]
    public_key: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
    /// How to show the result
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

pub(super) fn run(command: &BundleCommand) -> anyhow::Result<ExitCode> {
    match command {
        BundleCommand::Build(args) => build(args),
        BundleCommand::Sign(args) => sign(args),
        BundleCommand::Verify(args) => verify(args),
    }
}

fn build(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let key = args.key.as_deref().map(signing_key).transpose()?;
    let found = args.config.find(Some(&args.path))?;
    let refused = |errors| anyhow::anyhow!("the policy cannot be used, and nothing was written\n{errors}");
    let inspection = Inspection::load(&found.files.rego, &found.files.data, found.settings).map_err(refused)?;
    let rego = found.files.rego.into_iter().filter(|source| !source.path.ends_with("_test.rego"));
    let files = rego.chain(found.files.data).map(|source| (source.path, source.text.into_bytes()));
    let files: BTreeMap<String, Vec<u8>> = files.collect();
    // What is written is read back: names and sizes have limits that a folder has not.
    let archive = bundle::build(files, &args.revision, key.as_ref())?;
    Bundle::read(&archive, &Verification::None).context("a bundle of these files could not be used")?;
    write(&args.file, &archive)?;
    let signed = if key.is_some() { "signed" } else { "not signed" };
    let rules = inspection.policy().rules().len();
    out::line(format!("{}: {rules} rules, {signed}", args.file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn sign(args: &SignArgs) -> anyhow::Result<ExitCode> {
    let key = signing_key(&args.key)?;
    let archive = read(&args.file)?;
    let cannot = || format!("`{}` cannot be signed", args.file.display());
    let signed = bundle::sign(&archive, &key).with_context(cannot)?;
    write(&args.file, &signed)?;
    out::line(format!("{}: signed", args.file.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let path = &args.public_key;
    let cannot = || format!("`{}` cannot be read", path.display());
    let pem = std::fs::read_to_string(path).with_context(cannot)?;
    let key = BundleKey::from_pem(&pem).with_context(cannot)?;
    let cannot = || format!("`{}` cannot be used", args.file.display());
    let bundle = Bundle::read(&read(&args.file)?, &Verification::Key(key)).with_context(cannot)?;
    let settings = args.config.settings()?;
    let loaded = Inspection::load(&bundle.rego, &bundle.data, settings);
    let inspection = loaded.map_err(|errors| anyhow::anyhow!("its policy cannot be used\n{errors}"))?;
    let policy = inspection.policy();
    let (rules, digest) = (policy.rules().len(), policy.digest().to_string());
    match args.output {
        Form::Json => out::json(&json!({ "revision": bundle.revision, "rules": rules, "digest": digest }))?,
        Form::Text => {
            let revision = if bundle.revision.is_empty() { "none" } else { &bundle.revision };
            out::line(format!("the signature is good: revision {revision}, {rules} rules, digest {digest}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn signing_key(path: &Path) -> anyhow::Result<BundleSigningKey> {
    let cannot = || format!("`{}` cannot be read", path.display());
    let pem = Zeroizing::new(std::fs::read(path).with_context(cannot)?);
    BundleSigningKey::from_pem(&pem).with_context(cannot)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("`{}` cannot be read", path.display());
    let mut bytes = Vec::new();
    // One byte more than there may be, so that it is seen to be too large.
    let limit = ARCHIVE_BYTES_MAX as u64 + 1;
    File::open(path).with_context(cannot)?.take(limit).read_to_end(&mut bytes).with_context(cannot)?;
    Ok(bytes)
}

/// All of it or nothing: a server may give the file away at any moment.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("`{}` cannot be written", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder).with_context(cannot)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}
