//! The words for kinds of actions, read and listed.

use crate::model::ActionKind;

/// Every kind there is, in the order of the vocabulary.
const KINDS: [ActionKind; 12] = [
    ActionKind::Read,
    ActionKind::Write,
    ActionKind::Delete,
    ActionKind::DataExport,
    ActionKind::PrivilegeEscalation,
    ActionKind::CredentialIssue,
    ActionKind::InfrastructureChange,
    ActionKind::NetworkChange,
    ActionKind::ConfigurationChange,
    ActionKind::Execute,
    ActionKind::Payment,
    ActionKind::Unknown,
];

/// The kind that `word` stands for.
pub(super) fn parse(word: &str) -> Option<ActionKind> {
    KINDS.into_iter().find(|kind| kind.as_str() == word)
}

/// All the words, for a message.
pub(super) fn words() -> String {
    KINDS.map(|kind| format!("`{}`", kind.as_str())).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_model_is_known() {
        let schema = serde_json::to_value(schemars::schema_for!(ActionKind)).unwrap();
        let words: Vec<_> =
            schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].as_str().unwrap()).collect();
        assert_eq!(words.len(), KINDS.len(), "{words:?}");
        for word in words {
            assert_eq!(parse(word).unwrap().as_str(), word);
        }
        assert_eq!(parse("Read"), None);
    }
}
