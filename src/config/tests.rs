//! Every kind of mistake, and what is said of it.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use serde_json::Value;

use super::*;

/// As little as there can be. The tests add to it, or replace a part of it.
const LEAST: &str = "\
listen: [{address: 127.0.0.1:8443}]
upstreams:
  - name: example
    match: {path_prefix: /}
    url: http://127.0.0.1:8081
policy: {path: policies/}
audit: {path: data/audit, key: file:audit.key}
";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/holdpoint"))
}

fn with(addition: &str) -> String {
    format!("{LEAST}{addition}\n")
}

fn replaced(old: &str, new: &str) -> String {
    assert!(LEAST.contains(old), "{old}");
    LEAST.replace(old, new)
}

/// An upstream with these further lines.
fn upstream(lines: &str) -> String {
    replaced("    url: http://127.0.0.1:8081\n", &format!("    url: http://127.0.0.1:8081\n    {lines}\n"))
}

/// All that is said of a text that cannot be used.
fn mistake(text: &str) -> String {
    parse(text).map(|config| format!("{config:?}")).unwrap_err().to_string()
}

/// The same, one line for each finding: where, and what.
fn short(text: &str) -> String {
    let error = parse(text).map(|config| format!("{config:?}")).unwrap_err();
    let line = |finding: &Finding| format!("{}:{} {}: {}", finding.line, finding.column, finding.path, finding.message);
    error.findings().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Holds what is said of each text against what is expected of it, and tells all differences.
fn compare<'a>(cases: impl IntoIterator<Item = (String, &'a str)>) {
    let different = |(text, expected): (String, &str)| {
        let told = short(&text);
        (told != expected).then(|| format!("expected {expected}\n    told {told}"))
    };
    let differences: Vec<_> = cases.into_iter().filter_map(different).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn the_least_configuration_has_safe_defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9443");
    assert_eq!(config.policy.default, DefaultEffect::Deny);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.upstreams[0].credential, None);
    assert!(config.principals.is_empty() && config.reviewers.tokens.is_empty());
    assert_eq!(config.file(), Path::new("/etc/holdpoint/holdpoint.yaml"));
}

#[test]
fn a_mistake_is_shown_where_it_is() {
    assert_snapshot!(mistake(&replaced("name: example", "name: my example")), @"
    error: upstreams[0].name: `my example` cannot be a name; use 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit
     --> /etc/holdpoint/holdpoint.yaml:3:11
      |
    3 |   - name: my example
      |           ^^^^^^^^^^
    ");
    assert_snapshot!(mistake(&upstream("crediential: x")), @"
    error: upstreams[0].crediential: there is no such key here; did you mean `credential`?
     --> /etc/holdpoint/holdpoint.yaml:6:5
      |
    6 |     crediential: x
      |     ^^^^^^^^^^^
    ");
    assert_snapshot!(mistake(&with("limits: {inspect_bytes_max: 32MiB, hold_bytes_max: 16MiB}")), @"
    error: limits.inspect_bytes_max: `32MiB` is more than the most there can be, `16MiB`
     --> /etc/holdpoint/holdpoint.yaml:8:29
      |
    8 | limits: {inspect_bytes_max: 32MiB, hold_bytes_max: 16MiB}
      |                             ^^^^^

    error: limits.inspect_bytes_max: `32MiB` is more than limits.hold_bytes_max, `16MiB`
     --> /etc/holdpoint/holdpoint.yaml:8:29
      |
    8 | limits: {inspect_bytes_max: 32MiB, hold_bytes_max: 16MiB}
      |                             ^^^^^
    ");
}

#[test]
fn yaml_that_is_none_is_refused() {
    compare([
        ("".to_owned(), "1:1 : the file holds no configuration; `holdpoint config schema` tells what one has"),
        (
            "# only a comment\n".to_owned(),
            "2:1 : the file holds no configuration; `holdpoint config schema` tells what one has",
        ),
        ("- listen\n".to_owned(), "1:1 : this does not belong here; write a mapping (`key: value`)"),
        (with("threads: *n"), "8:10 : there is no anchor of this name above"),
        (with("threads: !big 5"), "8:15 threads: unsupported tag `!big`"),
        (
            with("---\nthreads: 1"),
            "8:1 : the file holds a second document; a configuration is one document, without `---` in between",
        ),
        (with("limits: {"), "8:9 limits: unclosed bracket '{'"),
    ]);
    let deep = with(&format!("principals: {}1{}", "[".repeat(40), "]".repeat(40)));
    assert!(short(&deep).ends_with(": recursion limit exceeded"), "{}", short(&deep));
    let bomb = with(&format!(
        "principals:\n  - id: a\n    claims:\n      a: &a [1,1,1,1,1,1,1,1,1,1]\n{}",
        (b'b'..=b'h')
            .map(|c| format!("      {0}: &{0} [{1}]\n", c as char, vec![format!("*{}", (c - 1) as char); 10].join(",")))
            .collect::<String>()
    ));
    assert!(parse(&bomb).is_err());
}

#[test]
fn a_key_that_is_wrong_is_told_by_its_path() {
    compare([
        (with("lisen: []"), "8:1 lisen: there is no such key here; did you mean `listen`?"),
        (
            with("channels: {}"),
            "8:1 channels: there is no such key here; there are `listen`, `admin`, `upstreams`, `credentials`, `principals`, `reviewers`, `policy`, `store`, `spool`, `audit`, `limits`, `approvals`, `telemetry` and `threads`",
        ),
        (with("policy: {path: x}"), "8:1 policy: this key is there twice; keep one of the two"),
        (replaced("policy: {path: policies/}\n", ""), "1:1 policy: this key is needed, and missing"),
        (replaced("    url: http://127.0.0.1:8081\n", ""), "3:5 upstreams[0].url: this key is needed, and missing"),
        (
            replaced("path: policies/", "dir: policies/"),
            "6:10 policy.dir: there is no such key here; there are `path`, `bundle`, `default`, `default_reviewers` and `evaluation_max`",
        ),
        (with("store: {embeded: {path: x}}"), "8:9 store.embeded: `embeded` is not accepted here; use `embedded`"),
        (with("store: {embedded: {}}"), "8:19 store.embedded.path: this key is needed, and missing"),
        (with("store: {embedded: {path: a}, redis: {}}"), "8:30 store: only one key can stand here"),
        (
            upstream("dialect: {openapi: file:x, kids: {}}"),
            "6:32 upstreams[0].dialect.kids: there is no such key here; did you mean `kinds`?",
        ),
        (upstream("dialect: {kinds: {}}"), "6:14 upstreams[0].dialect.openapi: this key is needed, and missing"),
    ]);
}

#[test]
fn a_value_that_is_wrong_is_told_with_what_is_accepted() {
    let number = "write a whole number from 1 to 4294967295";
    compare([
        (with("limits:"), "8:7 limits: there is no value here; write a mapping (`key: value`), or remove the key"),
        (with("limits: 5"), "8:9 limits: `5` does not belong here; write a mapping (`key: value`)"),
        (with("principals: {}"), "8:13 principals: this does not belong here; write a list"),
        (with("store: embedded"), "8:8 store: `embedded` does not belong here; write a mapping (`key: value`)"),
        (with("limits: {streams_max: 0}"), &format!("8:23 limits.streams_max: `0` does not belong here; {number}")),
        (
            with("limits: {streams_max: many}"),
            &format!("8:23 limits.streams_max: `many` does not belong here; {number}"),
        ),
        (with("limits: {streams_max: -1}"), &format!("8:23 limits.streams_max: `-1` does not belong here; {number}")),
        (with("limits: {streams_max: 1.5}"), &format!("8:23 limits.streams_max: `1.5` does not belong here; {number}")),
        (
            with("limits: {streams_max: 4294967296}"),
            &format!("8:23 limits.streams_max: `4294967296` does not belong here; {number}"),
        ),
        (with("threads: 0"), "8:10 threads: `0` does not belong here; write a whole number, at least 1"),
        (
            with("limits: {header_bytes_max: 16}"),
            "8:28 limits.header_bytes_max: `16` has no unit; write for example `16B` or `16KiB`",
        ),
        (
            with("limits: {drain_timeout: 30}"),
            "8:25 limits.drain_timeout: `30` has no unit; write for example `30s` or `30ms`",
        ),
        (with("limits: {drain_timeout: ~}"), "8:25 limits.drain_timeout: `~` does not belong here; write a text"),
        (
            replaced("127.0.0.1:8443", "localhost:8443"),
            "1:20 listen[0].address: `localhost:8443` is not an IP address with a port, such as `0.0.0.0:8443` or `[::]:8443`",
        ),
        (
            replaced("path: policies/", "path: policies/, default: allow"),
            "6:36 policy.default: `allow` is not accepted here; use `deny` or `hold`",
        ),
        (
            replaced("key: file:audit.key", "key: file:audit.key, durability: maybe"),
            "7:60 audit.durability: `maybe` is not accepted here; use `queued` or `strict`",
        ),
        (
            replaced("key: file:audit.key", "key: file:audit.key, origin: a b"),
            "7:56 audit.origin: `a b` cannot name a log; use 1 to 128 printable ASCII characters without spaces and `+`, such as `holdpoint.example.com/audit`",
        ),
        (
            replaced("url: http://127.0.0.1:8081", "url: https://a/v1"),
            "5:10 upstreams[0].url: `https://a/v1` has a path, query or fragment, which is not supported: calls keep their own path; write only scheme, host and port, such as `https://api.example.com`",
        ),
        (
            replaced("path_prefix: /", "host: a:80"),
            "4:19 upstreams[0].match.host: `a:80` is not a host name; write it alone, without scheme, port, path or wildcard, such as `payments.internal`",
        ),
        (
            replaced("path_prefix: /", "path_prefix: stripe"),
            "4:26 upstreams[0].match.path_prefix: `stripe` does not begin with `/`; write for example `/stripe`, or `/` for every path",
        ),
        (
            upstream("dialect: grpc"),
            "6:14 upstreams[0].dialect: `grpc` is not accepted here; use `http` or `{openapi: file:PATH}`",
        ),
        (
            upstream("dialect: openapi"),
            "6:14 upstreams[0].dialect: the dialect `openapi` needs its document; write `{openapi: file:PATH}`",
        ),
        (
            upstream("dialect: {openapi: a.yaml}"),
            "6:24 upstreams[0].dialect.openapi: this is written as a reference, `file:PATH`; write `file:` before the path",
        ),
        (
            upstream("allow_addresses: [169.254.169.254]"),
            "6:23 upstreams[0].allow_addresses[0]: `169.254.169.254` is not a network, such as `10.1.0.0/16` or `fe80::1/128`",
        ),
        (
            with("reviewers: {groups: {a: [b c]}}"),
            "8:26 reviewers.groups.a[0]: `b c` cannot name a person; use 1 to 128 printable ASCII characters without spaces, such as `ana@example.com`",
        ),
        (
            with("reviewers: {groups: {a b: []}}"),
            "8:22 reviewers.groups: `a b` cannot be a name; use 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
        ),
        (
            with("telemetry: {log: {level: inof}}"),
            "8:26 telemetry.log.level: `inof` does not say which log lines are written; use `error`, `warn`, `info` or `debug`, with exceptions such as `info,holdpoint::proxy=debug`",
        ),
        (
            with("telemetry: {log: {format: text}}"),
            "8:27 telemetry.log.format: `text` is not accepted here; use `json` or `pretty`",
        ),
        (with("credentials: {a: {kind: bearer}}"), "8:18 credentials.a: a credential of kind `bearer` needs `token`"),
        (
            with("credentials: {a: {kind: header, name: Host, value: env:A}}"),
            "8:39 credentials.a.name: the field `Host` cannot carry a credential: it has another meaning in HTTP or to this proxy",
        ),
        (
            with("principals: [{id: a, claims: {b: .inf}}]"),
            "8:34 principals[0].claims.b: value `.inf` is not a finite number",
        ),
    ]);
    let kinds = short(&upstream("dialect: {openapi: file:x, kinds: {getA: export}}"));
    assert!(
        kinds.starts_with("6:46 upstreams[0].dialect.kinds.getA: `export` is not accepted here; use `read`, `write`"),
        "{kinds}"
    );
}

#[test]
fn parts_that_do_not_fit_together_are_told() {
    let second = |lines: &str| replaced("policy:", &format!("  - {lines}\npolicy:"));
    let reviewers = "reviewers: {groups: {g: [ana@example.com, bo@example.com]}}";
    let requirement = |text: &str| {
        format!(
            "{}{reviewers}\n",
            replaced("path: policies/", &format!("path: policies/, default_reviewers: [{text}]"))
        )
    };
    compare([
        (upstream("ca:"), "6:7 upstreams[0].ca: there is no value here; write one, or remove the key"),
        (with("threads: null"), "8:10 threads: there is no value here; write one, or remove the key"),
        (
            with("principals: [{id: a, claims: {b: {c: ~}}}, {id: b, owners: }]"),
            "8:58 principals[1].owners: there is no value here; write a list, or remove the key",
        ),
        (
            replaced("[{address: 127.0.0.1:8443}]", "[]"),
            "1:1 listen: at least one address is needed, at which agents connect",
        ),
        (
            replaced("127.0.0.1:8443", "0.0.0.0:8443"),
            "1:20 listen[0].address: `0.0.0.0` can be reached from other machines, so it needs `tls`; where something in front ends TLS, write `plaintext: keys-travel-unencrypted`, or listen at 127.0.0.1",
        ),
        (
            replaced("8443}", "8443, plaintext: keys-travel-unencrypted, tls: {certificate: file:a, key: file:b}}"),
            "1:20 listen[0].address: `tls` and `plaintext` contradict each other; remove one of them",
        ),
        (
            with("admin: {address: 10.0.0.1:9443}"),
            "8:18 admin.address: `10.0.0.1` can be reached from other machines, so it needs `tls`; where something in front ends TLS, write `plaintext: keys-travel-unencrypted`, or listen at 127.0.0.1",
        ),
        (
            with("admin: {address: 127.0.0.1:8443}"),
            "8:18 admin.address: `127.0.0.1:8443` is the address of `listen[0].address` already; each has its own",
        ),
        (
            replaced("match: {path_prefix: /}", "match: {}"),
            "4:5 upstreams[0].match: needs a `host`, a `path_prefix`, or both; `path_prefix: /` takes every call that no other upstream takes",
        ),
        (
            second("{name: example, match: {host: a}, url: https://a}"),
            "6:12 upstreams[1].name: `example` is the name of `upstreams[0].name` already; each has its own",
        ),
        (
            second("{name: b, match: {path_prefix: /}, url: https://a}"),
            "6:15 upstreams[1].match: `path /` is the match of `upstreams[0].match` already; each has its own",
        ),
        (
            upstream("credential: stripe"),
            "6:17 upstreams[0].credential: there is no credential `stripe`; `credentials` has none",
        ),
        (
            upstream("credential: stripe") + "credentials: {a: {kind: bearer, token: env:A}}\n",
            "6:17 upstreams[0].credential: there is no credential `stripe`; `credentials` has `a`",
        ),
        (
            replaced("127.0.0.1:8081", "169.254.169.254"),
            "5:10 upstreams[0].url: `169.254.169.254` is a link-local, metadata or unspecified address; if it is meant, list it in `allow_addresses`",
        ),
        (
            with("principals: [{id: a}, {id: a}]"),
            "8:28 principals[1].id: `a` is the id of `principals[0].id` already; each has its own",
        ),
        (
            with("principals: [{id: a, api_keys: [file:k]}, {id: b, api_keys: [file:k]}]"),
            "8:62 principals[1].api_keys[0]: `file:k` is the key file of `principals[0].api_keys[0]` already; each has its own",
        ),
        (
            with("reviewers: {aliases: {a: b, b: a}}"),
            "8:13 reviewers.aliases: the alias `a` leads back to itself; an alias names a person by another name",
        ),
        (
            replaced("path: policies/", "path: policies/, default: hold"),
            "6:36 policy.default: `hold` needs `default_reviewers`, who approve what no rule speaks of",
        ),
        (
            requirement("{group: h}"),
            "6:55 policy.default_reviewers[0].group: there is no group `h`; `reviewers.groups` has `g`",
        ),
        (
            requirement("{group: g, count: 0}"),
            "6:65 policy.default_reviewers[0].count: `0` people approve nothing; at least `1` must",
        ),
        (
            requirement("{group: g, count: 3}"),
            "6:65 policy.default_reviewers[0].count: `3` people of the group `g` cannot approve: it has 2",
        ),
        (
            requirement("{group: g}, {group: g}"),
            "6:67 policy.default_reviewers[1].group: `g` is the group of `policy.default_reviewers[0].group` already; each has its own",
        ),
        (
            with("limits: {held_bytes_total_max: 512KiB}"),
            "8:1 limits.inspect_bytes_max: `1MiB` is more than limits.held_bytes_total_max, `512KiB`",
        ),
        (
            with("limits: {hold_bytes_max: 2GiB, stored_bytes_total_max: 4GiB}"),
            "8:26 limits.hold_bytes_max: `2GiB` is more than limits.spooled_bytes_total_max, `1GiB`",
        ),
        (
            with("limits: {hold_bytes_max: 2GiB, spooled_bytes_total_max: 4GiB}"),
            "8:26 limits.hold_bytes_max: `2GiB` is more than limits.stored_bytes_total_max, `1GiB`",
        ),
        (
            with("limits: {header_bytes_max: 1KiB}"),
            "8:28 limits.header_bytes_max: `1KiB` is too little for ordinary requests; at least `8KiB` is needed",
        ),
        (
            with("approvals: {expires_in: 2d}"),
            "8:25 approvals.expires_in: `2d` is more than approvals.expires_in_max, `1d`",
        ),
    ]);
}

#[test]
fn one_person_under_two_names_is_no_quorum() {
    let text = replaced("path: policies/", "path: policies/, default_reviewers: [{group: g, count: 2}]");
    let reviewers = "reviewers: {groups: {g: [ana@example.com, U1]}, aliases: {U1: ana@example.com}}\n";
    assert!(short(&(text + reviewers)).contains("`2` people of the group `g` cannot approve: it has 1"));
}

#[test]
fn sign_in_says_who_and_where() {
    let oidc = |more: &str| {
        with(&format!(
            "reviewers:\n  oidc: {{issuer: 'https://idp.example', client_id: holdpoint, public_url: 'https://hp.example', {more}}}"
        ))
    };
    let config = parse(&oidc("groups_claim: groups, groups: {owners: [a, b]}")).unwrap();
    let oidc_of = config.reviewers.oidc.as_ref().unwrap();
    assert_eq!((oidc_of.person_claim.as_str(), oidc_of.groups_claim_max.get()), ("sub", 100));
    assert!(config.reviewers.people().unwrap().is_open("owners"));
    // Nobody knows yet who is in such a group, so it is not too small.
    let held = oidc("groups_claim: groups, groups: {owners: [a]}")
        .replace("path: policies/", "path: policies/, default: hold, default_reviewers: [{group: owners, count: 2}]");
    parse(&held).unwrap();
    compare([
        (
            oidc("groups: {owners: [a]}"),
            "9:97 reviewers.oidc.groups: needs `groups_claim`, which says where the provider lists somebody's groups",
        ),
        (
            oidc("groups_claim: groups"),
            "9:111 reviewers.oidc.groups_claim: needs `groups`, which says what its values stand for here",
        ),
        (
            oidc("person_claim: ''"),
            "9:111 reviewers.oidc.person_claim: an empty text is no claim; `sub` is the usual one",
        ),
        (
            oidc("scopes: ['a b']"),
            "9:97 reviewers.oidc.scopes: a scope is one word of printable ASCII, such as `profile`",
        ),
    ]);
    for (from, to, expected) in [
        ("'https://hp.example'", "'http://hp.example'", "has to begin with `https://`"),
        ("'https://hp.example'", "'https://hp.example/x'", "has a path"),
        ("'https://idp.example'", "'http://idp.example'", "is not encrypted"),
        ("client_id: holdpoint", "client_id: ''", "no client id"),
        ("client_id: holdpoint, ", "", "this key is needed"),
    ] {
        let told = short(&oidc("").replace(from, to));
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn an_owner_whose_account_nobody_knows_is_found() {
    let found = |owner: &str, reviewers: &str, oidc: &str| {
        let principals = format!("principals: [{{id: bot, owners: ['{owner}'], api_keys: [file:bot.keys]}}]");
        let oidc =
            format!("oidc: {{issuer: 'https://idp.example', client_id: hp, public_url: 'https://hp.example', {oidc}}}");
        let text = with(&format!("{principals}\nreviewers: {{{reviewers} {oidc}}}"));
        let findings = match parse(&text) {
            Ok(config) => config.check(),
            Err(error) => error.findings().to_vec(),
        };
        let about = findings.into_iter().find(|finding| finding.path == "principals[0].owners[0]");
        about.map_or_else(String::new, |finding| format!("{}: {}", finding.severity, finding.message))
    };
    let open = "groups_claim: groups, groups: {owners: [a]}";
    let unknown = "error: nobody knows which account `ana@x` is, so they could approve calls of `bot`; name it in `reviewers.oidc.subjects`";
    let by_claim = "warning: only `email` says which account `ana@x` is, so with another one they could approve calls of `bot`; name it in `reviewers.oidc.subjects`";
    let cases = [
        ("ana@x", "", open.to_owned(), unknown),
        ("ana@x", "aliases: {'slack:1': ana@x},", open.to_owned(), unknown),
        ("ana@x", "", format!("{open}, subjects: {{'00u1': bo@x}}"), unknown),
        ("ana@x", "", format!("{open}, subjects: {{'00u1': ANA@x}}"), ""),
        ("ana@x", "aliases: {'oidc:00u1': ana@x},", open.to_owned(), ""),
        ("ana@x", "aliases: {'oidc:00u1': a, a: ana@x},", open.to_owned(), ""),
        ("ana@x", "aliases: {ana@x: 'oidc:00u1'},", open.to_owned(), ""),
        ("oidc:00u1", "", open.to_owned(), ""),
        ("ana@x", "", String::new(), ""),
        ("ana@x", "", format!("{open}, person_claim: email"), by_claim),
        ("ana@x", "", format!("{open}, person_claim: email, subjects: {{'00u1': ana@x}}"), ""),
    ];
    for (owner, reviewers, oidc, expected) in cases {
        assert_eq!(found(owner, reviewers, &oidc), expected, "{owner} {reviewers} {oidc}");
    }
}

#[test]
fn a_secret_that_stands_in_the_file_is_never_repeated() {
    let secret = "planted-s3cret";
    for text in [
        with(&format!("credentials: {{a: {{kind: bearer, token: {secret}}}}}")),
        with(&format!("credentials: {{a: {{kind: bearer, tokne: {secret}}}}}")),
        with(&format!("credentials: {{a: {{kind: wrong, token: {secret}}}}}")),
        with(&format!("credentials: {{a: {{token: {secret}}}}}")),
        with(&format!("credentials: {{a: {secret}}}")),
        with(&format!("credentials: {secret}")),
        with(&format!("credentials: [{secret}]")),
        with(&format!("credentials: {{a: {{kind: bearer, token: [{secret}]}}}}")),
        with(&format!("credentials: {{a: {{kind: bearer, token: {{x: {secret}}}}}}}")),
        with(&format!("credentials:\n  a:\n    kind: bearer\n    token: |\n      {secret}")),
        with(&format!("credentials:\n  a:\n    kind: bearer\n    token: \"{secret}")),
        with(&format!("credentials:\n  a:\n    kind: bearer\n    token: '{secret}\n  b: 1")),
        with(&format!("credentials:\n  a:\n    kind: basic\n    username: env:A\n\t password: {secret}")),
        with(&format!("credentials:\n  a:\n    kind: basic\n    password: @{secret}")),
        with(&format!("principals: [{{id: a, api_keys: [{secret}]}}]")),
        with(&format!("reviewers: {{tokens: [{secret}]}}")),
        with(&format!("reviewers: {{oidc: {{client_secret: {secret}}}}}")),
        with(&format!("reviewers: {{oidc: {{client_secret: [{secret}]}}}}")),
        replaced("file:audit.key", secret),
        replaced("http://127.0.0.1:8081", &format!("https://user:{secret}@example.com")),
        replaced("http://127.0.0.1:8081", &format!("ftp://user:{secret}@example.com")),
    ] {
        let told = mistake(&text);
        let debug = format!("{:?}", parse(&text).unwrap_err());
        assert!(!told.contains(secret) && !debug.contains(secret), "{text}\n{told}");
    }
}

#[test]
fn what_would_move_a_terminal_is_made_visible() {
    let told = mistake(&replaced("name: example", "name: \"a\u{202e}b\\e[2J\""));
    assert!(told.contains("`a\\u{202e}b\\u{1b}[2J` cannot be a name"), "{told}");
    assert!(!told.contains('\u{202e}') && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn of_a_long_line_the_part_that_matters_is_shown() {
    let people: Vec<_> = (0..200).map(|n| format!("p{n}@example.com")).collect();
    let text = with(&format!("reviewers: {{groups: {{g: [{}, a b, {}]}}}}", people.join(", "), people.join(", ")));
    assert_snapshot!(mistake(&text), @"
    error: reviewers.groups.g[200]: `a b` cannot name a person; use 1 to 128 printable ASCII characters without spaces, such as `ana@example.com`
     --> /etc/holdpoint/holdpoint.yaml:8:3516
      |
    8 | ….com, p197@example.com, p198@example.com, p199@example.com, a b, p0@example.com, p1@example.com, p2@example.com, p3@example.com, p4@example.com, p5@example.com,…
      |                                                              ^^^
    ");
}

#[test]
fn no_text_makes_the_reader_panic() {
    use proptest::prelude::*;
    let pieces = prop::sample::select(vec![
        "listen",
        ": ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "  ",
        "- ",
        "&a ",
        "*a",
        "!x ",
        "\"",
        "'",
        "|",
        ">",
        "#",
        "file:",
        "\t",
        "ä",
        "\u{1f600}",
        "credentials",
        "token",
        "0",
        "---",
        "<<",
        "?",
        ",",
        "\r\n",
        "upstreams",
        "\u{feff}",
    ]);
    let texts = prop::collection::vec(pieces, 0..40);
    let mut runner = prop::test_runner::TestRunner::default();
    let outcome = runner.run(&texts, |pieces| {
        for text in [pieces.concat(), with(&pieces.concat()), upstream(&pieces.concat())] {
            if let Err(error) = parse(&text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

/// What `check` says of `text` in a directory with these files, each with its mode.
fn checked(text: &str, files: &[(&str, u32)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    for (name, mode) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
    }
    let path = directory.path().join("holdpoint.yaml");
    std::fs::write(&path, text).unwrap();
    let config = Config::read(&path).unwrap();
    let line = |finding: &Finding| {
        format!("{} {}:{} {}: {}", finding.severity, finding.line, finding.column, finding.path, finding.message)
    };
    let lines: Vec<_> = config.check().iter().map(line).collect();
    lines.join("\n").replace(&directory.path().display().to_string(), "DIR")
}

const SOUND: &str = "\
listen: [{address: 0.0.0.0:8443, tls: {certificate: file:tls.crt, key: file:tls.key}}]
upstreams: [{name: a, match: {path_prefix: /}, url: https://a.example, credential: c, dialect: {openapi: file:a.yaml}}]
credentials: {c: {kind: bearer, token: file:token}}
principals: [{id: bot, owners: [ana@example.com], api_keys: [file:bot.keys]}]
reviewers: {groups: {g: [ana@example.com, bo@example.com]}, tokens: [file:reviewers.keys]}
policy: {path: policies, default_reviewers: [{group: g}]}
audit: {path: audit, key: file:audit.key}
";

const FILES: [(&str, u32); 7] = [
    ("tls.crt", 0o644),
    ("tls.key", 0o600),
    ("a.yaml", 0o644),
    ("token", 0o600),
    ("bot.keys", 0o644),
    ("reviewers.keys", 0o644),
    ("policies/a.rego", 0o644),
];

#[test]
fn a_sound_configuration_has_no_findings() {
    assert_eq!(checked(SOUND, &FILES), "");
}

#[test]
fn files_that_are_missing_or_open_to_all_are_found() {
    assert_snapshot!(checked(SOUND, &[("tls.key", 0o644), ("audit.key", 0o604), ("token", 0o644)]), @"
    error 6:16 policy.path: `DIR/policies` cannot be read: No such file or directory (os error 2)
    error 1:53 listen[0].tls.certificate: `DIR/tls.crt` cannot be read: No such file or directory (os error 2)
    error 2:106 upstreams[0].dialect.openapi: `DIR/a.yaml` cannot be read: No such file or directory (os error 2)
    error 4:62 principals[0].api_keys[0]: `DIR/bot.keys` cannot be read: No such file or directory (os error 2)
    error 5:70 reviewers.tokens[0]: `DIR/reviewers.keys` cannot be read: No such file or directory (os error 2)
    warning 7:27 audit.key: every user of this machine can read `DIR/audit.key`; `chmod o-r DIR/audit.key` ends that
    warning 1:72 listen[0].tls.key: every user of this machine can read `DIR/tls.key`; `chmod o-r DIR/tls.key` ends that
    warning 3:40 credentials.c.token: every user of this machine can read `DIR/token`; `chmod o-r DIR/token` ends that
    ");
}

#[test]
fn what_is_allowed_and_hardly_meant_is_warned_of() {
    let changed = |old: &str, new: &str| {
        assert!(SOUND.contains(old), "{old}");
        checked(&SOUND.replace(old, new), &FILES)
    };
    for (old, new, expected) in [
        (
            "principals: [{id: bot, owners: [ana@example.com], api_keys: [file:bot.keys]}]\n",
            "",
            "warning 1:1 principals: nobody can call, because there are no principals",
        ),
        (
            ", api_keys: [file:bot.keys]",
            "",
            "warning 4:14 principals[0]: `bot` cannot call, because it has no `api_keys`; `holdpoint keys create --principal bot` makes one",
        ),
        (
            "owners: [ana@example.com], ",
            "",
            "warning 4:14 principals[0]: `bot` has no `owners`, so whoever runs it can approve its calls",
        ),
        (
            ", tokens: [file:reviewers.keys]",
            "",
            "warning 5:1 reviewers: nobody can decide over held calls, because there are no `tokens` and no `oidc`; `holdpoint tokens create --reviewer NAME` makes one",
        ),
        (
            "owners: [ana@example.com]",
            "owners: [ana@example.com, BO@example.com]",
            "warning 5:22 reviewers.groups.g: nobody in the group `g` can approve a call of `bot`: all its people own that principal",
        ),
        (
            "{group: g}",
            "{group: g, count: 2}",
            "warning 6:46 policy.default_reviewers[0]: a call of `bot` can never get 2 approvals of the group `g`: without its owners that has 1",
        ),
        (
            "groups: {g: ",
            "groups: {h: [], g: ",
            "warning 5:22 reviewers.groups.h: the group `h` has no people, so no call that needs it can be approved",
        ),
        (
            "https://a.example",
            "http://a.example",
            "warning 2:53 upstreams[0].url: the credential `c` travels unencrypted to `http://a.example`; use `https://` if it can",
        ),
        (
            "file:token",
            "env:HOLDPOINT_TEST_NEVER_SET",
            "warning 3:40 credentials.c.token: there is no `env:HOLDPOINT_TEST_NEVER_SET` here",
        ),
    ] {
        assert_eq!(changed(old, new), expected, "{new}");
    }
}

#[test]
fn relative_paths_start_at_the_configuration_file() {
    let text = "\
listen: [{address: 127.0.0.1:0, tls: {certificate: file:p/1, key: file:p/2, also: [{certificate: file:p/3, key: file:p/4}]}}]
admin: {tls: {certificate: file:p/5, key: file:p/6}}
upstreams: [{name: a, match: {host: a}, url: https://a, ca: file:p/7, dialect: {openapi: file:p/8}}]
credentials: {a: {kind: bearer, token: file:p/9}, b: {kind: basic, username: file:p/10, password: file:p/11}, c: {kind: header, name: X-A, value: file:p/12}}
principals: [{id: a, api_keys: [file:p/13]}]
reviewers: {tokens: [file:p/14]}
policy: {path: p/15}
store: {embedded: {path: p/16}}
audit: {path: p/17, key: file:p/18}
";
    let config = parse(text).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(json.matches("/etc/holdpoint/p/").count(), 18, "{json}");
    assert_eq!(parse(&text.replace("p/15", "/p")).unwrap().policy.path.as_deref(), Some(Path::new("/p")));
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("holdpoint.yaml");
    let read = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        Config::read(&path).unwrap_err().to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    assert_eq!(
        read(&[b'#'; (1 << 20) + 1]),
        "configuration `DIR/holdpoint.yaml` has more than 1048576 bytes; is it the right file?"
    );
    assert_eq!(read(b"\xff\xfe"), "configuration `DIR/holdpoint.yaml` is not UTF-8 text");
    let none = Config::read(&directory.path().join("none.yaml")).unwrap_err();
    assert!(matches!(none, ConfigError::Read { .. }) && none.findings().is_empty());
}

/// Every property of the schema with its description, as `(where, name, property)`.
fn properties(schema: &Value) -> Vec<(String, String, Value)> {
    let root = [("(root)".to_owned(), schema.clone())];
    let definitions = schema["$defs"].as_object().unwrap().clone();
    let mut found = Vec::new();
    for (name, definition) in root.into_iter().chain(definitions) {
        let variants = definition["oneOf"].as_array().cloned().unwrap_or_default();
        for object in std::iter::once(definition).chain(variants) {
            for (key, property) in object["properties"].as_object().into_iter().flatten() {
                found.push((name.clone(), key.clone(), property.clone()));
            }
        }
    }
    found
}

#[test]
fn every_key_is_documented_and_its_documented_default_is_the_real_one() {
    let mut compared = 0;
    for (owner, key, property) in properties(&schema()) {
        let place = format!("{owner}.{key}");
        // A kind of credential is its own description; a requirement belongs to another room.
        if property.get("const").is_some() || owner == "Requirement" {
            continue;
        }
        let reference = property["$ref"].as_str().map(|path| path.trim_start_matches("#/$defs/"));
        let referenced = reference.map_or(Value::Null, |name| schema()["$defs"][name]["description"].clone());
        let text = property["description"].as_str().or(referenced.as_str()).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.len() > 15, "{place} has no description");
        let documented = text.split_once("Default `").and_then(|(_, rest)| rest.split_once('`')).map(|(word, _)| word);
        let real = match property.get("default") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(object) if key == "store" => Some(object.to_string().replace('"', "").replace(':', ": ")),
            // Groups of keys, each of which says its own default.
            Some(Value::Object(_)) => None,
            Some(other) if text.contains("Default n") => {
                assert!(other.as_array().is_some_and(Vec::is_empty), "{place}: {other}");
                None
            }
            Some(other) => Some(other.to_string()),
        };
        if real.is_some() || documented.is_some() {
            // `1m` and `60s` are the same length of time.
            let same = |text: &str| text.parse::<HumanDuration>().map_or(text.to_owned(), |value| value.to_string());
            assert_eq!(documented.map(same), real, "{place}: {text}");
            compared += 1;
        }
    }
    assert!(compared >= 25, "{compared}");
}

#[test]
fn the_committed_schema_is_the_real_one() {
    let committed = include_str!("../../examples/quickstart/holdpoint.schema.json");
    let real = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(committed == real, "write it anew: `holdpoint config schema > examples/quickstart/holdpoint.schema.json`");
}

#[test]
fn the_quickstart_is_a_sound_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/holdpoint.yaml");
    let config = Config::read(&path).unwrap();
    assert_eq!(config.upstreams[0].name.as_str(), "example");
    assert_eq!(config.upstreams[0].url.to_string(), "http://127.0.0.1:8081");
    assert_eq!(config.credentials["example-api"].kind(), "bearer");
    // All that is optional in it can be switched on.
    let text = std::fs::read_to_string(&path).unwrap();
    let optional =
        ["# tls:", "#   certificate:", "#   key:", "#   also:", "#     - {", "# kinds:", "# aliases:", "# host:"];
    let mut all = text.clone();
    for line in optional {
        assert_eq!(text.matches(line).count(), 1, "{line}");
        all = all.replace(line, &line.replacen("# ", "", 1));
    }
    let all = parse(&all).unwrap();
    assert_eq!(all.listen[0].tls.as_ref().unwrap().pairs().count(), 2);
}
