//! Sensitive fields outside the log: the leaf commits to them, and they can be destroyed.
//!
//! As in SD-JWT (RFC 9901 §4.2): a disclosure is the base64url of `[salt, name, value]`, and the
//! leaf carries only its SHA-256. Without the salt, nobody can find out by guessing what was
//! committed to; without the disclosure, every proof still holds.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::model::Sha256;

/// One sensitive field of one event, read back from the side store.
#[derive(Clone, Debug, PartialEq)]
pub struct Disclosure {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A text that is not a disclosure.
#[derive(Debug, thiserror::Error)]
#[error("not a disclosure; expected the base64url of a JSON array of salt, name and value")]
pub struct ParseDisclosureError;

impl Disclosure {
    /// The disclosure's text: what is kept beside the log, and what is hashed.
    pub(super) fn text(salt: [u8; 16], name: &str, value: &Value) -> String {
        let salt = URL_SAFE_NO_PAD.encode(salt);
        URL_SAFE_NO_PAD.encode(Value::from(vec![Value::from(salt), Value::from(name), value.clone()]).to_string())
    }

    /// What stands for `text` in the leaf.
    pub(super) fn commitment(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::of(text.as_bytes()).as_bytes())
    }
}

impl FromStr for Disclosure {
    type Err = ParseDisclosureError;

    fn from_str(text: &str) -> Result<Self, ParseDisclosureError> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseDisclosureError)?;
        let (_salt, name, value): (String, String, Value) =
            serde_json::from_slice(&json).map_err(|_| ParseDisclosureError)?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_commitment_of_the_example_in_rfc_9901() {
        // RFC 9901 §4.2.1 and §4.2.3: the claim `family_name`.
        let text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        assert_eq!(Disclosure::commitment(text), "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0");
        let disclosure: Disclosure = text.parse().unwrap();
        assert_eq!(disclosure, Disclosure { name: "family_name".into(), value: json!("Möbius") });
    }

    #[test]
    fn another_salt_is_another_commitment() {
        let commit = |salt| Disclosure::commitment(&Disclosure::text([salt; 16], "email", &json!("ana@example.com")));
        assert_ne!(commit(1), commit(2));
        let text = Disclosure::text([1; 16], "email", &json!("ana@example.com"));
        assert_eq!(text.parse::<Disclosure>().unwrap().value, json!("ana@example.com"));
    }
}
