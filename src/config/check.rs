//! What a value alone cannot tell: whether the parts of a configuration fit together, and whether
//! the files and variables that it names are there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::credentials::SecretRef;
use crate::identity::People;
use crate::model::PersonId;

use super::Admin;
use super::Config;
use super::DefaultEffect;
use super::Dialect;
use super::Enforce;
use super::Listener;
use super::Oidc;
use super::Tls;
use super::address::needs_permission;
use super::finding::Finding;
use super::finding::Severity;
use super::limits::HEADER_BYTES_FLOOR;
use super::limits::INSPECT_BYTES_CAP;
use super::listen::protection_problem;

/// Errors that make the configuration unusable, whatever machine it is for.
pub(super) fn errors(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::new(config);
    empty_keys(&mut findings, config);
    listeners(&mut findings, config);
    upstreams(&mut findings, config);
    principals(&mut findings, config);
    let people = config.reviewers.people().map_err(|error| findings.error("reviewers.aliases", error.to_string())).ok();
    for (key, problem) in config.reviewers.oidc.iter().flat_map(Oidc::problems) {
        findings.error(format!("reviewers.oidc.{key}"), problem);
    }
    if let Some(people) = &people {
        unknown_owners(&mut findings, config, people, Severity::Error);
    }
    default_reviewers(&mut findings, config, people.as_ref());
    policy(&mut findings, config);
    numbers(&mut findings, config);
    findings.list
}

/// Warnings, and errors about the files and variables of this machine.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::new(config);
    callers(&mut findings, config);
    if let Ok(people) = config.reviewers.people() {
        reachable_quorums(&mut findings, config, &people);
        unknown_owners(&mut findings, config, &people, Severity::Warning);
    }
    unencrypted_credentials(&mut findings, config);
    shadow_upstreams(&mut findings, config);
    files(&mut findings, config);
    secrets(&mut findings, config);
    findings.list
}

struct Findings<'a> {
    config: &'a Config,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    fn new(config: &'a Config) -> Self {
        Self { config, list: Vec::new() }
    }

    fn add(&mut self, severity: Severity, path: impl Into<String>, message: String) {
        let path = path.into();
        let range = self.config.source.find(&path).unwrap_or(0..1);
        self.list.push(Finding::new(severity, &self.config.source, path, &range, message));
    }

    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, path, message.into());
    }

    fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, path, message.into());
    }

    /// Values that must differ from each other, each with its path.
    fn unique<T: Ord + std::fmt::Display>(&mut self, values: impl IntoIterator<Item = (String, T)>, what: &str) {
        let mut seen: BTreeMap<T, String> = BTreeMap::new();
        for (path, value) in values {
            match seen.get(&value) {
                Some(first) => self.error(path, format!("`{value}` is {what} of `{first}` already; each has its own")),
                None => drop(seen.insert(value, path)),
            }
        }
    }
}

/// A key without a value would otherwise mean the same as none, and `ca:` not what it seems to.
fn empty_keys(findings: &mut Findings<'_>, config: &Config) {
    for path in config.source.without_value() {
        let segments: Vec<_> = path.split('.').collect();
        let in_claims = segments.len() > 2 && path.starts_with("principals[") && segments.get(1) == Some(&"claims");
        if !in_claims {
            findings.error(path, "there is no value here; write one, or remove the key");
        }
    }
}

fn listeners(findings: &mut Findings<'_>, config: &Config) {
    if config.listen.is_empty() {
        findings.error("listen", "at least one address is needed, at which agents connect");
    }
    for (index, Listener { address, tls, plaintext }) in config.listen.iter().enumerate() {
        if let Some(problem) = protection_problem(address.ip(), tls.is_some(), *plaintext) {
            findings.error(format!("listen[{index}].address"), problem);
        }
    }
    let Admin { address, tls, plaintext } = &config.admin;
    if let Some(problem) = protection_problem(address.ip(), tls.is_some(), *plaintext) {
        findings.error("admin.address", problem);
    }
    let agents =
        config.listen.iter().enumerate().map(|(index, listener)| (format!("listen[{index}]"), listener.address));
    let all = agents.chain([("admin".to_owned(), *address)]).filter(|(_, address)| address.port() != 0);
    findings.unique(all.map(|(owner, address)| (format!("{owner}.address"), address)), "the address");
}

fn upstreams(findings: &mut Findings<'_>, config: &Config) {
    if config.upstreams.is_empty() {
        findings.error("upstreams", "at least one upstream is needed, to which calls are forwarded");
    }
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let path = |key: &str| format!("upstreams[{index}].{key}");
        if upstream.r#match.host.is_none() && upstream.r#match.path_prefix.is_none() {
            findings.error(path("match"), "needs a `host`, a `path_prefix`, or both; `path_prefix: /` takes every call that no other upstream takes");
        }
        if let Some(credential) = &upstream.credential
            && !config.credentials.contains_key(credential)
        {
            let known = names(config.credentials.keys());
            findings
                .error(path("credential"), format!("there is no credential `{credential}`; `credentials` has {known}"));
        }
        if let Some(ip) = upstream.url.ip().filter(|ip| needs_permission(*ip))
            && !upstream.allow_addresses.iter().any(|net| net.contains(&ip.to_canonical()))
        {
            findings.error(path("url"), format!("`{ip}` is a link-local, metadata or unspecified address; if it is meant, list it in `allow_addresses`"));
        }
    }
    let indexed = || config.upstreams.iter().enumerate();
    findings.unique(
        indexed().map(|(index, upstream)| (format!("upstreams[{index}].name"), upstream.name.clone())),
        "the name",
    );
    let matches = indexed().map(|(index, upstream)| (format!("upstreams[{index}].match"), upstream.r#match.clone()));
    findings.unique(matches, "the match");
}

fn principals(findings: &mut Findings<'_>, config: &Config) {
    let indexed = || config.principals.iter().enumerate();
    findings.unique(
        indexed().map(|(index, principal)| (format!("principals[{index}].id"), principal.id.clone())),
        "the id",
    );
    let keys = indexed().flat_map(|(index, principal)| {
        let keys = principal.api_keys.iter().enumerate();
        keys.map(move |(key, file)| (format!("principals[{index}].api_keys[{key}]"), file.clone()))
    });
    findings.unique(keys, "the key file");
}

fn policy(findings: &mut Findings<'_>, config: &Config) {
    match (&config.policy.path, &config.policy.bundle) {
        (Some(_), None) => {}
        (None, Some(bundle)) => {
            for (key, problem) in bundle.problems() {
                findings.error(format!("policy.bundle{key}"), problem);
            }
        }
        (None, None) => findings.error("policy", "there is no policy; name its `path` or its `bundle`"),
        (Some(_), Some(_)) => findings.error("policy.bundle", "the policy has a `path` or a `bundle`, not both"),
    }
}

fn default_reviewers(findings: &mut Findings<'_>, config: &Config, people: Option<&People>) {
    let policy = &config.policy;
    if policy.default == DefaultEffect::Hold && policy.default_reviewers.is_empty() {
        findings.error("policy.default", "`hold` needs `default_reviewers`, who approve what no rule speaks of");
    }
    for (index, requirement) in policy.default_reviewers.iter().enumerate() {
        let path = |key: &str| format!("policy.default_reviewers[{index}].{key}");
        let group = requirement.group.as_str();
        if requirement.count == 0 {
            findings.error(path("count"), "`0` people approve nothing; at least `1` must");
        }
        let groups = config.reviewers.group_names();
        if !groups.iter().any(|known| known.as_str() == group) {
            let known = names(groups.into_iter());
            findings.error(path("group"), format!("there is no group `{group}`; `reviewers.groups` has {known}"));
        } else if let Some(people) = people.filter(|people| !people.is_open(group))
            && let Some(members) = people.members(group)
            && members.len() < requirement.count as usize
        {
            let (count, members) = (requirement.count, members.len());
            findings.error(
                path("count"),
                format!("`{count}` people of the group `{group}` cannot approve: it has {members}"),
            );
        }
    }
    let groups = policy.default_reviewers.iter().enumerate();
    let groups =
        groups.map(|(index, requirement)| (format!("policy.default_reviewers[{index}].group"), &requirement.group));
    findings.unique(groups, "the group");
}

fn numbers(findings: &mut Findings<'_>, config: &Config) {
    let limits = &config.limits;
    let at_most = [
        ("limits.inspect_bytes_max", limits.inspect_bytes_max, "the most there can be", INSPECT_BYTES_CAP),
        ("limits.inspect_bytes_max", limits.inspect_bytes_max, "limits.hold_bytes_max", limits.hold_bytes_max),
        (
            "limits.inspect_bytes_max",
            limits.inspect_bytes_max,
            "limits.held_bytes_total_max",
            limits.held_bytes_total_max,
        ),
        (
            "limits.hold_bytes_max",
            limits.hold_bytes_max,
            "limits.spooled_bytes_total_max",
            limits.spooled_bytes_total_max,
        ),
        (
            "limits.hold_bytes_max",
            limits.hold_bytes_max,
            "limits.stored_bytes_total_max",
            limits.stored_bytes_total_max,
        ),
    ];
    for (path, value, bound, max) in at_most.into_iter().filter(|(_, value, _, max)| value > max) {
        findings.error(path, format!("`{value}` is more than {bound}, `{max}`"));
    }
    let header = limits.header_bytes_max;
    if header < HEADER_BYTES_FLOOR {
        findings.error(
            "limits.header_bytes_max",
            format!("`{header}` is too little for ordinary requests; at least `{HEADER_BYTES_FLOOR}` is needed"),
        );
    }
    let (expires_in, max) = (config.approvals.expires_in, config.approvals.expires_in_max);
    if expires_in > max {
        findings
            .error("approvals.expires_in", format!("`{expires_in}` is more than approvals.expires_in_max, `{max}`"));
    }
}

fn callers(findings: &mut Findings<'_>, config: &Config) {
    if config.principals.is_empty() {
        findings.warning("principals", "nobody can call, because there are no principals");
    }
    for (index, principal) in config.principals.iter().enumerate() {
        let id = &principal.id;
        if principal.api_keys.is_empty() {
            findings.warning(format!("principals[{index}]"), format!("`{id}` cannot call, because it has no `api_keys`; `holdpoint keys create --principal {id}` makes one"));
        }
        if principal.owners.is_empty() {
            findings.warning(
                format!("principals[{index}]"),
                format!("`{id}` has no `owners`, so whoever runs it can approve its calls"),
            );
        }
    }
    if config.reviewers.tokens.is_empty() && config.reviewers.oidc.is_none() {
        findings.warning("reviewers", "nobody can decide over held calls, because there are no `tokens` and no `oidc`; `holdpoint tokens create --reviewer NAME` makes one");
    }
}

/// Groups that nobody can approve in, because nobody approves their own agent's calls.
fn reachable_quorums(findings: &mut Findings<'_>, config: &Config, people: &People) {
    let eligible = |owners: &[PersonId], group: &str| {
        let members = people.members(group).map(|members| members.iter());
        let owned = |member: &&PersonId| people.among(member, owners.iter().map(PersonId::as_str));
        members.into_iter().flatten().filter(|member| !owned(member)).count()
    };
    // Nobody knows before they sign in whom the identity provider names.
    for group in config.reviewers.groups.keys().filter(|group| !people.is_open(group.as_str())) {
        if people.members(group.as_str()).is_none_or(BTreeSet::is_empty) {
            findings.warning(
                format!("reviewers.groups.{group}"),
                format!("the group `{group}` has no people, so no call that needs it can be approved"),
            );
            continue;
        }
        for principal in &config.principals {
            if eligible(&principal.owners, group.as_str()) == 0 {
                let id = &principal.id;
                findings.warning(
                    format!("reviewers.groups.{group}"),
                    format!(
                        "nobody in the group `{group}` can approve a call of `{id}`: all its people own that principal"
                    ),
                );
            }
        }
    }
    let default = config.policy.default_reviewers.iter().enumerate();
    for (index, requirement) in default.filter(|(_, requirement)| !people.is_open(&requirement.group)) {
        for principal in &config.principals {
            let (id, group, count) = (&principal.id, &requirement.group, requirement.count as usize);
            let left = eligible(&principal.owners, group);
            if (1..count).contains(&left) {
                findings.warning(format!("policy.default_reviewers[{index}]"), format!("a call of `{id}` can never get {count} approvals of the group `{group}`: without its owners that has {left}"));
            }
        }
    }
}

/// Owners whose account nobody knows: where the identity provider says who reviews, they could sign
/// in as somebody else and approve the calls of their own agent. By `sub` they are somebody else
/// for certain, by another claim only if that names them otherwise than the configuration does.
fn unknown_owners(findings: &mut Findings<'_>, config: &Config, people: &People, severity: Severity) {
    let reviewers = &config.reviewers;
    let Some(oidc) = reviewers.oidc.as_ref().filter(|oidc| !oidc.groups.is_empty()) else { return };
    let by_subject = oidc.person_claim == "sub";
    if by_subject != (severity == Severity::Error) {
        return;
    }
    let named = oidc.subjects.values().map(PersonId::as_str);
    let accounts = reviewers.aliases.keys().map(String::as_str).filter(|alias| alias.starts_with("oidc:"));
    let known: BTreeSet<_> = named.chain(accounts).map(|name| people.canonical(name)).collect();
    for (index, principal) in config.principals.iter().enumerate() {
        for (place, owner) in principal.owners.iter().enumerate() {
            let name = people.canonical(owner.as_str());
            if owner.as_str().starts_with("oidc:") || name.starts_with("oidc:") || known.contains(&name) {
                continue;
            }
            let (id, claim) = (&principal.id, &oidc.person_claim);
            let path = format!("principals[{index}].owners[{place}]");
            let message = if by_subject {
                format!(
                    "nobody knows which account `{owner}` is, so they could approve calls of `{id}`; name it in `reviewers.oidc.subjects`"
                )
            } else {
                format!(
                    "only `{claim}` says which account `{owner}` is, so with another one they could approve calls of `{id}`; name it in `reviewers.oidc.subjects`"
                )
            };
            findings.add(severity, path, message);
        }
    }
}

fn unencrypted_credentials(findings: &mut Findings<'_>, config: &Config) {
    for (index, upstream) in config.upstreams.iter().enumerate() {
        if let Some(credential) = &upstream.credential
            && !upstream.url.tls
            && !upstream.url.is_loopback()
        {
            let url = &upstream.url;
            findings.warning(
                format!("upstreams[{index}].url"),
                format!("the credential `{credential}` travels unencrypted to `{url}`; use `https://` if it can"),
            );
        }
    }
}

fn shadow_upstreams(findings: &mut Findings<'_>, config: &Config) {
    for (index, upstream) in config.upstreams.iter().enumerate() {
        if upstream.policy.enforce == Enforce::Shadow {
            let name = &upstream.name;
            findings.warning(
                format!("upstreams[{index}].policy.enforce"),
                format!("calls of `{name}` pass although the policy denies or holds them: it is in shadow mode"),
            );
        }
    }
}

fn files(findings: &mut Findings<'_>, config: &Config) {
    let mut needed: Vec<(String, &Path)> = Vec::new();
    needed.extend(config.policy.path.iter().map(|path| ("policy.path".to_owned(), path.as_path())));
    if let Some(bundle) = &config.policy.bundle {
        needed.extend(bundle.path.iter().map(|path| ("policy.bundle.path".to_owned(), path.as_path())));
        needed.extend(bundle.public_key.iter().map(|key| ("policy.bundle.public_key".to_owned(), key.path())));
        needed.extend(bundle.ca.iter().map(|ca| ("policy.bundle.ca".to_owned(), ca.path())));
    }
    let mut keys: Vec<(String, &Path)> = vec![("audit.key".to_owned(), config.audit.key.path())];
    for (owner, tls) in listening(config) {
        for (index, (certificate, key)) in tls.pairs().enumerate() {
            let pair = if index == 0 { format!("{owner}.tls") } else { format!("{owner}.tls.also[{}]", index - 1) };
            needed.push((format!("{pair}.certificate"), certificate.path()));
            needed.push((format!("{pair}.key"), key.path()));
            keys.push((format!("{pair}.key"), key.path()));
        }
    }
    for (index, upstream) in config.upstreams.iter().enumerate() {
        needed.extend(upstream.ca.iter().map(|ca| (format!("upstreams[{index}].ca"), ca.path())));
        match &upstream.dialect {
            Dialect::Http => {}
            Dialect::OpenApi(dialect) => {
                needed.push((format!("upstreams[{index}].dialect.openapi"), dialect.openapi.path()));
            }
        }
    }
    for (index, principal) in config.principals.iter().enumerate() {
        let files = principal.api_keys.iter().enumerate();
        needed.extend(files.map(|(key, file)| (format!("principals[{index}].api_keys[{key}]"), file.path())));
    }
    let tokens = config.reviewers.tokens.iter().enumerate();
    needed.extend(tokens.map(|(index, file)| (format!("reviewers.tokens[{index}]"), file.path())));
    let oidc = config.reviewers.oidc.iter().filter_map(|oidc| oidc.ca.as_ref());
    needed.extend(oidc.map(|ca| ("reviewers.oidc.ca".to_owned(), ca.path())));
    for (path, file) in needed {
        if let Err(error) = file.metadata() {
            findings.error(path, format!("`{}` cannot be read: {error}", file.display()));
        }
    }
    for (path, file) in keys {
        if file.metadata().is_ok_and(|file| file.permissions().mode() & 0o004 != 0) {
            findings.warning(path, readable(file));
        }
    }
}

fn secrets(findings: &mut Findings<'_>, config: &Config) {
    let credentials = config.credentials.iter().flat_map(|(name, profile)| {
        profile.secrets().map(move |(key, reference)| (format!("credentials.{name}.{key}"), reference))
    });
    let oidc = config.reviewers.oidc.iter().filter_map(|oidc| oidc.client_secret.as_ref());
    let oidc = oidc.map(|reference| ("reviewers.oidc.client_secret".to_owned(), reference));
    for (path, reference) in credentials.chain(oidc) {
        match reference {
            // Whoever checks a configuration may not have the secrets of the machine it is for.
            _ if !reference.exists() => findings.warning(path, format!("there is no `{reference}` here")),
            SecretRef::File(file) if reference.world_readable() => findings.warning(path, readable(file)),
            SecretRef::File(_) | SecretRef::Env(_) => {}
        }
    }
}

fn listening(config: &Config) -> impl Iterator<Item = (String, &Tls)> {
    let agents = config.listen.iter().enumerate();
    let agents = agents.filter_map(|(index, listener)| Some((format!("listen[{index}]"), listener.tls.as_ref()?)));
    agents.chain(config.admin.tls.as_ref().map(|tls| ("admin".to_owned(), tls)))
}

fn readable(file: &Path) -> String {
    format!("every user of this machine can read `{0}`; `chmod o-r {0}` ends that", file.display())
}

fn names<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
