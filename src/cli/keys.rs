//! `holdpoint keys` and `holdpoint tokens`: the secret is shown once, its hash is kept.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::config::Config;
use crate::config::HumanDuration;
use crate::identity::KeyHolder;
use crate::identity::key;
use crate::model::PersonId;
use crate::server::system_clock;

use super::out;

/// What to do with agents' keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key for an agent, print it once, and keep its hash
    Create(KeyArgs),
}

/// What to do with reviewers' tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokensCommand {
    /// Make a token for a reviewer, print it once, and keep its hash
    Create(TokenArgs),
}

/// The key to make.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// The principal it is for, as the configuration names it
    #[arg(long, value_name = "ID")]
    principal: String,
    /// Who makes it; this person can never approve what is done with it
    #[arg(long, value_name = "PERSON")]
    created_by: Option<PersonId>,
    #[command(flatten)]
    place: Place,
}

/// The token to make.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// The person it is for, as the configuration names them
    #[arg(long, value_name = "PERSON")]
    reviewer: PersonId,
    #[command(flatten)]
    place: Place,
}

/// Where the hash goes, and how the secret is shown.
#[derive(Debug, Args)]
struct Place {
    /// The file to add the hash to; else the first one that the configuration lists for the holder
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration file
    #[arg(short, long, env = "HOLDPOINT_CONFIG", value_name = "FILE", default_value = "holdpoint.yaml")]
    config: PathBuf,
    /// After how long it is no longer good, such as `90d`; never by itself if not given
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<HumanDuration>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Text,
    Json,
}

pub(super) fn run_keys(command: &KeysCommand) -> anyhow::Result<ExitCode> {
    let KeysCommand::Create(args) = command;
    let listed = |config: &Config| {
        let principal = config.principals.iter().find(|principal| principal.id.as_str() == args.principal);
        let principal = principal.with_context(|| {
            format!("the configuration has no principal `{}`; add it under `principals`", args.principal)
        })?;
        let file = principal.api_keys.first().map(|file| file.path().to_owned());
        file.with_context(|| format!("the principal `{}` has no `api_keys`; add a file there", args.principal))
    };
    let file = args.place.file(listed)?;
    create(KeyHolder::Principal(args.principal.clone()), args.created_by.clone(), &file, &args.place)
}

pub(super) fn run_tokens(command: &TokensCommand) -> anyhow::Result<ExitCode> {
    let TokensCommand::Create(args) = command;
    let listed = |config: &Config| {
        let file = config.reviewers.tokens.first().map(|file| file.path().to_owned());
        file.context("the configuration has no `reviewers.tokens`; add a file there")
    };
    let file = args.place.file(listed)?;
    create(KeyHolder::Reviewer(args.reviewer.clone()), None, &file, &args.place)
}

impl Place {
    fn file(&self, listed: impl Fn(&Config) -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => {
                let hint = || "which file to add the hash to is not known; name it with `--file`, or the configuration with `--config`";
                listed(&Config::read(&self.config).with_context(hint)?)
            }
        }
    }
}

fn create(holder: KeyHolder, by: Option<PersonId>, file: &Path, place: &Place) -> anyhow::Result<ExitCode> {
    let now = system_clock().now();
    let expires = place.expires_in.map(|lasts| now.plus(lasts.get()));
    let made = key::generate(holder, by, now, expires)?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
    }
    key::append_to_file(file, &made.record)?;
    let secret = made.secret.expose_secret();
    match place.output {
        Form::Json => out::json(&json!({
            "id": made.record.id,
            "key": secret,
            "file": file,
            "expires": made.record.expires,
        }))?,
        Form::Text => {
            out::note(format!("its hash is now in `{}`; the secret is shown only this once:", file.display()))?;
            out::line(secret)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
