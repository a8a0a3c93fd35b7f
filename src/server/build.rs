//! From a configuration to what each room needs. Everything that a reload can change is made here,
//! and nothing takes effect before all of it could be made.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::approval;
use crate::classify::Dialect;
use crate::classify::OpenApi;
use crate::config;
use crate::config::Config;
use crate::credentials::Credential;
use crate::credentials::SecretRef;
use crate::gate;
use crate::identity::AgentKeys;
use crate::identity::People;
use crate::identity::PrincipalSettings;
use crate::identity::ReviewerTokens;
use crate::identity::key;
use crate::identity::oidc;
use crate::model::Upstream as UpstreamFacts;
use crate::policy;
use crate::policy::Policy;
use crate::proxy::CertificateFiles;
use crate::proxy::Match;
use crate::proxy::Metrics;
use crate::proxy::Route;
use crate::proxy::Routes;
use crate::proxy::Snapshot;
use crate::proxy::Timeouts;
use crate::proxy::TlsTable;
use crate::proxy::Upstream;
use crate::proxy::UpstreamSettings;
use crate::review;

use super::bundles::Bundles;
use super::error::ServerError;
use super::policy_files::PolicyFiles;

/// All that a reload can change.
#[derive(Debug)]
pub struct Loaded {
    /// Routes, keys and credentials.
    pub snapshot: Snapshot,
    /// The policies.
    pub policy: Arc<Policy>,
    /// What the bundle that they come from calls itself, if they come from one.
    pub revision: Option<String>,
    /// Who is who.
    pub people: Arc<People>,
    /// Who may use the admin API.
    pub tokens: ReviewerTokens,
    /// Who proves that reviewers are who they are; `None` if only tokens do.
    pub oidc: Option<oidc::Settings>,
    /// For how long its word about groups counts after a sign-in.
    pub groups_valid_for: Duration,
    /// The certificates of each listener; `None` for a plain one.
    pub tls: Vec<Option<TlsTable>>,
    /// The certificates of the admin listener; `None` for a plain one.
    pub admin_tls: Option<TlsTable>,
    /// Durations and limits of approvals.
    pub approvals: approval::Settings,
    /// Limits of the gate.
    pub gate: gate::Settings,
}

/// The upstreams of the last load, so that those that have not changed keep their connections.
pub(super) type Upstreams = HashMap<String, (UpstreamSettings, Arc<Upstream>)>;

/// Makes everything from `config`. `cores` is how many cores will use it.
///
/// # Errors
/// [`ServerError`] names the first thing that cannot be used.
pub fn load(config: &Config, cores: usize, metrics: &Metrics) -> Result<Loaded, ServerError> {
    load_with(config, cores, metrics, &mut Upstreams::new(), &Bundles::default())
}

pub(super) fn load_with(
    config: &Config,
    cores: usize,
    metrics: &Metrics,
    upstreams: &mut Upstreams,
    bundles: &Bundles,
) -> Result<Loaded, ServerError> {
    let people = Arc::new(config.reviewers.people()?);
    let (policy, revision) = load_policy_with(config, bundles)?;
    let snapshot = Snapshot {
        routes: routes(config, cores, metrics, upstreams)?,
        agents: agents(config)?,
        credentials: credentials(config)?,
    };
    Ok(Loaded {
        snapshot,
        policy: Arc::new(policy),
        revision,
        people,
        tokens: tokens(config)?,
        oidc: config.reviewers.oidc.as_ref().map(oidc_settings).transpose()?,
        groups_valid_for: config.reviewers.oidc.as_ref().map_or(Duration::ZERO, |oidc| oidc.groups_valid_for.get()),
        tls: config.listen.iter().map(|listener| tls(listener.tls.as_ref())).collect::<Result<_, _>>()?,
        admin_tls: tls(config.admin.tls.as_ref())?,
        approvals: approval_settings(config),
        gate: gate_settings(config),
    })
}

/// Reads and compiles the policies that `config` names.
///
/// # Errors
/// [`ServerError::Read`], [`ServerError::Policy`], and those of bundles.
pub fn load_policy(config: &Config) -> Result<Policy, ServerError> {
    load_policy_with(config, &Bundles::default()).map(|(policy, _)| policy)
}

/// Reads the policies that `config` names; a bundle is verified.
///
/// # Errors
/// [`ServerError::Read`], and those of bundles.
pub fn policy_files(config: &Config) -> Result<PolicyFiles, ServerError> {
    read_policy(config, &Bundles::default()).map(|(files, _)| files)
}

/// The files, and what a bundle calls their version.
fn read_policy(config: &Config, bundles: &Bundles) -> Result<(PolicyFiles, Option<String>), ServerError> {
    Ok(match (&config.policy.path, &config.policy.bundle) {
        (_, Some(bundle)) => {
            let bundle = bundles.load(bundle)?;
            (PolicyFiles { rego: bundle.rego.clone(), data: bundle.data.clone() }, Some(bundle.revision.clone()))
        }
        (path, None) => {
            let path = path.clone().unwrap_or_default();
            let read = |source| ServerError::Read { path: path.clone(), key: "policy.path", source };
            (PolicyFiles::read(&path).map_err(read)?, None)
        }
    })
}

fn load_policy_with(config: &Config, bundles: &Bundles) -> Result<(Policy, Option<String>), ServerError> {
    let (files, revision) = read_policy(config, bundles)?;
    let policy = Policy::load(&files.rego, &files.data, policy_settings(config)).map_err(ServerError::Policy)?;
    Ok((policy, revision))
}

/// What `config` says about policies outside of them.
pub fn policy_settings(config: &Config) -> policy::Settings {
    policy::Settings {
        default: match config.policy.default {
            config::DefaultEffect::Deny => policy::DefaultEffect::Deny,
            config::DefaultEffect::Hold => policy::DefaultEffect::Hold,
        },
        default_reviewers: config.policy.default_reviewers.clone(),
        groups: config.reviewers.group_names().into_iter().map(ToString::to_string).collect(),
        credentials: config.credentials.keys().map(ToString::to_string).collect(),
        evaluation_max: config.policy.evaluation_max.get(),
        ..policy::Settings::default()
    }
}

fn agents(config: &Config) -> Result<AgentKeys, ServerError> {
    let principals = config.principals.iter().map(|principal| {
        let settings = PrincipalSettings {
            id: principal.id.to_string(),
            owners: principal.owners.clone(),
            groups: principal.groups.iter().map(ToString::to_string).collect(),
            claims: principal.claims.clone(),
        };
        let records = principal.api_keys.iter().map(|file| key::read_file(file.path()));
        Ok((settings, records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
    });
    Ok(AgentKeys::new(principals.collect::<Result<_, ServerError>>()?)?)
}

fn tokens(config: &Config) -> Result<ReviewerTokens, ServerError> {
    let records = config.reviewers.tokens.iter().map(|file| key::read_file(file.path()));
    Ok(ReviewerTokens::new(records.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())?)
}

fn oidc_settings(config: &config::Oidc) -> Result<oidc::Settings, ServerError> {
    let meaning = config.groups.iter().flat_map(|(group, values)| values.iter().map(move |value| (value, group)));
    let mut groups = config.groups_claim.as_ref().map(|claim| oidc::GroupsClaim {
        claim: claim.clone(),
        entries_max: config.groups_claim_max.get().try_into().unwrap_or(usize::MAX),
        meaning: BTreeMap::new(),
    });
    for (value, group) in meaning {
        if let Some(groups) = &mut groups {
            groups.meaning.entry(value.clone()).or_default().insert(group.to_string());
        }
    }
    let secret = config.client_secret.as_ref().map(SecretRef::read).transpose();
    Ok(oidc::Settings {
        issuer: config.issuer.as_str().to_owned(),
        client_id: config.client_id.clone(),
        client_secret: secret.map_err(ServerError::ClientSecret)?,
        redirect_uri: format!("{}{}", config.public_url, review::CALLBACK),
        scopes: config.scopes.clone(),
        person_claim: config.person_claim.clone(),
        subjects: config.subjects.clone(),
        groups,
        device_sign_in: config.device_sign_in,
        ca: config.ca.as_ref().map(|ca| ca.path().to_owned()),
    })
}

fn credentials(config: &Config) -> Result<HashMap<String, Arc<Credential>>, ServerError> {
    let load = |(name, profile): (&config::Name, _)| {
        Ok((name.to_string(), Arc::new(Credential::load(name.as_str(), profile)?)))
    };
    config.credentials.iter().map(load).collect()
}

fn routes(config: &Config, cores: usize, metrics: &Metrics, upstreams: &mut Upstreams) -> Result<Routes, ServerError> {
    let mut kept = Upstreams::new();
    let mut routes = Vec::with_capacity(config.upstreams.len());
    for wanted in &config.upstreams {
        let name = wanted.name.to_string();
        let settings = upstream_settings(wanted);
        let upstream = match upstreams.get(&name) {
            Some((old, upstream)) if *old == settings => Arc::clone(upstream),
            Some(_) | None => {
                let failed = |source| ServerError::Upstream { name: name.clone(), source: Box::new(source) };
                Arc::new(Upstream::new(&settings, cores).map_err(failed)?)
            }
        };
        kept.insert(name.clone(), (settings, Arc::clone(&upstream)));
        let facts = UpstreamFacts {
            name: name.clone(),
            environment: wanted.environment.clone().unwrap_or_default(),
            labels: wanted.labels.clone(),
        };
        let route = Route {
            facts: Arc::new(facts),
            dialect: dialect(wanted)?,
            credential: wanted.credential.as_ref().map(ToString::to_string),
            hold_for: wanted.hold_for.map(config::HumanDuration::get),
            upstream,
            metrics: metrics.route(&name),
        };
        let wanted = Match {
            host: wanted.r#match.host.as_ref().map(|host| host.as_str().to_owned()),
            path_prefix: wanted.r#match.path_prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
        };
        routes.push((wanted, Arc::new(route)));
    }
    let routes = Routes::new(routes)?;
    *upstreams = kept;
    Ok(routes)
}

fn upstream_settings(upstream: &config::Upstream) -> UpstreamSettings {
    UpstreamSettings {
        url: upstream.url.to_string().parse().unwrap_or_default(),
        ca: upstream.ca.as_ref().map(|file| file.path().to_owned()),
        allow_addresses: upstream.allow_addresses.clone(),
        timeouts: Timeouts {
            connect: upstream.timeouts.connect.get(),
            response: upstream.timeouts.response.get(),
            idle: upstream.timeouts.idle.get(),
            pool_idle: upstream.timeouts.pool_idle.get(),
        },
    }
}

/// Reads what `upstream` is spoken to in.
///
/// # Errors
/// If its document cannot be read.
pub fn dialect(upstream: &config::Upstream) -> Result<Dialect, ServerError> {
    match &upstream.dialect {
        config::Dialect::Http => Ok(Dialect::Http),
        config::Dialect::OpenApi(openapi) => {
            let path = openapi.openapi.path();
            let text = read(path, "upstreams[].dialect.openapi")?;
            let parsed = OpenApi::parse(&text, &openapi.kinds).map_err(|source| ServerError::OpenApi {
                upstream: upstream.name.to_string(),
                path: path.to_owned(),
                source,
            })?;
            Ok(Dialect::OpenApi(Arc::new(parsed)))
        }
    }
}

fn read(path: &Path, key: &'static str) -> Result<String, ServerError> {
    std::fs::read_to_string(path).map_err(|source| ServerError::Read { path: path.to_owned(), key, source })
}

fn tls(tls: Option<&config::Tls>) -> Result<Option<TlsTable>, ServerError> {
    let Some(tls) = tls else { return Ok(None) };
    let files: Vec<CertificateFiles> = tls
        .pairs()
        .map(|(certificate, key)| CertificateFiles {
            certificate: certificate.path().to_owned(),
            key: key.path().to_owned(),
        })
        .collect();
    Ok(Some(TlsTable::load(&files)?))
}

fn approval_settings(config: &Config) -> approval::Settings {
    approval::Settings {
        expires_in: config.approvals.expires_in.get(),
        expires_in_max: config.approvals.expires_in_max.get(),
        claim_within: config.approvals.claim_within.get(),
        pending_per_principal_max: config.limits.pending_per_principal_max.get().into(),
        pending_per_rule_max: config.limits.pending_per_rule_max.get().into(),
        denied_for: config.approvals.denied_for.get(),
        replay_for: config.approvals.replay_for.get(),
        stored_bytes_total_max: config.limits.stored_bytes_total_max.get(),
    }
}

fn gate_settings(config: &Config) -> gate::Settings {
    gate::Settings {
        inspect_bytes_max: config.limits.inspect_bytes_max.get(),
        hold_bytes_max: config.limits.hold_bytes_max.get(),
        hold_for: config.approvals.hold_for.map(config::HumanDuration::get),
        strict_audit: config.audit.durability == config::Durability::Strict,
        replay_for: config.approvals.replay_for.get(),
        shadow_upstreams: shadow_upstreams(config).map(|upstream| upstream.name.to_string()).collect(),
    }
}

/// The upstreams whose calls pass whatever the policy says.
pub(super) fn shadow_upstreams(config: &Config) -> impl Iterator<Item = &config::Upstream> {
    config.upstreams.iter().filter(|upstream| upstream.policy.enforce == config::Enforce::Shadow)
}

fn file_of(secret: &SecretRef) -> Option<PathBuf> {
    match secret {
        SecretRef::File(path) => Some(path.clone()),
        SecretRef::Env(_) => None,
    }
}

/// Every file whose change asks for a reload.
pub(super) fn watched(config: &Config) -> Vec<PathBuf> {
    let mut files = vec![config.file().to_owned()];
    files.extend(config.policy.path.clone());
    if let Some(bundle) = &config.policy.bundle {
        files.extend(bundle.path.clone());
        files.extend(bundle.public_key.iter().chain(&bundle.ca).map(|file| file.path().to_owned()));
    }
    let tls = config.listen.iter().filter_map(|listener| listener.tls.as_ref()).chain(config.admin.tls.as_ref());
    files.extend(
        tls.flat_map(config::Tls::pairs)
            .flat_map(|(certificate, key)| [certificate.path().to_owned(), key.path().to_owned()]),
    );
    for upstream in &config.upstreams {
        files.extend(upstream.ca.iter().map(|file| file.path().to_owned()));
        if let config::Dialect::OpenApi(openapi) = &upstream.dialect {
            files.push(openapi.openapi.path().to_owned());
        }
    }
    let keys = config.principals.iter().flat_map(|principal| &principal.api_keys).chain(&config.reviewers.tokens);
    files.extend(keys.map(|file| file.path().to_owned()));
    let secrets = config.credentials.values().flat_map(crate::credentials::Profile::secrets);
    files.extend(secrets.filter_map(|(_, secret)| file_of(secret)));
    if let Some(oidc) = &config.reviewers.oidc {
        files.extend(oidc.ca.as_ref().map(|ca| ca.path().to_owned()));
        files.extend(oidc.client_secret.as_ref().and_then(file_of));
    }
    files
}
