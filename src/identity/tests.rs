//! Who is let in, and what the others are told.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use prometheus::Registry;
use secrecy::ExposeSecret;

use crate::model::PersonId;
use crate::model::Timestamp;

use super::key::NewKey;
use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(seconds * 1_000_000)
}

fn person(name: &str) -> PersonId {
    name.parse().unwrap()
}

fn agent_key(expires: Option<Timestamp>) -> NewKey {
    let holder = KeyHolder::Principal("deploy-bot".to_owned());
    key::generate(holder, Some(person("ana@example.com")), at(0), expires).unwrap()
}

fn reviewer_token(name: &str, expires: Option<Timestamp>) -> NewKey {
    key::generate(KeyHolder::Reviewer(person(name)), None, at(0), expires).unwrap()
}

fn settings(id: &str) -> PrincipalSettings {
    PrincipalSettings {
        id: id.to_owned(),
        owners: vec![person("ana@example.com")],
        groups: vec!["bots".to_owned()],
        claims: BTreeMap::new(),
    }
}

/// Fields from lines such as `x-api-key: GOOD`, where the words in capitals stand for keys.
struct Fixture {
    agents: AgentKeys,
    reviewers: ReviewerTokens,
    words: Vec<(&'static str, String)>,
}

impl Fixture {
    fn new() -> Self {
        let [good, next, revoked] = [agent_key(None), agent_key(None), agent_key(None)];
        let old = agent_key(Some(at(1_000)));
        let token = reviewer_token("bo@example.com", None);
        let old_token = reviewer_token("bo@example.com", Some(at(1_000)));
        let records = vec![good.record.clone(), next.record.clone(), old.record.clone()];
        let text = |key: &NewKey| key.secret.expose_secret().to_owned();
        let (cut, swapped) = {
            let good = text(&good);
            let last = if good.ends_with('0') { '1' } else { '0' };
            (good[..good.len() - 1].to_owned(), format!("{}{last}", &good[..good.len() - 1]))
        };
        let basic = |user: &str, password: &str| STANDARD.encode(format!("{user}:{password}"));
        let words = vec![
            ("B_PASSWORD", basic("anything", &text(&good))),
            ("B_USER", basic(&text(&good), "")),
            ("B_BOTH", basic(&text(&good), &text(&next))),
            ("B_NONE", STANDARD.encode("no colon")),
            ("GOOD", text(&good)),
            ("NEXT", text(&next)),
            ("REVOKED", text(&revoked)),
            ("OLD_TOKEN", text(&old_token)),
            ("OLD", text(&old)),
            ("TOKEN", text(&token)),
            ("CUT", cut),
            ("SWAPPED", swapped),
        ];
        Self {
            agents: AgentKeys::new(vec![(settings("deploy-bot"), records)]).unwrap(),
            reviewers: ReviewerTokens::new(vec![token.record, old_token.record]).unwrap(),
            words,
        }
    }

    fn fields(&self, lines: &str) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for line in lines.split('|').filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            let value = value
                .trim()
                .split(' ')
                .map(|word| self.words.iter().find(|(name, _)| *name == word).map_or(word, |(_, text)| text.as_str()));
            let value = value.collect::<Vec<_>>().join(" ");
            fields.append(HeaderName::try_from(name.trim()).unwrap(), HeaderValue::try_from(value).unwrap());
        }
        fields
    }

    fn agent(&self, lines: &str) -> String {
        match self.agents.authenticate(&self.fields(lines), at(1_000)) {
            Ok(principal) => format!("ok {}", principal.id),
            Err(error) => error.reason().to_owned(),
        }
    }

    fn reviewer(&self, lines: &str) -> String {
        match self.reviewers.authenticate(&self.fields(lines), at(1_000)) {
            Ok(person) => format!("ok {person}"),
            Err(error) => error.reason().to_owned(),
        }
    }
}

#[test]
fn an_agent_is_known_by_its_key_wherever_an_sdk_puts_it() {
    let fixture = Fixture::new();
    for (lines, expected) in [
        ("authorization: Bearer GOOD", "ok deploy-bot"),
        ("authorization: bearer NEXT", "ok deploy-bot"),
        ("authorization: token GOOD", "ok deploy-bot"),
        ("authorization: Basic B_PASSWORD", "ok deploy-bot"),
        ("authorization: Basic B_USER", "ok deploy-bot"),
        ("x-api-key: GOOD", "ok deploy-bot"),
        ("api-key: GOOD", "ok deploy-bot"),
        ("api-key: GOOD | x-api-key: GOOD | authorization: Bearer GOOD", "ok deploy-bot"),
        ("", "missing"),
        ("accept: GOOD", "missing"),
        ("x-api-key:", "missing"),
        ("cookie: GOOD", "missing"),
        ("authorization: Bearer GOOD | authorization: Bearer GOOD", "repeated"),
        ("x-api-key: GOOD | x-api-key: NEXT", "repeated"),
        ("x-api-key: GOOD | api-key: NEXT", "several"),
        ("x-api-key: GOOD | authorization: Bearer dummy", "several"),
        ("authorization: Basic B_BOTH", "several"),
        ("authorization: Digest GOOD", "scheme"),
        ("authorization: GOOD", "scheme"),
        ("authorization: Basic B_NONE", "malformed"),
        ("authorization: Basic GOOD", "malformed"),
        ("authorization: Bearer sk-123", "malformed"),
        ("authorization: Bearer GOOD GOOD", "malformed"),
        ("x-api-key: CUT", "malformed"),
        ("x-api-key: SWAPPED", "checksum"),
        ("x-api-key: REVOKED", "unknown"),
        ("x-api-key: OLD", "expired"),
        ("x-api-key: TOKEN", "wrong_kind"),
        ("authorization: Bearer TOKEN", "wrong_kind"),
    ] {
        assert_eq!(fixture.agent(lines), expected, "{lines}");
    }
}

#[test]
fn a_reviewer_is_known_by_a_token_and_never_by_an_agents_key() {
    let fixture = Fixture::new();
    for (lines, expected) in [
        ("authorization: Bearer TOKEN", "ok bo@example.com"),
        ("authorization: Bearer TOKEN | x-api-key: GOOD", "wrong_kind"),
        ("authorization: Bearer TOKEN | api-key: REVOKED", "wrong_kind"),
        ("authorization: Bearer GOOD", "wrong_kind"),
        ("authorization: Bearer OLD_TOKEN", "expired"),
        ("authorization: Bearer SWAPPED", "checksum"),
        ("authorization: token TOKEN", "scheme"),
        ("authorization: Basic B_USER", "scheme"),
        ("authorization: Bearer TOKEN | authorization: Bearer TOKEN", "repeated"),
        ("x-api-key: TOKEN", "missing"),
        ("", "missing"),
    ] {
        assert_eq!(fixture.reviewer(lines), expected, "{lines}");
    }
}

#[test]
fn a_key_is_good_until_the_moment_it_expires() {
    let key = agent_key(Some(at(1_000)));
    let keys = AgentKeys::new(vec![(settings("deploy-bot"), vec![key.record])]).unwrap();
    let mut fields = HeaderMap::new();
    fields.insert("api-key", key.secret.expose_secret().parse().unwrap());
    let principal = keys.authenticate(&fields, at(999)).unwrap();
    assert_eq!(principal.authn.created_by, Some(person("ana@example.com")));
    assert!(Arc::ptr_eq(&principal, &keys.authenticate(&fields, at(999)).unwrap()));
    assert_eq!(keys.authenticate(&fields, at(1_000)).unwrap_err().reason(), "expired");
}

#[test]
fn no_error_repeats_what_was_presented() {
    let fixture = Fixture::new();
    for (word, text) in &fixture.words {
        let fields = fixture.fields(&format!("authorization: Bearer {word}"));
        let agent = fixture.agents.authenticate(&fields, at(1_000)).err();
        let reviewer = fixture.reviewers.authenticate(&fields, at(1_000)).err();
        for error in [agent, reviewer].into_iter().flatten() {
            // The public id of an expired key is the only part that may be told.
            let secret = &text[text.len() - 8..];
            assert!(!format!("{error} {error:?} {:?}", error.refusal()).contains(secret), "{error}");
        }
    }
}

#[test]
fn the_caller_is_told_what_to_do() {
    let fixture = Fixture::new();
    let detail = |lines: &str| fixture.agents.authenticate(&fixture.fields(lines), at(1_000)).unwrap_err().to_string();
    insta::assert_snapshot!(detail(""), @"the request carries no agent key; send it as `Authorization: Bearer KEY`, `Authorization: token KEY`, the password of `Authorization: Basic`, `x-api-key: KEY` or `api-key: KEY`");
    insta::assert_snapshot!(detail("x-api-key: sk-1"), @"the credential is not an agent key of this proxy (`hp_...`); send it as `Authorization: Bearer KEY`, `Authorization: token KEY`, the password of `Authorization: Basic`, `x-api-key: KEY` or `api-key: KEY`");
    insta::assert_snapshot!(detail("x-api-key: TOKEN"), @"this is a reviewer's token, which never speaks for an agent; use the agent's own key, and keep the token from agents");
    insta::assert_snapshot!(detail("x-api-key: REVOKED"), @"the agent key is not known; it may have been revoked");
}

#[test]
fn a_set_of_keys_that_contradicts_itself_is_refused() {
    let (key, token) = (agent_key(None).record, reviewer_token("bo@example.com", None).record);
    let twice = AgentKeys::new(vec![(settings("deploy-bot"), vec![key.clone(), key.clone()])]);
    assert!(matches!(twice, Err(KeySetError::Duplicate(_))));
    let other = AgentKeys::new(vec![(settings("other"), vec![key.clone()])]);
    assert!(matches!(other, Err(KeySetError::OtherPrincipal { .. })));
    let among = AgentKeys::new(vec![(settings("deploy-bot"), vec![token])]);
    assert!(matches!(among, Err(KeySetError::ReviewerAmongAgents { .. })));
    assert!(matches!(ReviewerTokens::new(vec![key]), Err(KeySetError::AgentAmongReviewers { .. })));
}

#[test]
fn nothing_of_an_agents_key_leaves() {
    let fixture = Fixture::new();
    let mut fields = fixture.fields(
        "authorization: Bearer GOOD | proxy-authorization: Basic x | x-api-key: other | api-key: GOOD \
         | cookie: session=1 | accept: */* | x-copy: key GOOD | x-php: php_8 | cookie2: a= GOOD",
    );
    strip(&mut fields);
    let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["accept", "cookie", "x-php"]);
}

#[test]
fn a_cookie_with_a_key_in_it_goes_too() {
    let fixture = Fixture::new();
    let mut fields = fixture.fields("cookie: key= GOOD");
    strip(&mut fields);
    assert!(fields.is_empty());
}

#[test]
fn failures_are_counted_by_kind_and_reason() {
    let registry = Registry::new();
    let metrics = AuthMetrics::new(&registry).unwrap();
    metrics.failed(KeyKind::Agent, &IdentityError::Several);
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains(r#"holdpoint_auth_failures_total{kind="agent",reason="several"} 1"#), "{text}");
    assert!(text.contains(r#"holdpoint_auth_failures_total{kind="reviewer",reason="expired"} 0"#), "{text}");
}

fn people(groups: &[(&str, &[&str])], aliases: &[(&str, &str)]) -> Result<People, PeopleError> {
    let groups = groups
        .iter()
        .map(|(group, names)| ((*group).to_owned(), names.iter().map(|name| person(name)).collect::<BTreeSet<_>>()));
    let aliases = aliases.iter().map(|(alias, name)| ((*alias).to_owned(), person(name)));
    People::new(groups.collect(), aliases.collect())
}

#[test]
fn one_person_under_several_names_is_one_person() {
    let people = people(
        &[("owners", &["Ana@Example.com", "ana.old@example.com", "bo@example.com"])],
        &[("U123", "ana@example.com"), ("ana.old@example.com", "U123"), ("Bo2@example.com", "bo@example.com")],
    )
    .unwrap();
    assert_eq!(people.members("owners").unwrap().len(), 2);
    for (name, other, same) in [
        ("ana@example.com", "ANA@example.com", true),
        ("U123", "ana@example.com", true),
        ("ana@example.com", "U123", true),
        ("ana.old@example.com", "Ana@example.com", true),
        ("u123", "ana@example.com", false),
        ("bo2@EXAMPLE.com", "bo@example.com", true),
        ("bo@example.com", "ana@example.com", false),
        ("deploy-bot", "ana@example.com", false),
        ("deploy-bot", "deploy-bot", true),
    ] {
        assert_eq!(people.same_person(name, &person(other)), same, "{name} {other}");
        assert_eq!(people.same_person(other, &person(name)), same, "{other} {name}");
    }
    assert!(people.in_group(&person("U123"), "owners"));
    assert!(!people.in_group(&person("cy@example.com"), "owners"));
    assert!(!people.in_group(&person("U123"), "nobody"));
    assert!(people.among(&person("U123"), ["deploy-bot", "ANA@example.com"]));
    assert!(!people.among(&person("bo@example.com"), ["deploy-bot", "ana@example.com"]));
    assert_eq!(people.groups_of(&person("bo2@example.com")).collect::<Vec<_>>(), ["owners"]);
}

#[test]
fn aliases_that_do_not_lead_to_one_person_are_refused() {
    assert!(matches!(people(&[], &[("a", "b"), ("b", "a")]), Err(PeopleError::Circle(_))));
    assert!(matches!(people(&[], &[("a@x", "A@x")]), Err(PeopleError::Circle(_))));
    let two = people(&[], &[("a@x", "b"), ("A@x", "c")]);
    assert!(matches!(two, Err(PeopleError::Contradiction { .. })));
}
