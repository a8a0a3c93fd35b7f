//! Where bundles come from: files of this machine, and servers that are asked again and again.
//!
//! What a server gives has to pass twice before it counts: its signature when it arrives, and the
//! whole load of the configuration with it. Until then, and whenever either fails, the last good
//! one stays.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use prometheus::IntCounterVec;
use prometheus::IntGaugeVec;
use prometheus::Opts;
use prometheus::Registry;

use crate::config;
use crate::model::PolicyDigest;
use crate::policy::bundle::ARCHIVE_BYTES_MAX;
use crate::policy::bundle::Bundle;
use crate::policy::bundle::BundleKey;
use crate::policy::bundle::FILES_MAX;
use crate::policy::bundle::UNPACKED_BYTES_MAX;
use crate::policy::bundle::Verification;

use super::error::ServerError;
use super::fetch;
use super::fetch::Fetched;

/// The bundles that servers have given. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Bundles(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The one in force.
    good: Option<Remote>,
    /// One that verifies, and has yet to be loaded.
    candidate: Option<Remote>,
    /// What the server called the last one that it gave: the same need not come twice.
    etag: Option<HeaderValue>,
}

/// A bundle, and the configuration by which it was fetched and verified.
#[derive(Clone, Debug)]
struct Remote {
    from: config::Bundle,
    key: Verification,
    bundle: Arc<Bundle>,
}

impl Bundles {
    /// The bundle that `settings` mean: the latest that its server has given, which is asked only
    /// if it has given none by these settings.
    ///
    /// # Errors
    /// [`ServerError::Bundle`] and its like; then there is no policy.
    pub(super) fn load(&self, settings: &config::Bundle) -> Result<Arc<Bundle>, ServerError> {
        let key = verification(settings)?;
        let Some(url) = &settings.url else { return local(settings, &key).map(Arc::new) };
        {
            let kept = self.0.lock();
            let same = |remote: &&Remote| remote.from == *settings && remote.key == key;
            if let Some(remote) = kept.candidate.iter().chain(&kept.good).find(same) {
                return Ok(Arc::clone(&remote.bundle));
            }
        }
        // A thread and a runtime of its own: the caller may be on one, or on none.
        let fetched = std::thread::scope(|scope| {
            let fetching = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok::<_, std::io::Error>(runtime.block_on(ask(settings, None)))
            });
            fetching.join().map_err(|_| std::io::Error::other("the thread that fetches a bundle has panicked"))?
        })??;
        let Fetched::New { bytes, etag } = fetched else { return Err(ServerError::NoBundle { from: url.to_string() }) };
        let bundle = Arc::new(read(url.as_str(), &bytes, &key)?);
        let remote = Remote { from: settings.clone(), key, bundle: Arc::clone(&bundle) };
        let mut kept = self.0.lock();
        kept.candidate = Some(remote);
        kept.etag = etag;
        Ok(bundle)
    }

    /// Asks the server whether there is another one. True if there is and it verifies; then it is
    /// what [`Self::load`] gives from now on, until it turns out not to load.
    pub(super) async fn poll(&self, settings: &config::Bundle) -> Result<bool, ServerError> {
        let Some(url) = &settings.url else { return Ok(false) };
        let key = verification(settings)?;
        let etag = self.0.lock().etag.clone();
        let Fetched::New { bytes, etag } = ask(settings, etag.as_ref()).await? else { return Ok(false) };
        // One that does not verify is asked for again, so that the trouble is told again as well.
        let bundle = read(url.as_str(), &bytes, &key)?;
        let mut kept = self.0.lock();
        kept.etag = etag;
        if kept.good.as_ref().is_some_and(|good| *good.bundle == bundle) {
            return Ok(false);
        }
        kept.candidate = Some(Remote { from: settings.clone(), key, bundle: Arc::new(bundle) });
        Ok(true)
    }

    /// What was loaded is in force, or could not be loaded and is forgotten.
    pub(super) fn settle(&self, loaded: bool) {
        let mut kept = self.0.lock();
        let Some(candidate) = kept.candidate.take() else { return };
        if loaded {
            kept.good = Some(candidate);
        } else {
            // So that it comes again, and the trouble is told again.
            kept.etag = None;
        }
    }
}

async fn ask(settings: &config::Bundle, etag: Option<&HeaderValue>) -> Result<Fetched, ServerError> {
    let url = settings.url.as_ref().map_or("", config::BundleUrl::as_str);
    let ca = settings.ca.as_ref().map(config::FileRef::path);
    let fetched = fetch::fetch(url, ca, etag, ARCHIVE_BYTES_MAX).await;
    fetched.map_err(|source| ServerError::FetchBundle { from: url.to_owned(), source: Box::new(source) })
}

fn verification(settings: &config::Bundle) -> Result<Verification, ServerError> {
    let Some(file) =
        settings.public_key.as_ref().filter(|_| settings.verification == config::BundleVerification::Signed)
    else {
        return Ok(Verification::None);
    };
    let path = file.path();
    let failed = |source| ServerError::Read { path: path.to_owned(), key: "policy.bundle.public_key", source };
    let pem = fs::read_to_string(path).map_err(failed)?;
    let key = BundleKey::from_pem(&pem);
    Ok(Verification::Key(key.map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?))
}

fn read(from: &str, archive: &[u8], key: &Verification) -> Result<Bundle, ServerError> {
    Bundle::read(archive, key).map_err(|source| ServerError::Bundle { from: from.to_owned(), source })
}

/// An archive or a folder of this machine.
fn local(settings: &config::Bundle, key: &Verification) -> Result<Bundle, ServerError> {
    let Some(path) = &settings.path else { return Err(ServerError::NoBundle { from: String::new() }) };
    let from = path.display().to_string();
    let failed = |source| ServerError::Read { path: path.clone(), key: "policy.bundle.path", source };
    if !path.is_dir() {
        let too_large = fs::metadata(path).map_err(failed)?.len() > ARCHIVE_BYTES_MAX as u64;
        if too_large {
            return read(&from, &vec![0; ARCHIVE_BYTES_MAX + 1], key);
        }
        return read(&from, &fs::read(path).map_err(failed)?, key);
    }
    let mut files = BTreeMap::new();
    let mut left = UNPACKED_BYTES_MAX;
    collect(path, path, &mut files, &mut left, 0).map_err(failed)?;
    Bundle::of_files(files, key).map_err(|source| ServerError::Bundle { from, source })
}

/// Reads all files of a folder. Hidden ones are passed over, as ConfigMap mounts are full of them,
/// except for those that bundles have.
fn collect(
    base: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, Vec<u8>>,
    left: &mut u64,
    depth: usize,
) -> std::io::Result<()> {
    let too_much = || std::io::Error::other("it holds too many or too large files, or too many folders");
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') && !matches!(name.as_str(), ".manifest" | ".signatures.json") {
            continue;
        }
        if path.is_dir() {
            if depth >= DEPTH_MAX {
                return Err(too_much());
            }
            collect(base, &path, files, left, depth + 1)?;
            continue;
        }
        *left = left.checked_sub(fs::metadata(&path)?.len()).ok_or_else(too_much)?;
        if files.len() >= FILES_MAX {
            return Err(too_much());
        }
        let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
        files.insert(name, fs::read(&path)?);
    }
    Ok(())
}

const DEPTH_MAX: usize = 16;

/// Which bundle is in force, and how asking for others goes.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    info: IntGaugeVec,
    polls: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let info = Opts::new("holdpoint_policy_bundle_info", "The bundle whose policy is in force; 1.");
        let info = IntGaugeVec::new(info, &["digest", "revision"])?;
        registry.register(Box::new(info.clone()))?;
        let polls = Opts::new("holdpoint_policy_bundle_polls_total", "Questions for another bundle, by result.");
        let polls = IntCounterVec::new(polls, &["result"])?;
        registry.register(Box::new(polls.clone()))?;
        for result in ["updated", "unchanged", "failure"] {
            polls.with_label_values(&[result]);
        }
        Ok(Self { info, polls })
    }

    /// Names the bundle in force, if the policy comes from one.
    pub(super) fn in_force(&self, digest: PolicyDigest, revision: Option<&str>) {
        self.info.reset();
        if let Some(revision) = revision {
            self.info.with_label_values(&[digest.to_string().as_str(), revision]).set(1);
        }
    }

    pub(super) fn polled(&self, result: &str) {
        self.polls.with_label_values(&[result]).inc();
    }
}

/// How long until the server is asked again; `None` where there is no server.
pub(super) fn pause(settings: Option<&config::Bundle>) -> Option<Duration> {
    settings.filter(|settings| settings.url.is_some()).map(|settings| settings.poll.get())
}
