//! Heads of rules that would not say what their authors mean: names that nothing defines, and, in
//! `deny` and `hold`, input that may not be there.
//!
//! A head that is undefined adds nothing to its set, whatever its body says. With
//! `deny contains {"reason": input.context.reason}` the agent only has to leave the reason out, and
//! the rule is gone. That is a way around a policy, so it is refused when the policy is loaded and
//! not merely remarked on: a remark is seen by whoever runs `policy check`, and the loader by all.
//! An `allow` whose head is undefined allows less, and is let be.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::unstable::AssignOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::Module;
use regorus::unstable::Query;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::ast::Reference;
use super::error::LoadError;
use super::graph::Names;
use super::graph::Scope;
use super::places;
use super::places::Places;
use super::reads::InputPaths;
use super::rules::RuleKind;
use super::schema;

/// Checks the heads of all rules but tests.
pub(super) fn check(modules: &[Ref<Module>], names: &Names<'_>, errors: &mut Vec<LoadError>) {
    let schema = schema::input_schema();
    for module in modules.iter().filter(|module| !super::check::is_test(module.package.span.source.get_path())) {
        let scope = Scope::of(module);
        for rule in &module.policy {
            undefined(&scope, names, rule, errors);
            let kind = RuleKind::of(&ast::rule_path(&scope.package, rule));
            let Rule::Spec { head: RuleHead::Set { key: Some(key), .. }, bodies, .. } = &**rule else { continue };
            if matches!(kind, Some(RuleKind::Deny | RuleKind::Hold)) {
                let queries: Vec<&Query> = bodies.iter().map(|body| &*body.query).collect();
                Head { scope: &scope, names, schema: &schema, key, queries: &queries }.optional(errors);
            }
        }
    }
}

/// Finds names in the head that are neither variables of the body nor rules. regorus notices them
/// only once the rule matches, and then the call is refused.
fn undefined(scope: &Scope<'_>, names: &Names<'_>, rule: &Rule, errors: &mut Vec<LoadError>) {
    let Rule::Spec { head, bodies, .. } = rule else { return };
    let mut bound = BTreeSet::new();
    let mut heads = Vec::new();
    match head {
        RuleHead::Compr { refr, assign, .. } => {
            brackets(refr, &mut heads);
            heads.extend(assign.iter().map(|assign| &*assign.value));
        }
        RuleHead::Set { refr, key, .. } => {
            brackets(refr, &mut heads);
            heads.extend(key.iter().map(|key| &**key));
        }
        RuleHead::Func { args, assign, .. } => {
            args.iter().for_each(|arg| variables(arg, &mut bound));
            heads.extend(assign.iter().map(|assign| &*assign.value));
        }
    }
    heads.extend(bodies.iter().flat_map(|body| &body.assign).map(|assign| &*assign.value));
    bodies.iter().for_each(|body| query_variables(&body.query, &mut bound));
    for head in heads {
        // What a comprehension declares is its own.
        let mut bound = bound.clone();
        nested(head, &mut |query, terms| {
            query_variables(query, &mut bound);
            terms.iter().for_each(|term| variables(term, &mut bound));
        });
        each_reference(head, &mut |reference, is_call| {
            // Whether there is such a function is looked at with all other calls.
            let is_unbound = |root: &&str| !is_call && !bound.contains(root);
            let Some(root) = reference.root.filter(is_unbound) else { return };
            let known = matches!(root, "input" | "data" | "_") || scope.imports.contains_key(root);
            let path = scope.resolve(&reference, &BTreeSet::new());
            if known || path.is_some_and(|path| names.touches(&path)) {
                return;
            }
            let message = format!("nothing defines `{root}`");
            let hint = format!("give it a value in the body, as in `{root} := …`, or write \"{root}\" if it is a text");
            errors.push(ast::error_at(reference.span, message).hint(hint));
        });
    }
}

/// What stands in the brackets of a head such as `names[key]`.
pub(super) fn brackets<'a>(refr: &'a Expr, found: &mut Vec<&'a Expr>) {
    let mut rest = refr;
    loop {
        rest = match rest {
            Expr::RefDot { refr, .. } => refr,
            Expr::RefBrack { refr, index, .. } => {
                found.push(index);
                refr
            }
            _ => return,
        }
    }
}

/// The head of one `deny` or `hold`.
struct Head<'a> {
    scope: &'a Scope<'a>,
    names: &'a Names<'a>,
    schema: &'a serde_json::Value,
    key: &'a Expr,
    queries: &'a [&'a Query],
}

impl<'a> Head<'a> {
    /// Finds input in the head that may not be there and that the body does not ask for.
    fn optional(&self, errors: &mut Vec<LoadError>) {
        let places = Places::of(self.scope, self.schema, self.queries);
        let (carried, wanted) = self.body();
        let mut told = |expr: &Expr| {
            if places.of_expr(expr).is_none_or(|place| !place.optional) {
                return;
            }
            let path = places::normal(expr, self.scope);
            let is_wanted = |asked: &String| {
                let rest = asked.strip_prefix(path.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let is_given = |asked: &String| asked.strip_suffix('*').is_some_and(|root| root == root_of(&path));
            if wanted.iter().any(|asked| is_wanted(asked) || is_given(asked)) || self.helper_reads(&path) {
                return;
            }
            let message = format!("`{path}` may be absent, and then this rule silently does not apply");
            let start = Reference::of(expr).map_or(expr.span(), |reference| reference.span);
            let text = start.source.get_contents().get(start.start as usize..expr.span().end as usize);
            let error = ast::error_at(start, message).over(text.unwrap_or_default());
            errors.push(error.hint(advice(expr, &places)));
        };
        outermost(self.key, &mut told);
        for (name, value) in &carried {
            if mentions(self.key, name) {
                outermost(value, &mut told);
            }
        }
    }

    /// What the body only carries to the head (`why := input.context.reason`), and what it asks for:
    /// references that have to be there for it to be true, and, with a `*`, variables that it
    /// gives to a function.
    fn body(&self) -> (BTreeMap<&'a str, &'a Expr>, Vec<String>) {
        let mut carried = BTreeMap::new();
        let mut wanted = Vec::new();
        let statements: Vec<_> = self.queries.iter().flat_map(|query| &query.stmts).collect();
        for (index, statement) in statements.iter().enumerate() {
            if !statement.with_mods.is_empty() {
                continue;
            }
            match &statement.literal {
                Literal::Expr { expr, .. } => {
                    if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } = &**expr
                        && let Expr::Var { span: name, .. } = &**lhs
                    {
                        let others = statements.iter().enumerate().filter(|(other, _)| *other != index);
                        let mut used = BTreeSet::new();
                        others.for_each(|(_, other)| literal_variables(&other.literal, true, &mut used));
                        if !used.contains(name.text()) {
                            carried.insert(name.text(), &**rhs);
                            continue;
                        }
                    }
                    outermost(expr, &mut |expr| wanted.push(places::normal(expr, self.scope)));
                    given(expr, &mut |name| wanted.push(format!("{name}*")));
                }
                Literal::SomeIn { collection, .. } => {
                    outermost(collection, &mut |expr| wanted.push(places::normal(expr, self.scope)));
                }
                Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
            }
        }
        (carried, wanted)
    }

    /// True if the body asks a helper that looks at `path`: its author has thought of it.
    fn helper_reads(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix("input.") else { return false };
        let path: Vec<&str> = path.split('.').collect();
        let statements = self.queries.iter().flat_map(|query| &query.stmts);
        let positive = statements.filter_map(|statement| match &statement.literal {
            Literal::Expr { expr, .. } => Some(&**expr),
            _ => None,
        });
        let mut reads = false;
        for expr in positive {
            each_reference(expr, &mut |reference, is_call| {
                let used = match is_call {
                    true => self.names.function(self.scope, &reference).map(|group| group.path.clone()),
                    false => self.scope.resolve(&reference, &BTreeSet::new()),
                };
                let Some(used) = used.filter(|used| used.first().is_some_and(|root| root == "data")) else { return };
                reads |= InputPaths::under(self.names, &used).names(&path);
            });
        }
        reads
    }
}

fn root_of(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// What to write instead of `expr`, which may be undefined.
fn advice(expr: &Expr, places: &Places<'_>) -> String {
    let mut steps = Vec::new();
    let mut above = expr;
    loop {
        above = match above {
            Expr::RefDot { refr, field, .. } => {
                steps.push(format!("\"{}\"", field.0.text()));
                refr
            }
            Expr::RefBrack { refr, index, .. } => {
                steps.push(ast::text(index.span()).to_owned());
                refr
            }
            _ => break,
        };
        if places.of_expr(above).is_none_or(|place| !place.optional) {
            break;
        }
    }
    steps.reverse();
    let path = match steps.as_slice() {
        [step] => step.clone(),
        steps => format!("[{}]", steps.join(", ")),
    };
    let above = places::normal(above, places.scope);
    format!(
        "write `object.get({above}, {path}, \"\")`, or ask for it in the body, if the rule is not for calls without it"
    )
}

fn mentions(expr: &Expr, name: &str) -> bool {
    let mut found = BTreeSet::new();
    variables(expr, &mut found);
    nested(expr, &mut |query, terms| {
        query_variables(query, &mut found);
        terms.iter().for_each(|term| variables(term, &mut found));
    });
    found.contains(name)
}

/// The variables that `expr` gives to functions whole.
fn given<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a str)) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        if let Expr::Call { params, .. } = expr {
            for param in params {
                if let Expr::Var { span, .. } = &**param {
                    see(span.text());
                }
            }
        }
        children(expr, &mut |child| todo.push(child));
    }
}

/// The references in `expr` that have to be defined for it to be: each as a whole, none inside of
/// comprehensions, which are never undefined.
pub(super) fn outermost<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a Expr)) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        match expr {
            Expr::Var { .. } => see(expr),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                see(expr);
                let mut indexes = Vec::new();
                brackets(expr, &mut indexes);
                todo.extend(indexes);
            }
            _ => children(expr, &mut |child| todo.push(child)),
        }
    }
}

/// The references and calls in `expr`, those in comprehensions as well.
fn each_reference<'a>(expr: &'a Expr, see: &mut dyn FnMut(Reference<'a>, bool)) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        if let Expr::Call { fcn, params, .. } = expr {
            Reference::of(fcn).into_iter().for_each(|function| see(function, true));
            todo.extend(params.iter().map(|param| &**param));
            continue;
        }
        if let Some(reference) = Reference::of(expr) {
            see(reference, false);
            let mut indexes = Vec::new();
            brackets(expr, &mut indexes);
            todo.extend(indexes);
            continue;
        }
        children(expr, &mut |child| todo.push(child));
        queries(expr, &mut |query, terms| {
            todo.extend(terms);
            todo.extend(query.stmts.iter().flat_map(|statement| parts(&statement.literal)));
        });
    }
}

/// The variables in `expr`, but for those in comprehensions.
fn variables<'a>(expr: &'a Expr, found: &mut BTreeSet<&'a str>) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        if let Expr::Var { span, .. } = expr {
            found.insert(span.text());
        }
        children(expr, &mut |child| todo.push(child));
    }
}

fn query_variables<'a>(query: &'a Query, found: &mut BTreeSet<&'a str>) {
    query.stmts.iter().for_each(|statement| literal_variables(&statement.literal, false, found));
}

fn literal_variables<'a>(literal: &'a Literal, deep: bool, found: &mut BTreeSet<&'a str>) {
    if let Literal::SomeVars { vars, .. } = literal {
        found.extend(vars.iter().map(|name| name.text()));
    }
    for part in parts(literal) {
        variables(part, found);
        if deep {
            nested(part, &mut |query, terms| {
                query_variables(query, found);
                terms.iter().for_each(|term| variables(term, found));
            });
        }
    }
    if let (Literal::Every { query, .. }, true) = (literal, deep) {
        query.stmts.iter().for_each(|statement| literal_variables(&statement.literal, true, found));
    }
}

/// The expressions of a statement.
pub(super) fn parts(literal: &Literal) -> Vec<&Expr> {
    match literal {
        Literal::SomeVars { .. } => Vec::new(),
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().map(|key| &**key).chain([&**value, &**collection]).collect()
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => vec![expr],
        Literal::Every { domain, .. } => vec![domain],
    }
}

/// Shows the queries of all comprehensions in `expr`, with their terms.
fn nested<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a Query, Vec<&'a Expr>)) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        children(expr, &mut |child| todo.push(child));
        queries(expr, &mut |query, terms| {
            todo.extend(&terms);
            todo.extend(query.stmts.iter().flat_map(|statement| parts(&statement.literal)));
            see(query, terms);
        });
    }
}

/// The query of `expr` with its terms, if it is a comprehension.
fn queries<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a Query, Vec<&'a Expr>)) {
    match expr {
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => see(query, vec![term]),
        Expr::ObjectCompr { key, value, query, .. } => see(query, vec![key, value]),
        _ => {}
    }
}

/// The expressions right below `expr`; a comprehension has none.
pub(super) fn children<'a>(expr: &'a Expr, see: &mut dyn FnMut(&'a Expr)) {
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. }
        | Expr::ArrayCompr { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => {}
        Expr::RefDot { refr, .. } => see(refr),
        Expr::RefBrack { refr, index, .. } => {
            see(refr);
            see(index);
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| see(item)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            see(key);
            see(value);
        }),
        Expr::Call { params, .. } => params.iter().for_each(|param| see(param)),
        Expr::UnaryExpr { expr, .. } => see(expr),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            see(lhs);
            see(rhs);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| see(key));
            see(value);
            see(collection);
        }
    }
}
