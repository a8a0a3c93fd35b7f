//! Reading regorus' syntax tree: one walk that shows every reference, call and `with`.
//!
//! The types come from `regorus::unstable`; the crate's version is pinned, and only this room
//! looks at them. The walk keeps its own stack, so that no source can exhaust the thread's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::ArithOp;
use regorus::unstable::AssignOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::LiteralStmt;
use regorus::unstable::Module;
use regorus::unstable::Query;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;
use regorus::unstable::Span;

use super::error::LoadError;

/// A path from `data` or `input` down, such as `["data", "holdpoint", "deny"]`.
pub(super) type Path = Vec<String>;

/// A chain such as `input.actions[i].kind`: its root, and what follows it.
pub(super) struct Reference<'a> {
    /// The root's name, if it is a name.
    pub(super) root: Option<&'a str>,
    /// What follows the root.
    pub(super) parts: Vec<Part<'a>>,
    /// Where it begins.
    pub(super) span: &'a Span,
}

/// One step of a reference.
pub(super) enum Part<'a> {
    /// A constant name: `.kind` or `["kind"]`.
    Name(&'a str),
    /// Anything else in brackets.
    Dynamic,
}

/// What the walk shows.
pub(super) enum Seen<'a> {
    /// A reference or variable that is read.
    Reference(Reference<'a>),
    /// A call of a function or builtin.
    Call {
        /// Its name.
        function: Reference<'a>,
        /// How many arguments it is given.
        arguments: usize,
    },
    /// The target of a `with`.
    Replaced(Reference<'a>),
}

impl<'a> Reference<'a> {
    /// The reference that `expr` is, if it is one.
    pub(super) fn of(expr: &'a Expr) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = expr;
        loop {
            rest = match rest {
                Expr::RefDot { refr, field, .. } => {
                    parts.push(Part::Name(field.0.text()));
                    refr
                }
                Expr::RefBrack { refr, index, .. } => {
                    parts.push(match index.as_ref() {
                        Expr::String { value: Value::String(name), .. }
                        | Expr::RawString { value: Value::String(name), .. } => Part::Name(name),
                        _ => Part::Dynamic,
                    });
                    refr
                }
                Expr::Var { span: name, .. } => {
                    parts.reverse();
                    return Some(Self { root: Some(name.text()), parts, span: name });
                }
                other => {
                    parts.reverse();
                    return (!parts.is_empty()).then_some(Self { root: None, parts, span: other.span() });
                }
            }
        }
    }

    /// The constant names from the front, as far as they go.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.parts.iter().map_while(|part| match part {
            Part::Name(name) => Some(*name),
            Part::Dynamic => None,
        })
    }

    /// Root and names joined with dots, if all of it is constant.
    pub(super) fn dotted(&self) -> Option<String> {
        let mut text = self.root?.to_owned();
        for part in &self.parts {
            let Part::Name(name) = part else { return None };
            text.push('.');
            text.push_str(name);
        }
        Some(text)
    }
}

/// How much a rule nests.
#[derive(Default)]
pub(super) struct Shape {
    /// How deep expressions and queries are nested.
    pub(super) depth: usize,
    /// How many loops there are: `some … in …`, `every`, and brackets that a variable may run through. They
    /// nest as well, wherever they stand.
    pub(super) loops: usize,
    /// How often numbers that are not constant are multiplied, a `product` counting as
    /// [`PRODUCT_COST`] times: each time there may be twice as many digits.
    pub(super) multiplications: usize,
}

/// A product of as many numbers as its builtin takes.
const PRODUCT_COST: usize = 10;

/// Shows `see` all of `rule`, and returns how much it nests.
pub(super) fn walk<'a>(rule: &'a Rule, see: &mut dyn FnMut(Seen<'a>)) -> Shape {
    let mut walk = Walk { todo: Vec::new(), depth: 0, shape: Shape::default(), see };
    walk.rule(rule);
    while let Some((node, depth)) = walk.todo.pop() {
        walk.depth = depth;
        walk.shape.depth = walk.shape.depth.max(depth);
        match node {
            Node::Expr(expr) => walk.expr(expr),
            Node::Query(query) => walk.query(query),
        }
    }
    walk.shape
}

/// Shows `see` all of one statement.
pub(super) fn walk_statement<'a>(statement: &'a LiteralStmt, see: &mut dyn FnMut(Seen<'a>)) {
    let mut walk = Walk { todo: Vec::new(), depth: 0, shape: Shape::default(), see };
    walk.statement(statement);
    while let Some((node, _)) = walk.todo.pop() {
        match node {
            Node::Expr(expr) => walk.expr(expr),
            Node::Query(query) => walk.query(query),
        }
    }
}

enum Node<'a> {
    Expr(&'a Expr),
    Query(&'a Query),
}

struct Walk<'a, 's> {
    todo: Vec<(Node<'a>, usize)>,
    depth: usize,
    shape: Shape,
    see: &'s mut dyn FnMut(Seen<'a>),
}

impl<'a> Walk<'a, '_> {
    fn later(&mut self, expr: &'a Expr) {
        self.todo.push((Node::Expr(expr), self.depth + 1));
    }

    fn later_query(&mut self, query: &'a Query) {
        self.todo.push((Node::Query(query), self.depth + 1));
    }

    fn rule(&mut self, rule: &'a Rule) {
        match rule {
            Rule::Default { value, .. } => self.later(value),
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.brackets(refr);
                        assign.iter().for_each(|assign| self.later(&assign.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.brackets(refr);
                        key.iter().for_each(|key| self.later(key));
                    }
                    RuleHead::Func { refr, args, assign, .. } => {
                        self.brackets(refr);
                        args.iter().for_each(|arg| self.later(arg));
                        assign.iter().for_each(|assign| self.later(&assign.value));
                    }
                }
                for body in bodies {
                    body.assign.iter().for_each(|assign| self.later(&assign.value));
                    self.later_query(&body.query);
                }
            }
        }
    }

    fn query(&mut self, query: &'a Query) {
        query.stmts.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &'a LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                self.shape.loops += 1;
                key.iter().for_each(|key| self.later(key));
                self.later(value);
                self.later(collection);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.later(expr),
            Literal::Every { domain, query, .. } => {
                self.shape.loops += 1;
                self.later(domain);
                self.later_query(query);
            }
        }
        for with in &statement.with_mods {
            if let Some(target) = Reference::of(&with.refr) {
                (self.see)(Seen::Replaced(target));
            }
            self.brackets(&with.refr);
            self.later(&with.r#as);
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                if let Some(reference) = Reference::of(expr) {
                    (self.see)(Seen::Reference(reference));
                }
                self.brackets(expr);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.later(item)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.later(key);
                self.later(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.later(term);
                self.later_query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.later(key);
                self.later(value);
                self.later_query(query);
            }
            Expr::Call { fcn, params, .. } => {
                if let Some(function) = Reference::of(fcn) {
                    self.shape.loops += usize::from(function.root == Some("walk"));
                    let grows =
                        function.root == Some("product") && params.iter().any(|param| constant(param).is_none());
                    self.shape.multiplications += PRODUCT_COST * usize::from(grows);
                    (self.see)(Seen::Call { function, arguments: params.len() });
                }
                self.brackets(fcn);
                // A call takes more stack than other expressions.
                self.depth += 1;
                params.iter().for_each(|param| self.later(param));
            }
            Expr::UnaryExpr { expr, .. } => self.later(expr),
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let grows = *op == ArithOp::Mul && constant(lhs).is_none() && constant(rhs).is_none();
                self.shape.multiplications += usize::from(grows);
                self.later(lhs);
                self.later(rhs);
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                self.later(lhs);
                self.later(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|key| self.later(key));
                self.later(value);
                self.later(collection);
            }
        }
    }

    /// What stands in the brackets of a reference, and a root that is more than a name.
    fn brackets(&mut self, expr: &'a Expr) {
        let mut rest = expr;
        loop {
            rest = match rest {
                Expr::RefDot { refr, .. } => refr,
                Expr::RefBrack { refr, index, .. } => {
                    self.shape.loops += usize::from(constant(index).is_none());
                    self.later(index);
                    refr
                }
                Expr::Var { .. } => return,
                other => return self.later(other),
            }
        }
    }
}

/// The names that `rule` declares for itself: arguments, `some`, `every` and `:=`. They hide rules
/// of the same name.
pub(super) fn locals(rule: &Rule) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let Rule::Spec { head, bodies, .. } = rule else { return names };
    let mut todo = Vec::new();
    if let RuleHead::Func { args, assign, .. } = head {
        args.iter().for_each(|arg| declare(arg, &mut names));
        todo.extend(assign.iter().map(|assign| Node::Expr(&assign.value)));
    }
    match head {
        RuleHead::Compr { assign, .. } => todo.extend(assign.iter().map(|assign| Node::Expr(&assign.value))),
        RuleHead::Set { key, .. } => todo.extend(key.iter().map(|key| Node::Expr(key))),
        RuleHead::Func { .. } => {}
    }
    for body in bodies {
        todo.push(Node::Query(&body.query));
        todo.extend(body.assign.iter().map(|assign| Node::Expr(&assign.value)));
    }
    while let Some(node) = todo.pop() {
        match node {
            Node::Query(query) => declarations(query, &mut names, &mut todo),
            Node::Expr(expr) => inside(expr, &mut names, &mut todo),
        }
    }
    names
}

/// The names that `statement` declares, in comprehensions as well.
pub(super) fn declared(statement: &LiteralStmt) -> BTreeSet<&str> {
    let (mut names, mut todo) = (BTreeSet::new(), Vec::new());
    declares(statement, &mut names, &mut todo);
    while let Some(node) = todo.pop() {
        match node {
            Node::Query(query) => declarations(query, &mut names, &mut todo),
            Node::Expr(expr) => inside(expr, &mut names, &mut todo),
        }
    }
    names
}

fn declarations<'a>(query: &'a Query, names: &mut BTreeSet<&'a str>, todo: &mut Vec<Node<'a>>) {
    query.stmts.iter().for_each(|statement| declares(statement, names, todo));
}

fn declares<'a>(statement: &'a LiteralStmt, names: &mut BTreeSet<&'a str>, todo: &mut Vec<Node<'a>>) {
    match &statement.literal {
        Literal::SomeVars { vars, .. } => names.extend(vars.iter().map(|name| name.text())),
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().for_each(|key| declare(key, names));
            declare(value, names);
            todo.push(Node::Expr(collection));
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => todo.push(Node::Expr(expr)),
        Literal::Every { key, value, domain, query, .. } => {
            names.extend(key.iter().map(|name| name.text()));
            names.insert(value.text());
            todo.push(Node::Expr(domain));
            todo.push(Node::Query(query));
        }
    }
    todo.extend(statement.with_mods.iter().map(|with| Node::Expr(&with.r#as)));
}

/// Looks for declarations inside of `expr`, which are in the queries of its comprehensions.
fn inside<'a>(expr: &'a Expr, names: &mut BTreeSet<&'a str>, todo: &mut Vec<Node<'a>>) {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
        Expr::RefDot { refr, .. } => todo.push(Node::Expr(refr)),
        Expr::RefBrack { refr, index, .. } => todo.extend([Node::Expr(refr), Node::Expr(index)]),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            todo.extend(items.iter().map(|item| Node::Expr(item)));
        }
        Expr::Object { fields, .. } => {
            todo.extend(fields.iter().flat_map(|(_, key, value)| [Node::Expr(key), Node::Expr(value)]));
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            todo.extend([Node::Expr(term), Node::Query(query)]);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            todo.extend([Node::Expr(key), Node::Expr(value), Node::Query(query)]);
        }
        Expr::Call { params, .. } => todo.extend(params.iter().map(|param| Node::Expr(param))),
        Expr::UnaryExpr { expr, .. } => todo.push(Node::Expr(expr)),
        Expr::AssignExpr { op, lhs, rhs, .. } => {
            if *op == AssignOp::ColEq {
                declare(lhs, names);
            }
            todo.extend([Node::Expr(lhs), Node::Expr(rhs)]);
        }
        Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
            todo.extend([Node::Expr(lhs), Node::Expr(rhs)]);
        }
        Expr::Membership { key, value, collection, .. } => {
            todo.extend(key.iter().map(|key| Node::Expr(key)));
            todo.extend([Node::Expr(value), Node::Expr(collection)]);
        }
    }
}

/// The variables of a pattern such as `[key, {"name": name}]`.
fn declare<'a>(pattern: &'a Expr, names: &mut BTreeSet<&'a str>) {
    let mut todo = vec![pattern];
    while let Some(pattern) = todo.pop() {
        match pattern {
            Expr::Var { span, .. } => drop(names.insert(span.text())),
            Expr::Array { items, .. } => todo.extend(items.iter().map(|item| &**item)),
            Expr::Object { fields, .. } => todo.extend(fields.iter().map(|(_, _, value)| &**value)),
            _ => {}
        }
    }
}

/// The value of `expr`, if it is constant.
pub(super) fn constant(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::String { value, .. }
        | Expr::RawString { value, .. }
        | Expr::Number { value, .. }
        | Expr::Bool { value, .. }
        | Expr::Null { value, .. } => Some(value.clone()),
        Expr::Array { items, .. } => {
            items.iter().map(|item| constant(item)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        Expr::Set { items, .. } => {
            items.iter().map(|item| constant(item)).collect::<Option<BTreeSet<_>>>().map(Value::from)
        }
        Expr::Object { fields, .. } => fields
            .iter()
            .map(|(_, key, value)| Some((constant(key)?, constant(value)?)))
            .collect::<Option<BTreeMap<_, _>>>()
            .map(Value::from),
        _ => None,
    }
}

/// The path of `module`'s package, with its `data`.
pub(super) fn package(module: &Module) -> Path {
    let mut path = vec!["data".to_owned()];
    if let Some(reference) = Reference::of(&module.package.refr) {
        path.extend(reference.root.map(str::to_owned));
        path.extend(reference.names().map(str::to_owned));
    }
    path
}

/// What the imports of `module` stand for, by alias.
pub(super) fn imports(module: &Module) -> BTreeMap<&str, Path> {
    let mut aliases = BTreeMap::new();
    for import in &module.imports {
        let Some(reference) = Reference::of(&import.refr) else { continue };
        let Some(root) = reference.root.filter(|root| matches!(*root, "data" | "input")) else { continue };
        let path: Vec<&str> = std::iter::once(root).chain(reference.names()).collect();
        let last = path.last().copied().unwrap_or(root);
        let alias = import.r#as.as_ref().map_or(last, |alias| alias.text());
        aliases.insert(alias, path.into_iter().map(str::to_owned).collect());
    }
    aliases
}

/// The head of a rule: the reference that names it, with the span.
pub(super) fn head(rule: &Rule) -> Option<Reference<'_>> {
    Reference::of(match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
    })
}

/// The path of a rule, as far as its head is constant.
pub(super) fn rule_path(package: &Path, rule: &Rule) -> Path {
    let mut path = package.clone();
    if let Some(reference) = head(rule) {
        path.extend(reference.root.map(str::to_owned));
        path.extend(reference.names().map(str::to_owned));
    }
    path
}

/// The source of `span`. The parser's spans leave out the quotes of a text that they begin or end with.
pub(super) fn text(span: &Span) -> &str {
    let source = span.source.get_contents().as_str();
    let (start, end) = (span.start as usize, span.end as usize);
    let is_quote =
        |at: Option<usize>| at.and_then(|at| source.as_bytes().get(at)).is_some_and(|byte| b"\"`".contains(byte));
    let before = usize::from(is_quote(start.checked_sub(1)));
    let after = usize::from(is_quote(Some(end)));
    source.get(start - before..end + after).unwrap_or_default()
}

/// An error at `span`.
pub(super) fn error_at(span: &Span, message: impl Into<String>) -> LoadError {
    LoadError::at(span.source.get_path(), span.source.get_contents(), span.line, span.col, message).over(span.text())
}
