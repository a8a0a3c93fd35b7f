//! The rules that a policy has, for lists and documents.

use std::fmt;

use regorus::unstable::AssignOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::annotations;
use super::ast;
use super::ast::Path;
use super::error::LoadError;
use super::obligations;
use super::obligations::NO_REVIEWERS;
use super::obligations::Obligations;
use super::obligations::UNNAMED;
use super::settings::Settings;
use super::shadow::Shadowed;
use crate::model::ShadowEffect;

/// One rule whose name is constant in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The set that it adds to.
    pub kind: RuleKind,
    /// Its name.
    pub name: String,
    /// The title of its METADATA comment.
    pub title: Option<String>,
    /// The file it is in.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// True if it is only recorded, and has no effect.
    pub shadow: bool,
}

/// The three sets that rules add to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleKind {
    /// Calls that must not leave.
    Deny,
    /// Calls that people have to approve.
    Hold,
    /// Calls that may leave at once.
    Allow,
}

impl RuleKind {
    /// The sets, the strictest first.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Hold, Self::Allow];

    /// The set's name: `deny`, `hold` or `allow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Hold => "hold",
            Self::Allow => "allow",
        }
    }

    /// The path that regorus evaluates.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Deny => "data.holdpoint.deny",
            Self::Hold => "data.holdpoint.hold",
            Self::Allow => "data.holdpoint.allow",
        }
    }

    /// What a rule of this set would do, were it not in shadow mode.
    pub(super) fn shadow_effect(self) -> ShadowEffect {
        match self {
            Self::Deny => ShadowEffect::Deny,
            Self::Hold => ShadowEffect::Hold,
            Self::Allow => ShadowEffect::Allow,
        }
    }

    /// The set that a rule of `path` is about, if any.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let [data, package, name, ..] = path.as_slice() else { return None };
        Self::ALL.into_iter().find(|kind| data == "data" && package == "holdpoint" && name == kind.as_str())
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Lists the rules of `modules`, and checks what is constant in the objects that they add.
pub(super) fn read(
    modules: &[Ref<Module>],
    shadowed: &Shadowed,
    settings: &Settings,
    errors: &mut Vec<LoadError>,
) -> Vec<RuleInfo> {
    let mut rules = Vec::new();
    for module in modules {
        let package = ast::package(module);
        for rule in &module.policy {
            let Some(kind) = RuleKind::of(&ast::rule_path(&package, rule)) else { continue };
            let span = rule.span();
            let comment =
                annotations::comments(span.source.get_contents()).into_iter().find(|at| at.about == span.line);
            let title = comment.and_then(|comment| match comment.read() {
                Ok(said) => said.title,
                Err(text) => {
                    errors.push(comment.error(&span.source, &text));
                    None
                }
            });
            let Some(object) = object(rule) else { continue };
            let name = check(kind, object, settings, errors);
            if let Some(name) = name {
                let (file, line) = (span.source.get_path().clone(), span.line);
                rules.push(RuleInfo { kind, name, title, file, line, shadow: shadowed.has(rule) });
            }
        }
    }
    rules
}

/// What a rule adds to its set: the term of its head, or what the body says that a variable is.
pub(super) fn object(rule: &Rule) -> Option<&Expr> {
    let Rule::Spec { head: RuleHead::Set { key: Some(key), .. }, bodies, .. } = rule else { return None };
    let Expr::Var { span: name, .. } = &**key else { return Some(key) };
    let statements = bodies.iter().flat_map(|body| &body.query.stmts);
    statements
        .filter_map(|statement| match &statement.literal {
            Literal::Expr { expr, .. } => match &**expr {
                Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => Some((&**lhs, &**rhs)),
                _ => None,
            },
            _ => None,
        })
        .find(|(lhs, _)| matches!(lhs, Expr::Var { span, .. } if span.text() == name.text()))
        .map(|(_, rhs)| rhs)
}

/// Checks what is constant in `object`, and returns the rule's name if that is.
fn check(kind: RuleKind, object: &Expr, settings: &Settings, errors: &mut Vec<LoadError>) -> Option<String> {
    let Expr::Object { fields, span, .. } = object else {
        if let Some(value) = ast::constant(object) {
            let message = Obligations::read(kind, &value, settings).err().map(|error| error.message);
            errors.extend(message.map(|message| ast::error_at(object.span(), message)));
        }
        return None;
    };
    let mut scratch = Obligations::default();
    let mut keys = Vec::new();
    for (_, key, value) in fields {
        let Some(name) = ast::constant(key) else {
            keys.push(None);
            continue;
        };
        if let Some(constant) = ast::constant(value) {
            if let Err(message) = scratch.set(kind, &name, &constant, settings) {
                errors.push(ast::error_at(value.span(), message));
            }
        } else if let Err(message) = obligations::known(kind, &name) {
            errors.push(ast::error_at(key.span(), message));
        }
        keys.push(Some(name.to_string()));
    }
    if let Err(message) = scratch.fits_together() {
        errors.push(ast::error_at(span, message));
    }
    let has = |key: &str| keys.iter().any(|name| name.as_deref().is_none_or(|name| name == format!("\"{key}\"")));
    if kind == RuleKind::Hold && !has("reviewers") && settings.default_reviewers.is_empty() {
        errors.push(ast::error_at(span, NO_REVIEWERS));
    }
    if has("rule") { scratch.rule } else { Some(UNNAMED.to_owned()) }
}
