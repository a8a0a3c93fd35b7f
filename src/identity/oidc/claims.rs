//! From claims to a person and their groups. Where nobody knows for sure, nobody is let in.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::PersonId;

use super::error::SignInError;
use super::settings::GroupsClaim;
use super::settings::Settings;
use super::token::Claims;

/// On whose word somebody is who they are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The operator's, who has named the account.
    ByOperator,
    /// A claim's.
    ByClaim,
}

/// Somebody whom the provider has just proved to be who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The provider that says so.
    pub issuer: String,
    /// The account there; with the issuer, what never changes about a person.
    pub subject: String,
    /// Their session there, if the provider gives it a name.
    pub session: Option<String>,
    /// Who that is here.
    pub person: PersonId,
    /// On whose word.
    pub named: Named,
    /// In which groups of reviewers the provider's word puts them.
    pub groups: BTreeSet<String>,
    /// Under which settings, by [`Settings::meaning_of`].
    pub under: String,
}

/// What `claims` say about who has signed in.
pub(super) fn read(claims: &Claims, settings: &Settings) -> Result<SignedIn, SignInError> {
    let subject = text(claims, "sub").filter(|subject| subject.len() <= SUBJECT_BYTES_MAX && !subject.is_empty());
    let subject = subject.ok_or_else(|| SignInError::Token("its `sub` is missing or too long".to_owned()))?;
    Ok(SignedIn {
        issuer: settings.issuer.clone(),
        session: text(claims, "sid").filter(|sid| sid.len() <= SUBJECT_BYTES_MAX).map(str::to_owned),
        person: person(claims, subject, settings)?,
        named: if settings.subjects.contains_key(subject) { Named::ByOperator } else { Named::ByClaim },
        groups: settings.groups.as_ref().map_or_else(|| Ok(BTreeSet::new()), |groups| reviewing(claims, groups))?,
        under: settings.meaning_of(subject),
        subject: subject.to_owned(),
    })
}

fn person(claims: &Claims, subject: &str, settings: &Settings) -> Result<PersonId, SignInError> {
    if let Some(person) = settings.subjects.get(subject) {
        return Ok(person.clone());
    }
    let claim = settings.person_claim.as_str();
    let name = match claim {
        // In a space of its own, so that no account can be called what somebody is called here.
        "sub" => format!("oidc:{subject}"),
        _ => text(claims, claim).map(str::to_owned).ok_or_else(|| {
            SignInError::Person(format!(
                "its token has no text `{claim}`; ask for a scope that brings it, or choose another `person_claim`"
            ))
        })?,
    };
    if claim == "email" && !is_true(claims.get("email_verified")) {
        return Err(SignInError::Person(
            "it does not say that your address is verified (`email_verified`), and anybody could claim that one; \
             whoever runs this can name your account in `reviewers.oidc.subjects`"
                .to_owned(),
        ));
    }
    name.parse().map_err(|_| {
        SignInError::Person(format!(
            "its `{claim}` cannot name a person here (1 to 128 printable ASCII characters without spaces)"
        ))
    })
}

/// The groups of reviewers that the provider's word stands for.
fn reviewing(claims: &Claims, groups: &GroupsClaim) -> Result<BTreeSet<String>, SignInError> {
    let claim = groups.claim.as_str();
    let unknown = |why: String| Err(SignInError::Groups(why));
    // Entra leaves the claim out where it would be long (more than 200), and says so.
    let elsewhere =
        claims.get("_claim_names").and_then(Value::as_object).is_some_and(|names| names.contains_key(claim));
    if elsewhere || is_true(claims.get("hasgroups")) {
        return unknown(format!(
            "you are in so many groups that the provider leaves `{claim}` out of its token; whoever runs it has to \
             give this application app roles, or only the groups that are assigned to it"
        ));
    }
    let entries = match claims.get(claim) {
        Some(Value::Array(entries)) => entries.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
        Some(Value::String(entry)) => Some(vec![entry.as_str()]),
        Some(_) => None,
        None => {
            return unknown(format!(
                "the provider's token has no `{claim}`; either you are in none of the groups that it gives to this \
                 application, or it has to be told to send that claim"
            ));
        }
    };
    let Some(entries) = entries else {
        return unknown(format!("`{claim}` in the provider's token is not a list of texts"));
    };
    if entries.len() >= groups.entries_max {
        return unknown(format!(
            "the provider lists {} groups of yours, and may have cut the list off (Okta does at 100); whoever runs it \
             has to filter the claim `{claim}` down to the groups that count here",
            entries.len()
        ));
    }
    let meant = entries.into_iter().filter_map(|entry| groups.meaning.get(entry));
    Ok(meant.flatten().cloned().collect())
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Some providers write booleans as text.
fn is_true(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Bool(true))) || value.and_then(Value::as_str) == Some("true")
}

/// OpenID Connect Core 1.0 §2 has at most 255.
const SUBJECT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn settings(person_claim: &str) -> Settings {
        let one = |group: &str| BTreeSet::from([group.to_owned()]);
        Settings {
            issuer: "https://idp".to_owned(),
            client_id: "holdpoint".to_owned(),
            client_secret: None,
            redirect_uri: "https://holdpoint/signin/oidc/callback".to_owned(),
            scopes: Vec::new(),
            person_claim: person_claim.to_owned(),
            subjects: BTreeMap::from([("00u9".to_owned(), "zoe@example.com".parse().unwrap())]),
            groups: Some(GroupsClaim {
                claim: "groups".to_owned(),
                entries_max: 4,
                meaning: BTreeMap::from([("a".to_owned(), one("owners")), ("b".to_owned(), one("security"))]),
            }),
            device_sign_in: false,
            ca: None,
        }
    }

    fn read(person_claim: &str, claims: Value) -> String {
        let Value::Object(claims) = claims else { panic!("no claims") };
        match super::read(&claims, &settings(person_claim)) {
            Ok(who) => format!("{} {}", who.person, who.groups.into_iter().collect::<Vec<_>>().join("+")),
            Err(error) => error.reason().to_owned(),
        }
    }

    #[test]
    fn a_person_is_who_the_claim_says_and_nobody_without_it() {
        let cases = [
            ("sub", json!({"sub": "00u1", "groups": []}), "oidc:00u1 "),
            ("sub", json!({"sub": "00u9", "groups": []}), "zoe@example.com "),
            ("email", json!({"sub": "00u9", "groups": []}), "zoe@example.com "),
            ("email", json!({"sub": "1", "groups": [], "email": "a@b", "email_verified": true}), "a@b "),
            ("email", json!({"sub": "1", "groups": [], "email": "a@b", "email_verified": "true"}), "a@b "),
            ("email", json!({"sub": "1", "groups": [], "email": "a@b", "email_verified": false}), "person"),
            ("email", json!({"sub": "1", "groups": [], "email": "a@b", "email_verified": 1}), "person"),
            ("email", json!({"sub": "1", "groups": [], "email": "a@b"}), "person"),
            ("oid", json!({"sub": "1", "groups": [], "oid": "1111-2222"}), "1111-2222 "),
            ("oid", json!({"sub": "1", "groups": [], "oid": 5}), "person"),
            ("oid", json!({"sub": "1", "groups": []}), "person"),
            ("oid", json!({"sub": "1", "groups": [], "oid": "a b"}), "person"),
            ("oid", json!({"sub": "1", "groups": [], "oid": ""}), "person"),
            ("sub", json!({"groups": []}), "token"),
            ("sub", json!({"sub": "", "groups": []}), "token"),
            ("sub", json!({"sub": "a".repeat(256), "groups": []}), "token"),
            ("sub", json!({"sub": "a".repeat(200), "groups": []}), "person"),
        ];
        for (claim, claims, expected) in cases {
            assert_eq!(read(claim, claims.clone()), expected, "{claim} {claims}");
        }
    }

    #[test]
    fn groups_are_known_for_sure_or_not_at_all() {
        let cases = [
            (json!({"groups": ["a", "x"]}), "oidc:1 owners"),
            (json!({"groups": ["b", "a", "a"]}), "oidc:1 owners+security"),
            (json!({"groups": "b"}), "oidc:1 security"),
            (json!({"groups": []}), "oidc:1 "),
            (json!({"groups": ["a", "b", "c", "d"]}), "groups"),
            (json!({"groups": ["a", 1]}), "groups"),
            (json!({"groups": {"a": true}}), "groups"),
            (json!({"groups": null}), "groups"),
            (json!({}), "groups"),
            (json!({"groups": ["a"], "hasgroups": true}), "groups"),
            (json!({"hasgroups": "true"}), "groups"),
            (json!({"groups": ["a"], "hasgroups": false}), "oidc:1 owners"),
            (json!({"groups": ["a"], "_claim_names": {"groups": "src1"}}), "groups"),
            (json!({"groups": ["a"], "_claim_names": {"other": "src1"}}), "oidc:1 owners"),
        ];
        for (mut claims, expected) in cases {
            claims["sub"] = json!("1");
            assert_eq!(read("sub", claims.clone()), expected, "{claims}");
        }
    }
}
