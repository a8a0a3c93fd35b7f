//! What rules say about one another, about the data beside them, and about who may approve.

use std::collections::BTreeMap;

use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::Query;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::Finding;
use crate::policy::ast;
use crate::policy::ast::Path;
use crate::policy::ast::Reference;
use crate::policy::ast::Seen;
use crate::policy::entries::Entry;
use crate::policy::error::LoadError;
use crate::policy::graph::Names;
use crate::policy::graph::Scope;
use crate::policy::heads;
use crate::policy::inspection::Inspection;
use crate::policy::rules::RuleKind;

/// Looks at all rules together.
pub(super) fn check(inspection: &Inspection, findings: &mut Vec<Finding>) {
    let entries = inspection.entries();
    let names = Names::of(&inspection.modules);
    conflicts(&entries, findings);
    shadowed(&entries, findings);
    entries.iter().for_each(|entry| {
        shapes(entry, inspection, findings);
        helpers(entry, &names, findings);
    });
    unused_data(inspection, findings);
}

/// One name for two rules that ask for different things: nobody can tell from a log, an approval
/// or a document which one it was.
fn conflicts(entries: &[Entry<'_>], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(RuleKind, &str), &Entry<'_>> = BTreeMap::new();
    // One in shadow mode may well be what another is to become.
    for entry in entries.iter().filter(|entry| !entry.shadow) {
        let Some(name) = entry.name().filter(|_| entry.constants.contains_key("rule")) else { continue };
        let Some(first) = seen.get(&(entry.kind, name)) else {
            seen.insert((entry.kind, name), entry);
            continue;
        };
        let keys = entry.constants.keys().chain(first.constants.keys()).filter(|key| *key != "reason");
        let mut differing: Vec<&str> = keys
            .filter(|key| {
                let is_dynamic = entry.dynamic.contains(key) || first.dynamic.contains(key);
                !is_dynamic && entry.constants.get(*key) != first.constants.get(*key)
            })
            .map(String::as_str)
            .collect();
        differing.sort_unstable();
        differing.dedup();
        if differing.is_empty() || first.file() == entry.file() {
            continue;
        }
        let message = format!(
            "{} rule `{name}` is also in {}:{}, with another `{}`",
            entry.kind,
            first.file(),
            first.line(),
            differing.join("`, `")
        );
        let error = ast::error_at(entry.rule.span(), message);
        findings.push(Finding::warning(
            "conflict",
            error.hint("where both apply, the stricter one of each counts; give one of them another name"),
        ));
    }
}

/// A deny without a condition leaves nothing for anybody else to decide.
fn shadowed(entries: &[Entry<'_>], findings: &mut Vec<Finding>) {
    let unconditional = entries.iter().find(|entry| {
        let Rule::Spec { bodies, .. } = entry.rule else { return false };
        let is_true = |query: &Query| query.stmts.iter().all(is_true);
        let is_whole = entry.dynamic.is_empty() && matches!(entry.object, Some(Expr::Object { .. }));
        entry.kind == RuleKind::Deny
            && !entry.shadow
            && is_whole
            && (bodies.is_empty() || bodies.iter().any(|body| is_true(&body.query)))
    });
    let Some(deny) = unconditional else { return };
    for entry in entries.iter().filter(|entry| entry.kind != RuleKind::Deny && !entry.shadow) {
        let message = format!(
            "this {} never matters: `{}` in {}:{} denies every call",
            entry.kind,
            deny.label(),
            deny.file(),
            deny.line()
        );
        findings.push(Finding::warning("unreachable", ast::error_at(entry.rule.span(), message)));
    }
}

fn is_true(statement: &regorus::unstable::LiteralStmt) -> bool {
    let Literal::Expr { expr, .. } = &statement.literal else { return false };
    matches!(&**expr, Expr::Bool { value, .. } if *value == regorus::Value::Bool(true))
}

/// What is wrong with obligations that are not constant as a whole: the loader only looks at those
/// that are.
fn shapes(entry: &Entry<'_>, inspection: &Inspection, findings: &mut Vec<Finding>) {
    let Some(Expr::Object { fields, .. }) = entry.object else { return };
    for (_, key, value) in fields {
        let Some(key) = ast::constant(key).and_then(|key| key.as_string().map(|key| key.to_string()).ok()) else {
            continue;
        };
        if ast::constant(value).is_some() {
            continue;
        }
        let is_list = matches!(key.as_str(), "reviewers" | "channels" | "log" | "escalate" | "redact");
        let is_object = key == "grant";
        let wrong = match &**value {
            Expr::Array { .. } | Expr::ArrayCompr { .. } => !is_list,
            Expr::Object { .. } | Expr::ObjectCompr { .. } => !is_object,
            Expr::Set { .. } | Expr::SetCompr { .. } => true,
            _ => false,
        };
        if wrong {
            let expected = if is_list {
                "a list"
            } else if is_object {
                "an object"
            } else {
                "a single value"
            };
            let error = ast::error_at(value.span(), format!("`{key}` must be {expected}"));
            findings.push(Finding::error("wrong-type", error));
        }
        if let (Expr::Array { items, .. }, "reviewers") = (&**value, key.as_str()) {
            items.iter().for_each(|item| group(item, inspection, findings));
        }
    }
}

/// A reviewer whose group is constant and not in the configuration.
fn group(item: &Expr, inspection: &Inspection, findings: &mut Vec<Finding>) {
    let Expr::Object { fields, .. } = item else { return };
    for (_, key, value) in fields {
        let is_group = ast::constant(key).is_some_and(|key| key == regorus::Value::from("group"));
        let Some(name) = ast::constant(value).filter(|_| is_group) else { continue };
        let Ok(name) = name.as_string() else { continue };
        if !inspection.settings.groups.contains(name) {
            let known: Vec<&str> = inspection.settings.groups.iter().map(String::as_str).collect();
            let message =
                format!("there is no reviewer group `{name}`; the configuration has `{}`", known.join("`, `"));
            findings.push(Finding::error("unknown-group", ast::error_at(value.span(), message)));
        }
    }
}

/// A helper in the head of a deny or hold that may have no value: then the rule does not apply.
fn helpers(entry: &Entry<'_>, names: &Names<'_>, findings: &mut Vec<Finding>) {
    let Some(object) = entry.object.filter(|_| entry.kind != RuleKind::Allow) else { return };
    let scope = Scope::of(entry.module);
    let locals = ast::locals(entry.rule);
    let mut todo = vec![object];
    while let Some(expr) = todo.pop() {
        heads::children(expr, &mut |child| todo.push(child));
        let (path, reference) = match expr {
            Expr::Call { fcn, .. } => {
                let Some(reference) = Reference::of(fcn) else { continue };
                (names.function(&scope, &reference).map(|group| group.path.clone()), reference)
            }
            Expr::Var { .. } | Expr::RefDot { .. } => {
                let Some(reference) = Reference::of(expr) else { continue };
                (scope.resolve(&reference, &locals), reference)
            }
            _ => continue,
        };
        let Some(group) = path.as_ref().and_then(|path| names.group(path)) else { continue };
        if group.rules.iter().all(|(_, rule)| is_conditional(rule)) {
            let name = reference.dotted().unwrap_or_default();
            let message = format!("where `{name}` has no value, this rule silently does not apply");
            let error = ast::error_at(reference.span, message).over(&name);
            findings.push(Finding::warning(
                "maybe-undefined",
                error.hint(format!("give it a default: `default {name} := …`")),
            ));
        }
    }
}

fn is_conditional(rule: &Rule) -> bool {
    match rule {
        Rule::Default { .. } => false,
        Rule::Spec { head: RuleHead::Set { .. }, .. } => false,
        Rule::Spec { bodies, .. } => {
            !bodies.is_empty() && bodies.iter().all(|body| !body.query.stmts.iter().all(is_true))
        }
    }
}

/// Data that no rule looks at: often a file in the wrong folder, whose entries then count for
/// nothing.
fn unused_data(inspection: &Inspection, findings: &mut Vec<Finding>) {
    let mut read: Vec<Path> = Vec::new();
    for module in &inspection.modules {
        let scope = Scope::of(module);
        for rule in &module.policy {
            let locals = ast::locals(rule);
            ast::walk(rule, &mut |seen| {
                let (Seen::Reference(reference) | Seen::Call { function: reference, .. } | Seen::Replaced(reference)) =
                    seen;
                read.extend(
                    scope.resolve(&reference, &locals).filter(|path| path.first().is_some_and(|root| root == "data")),
                );
            });
        }
    }
    for source in &inspection.data {
        let folders = source.path.rsplit_once('/').map_or("", |(folders, _)| folders);
        let folders = folders.split('/').filter(|folder| !folder.is_empty() && *folder != ".");
        let base: Path = std::iter::once("data").chain(folders).map(str::to_owned).collect();
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&source.text) else { continue };
        for name in fields.keys() {
            let mut path = base.clone();
            path.push(name.clone());
            let is_read = read.iter().any(|read| read.iter().zip(&path).all(|(read, name)| read == name));
            if !is_read {
                let message = format!("no rule looks at `{}`", path.join("."));
                findings.push(Finding::warning("unused-data", LoadError::of_file(&source.path, message)));
            }
        }
    }
}
