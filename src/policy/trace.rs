//! Why a policy answers as it does: of each rule, whether it applies, and if not, the first
//! expression that does not hold, with the values that it looked at.

use regorus::Value;
use regorus::unstable::BoolOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::LiteralStmt;
use regorus::unstable::Module;
use regorus::unstable::Query;
use regorus::unstable::Rule;
use serde::Serialize;

use super::ast;
use super::entries::Entry;
use super::inspection::Inspection;
use super::probe;
use super::probe::Bench;
use super::probe::MARK;
use super::render;

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleTrace {
    /// The set it adds to.
    pub kind: &'static str,
    /// Its name.
    pub rule: String,
    /// The file it is in.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// True if it is in shadow mode: whatever becomes of it has no effect.
    pub shadow: bool,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: RuleOutcome,
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum RuleOutcome {
    /// It applies.
    Fired {
        /// What it adds to its set.
        objects: Vec<serde_json::Value>,
    },
    /// It does not apply.
    NotFired {
        /// The line of the first expression that does not hold.
        line: u32,
        /// That expression.
        expression: String,
        /// What it looked at.
        values: Vec<SeenValue>,
    },
    /// It failed, so that the call would be refused.
    Failed {
        /// Why.
        error: String,
    },
}

/// A part of an expression, and what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenValue {
    /// The part.
    pub expression: String,
    /// Its values, at most three; none if it is undefined.
    pub values: Vec<serde_json::Value>,
}

impl Inspection {
    /// Tells of each rule what becomes of it with `input`.
    pub fn trace(&self, input: &serde_json::Value) -> Vec<RuleTrace> {
        let input = super::input::from_json(input);
        let trace = |entry: Entry<'_>| {
            let mut bench = Bench::new(&self.engine, entry.module);
            bench.set_input(input.clone());
            RuleTrace {
                kind: entry.kind.as_str(),
                rule: entry.label(),
                file: entry.file().to_owned(),
                line: entry.line(),
                shadow: entry.shadow,
                outcome: outcome(&bench, entry.rule, entry.object),
            }
        };
        self.entries().into_iter().map(trace).collect()
    }
}

/// Why the rule `name` of `module` is not true, as `file:line: expression`; `None` if that cannot
/// be told.
pub(super) fn why_not(engine: &regorus::Engine, module: &Module, name: &str) -> Option<String> {
    let bench = Bench::new(engine, module);
    let mut rules = module.policy.iter().filter(|rule| ast::head(rule).is_some_and(|head| head.root == Some(name)));
    let rule = rules.next().filter(|_| rules.next().is_none())?;
    let Rule::Spec { bodies, .. } = &**rule else { return None };
    let [body] = bodies.as_slice() else { return None };
    match outcome_of(&bench, &body.query, None) {
        RuleOutcome::NotFired { line, expression, values } => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            let values = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
            Some(format!("line {line} does not hold: {expression}{values}"))
        }
        RuleOutcome::Fired { .. } | RuleOutcome::Failed { .. } => None,
    }
}

impl std::fmt::Display for SeenValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| shortened(&value.to_string())).collect();
        match values.as_slice() {
            [] => write!(f, "{} is undefined", self.expression),
            values => write!(f, "{} is {}", self.expression, values.join(" or ")),
        }
    }
}

fn outcome(bench: &Bench, rule: &Rule, object: Option<&Expr>) -> RuleOutcome {
    let Rule::Spec { head, bodies, .. } = rule else {
        return RuleOutcome::Failed { error: "it is a default".to_owned() };
    };
    let regorus::unstable::RuleHead::Set { key: Some(key), .. } = head else {
        return RuleOutcome::Failed { error: "it adds to no set".to_owned() };
    };
    let term = Head { key, fields: object };
    if bodies.is_empty() {
        return head_outcome(bench, &[], &term);
    }
    let mut first = None;
    let mut objects = Vec::new();
    for body in bodies {
        match outcome_of(bench, &body.query, Some(&term)) {
            RuleOutcome::Fired { objects: found } => objects.extend(found),
            RuleOutcome::Failed { error } => return RuleOutcome::Failed { error },
            other @ RuleOutcome::NotFired { .. } => drop(first.get_or_insert(other)),
        }
    }
    first.filter(|_| objects.is_empty()).unwrap_or(RuleOutcome::Fired { objects })
}

/// The head of a rule: its term, and the object that the term is.
struct Head<'a> {
    key: &'a Expr,
    fields: Option<&'a Expr>,
}

fn outcome_of(bench: &Bench, query: &Query, head: Option<&Head<'_>>) -> RuleOutcome {
    let order = bench.order(query);
    for count in 1..=order.len() {
        let statements = order.get(..count).unwrap_or_default();
        let name = format!("{MARK}{count}");
        let answer = bench.with(&[probe::rule(&name, statements)]).and_then(|mut bench| bench.value(&name));
        match answer {
            Ok(Value::Bool(true)) => {}
            Ok(_) => {
                let Some((failed, before)) = statements.split_last() else { break };
                return RuleOutcome::NotFired {
                    line: failed.span.line,
                    expression: ast::text(&failed.span).split_whitespace().collect::<Vec<_>>().join(" "),
                    values: looked_at(bench, before, failed),
                };
            }
            Err(error) => return RuleOutcome::Failed { error: message(&error) },
        }
    }
    match head {
        Some(head) => head_outcome(bench, &order, head),
        None => RuleOutcome::Fired { objects: Vec::new() },
    }
}

/// The body holds; what it adds may still be undefined.
fn head_outcome(bench: &Bench, body: &[&LiteralStmt], head: &Head<'_>) -> RuleOutcome {
    match solutions(bench, body, &render::source(head.key), usize::MAX) {
        Err(error) => RuleOutcome::Failed { error: message(&error) },
        Ok(objects) if !objects.is_empty() => RuleOutcome::Fired { objects },
        Ok(_) => {
            let mut values = Vec::new();
            if let Some(Expr::Object { fields, .. }) = head.fields {
                for (_, _, value) in fields.iter().filter(|(_, _, value)| ast::constant(value).is_none()) {
                    let expression = render::source(value);
                    if evaluated(bench, body, &expression, "").is_ok_and(|values| values.is_empty()) {
                        values.push(SeenValue { expression, values: Vec::new() });
                    }
                }
            }
            let expression = render::source(head.key);
            RuleOutcome::NotFired { line: head.key.span().line, expression, values }
        }
    }
}

/// The parts of `failed` that are not constant, and what they were where all before it held.
fn looked_at(bench: &Bench, before: &[&LiteralStmt], failed: &LiteralStmt) -> Vec<SeenValue> {
    let with: String = failed
        .with_mods
        .iter()
        .map(|with| format!(" with {} as {}", render::source(&with.refr), render::source(&with.r#as)))
        .collect();
    let parts: Vec<&Expr> = match &failed.literal {
        Literal::SomeVars { .. } => Vec::new(),
        Literal::SomeIn { collection, .. } => vec![collection],
        Literal::Every { domain, .. } => vec![domain],
        Literal::NotExpr { expr, .. } => vec![expr],
        Literal::Expr { expr, .. } => match &**expr {
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => vec![lhs, rhs],
            Expr::BoolExpr { lhs, rhs, .. } | Expr::BinExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                vec![lhs, rhs]
            }
            Expr::AssignExpr { rhs, .. } => vec![rhs],
            Expr::Membership { value, collection, .. } => vec![value, collection],
            Expr::Call { params, .. } => params.iter().map(|param| &**param).collect(),
            other => vec![other],
        },
    };
    let parts = parts.into_iter().filter(|part| ast::constant(part).is_none());
    parts.filter_map(|part| seen(bench, before, part, &with)).collect()
}

fn seen(bench: &Bench, before: &[&LiteralStmt], part: &Expr, with: &str) -> Option<SeenValue> {
    let text = render::source(part);
    let mut values = evaluated(bench, before, &text, with).ok()?;
    let mut expression = text.clone();
    // What is undefined is told with the part of it that is not.
    let mut above = part;
    while let (true, Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. }) = (values.is_empty(), above) {
        above = refr;
        let text = render::source(above);
        if matches!(above, Expr::Var { .. }) {
            break;
        }
        match evaluated(bench, before, &text, with) {
            Ok(found) if !found.is_empty() => {
                expression = format!("{expression} is undefined, and {text}");
                values = found;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Some(SeenValue { expression, values })
}

fn evaluated(bench: &Bench, before: &[&LiteralStmt], text: &str, with: &str) -> anyhow::Result<Vec<serde_json::Value>> {
    let name = format!("{MARK}value");
    let lines: Vec<&str> = before.iter().map(|statement| ast::text(&statement.span)).collect();
    let rule = format!("{name} contains {MARK}it if {{\n{}\n{MARK}it := {text}{with}\n}}", lines.join("\n"));
    found(bench, &name, rule, VALUES_MAX)
}

fn solutions(bench: &Bench, body: &[&LiteralStmt], term: &str, most: usize) -> anyhow::Result<Vec<serde_json::Value>> {
    let name = format!("{MARK}value");
    found(bench, &name, probe::values(&name, term, body), most)
}

fn found(bench: &Bench, name: &str, rule: String, most: usize) -> anyhow::Result<Vec<serde_json::Value>> {
    let found = bench.with(&[rule]).and_then(|mut bench| bench.value(name))?;
    let Value::Set(values) = found else { return Ok(Vec::new()) };
    Ok(values.iter_sorted().take(most).filter_map(|value| serde_json::to_value(value).ok()).collect())
}

/// An error of the evaluator, without our own rules.
fn message(error: &anyhow::Error) -> String {
    let text = error.to_string();
    text.rsplit_once("error: ").map_or(text.as_str(), |(_, message)| message).trim().to_owned()
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// The most values of one part that are told.
const VALUES_MAX: usize = 3;
/// The longest value that is told to people, in characters.
const CHARS_MAX: usize = 160;
