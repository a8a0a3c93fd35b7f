//! Shadow mode: rules that are asked, recorded and counted, and have no effect.
//!
//! The sets that decide are evaluated without them, so that no rule can see one, and none that
//! fails can refuse a call: before the policy is compiled, a rule in shadow mode gets the name of
//! another set, which is asked on its own. That is why it has to say so in the source, and not by
//! a value that is computed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::unstable::Expr;
use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;

use super::annotations;
use super::annotations::Comment;
use super::ast;
use super::error::LoadError;
use super::load::Source;
use super::obligations::Enforce;
use super::obligations::enforce;
use super::rules;
use super::rules::RuleKind;

/// What the names of sets in shadow mode begin with.
const PREFIX: &str = "__shadow_";

/// A rule in a file in shadow mode may say `full`, and whether it does has to be seen before it is asked.
const UNPLAIN: &str = "write the object of a rule in shadow mode out, so that it is plain whether it says `enforce`";

/// Which rules are in shadow mode.
#[derive(Default)]
pub(super) struct Shadowed {
    /// The sets that decide, of those that some rule adds to.
    pub(super) enforced: BTreeSet<RuleKind>,
    /// The sets that rules in shadow mode add to.
    pub(super) kinds: BTreeSet<RuleKind>,
    /// Where the name of each such rule's set stands, by file.
    heads: BTreeMap<String, BTreeSet<(usize, usize)>>,
}

impl Shadowed {
    /// Finds them.
    pub(super) fn find(modules: &[Ref<Module>], errors: &mut Vec<LoadError>) -> Self {
        let mut found = Self::default();
        for module in modules {
            let span = &module.package.span;
            let comments = annotations::comments(span.source.get_contents());
            let mut used = BTreeSet::new();
            let of_file = said(&comments, span.line, module, &mut used, errors);
            let package = ast::package(module);
            for rule in &module.policy {
                let path = ast::rule_path(&package, rule);
                if path.iter().any(|name| name.starts_with(PREFIX)) {
                    errors
                        .push(ast::error_at(rule.span(), format!("names that begin with `{PREFIX}` are Holdpoint's")));
                }
                let Some(kind) = RuleKind::of(&path) else { continue };
                let of_rule = said(&comments, rule.span().line, module, &mut used, errors);
                let own = own(rule, errors);
                let enforce = own.or(of_rule).or(of_file).unwrap_or_default();
                let is_plain = matches!(rules::object(rule), Some(Expr::Object { .. }));
                if own.is_none() && enforce == Enforce::Shadow && !is_plain {
                    errors.push(ast::error_at(rule.span(), UNPLAIN));
                }
                found.note(kind, rule, enforce);
            }
            unused(&comments, &used, module, errors);
        }
        found
    }

    fn note(&mut self, kind: RuleKind, rule: &Rule, enforce: Enforce) {
        let Some(head) = ast::head(rule).filter(|_| enforce == Enforce::Shadow) else {
            self.enforced.insert(kind);
            return;
        };
        self.kinds.insert(kind);
        let place = (head.span.start as usize, head.span.end as usize);
        self.heads.entry(head.span.source.get_path().clone()).or_default().insert(place);
    }

    /// True if `rule` is in shadow mode.
    pub(super) fn has(&self, rule: &Rule) -> bool {
        let Some(head) = ast::head(rule) else { return false };
        let places = self.heads.get(head.span.source.get_path());
        places.is_some_and(|places| places.contains(&(head.span.start as usize, head.span.end as usize)))
    }

    /// The sources with the rules in shadow mode in sets of their own.
    pub(super) fn apart(&self, rego: &[&Source]) -> Vec<Source> {
        let mut apart: Vec<Source> = rego.iter().map(|source| self.renamed(source)).collect();
        // Other rules may look at a set that has no rule of its own left.
        for kind in self.kinds.difference(&self.enforced) {
            let text = format!("package holdpoint\n\n{kind} contains {{}} if false\n");
            apart.push(Source { path: format!("{PREFIX}{kind}.rego"), text });
        }
        apart
    }

    fn renamed(&self, source: &Source) -> Source {
        let mut text = source.text.clone();
        // From the back, so that the places of the others stay true.
        for (start, _) in self.heads.get(&source.path).into_iter().flatten().rev() {
            if text.is_char_boundary(*start) {
                text.insert_str(*start, PREFIX);
            }
        }
        Source { path: source.path.clone(), text }
    }
}

/// The path of the set of `kind` that rules in shadow mode add to.
pub(super) fn path(kind: RuleKind) -> String {
    format!("data.holdpoint.{PREFIX}{kind}")
}

/// What the comment right above `line` says.
fn said(
    comments: &[Comment],
    line: u32,
    module: &Module,
    used: &mut BTreeSet<u32>,
    errors: &mut Vec<LoadError>,
) -> Option<Enforce> {
    let comment = comments.iter().find(|comment| comment.about == line)?;
    used.insert(comment.line);
    let read = comment.enforce().and_then(|word| word.map(|word| enforce(&regorus::Value::from(word))).transpose());
    read.unwrap_or_else(|message| {
        errors.push(at(module, comment, message));
        None
    })
}

/// A comment that stands elsewhere would silently leave its rule in force.
fn unused(comments: &[Comment], used: &BTreeSet<u32>, module: &Module, errors: &mut Vec<LoadError>) {
    for comment in comments.iter().filter(|comment| !used.contains(&comment.line)) {
        if !matches!(comment.enforce(), Ok(None)) {
            let message = "this METADATA says how to enforce, and is not right above a rule of `deny`, `hold` or `allow`, or above `package`";
            errors.push(at(module, comment, message.to_owned()));
        }
    }
}

fn at(module: &Module, comment: &Comment, message: String) -> LoadError {
    let source = &module.package.span.source;
    LoadError::at(source.get_path(), source.get_contents(), comment.line, 1, message)
}

/// What the object of `rule` itself says.
fn own(rule: &Rule, errors: &mut Vec<LoadError>) -> Option<Enforce> {
    let object = rules::object(rule)?;
    let Expr::Object { fields, .. } = object else { return None };
    let key = regorus::Value::from("enforce");
    let (_, _, value) = fields.iter().find(|(_, name, _)| ast::constant(name).as_ref() == Some(&key))?;
    let Some(constant) = ast::constant(value) else {
        errors.push(ast::error_at(value.span(), "`enforce` must be written as a constant"));
        return None;
    };
    // What is wrong with it is told by the check of all keys.
    enforce(&constant).ok()
}
