//! Expressions as Rego, written anew from the syntax tree: the parser's spans do not always begin
//! where an expression does.

use regorus::unstable::ArithOp;
use regorus::unstable::AssignOp;
use regorus::unstable::BinOp;
use regorus::unstable::BoolOp;
use regorus::unstable::Expr;
use regorus::unstable::Query;
use regorus::unstable::Ref;

use super::ast;

/// `expr` as Rego, on one line unless it has a comprehension in it.
pub(super) fn source(expr: &Expr) -> String {
    match expr {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => value.to_string(),
        Expr::Number { span, .. } | Expr::Var { span, .. } => span.text().to_owned(),
        Expr::Array { items, .. } => format!("[{}]", list(items)),
        Expr::Set { items, .. } if items.is_empty() => "set()".to_owned(),
        Expr::Set { items, .. } => format!("{{{}}}", list(items)),
        Expr::Object { fields, .. } => {
            let fields = fields.iter().map(|(_, key, value)| format!("{}: {}", source(key), source(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Expr::ArrayCompr { term, query, .. } => format!("[{} | {}]", source(term), body(query)),
        Expr::SetCompr { term, query, .. } => format!("{{{} | {}}}", source(term), body(query)),
        Expr::ObjectCompr { key, value, query, .. } => {
            format!("{{{}: {} | {}}}", source(key), source(value), body(query))
        }
        Expr::Call { fcn, params, .. } => format!("{}({})", source(fcn), list(params)),
        Expr::UnaryExpr { expr, .. } => format!("-{}", inner(expr)),
        Expr::RefDot { refr, field, .. } => format!("{}.{}", source(refr), field.0.text()),
        Expr::RefBrack { refr, index, .. } => format!("{}[{}]", source(refr), source(index)),
        Expr::BinExpr { op, lhs, rhs, .. } => {
            let op = match op {
                BinOp::Intersection => "&",
                BinOp::Union => "|",
            };
            format!("{} {op} {}", inner(lhs), inner(rhs))
        }
        Expr::BoolExpr { op, lhs, rhs, .. } => {
            let op = match op {
                BoolOp::Lt => "<",
                BoolOp::Le => "<=",
                BoolOp::Eq => "==",
                BoolOp::Ge => ">=",
                BoolOp::Gt => ">",
                BoolOp::Ne => "!=",
            };
            format!("{} {op} {}", inner(lhs), inner(rhs))
        }
        Expr::ArithExpr { op, lhs, rhs, .. } => {
            let op = match op {
                ArithOp::Add => "+",
                ArithOp::Sub => "-",
                ArithOp::Mul => "*",
                ArithOp::Div => "/",
                ArithOp::Mod => "%",
            };
            format!("{} {op} {}", inner(lhs), inner(rhs))
        }
        Expr::AssignExpr { op, lhs, rhs, .. } => {
            let op = match op {
                AssignOp::Eq => "=",
                AssignOp::ColEq => ":=",
            };
            format!("{} {op} {}", source(lhs), source(rhs))
        }
        Expr::Membership { key, value, collection, .. } => {
            let key = key.iter().map(|key| format!("{}, ", inner(key))).collect::<String>();
            format!("{key}{} in {}", inner(value), inner(collection))
        }
    }
}

fn list(items: &[Ref<Expr>]) -> String {
    items.iter().map(|item| inner(item)).collect::<Vec<_>>().join(", ")
}

/// In brackets where it is made of several parts.
fn inner(expr: &Expr) -> String {
    match expr {
        Expr::BinExpr { .. }
        | Expr::BoolExpr { .. }
        | Expr::ArithExpr { .. }
        | Expr::AssignExpr { .. }
        | Expr::Membership { .. } => format!("({})", source(expr)),
        _ => source(expr),
    }
}

fn body(query: &Query) -> String {
    query.stmts.iter().map(|statement| ast::text(&statement.span)).collect::<Vec<_>>().join("\n")
}
