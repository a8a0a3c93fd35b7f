//! What a policy may say to a call of which not everything is known.
//!
//! Rules that look only at what is known are evaluated. Of the others, those conditions are
//! evaluated that look only at what is known: if one does not hold, neither does the rule, and
//! otherwise it may or may not apply. So what is told to be certain is certain.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::LiteralStmt;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::ast::Path;
use super::ast::Seen;
use super::entries::Entry;
use super::explain;
use super::graph::Names;
use super::graph::Scope;
use super::inspection::Inspection;
use super::probe;
use super::probe::Bench;
use super::probe::MARK;
use super::reads::InputPaths;
use super::render;
use super::rules::RuleKind;
use super::settings::DefaultEffect;

/// A policy made ready for calls of which the same parts are unknown.
pub struct Candidate<'a> {
    inspection: &'a Inspection,
    rules: Vec<Prepared>,
    unknown: Vec<String>,
}

/// What a policy may say to one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Possible {
    /// What it may say: `deny`, `hold`, `allow` or `error`. One, if that is certain.
    pub effects: BTreeSet<&'static str>,
    /// The rules that lead there, as far as that is certain.
    pub rules: Vec<String>,
    /// The rules that may apply, and that keep it from being certain.
    pub undecided: Vec<String>,
}

struct Prepared {
    kind: RuleKind,
    label: String,
    bench: Bench,
    /// Our own rules: one for each body.
    names: Vec<String>,
    is_exact: bool,
}

impl Inspection {
    /// Makes the policy ready for calls of which `unknown` parts of the input, such as
    /// `["request", "body"]`, are not known.
    pub fn candidate(&self, unknown: &[&[&str]]) -> Candidate<'_> {
        let names = Names::of(&self.modules);
        let is_known = |paths: &InputPaths| !unknown.iter().any(|part| paths.may_read(part) || paths.names(part));
        // What rules in shadow mode look at changes no answer.
        let all = InputPaths::of(&self.modules, |rule| !self.shadowed.has(rule));
        let reads = all
            .iter()
            .filter(|read| unknown.iter().any(|part| read.iter().zip(part.iter()).all(|(read, name)| read == name)));
        let unknown_reads = reads.map(explain::shown).collect();
        let acting = self.entries().into_iter().filter(|entry| !entry.shadow);
        let rules = acting.filter_map(|entry| self.prepare(&entry, &names, &is_known)).collect();
        Candidate { inspection: self, rules, unknown: unknown_reads }
    }

    fn prepare(
        &self,
        entry: &Entry<'_>,
        names: &Names<'_>,
        is_known: &dyn Fn(&InputPaths) -> bool,
    ) -> Option<Prepared> {
        let Rule::Spec { head: RuleHead::Set { key: Some(key), .. }, bodies, .. } = entry.rule else { return None };
        let scope = Scope::of(entry.module);
        let locals = ast::locals(entry.rule);
        let bench = Bench::new(&self.engine, entry.module);
        let is_exact = is_known(&InputPaths::of_rule(names, entry.module, entry.rule));
        let term = render::source(key);
        let mut rules = Vec::new();
        if bodies.is_empty() {
            rules.push(if is_exact { probe::values(&name(0), &term, &[]) } else { probe::rule(&name(0), &[]) });
        }
        for (index, body) in bodies.iter().enumerate() {
            let kept: Vec<&LiteralStmt> = match is_exact {
                true => body.query.stmts.iter().collect(),
                false => bench.without(&body.query, &locals, &|statement| {
                    is_known(&InputPaths::of_statement(names, &scope, statement))
                }),
            };
            rules.push(if is_exact {
                probe::values(&name(index), &term, &kept)
            } else {
                probe::rule(&name(index), &kept)
            });
        }
        let names = (0..rules.len()).map(name).collect();
        let label = entry.label();
        // A rule that cannot be taken apart may apply.
        let (bench, names, is_exact) = match bench.with(&rules) {
            Ok(bench) => (bench, names, is_exact),
            Err(_) => (bench.with(&[probe::rule(&name(0), &[])]).ok()?, vec![name(0)], false),
        };
        Some(Prepared { kind: entry.kind, label, bench, names, is_exact })
    }
}

fn name(index: usize) -> String {
    format!("{MARK}{index}")
}

enum Answer {
    Applies,
    May,
    No,
    Fails,
}

impl Candidate<'_> {
    /// The unknown parts of the input that the policy can look at.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// What the policy may say to `input`, from which the unknown parts are left out.
    pub fn possible(&self, input: &serde_json::Value) -> Possible {
        let mut possible = Possible::default();
        if self.unknown.is_empty() {
            let decided = self.inspection.policy.decide_input(input);
            possible.effects.insert(decided.as_ref().map_or("error", |effect| effect.as_str()));
        }
        let is_decided = self.unknown.is_empty();
        let value = super::input::from_json(input);
        for kind in RuleKind::ALL {
            let mut applies = Vec::new();
            let mut is_open = false;
            for rule in self.rules.iter().filter(|rule| rule.kind == kind) {
                match rule.answer(&value) {
                    Answer::No => {}
                    Answer::Applies => applies.push(rule.label.clone()),
                    Answer::May => {
                        is_open = true;
                        possible.undecided.push(rule.label.clone());
                    }
                    Answer::Fails => {
                        possible.effects.insert("error");
                        return possible;
                    }
                }
            }
            if (is_open || !applies.is_empty()) && !is_decided {
                possible.effects.insert(kind.as_str());
            }
            if !applies.is_empty() {
                if possible.effects.len() == 1 {
                    possible.rules = applies;
                }
                return possible;
            }
        }
        if !is_decided {
            possible.effects.insert(match self.inspection.settings.default {
                DefaultEffect::Deny => "deny",
                DefaultEffect::Hold => "hold",
            });
        }
        possible
    }
}

impl Prepared {
    fn answer(&self, input: &Value) -> Answer {
        let mut bench = self.bench.clone();
        bench.set_input(input.clone());
        for name in &self.names {
            match bench.value(name) {
                Ok(Value::Bool(true)) => return Answer::May,
                Ok(Value::Set(found)) if !found.is_empty() => return Answer::Applies,
                Ok(_) => {}
                // What is left out may be what it needs.
                Err(_) if !self.is_exact => return Answer::May,
                Err(_) => return Answer::Fails,
            }
        }
        Answer::No
    }
}

impl InputPaths {
    /// What `statement` and all that it uses read.
    fn of_statement(names: &Names<'_>, scope: &Scope<'_>, statement: &LiteralStmt) -> Self {
        let mut paths: BTreeSet<Path> = BTreeSet::new();
        ast::walk_statement(statement, &mut |seen| {
            let (Seen::Reference(reference) | Seen::Replaced(reference) | Seen::Call { function: reference, .. }) =
                seen;
            let called = names.function(scope, &reference).map(|group| group.path.clone());
            for path in called.into_iter().chain(scope.resolve(&reference, &BTreeSet::new())) {
                match path.first().map(String::as_str) {
                    Some("input") => drop(paths.insert(path.get(1..).unwrap_or_default().to_vec())),
                    _ => paths.extend(Self::under(names, &path).iter().map(<[String]>::to_vec)),
                }
            }
        });
        Self::from_paths(paths)
    }
}
