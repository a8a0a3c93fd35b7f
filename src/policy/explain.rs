//! What each rule depends on, whether bodies have to be read for it, and whether calls can share
//! its decisions. The same upper bounds decide that in the proxy.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ast::Path;
use super::decide::BODY;
use super::graph::Names;
use super::inspection::Inspection;
use super::projection;
use super::reads;
use super::reads::InputPaths;

/// What a policy depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Each rule, in the order of the source.
    pub rules: Vec<RuleReads>,
    /// True if bodies are read whole before a decision, for all calls: one set of rules decides on
    /// all routes.
    pub reads_body: bool,
    /// True if calls that the rules cannot tell apart share a decision.
    pub shares_decisions: bool,
    /// Why they do not; empty if they do.
    pub blockers: Vec<Blocker>,
}

/// What one rule depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReads {
    /// The set it adds to.
    pub kind: &'static str,
    /// Its name.
    pub rule: String,
    /// The file it is in.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// True if it is in shadow mode.
    pub shadow: bool,
    /// The paths of the input that it, or what it uses, can look at, such as `input.actions`.
    pub reads: Vec<String>,
    /// True if it can look at the body or its length.
    pub reads_body: bool,
    /// True if its answers could be shared, were it alone.
    pub shares_decisions: bool,
}

/// One reason why decisions are not shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// What is read.
    pub path: String,
    /// Why that cannot be shared.
    pub why: &'static str,
    /// Where it is read, as `file:line`.
    pub places: Vec<String>,
    /// The rules that depend on it; empty if nothing uses what reads it.
    pub rules: Vec<String>,
}

impl Inspection {
    /// What the policy depends on.
    pub fn explain(&self) -> Explanation {
        let names = Names::of(&self.modules);
        let mut blockers: BTreeMap<Path, Blocker> = BTreeMap::new();
        for (path, span) in reads::sites(&self.modules) {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            let Some(why) = projection::why_not(&parts) else { continue };
            let blocker = blockers.entry(path.clone()).or_insert_with(|| {
                let (places, rules) = (Vec::new(), Vec::new());
                Blocker { path: shown(&path), why, places, rules }
            });
            let place = format!("{}:{}", span.source.get_path(), span.line);
            if !blocker.places.contains(&place) {
                blocker.places.push(place);
            }
        }
        let mut rules = Vec::new();
        for entry in self.entries() {
            let paths = InputPaths::of_rule(&names, entry.module, entry.rule);
            let label = entry.label();
            for path in paths.iter() {
                let blocker = blockers.get_mut(path).filter(|blocker| !blocker.rules.contains(&label));
                blocker.into_iter().for_each(|blocker| blocker.rules.push(label.clone()));
            }
            rules.push(RuleReads {
                kind: entry.kind.as_str(),
                rule: label,
                file: entry.file().to_owned(),
                line: entry.line(),
                shadow: entry.shadow,
                reads: paths.iter().map(shown).collect(),
                reads_body: BODY.iter().any(|name| paths.may_read(&["request", name])),
                shares_decisions: projection::Projection::of(&paths).is_some(),
            });
        }
        Explanation {
            rules,
            reads_body: self.policy.reads_body(),
            shares_decisions: self.policy.shares_decisions(),
            blockers: blockers.into_values().collect(),
        }
    }
}

/// A path below `input` as it is written.
pub(super) fn shown(path: &[String]) -> String {
    path.iter().fold("input".to_owned(), |text, name| {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.is_empty();
        if is_plain { format!("{text}.{name}") } else { format!("{text}[\"{}\"]", name.escape_debug()) }
    })
}
