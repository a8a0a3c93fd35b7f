//! Evaluating parts of a rule by themselves: the evaluator keeps no record of how it came to an
//! answer, so the parts are put into rules of their own, beside the policy's and with the imports
//! of the file that they are from.

use std::collections::BTreeSet;
use std::rc::Rc as Plain;

use anyhow::Result;
use regorus::Engine;
use regorus::Rc;
use regorus::Value;
use regorus::unstable::LiteralStmt;
use regorus::unstable::Module;
use regorus::unstable::Query;

use super::ast;
use super::render;

/// Where the parts of one file's rules can be evaluated.
#[derive(Clone)]
pub(super) struct Bench {
    engine: Engine,
    package: String,
    prelude: Plain<str>,
}

impl Bench {
    /// For rules of `module`, beside the policy in `engine`.
    pub(super) fn new(engine: &Engine, module: &Module) -> Self {
        let path = ast::package(module);
        let package = path.join(".");
        let mut prelude = format!("package {}\n", render::source(&module.package.refr));
        for import in &module.imports {
            let alias = import.r#as.as_ref().map(|alias| format!(" as {}", alias.text())).unwrap_or_default();
            prelude.push_str(&format!("import {}{alias}\n", render::source(&import.refr)));
        }
        Self { engine: engine.clone(), package, prelude: prelude.into() }
    }

    /// The same, with `input`.
    pub(super) fn set_input(&mut self, input: Value) {
        self.engine.set_input(input);
    }

    /// The same, with more rules.
    ///
    /// # Errors
    /// If they cannot stand by themselves: a variable of theirs has no value.
    pub(super) fn with(&self, rules: &[String]) -> Result<Self> {
        let mut bench = self.clone();
        let text = format!("{}{}", self.prelude, rules.join("\n"));
        let name = format!("{MARK}{:x}", text.len());
        bench.engine.add_policy(name, text)?;
        if let Some(first) = rules.first().and_then(|rule| rule.split_whitespace().next()) {
            bench.engine.compile_with_entrypoint(&Rc::from(format!("{}.{first}", self.package)))?;
        }
        Ok(bench)
    }

    /// The value of the rule `name`.
    ///
    /// # Errors
    /// What went wrong in it.
    pub(super) fn value(&mut self, name: &str) -> Result<Value> {
        self.engine.eval_rule(format!("{}.{name}", self.package))
    }

    /// The order in which the statements of `query` can be evaluated one after the other.
    pub(super) fn order<'a>(&self, query: &'a Query) -> Vec<&'a LiteralStmt> {
        let mut rest: Vec<&LiteralStmt> = query.stmts.iter().collect();
        let prefixes: Vec<String> = (1..=rest.len())
            .map(|count| rule(&format!("{MARK}{count}"), rest.get(..count).unwrap_or_default()))
            .collect();
        if self.with(&prefixes).is_ok() {
            return rest;
        }
        let mut order: Vec<&LiteralStmt> = Vec::new();
        while !rest.is_empty() {
            let next = rest.iter().position(|next| {
                let statements: Vec<&LiteralStmt> = order.iter().copied().chain([*next]).collect();
                self.with(&[rule(&format!("{MARK}0"), &statements)]).is_ok()
            });
            order.push(rest.remove(next.unwrap_or(0)));
        }
        order
    }

    /// Those statements of `query` that satisfy `is_wanted` and can be evaluated without the others.
    /// They are true whenever all are.
    pub(super) fn without<'a>(
        &self,
        query: &'a Query,
        locals: &BTreeSet<&str>,
        is_wanted: &dyn Fn(&LiteralStmt) -> bool,
    ) -> Vec<&'a LiteralStmt> {
        let mut kept: Vec<&LiteralStmt> = Vec::new();
        let mut declared: BTreeSet<&str> = BTreeSet::new();
        let mut rest: Vec<&LiteralStmt> = query.stmts.iter().filter(|statement| is_wanted(statement)).collect();
        loop {
            let next = rest.iter().position(|next| {
                let own = ast::declared(next);
                let mut is_bound = true;
                ast::walk_statement(next, &mut |seen| {
                    let (ast::Seen::Reference(reference)
                    | ast::Seen::Replaced(reference)
                    | ast::Seen::Call { function: reference, .. }) = seen;
                    let root = reference.root.filter(|root| locals.contains(root));
                    is_bound &= root.is_none_or(|root| own.contains(root) || declared.contains(root));
                });
                let statements: Vec<&LiteralStmt> = kept.iter().copied().chain([*next]).collect();
                is_bound && self.with(&[rule(&format!("{MARK}0"), &statements)]).is_ok()
            });
            let Some(next) = next else { return kept };
            let statement = rest.remove(next);
            declared.extend(ast::declared(statement));
            kept.push(statement);
        }
    }
}

/// A rule that is true if `statements` are.
pub(super) fn rule(name: &str, statements: &[&LiteralStmt]) -> String {
    match body(statements) {
        body if body.is_empty() => format!("{name} := true"),
        body => format!("{name} if {{\n{body}\n}}"),
    }
}

/// A rule with all values that `term` has where `statements` are true.
pub(super) fn values(name: &str, term: &str, statements: &[&LiteralStmt]) -> String {
    match body(statements) {
        body if body.is_empty() => format!("{name} contains {term}"),
        body => format!("{name} contains {term} if {{\n{body}\n}}"),
    }
}

fn body(statements: &[&LiteralStmt]) -> String {
    statements.iter().map(|statement| ast::text(&statement.span)).collect::<Vec<_>>().join("\n")
}

/// How the names of our own rules begin.
pub(super) const MARK: &str = "__holdpoint_probe_";
