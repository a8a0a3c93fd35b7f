//! Conditions that are always false, so that a rule is never reached or a comparison never holds.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::BoolOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::LiteralStmt;
use regorus::unstable::Module;
use regorus::unstable::Query;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::Finding;
use crate::policy::ast;
use crate::policy::graph::Scope;
use crate::policy::places;
use crate::policy::places::Places;
use crate::policy::schema;

/// Looks at the body of every rule that is not a test.
pub(super) fn check(modules: &[Ref<Module>], findings: &mut Vec<Finding>) {
    let schema = schema::input_schema();
    for module in modules {
        let scope = Scope::of(module);
        for rule in &module.policy {
            let Rule::Spec { head, bodies, .. } = &**rule else { continue };
            for body in bodies {
                let places = Places::of(&scope, &schema, &[&body.query]);
                comparisons(&body.query, places, findings);
                if let Some(finding) = unreachable(&scope, head, &body.query) {
                    findings.push(finding);
                }
            }
        }
    }
}

/// A body that is never true.
fn unreachable(scope: &Scope<'_>, head: &RuleHead, query: &Query) -> Option<Finding> {
    let what = match head {
        RuleHead::Func { .. } => "this function never has a value",
        RuleHead::Compr { .. } | RuleHead::Set { .. } => "this rule never applies",
    };
    let mut allowed: BTreeMap<String, (BTreeSet<Value>, &LiteralStmt)> = BTreeMap::new();
    for statement in query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
        if is_false(&statement.literal) {
            let message = format!("{what}: `{}` is never true", one_line(ast::text(&statement.span)));
            return Some(Finding::warning("unreachable", ast::error_at(&statement.span, message)));
        }
        let Literal::Expr { expr, .. } = &statement.literal else { continue };
        let Some((reference, values)) = demanded(expr) else { continue };
        // `input.actions[_].kind` may be another one each time.
        let text = places::normal(reference, scope);
        if text.contains('[') {
            continue;
        }
        match allowed.get_mut(&text) {
            None => drop(allowed.insert(text, (values, statement))),
            Some((before, first)) => {
                before.retain(|value| values.contains(value));
                if before.is_empty() {
                    let message = format!(
                        "{what}: `{text}` cannot be so and also as line {} says, `{}`",
                        first.span.line,
                        one_line(ast::text(&first.span))
                    );
                    return Some(Finding::warning("unreachable", ast::error_at(&statement.span, message)));
                }
            }
        }
    }
    None
}

/// True for what is false or undefined whatever the input.
fn is_false(literal: &Literal) -> bool {
    match literal {
        Literal::Expr { expr, .. } => is_constant(expr) == Some(false),
        Literal::NotExpr { expr, .. } => is_constant(expr) == Some(true),
        Literal::SomeIn { collection, .. } => {
            let items = ast::constant(collection);
            items.is_some_and(|items| match items {
                Value::Array(items) => items.is_empty(),
                Value::Set(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                _ => true,
            })
        }
        Literal::SomeVars { .. } | Literal::Every { .. } => false,
    }
}

/// Whether a constant condition holds.
fn is_constant(expr: &Expr) -> Option<bool> {
    if let Expr::BoolExpr { op, lhs, rhs, .. } = expr {
        let (lhs, rhs) = (ast::constant(lhs)?, ast::constant(rhs)?);
        return Some(match op {
            BoolOp::Lt => lhs < rhs,
            BoolOp::Le => lhs <= rhs,
            BoolOp::Eq => lhs == rhs,
            BoolOp::Ge => lhs >= rhs,
            BoolOp::Gt => lhs > rhs,
            BoolOp::Ne => lhs != rhs,
        });
    }
    // Everything but `false` is true, even null.
    ast::constant(expr).map(|value| value != Value::Bool(false))
}

/// The reference in `reference == constant` or `reference in {constants}`, with what it may be.
fn demanded(expr: &Expr) -> Option<(&Expr, BTreeSet<Value>)> {
    match expr {
        Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => match (ast::constant(lhs), ast::constant(rhs)) {
            (None, Some(value)) if is_reference(lhs) => Some((lhs, BTreeSet::from([value]))),
            (Some(value), None) if is_reference(rhs) => Some((rhs, BTreeSet::from([value]))),
            _ => None,
        },
        Expr::Membership { key: None, value, collection, .. } if is_reference(value) => {
            Some((value, members(ast::constant(collection)?)?))
        }
        _ => None,
    }
}

fn members(collection: Value) -> Option<BTreeSet<Value>> {
    match collection {
        Value::Array(items) => Some(items.iter().cloned().collect()),
        Value::Set(items) => Some(items.iter_sorted().cloned().collect()),
        _ => None,
    }
}

fn is_reference(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. })
}

/// Comparisons with what the input can never be: a misspelt word, or a value of another type. The
/// vocabulary is closed, so such a rule silently never applies.
fn comparisons<'a>(query: &'a Query, mut places: Places<'a>, findings: &mut Vec<Finding>) {
    places.add(query);
    for statement in query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
        match &statement.literal {
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => comparison(expr, &places, findings),
            Literal::Every { query, .. } => comparisons(query, places.clone(), findings),
            Literal::SomeVars { .. } | Literal::SomeIn { .. } => {}
        }
    }
}

fn comparison(expr: &Expr, places: &Places<'_>, findings: &mut Vec<Finding>) {
    let pairs: Vec<(&Expr, &Expr)> = match expr {
        Expr::BoolExpr { op: BoolOp::Eq | BoolOp::Ne, lhs, rhs, .. } => vec![(&**lhs, &**rhs), (&**rhs, &**lhs)],
        Expr::Membership { key: None, value, collection, .. } => match &**collection {
            Expr::Set { items, .. } | Expr::Array { items, .. } => {
                items.iter().map(|item| (&**value, &**item)).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    for (reference, constant) in pairs {
        let Some(value) = ast::constant(constant).and_then(|value| serde_json::to_value(value).ok()) else { continue };
        let Some(place) = places.of_expr(reference) else { continue };
        let text = places::normal(reference, places.scope);
        let message = match wrong(place.schema, &value) {
            None => continue,
            Some(what) => format!("`{text}` is never {}: {what}", one_line(ast::text(constant.span()))),
        };
        findings.push(Finding::error("never-equal", ast::error_at(constant.span(), message)));
    }
}

/// Why a place that `schema` describes is never `value`.
fn wrong(schema: &serde_json::Value, value: &serde_json::Value) -> Option<String> {
    if let Some(words) = schema.get("enum").and_then(serde_json::Value::as_array) {
        let known: Vec<&str> = words.iter().filter_map(serde_json::Value::as_str).collect();
        return (!words.contains(value)).then(|| format!("it is one of `{}`", known.join("`, `")));
    }
    let (name, is_right) = match schema.get("type").and_then(serde_json::Value::as_str)? {
        "string" => ("a text", value.is_string()),
        "boolean" => ("true or false", value.is_boolean()),
        "integer" => ("a whole number", value.is_number()),
        "array" => ("a list", value.is_array()),
        "object" => ("an object", value.is_object()),
        _ => return None,
    };
    (!is_right).then(|| format!("it is {name}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
