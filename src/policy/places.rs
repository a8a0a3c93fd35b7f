//! Where in the input an expression is, by way of the variables that a body declares.

use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::Query;

use super::ast;
use super::graph::Scope;
use super::schema::Place;

/// What is known of the variables of a rule.
#[derive(Clone)]
pub(super) struct Places<'a> {
    pub(super) scope: &'a Scope<'a>,
    schema: &'a serde_json::Value,
    variables: BTreeMap<&'a str, Place<'a>>,
}

impl<'a> Places<'a> {
    /// Where the variables of `queries` are, such as `action` in `some action in input.actions`.
    pub(super) fn of(scope: &'a Scope<'a>, schema: &'a serde_json::Value, queries: &[&'a Query]) -> Self {
        let mut places = Self { scope, schema, variables: BTreeMap::new() };
        queries.iter().for_each(|query| places.add(query));
        places
    }

    /// Learns the variables of `query`.
    pub(super) fn add(&mut self, query: &'a Query) {
        for statement in &query.stmts {
            let (name, place) = match &statement.literal {
                Literal::SomeIn { value, collection, .. } => {
                    let Expr::Var { span, .. } = &**value else { continue };
                    (span.text(), self.of_expr(collection).map(Place::item))
                }
                Literal::Every { value, domain, .. } => (value.text(), self.of_expr(domain).map(Place::item)),
                Literal::Expr { expr, .. } => {
                    let Expr::AssignExpr { lhs, rhs, .. } = &**expr else { continue };
                    let Expr::Var { span, .. } = &**lhs else { continue };
                    (span.text(), self.of_expr(rhs))
                }
                Literal::SomeVars { .. } | Literal::NotExpr { .. } => continue,
            };
            // A variable that has a value at all has one.
            self.variables.extend(place.map(|place| (name, Place { optional: false, ..place })));
        }
    }

    /// Where in the input `expr` is, if it is a reference into it.
    pub(super) fn of_expr(&self, expr: &Expr) -> Option<Place<'a>> {
        match expr {
            Expr::Var { span, .. } => match (self.variables.get(span.text()), self.scope.imports.get(span.text())) {
                (Some(place), _) => Some(*place),
                (None, _) if span.text() == "input" => Some(Place::root(self.schema)),
                (None, Some(path)) if path.first().is_some_and(|root| root == "input") => {
                    let start = Place::root(self.schema);
                    Some(path.iter().skip(1).fold(start, |place, name| place.name(name)))
                }
                (None, _) => None,
            },
            Expr::RefDot { refr, field, .. } => Some(self.of_expr(refr)?.name(field.0.text())),
            Expr::RefBrack { refr, index, .. } => {
                let place = self.of_expr(refr)?;
                Some(match &**index {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => {
                        place.name(value.as_string().map_or("", |name| name))
                    }
                    Expr::Number { value, .. } => place.index(value.as_u64().ok()),
                    _ => place.any(),
                })
            }
            _ => None,
        }
    }
}

/// A reference as text, always in the same form.
pub(super) fn normal(expr: &Expr, scope: &Scope<'_>) -> String {
    match expr {
        Expr::Var { span, .. } => match scope.imports.get(span.text()) {
            Some(path) => path.join("."),
            None => span.text().to_owned(),
        },
        Expr::RefDot { refr, field, .. } => format!("{}.{}", normal(refr, scope), field.0.text()),
        Expr::RefBrack { refr, index, .. } => match &**index {
            Expr::String { value, .. } | Expr::RawString { value, .. } if is_plain(value) => {
                format!("{}.{}", normal(refr, scope), value.as_string().map_or("", |name| name))
            }
            index => format!("{}[{}]", normal(refr, scope), ast::text(index.span())),
        },
        other => other.span().text().to_owned(),
    }
}

/// True for names that can stand behind a dot.
fn is_plain(name: &Value) -> bool {
    name.as_string().is_ok_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}
