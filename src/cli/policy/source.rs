//! Which policy a command is about, and what the configuration says about it.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::out;
use crate::config::Config;
use crate::policy::Inspection;
use crate::policy::Settings;
use crate::server;
use crate::server::PolicyFiles;

/// Which policy, for commands whose arguments name something else.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The policy's folder or file; else the one that the configuration names
    #[arg(short, long, value_name = "PATH")]
    pub(super) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArg,
}

/// The configuration, where there is one.
#[derive(Debug, Args)]
pub(super) struct ConfigArg {
    /// The configuration file: it names the policy, and the groups and credentials that rules may use
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// A policy's files, and what the configuration says about them.
pub(super) struct Found {
    pub(super) files: PolicyFiles,
    pub(super) settings: Settings,
    pub(super) config: Option<Config>,
}

impl ConfigArg {
    /// Reads the policy in `path`, or else the one that the configuration names.
    ///
    /// # Errors
    /// If files cannot be read, or the configuration has a mistake.
    pub(super) fn find(&self, path: Option<&Path>) -> anyhow::Result<Found> {
        let file = match (&self.config, path) {
            (Some(file), _) => Some(file.as_path()),
            (None, None) => Some(Path::new("holdpoint.yaml")),
            (None, Some(_)) => None,
        };
        let hint = || "which policy it is about is not known; name its folder, or the configuration with `--config`";
        let config = match (file, path) {
            (Some(file), None) => Some(Config::read(file).with_context(hint)?),
            (file, _) => file.map(Config::read).transpose()?,
        };
        let files = match (path, &config) {
            (Some(path), _) => {
                PolicyFiles::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?
            }
            (None, Some(config)) => server::policy_files(config)?,
            (None, None) => anyhow::bail!(hint()),
        };
        Ok(Found { files, settings: settings(config.as_ref())?, config })
    }

    /// What the configuration says about policies, for those that are not named by it.
    ///
    /// # Errors
    /// If the configuration has a mistake.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        settings(self.config.as_deref().map(Config::read).transpose()?.as_ref())
    }
}

fn settings(config: Option<&Config>) -> anyhow::Result<Settings> {
    if let Some(config) = config {
        return Ok(server::policy_settings(config));
    }
    out::note("note: without `--config`, any reviewer group and any credential is taken for known")?;
    Ok(Settings::without_configuration())
}

impl Which {
    /// Loads the policy.
    ///
    /// # Errors
    /// As for [`ConfigArg::find`], and if the policy has a mistake.
    pub(super) fn load(&self) -> anyhow::Result<(Inspection, Found)> {
        let found = self.config.find(self.policy.as_deref())?;
        let inspection = Inspection::load(&found.files.rego, &found.files.data, found.settings.clone())
            .map_err(|errors| anyhow::anyhow!("the policy cannot be used\n{errors}"))?;
        Ok((inspection, found))
    }
}
