//! The tests of the library notice when its rules change: each rule is spoilt in every small way,
//! and some test of its folder must fail.
//!
//! Literals, operators and `not` are changed by token; statements, rules and `every` by the syntax
//! tree. A mutant that does not load is no mutant.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use regorus::Engine;
use regorus::Value;
use regorus::unstable::AssignOp;
use regorus::unstable::Expr;
use regorus::unstable::Literal;
use regorus::unstable::Module;
use regorus::unstable::Query;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;
use regorus::unstable::Span;

use super::library::Folder;
use super::library::folders;
use super::source;
use crate::policy::Limits;
use crate::policy::Source;
use crate::policy::ast;
use crate::policy::load;
use crate::policy::runner;

/// Mutants that no test can tell from the rule: file, the line as it is, what was changed, and why
/// it makes no difference.
const EQUIVALENT: [(&str, &str, &str, &str); 0] = [];

/// How many threads judge mutants.
const THREADS: usize = 2;

/// One small change of a file.
struct Mutant {
    folder: usize,
    file: usize,
    at: Range<usize>,
    text: String,
    what: String,
}

#[test]
fn no_rule_of_the_library_can_change_unnoticed() {
    let folders = folders();
    let mutants: Vec<Mutant> = (0..folders.len()).flat_map(|index| mutants_of(&folders, index)).collect();
    let next = AtomicUsize::new(0);
    let survivors = Mutex::new(BTreeSet::new());
    let judged = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut judges: Vec<Option<Judge>> = folders.iter().map(|_| None).collect();
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let folder = &folders[mutant.folder];
                    let judge = judges[mutant.folder].get_or_insert_with(|| Judge::of(folder));
                    let fate = judge.judge(folder, mutant);
                    judged.fetch_add(usize::from(fate != Fate::Stillborn), Ordering::Relaxed);
                    if fate == Fate::Survived {
                        survivors.lock().unwrap().insert(described(folder, mutant));
                    }
                }
            });
        }
    });
    let judged = judged.into_inner();
    assert!(judged > 800, "only {judged} mutants were judged");
    let known: BTreeSet<_> =
        EQUIVALENT.iter().map(|(file, line, what, _)| (file.to_string(), line.to_string(), what.to_string())).collect();
    let survivors = survivors.into_inner().unwrap();
    let found: BTreeSet<_> =
        survivors.iter().map(|(file, _, line, what)| (file.clone(), line.clone(), what.clone())).collect();
    let fresh: Vec<String> = survivors
        .iter()
        .filter(|(file, _, line, what)| !known.contains(&(file.clone(), line.clone(), what.clone())))
        .map(|(file, number, line, what)| format!("{file}:{number}: {what}: {line}"))
        .collect();
    assert!(fresh.is_empty(), "no test notices {} of {judged} mutants:\n{}", fresh.len(), fresh.join("\n"));
    let stale: Vec<_> = known.difference(&found).collect();
    assert!(stale.is_empty(), "these are noticed, or are not there any more: {stale:#?}");
}

/// File, line number, line, and what was changed.
fn described(folder: &Folder, mutant: &Mutant) -> (String, usize, String, String) {
    let source = &folder.rego[mutant.file];
    let number = source.text[..mutant.at.start].matches('\n').count() + 1;
    let line = source.text.lines().nth(number - 1).unwrap_or_default().trim().to_owned();
    (source.path.clone(), number, line, mutant.what.clone())
}

#[derive(PartialEq, Eq)]
enum Fate {
    Stillborn,
    Killed,
    Survived,
}

/// The tests of one folder, those that find most first.
struct Judge {
    tests: Vec<(String, usize)>,
}

impl Judge {
    fn of(folder: &Folder) -> Self {
        let sources: Vec<&Source> = folder.rego.iter().collect();
        let loaded = load::compile(&sources, &[], &Limits::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let mut tests = Vec::new();
        for module in &loaded.modules {
            let package = ast::package(module);
            let named = module.policy.iter().filter(|rule| runner::test_name(rule).is_some());
            tests.extend(named.map(|rule| (ast::rule_path(&package, rule).join("."), 0)));
        }
        let judge = Self { tests };
        let survived = judge.tests.iter().all(|(test, _)| passes(&loaded.engine, test));
        assert!(survived && !judge.tests.is_empty(), "the tests of {} must pass to begin with", folder.name);
        judge
    }

    fn judge(&mut self, folder: &Folder, mutant: &Mutant) -> Fate {
        let mut changed = folder.rego[mutant.file].clone();
        changed.text.replace_range(mutant.at.clone(), &mutant.text);
        let sources: Vec<&Source> = folder
            .rego
            .iter()
            .enumerate()
            .map(|(index, source)| if index == mutant.file { &changed } else { source })
            .collect();
        let Ok(loaded) = load::compile(&sources, &[], &Limits::default()) else { return Fate::Stillborn };
        let Some(killer) = self.tests.iter().position(|(test, _)| !passes(&loaded.engine, test)) else {
            return Fate::Survived;
        };
        self.tests[killer].1 += 1;
        self.tests.sort_by_key(|(_, kills)| std::cmp::Reverse(*kills));
        Fate::Killed
    }
}

fn passes(engine: &Engine, test: &str) -> bool {
    matches!(engine.clone().eval_rule(test.to_owned()), Ok(Value::Bool(true)))
}

fn mutants_of(folders: &[Folder], index: usize) -> Vec<Mutant> {
    let folder = &folders[index];
    let mut mutants = Vec::new();
    for (file, source) in folder.rego.iter().enumerate().filter(|(_, source)| !source.path.ends_with("_test.rego")) {
        let mut changes = Vec::new();
        tokens(&source.text, &mut changes);
        let loaded = load::compile(&[source], &[], &Limits::default()).unwrap_or_else(|errors| panic!("{errors}"));
        let module: &Ref<Module> = loaded.modules.first().unwrap();
        for rule in &module.policy {
            of_rule(rule, &source.text, &mut changes);
        }
        mutants.extend(changes.into_iter().map(|Change { at, text, what }| Mutant {
            folder: index,
            file,
            at,
            text,
            what,
        }));
    }
    mutants
}

/// A change of a text.
struct Change {
    at: Range<usize>,
    text: String,
    what: String,
}

fn change(changes: &mut Vec<Change>, at: Range<usize>, text: impl Into<String>, what: impl Into<String>) {
    changes.push(Change { at, text: text.into(), what: what.into() });
}

const OPERATORS: [(&str, &[&str]); 14] = [
    (":=", &[]),
    ("==", &["!="]),
    ("!=", &["=="]),
    ("<=", &["<", ">"]),
    (">=", &[">", "<"]),
    ("<", &["<=", ">="]),
    (">", &[">=", "<="]),
    ("+", &["-"]),
    ("-", &["+"]),
    ("*", &["+"]),
    ("/", &["*"]),
    ("%", &["+"]),
    ("|", &["&"]),
    ("&", &["|"]),
];

/// Changes of literals, operators and keywords.
fn tokens(text: &str, changes: &mut Vec<Change>) {
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match next {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '`' => {
                let length = 1 + string_end(&rest[1..], next) + 1;
                change(changes, at + length - 1..at + length - 1, "~", "a longer text");
                length
            }
            '0'..='9' => {
                let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number: i64 = rest[..length].parse().unwrap();
                change(changes, at..at + length, (number + 1).to_string(), "one more");
                change(changes, at..at + length, (number - 1).to_string(), "one less");
                length
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                match &rest[..length] {
                    "true" => change(changes, at..at + length, "false", "`false`"),
                    "false" => change(changes, at..at + length, "true", "`true`"),
                    "not" => change(changes, at..at + length, "", "without `not`"),
                    _ => {}
                }
                length
            }
            _ => match OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator)) {
                Some((operator, others)) => {
                    for other in *others {
                        change(changes, at..at + operator.len(), *other, format!("`{other}`"));
                    }
                    operator.len()
                }
                None => next.len_utf8(),
            },
        };
        at += length;
    }
}

fn string_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let is_end = *c == quote && !escaped;
        escaped = quote == '"' && *c == '\\' && !escaped;
        is_end
    });
    end.unwrap().0
}

fn range(span: &Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

fn of_rule(rule: &Rule, text: &str, changes: &mut Vec<Change>) {
    change(changes, range(rule.span()), "", "without this rule");
    let mut exprs: Vec<&Expr> = Vec::new();
    if let Rule::Spec { head, bodies, .. } = rule {
        match head {
            RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
                exprs.extend(assign.iter().map(|assign| &*assign.value));
            }
            RuleHead::Set { key, .. } => exprs.extend(key.iter().map(|key| &**key)),
        }
        for body in bodies {
            exprs.extend(body.assign.iter().map(|assign| &*assign.value));
            of_query(&body.query, text, changes);
        }
    }
    exprs.into_iter().for_each(|expr| of_expr(expr, text, changes));
}

fn of_query(query: &Query, text: &str, changes: &mut Vec<Change>) {
    for statement in &query.stmts {
        let at = range(&statement.span);
        change(changes, at.clone(), "true", "without this statement");
        match &statement.literal {
            Literal::Expr { expr, .. } => {
                if !matches!(&**expr, Expr::AssignExpr { op: AssignOp::ColEq, .. }) {
                    change(changes, at.start..at.start, "not ", "`not`");
                }
                of_expr(expr, text, changes);
            }
            Literal::NotExpr { expr, .. } => of_expr(expr, text, changes),
            Literal::SomeIn { collection, .. } => of_expr(collection, text, changes),
            Literal::Every { domain, query, .. } => {
                let statement = &text[at.clone()];
                let brace = domain.span().end as usize - at.start;
                let brace = brace + statement[brace..].find('{').unwrap();
                let (head, body) = (&statement["every".len()..brace], &statement[brace + 1..]);
                let body = &body[..body.rfind('}').unwrap()];
                change(changes, at, format!("count([1 | some{head}\n{body}]) > 0"), "`some` instead of `every`");
                of_expr(domain, text, changes);
                of_query(query, text, changes);
            }
            Literal::SomeVars { .. } => {}
        }
    }
}

/// Looks for queries inside of an expression.
fn of_expr(expr: &Expr, text: &str, changes: &mut Vec<Change>) {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        match expr {
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                todo.push(term);
                of_query(query, text, changes);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                todo.extend([&**key, &**value]);
                of_query(query, text, changes);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => todo.extend(items.iter().map(|item| &**item)),
            Expr::Object { fields, .. } => todo.extend(fields.iter().map(|(_, _, value)| &**value)),
            Expr::Call { params, .. } => todo.extend(params.iter().map(|param| &**param)),
            Expr::AssignExpr { lhs, rhs, .. }
            | Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. } => todo.extend([&**lhs, &**rhs]),
            Expr::Membership { value, collection, .. } => todo.extend([&**value, &**collection]),
            Expr::RefBrack { refr, index, .. } => todo.extend([&**refr, &**index]),
            Expr::RefDot { refr, .. } => todo.push(refr),
            Expr::UnaryExpr { expr, .. } => todo.push(expr),
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => {}
        }
    }
}

/// What survives the test `test` of the rule `rule`.
fn survivors(rule: &str, test: &str) -> Vec<String> {
    let rule = source("x.rego", &format!("package holdpoint\n{rule}\n"));
    let test = source("x_test.rego", &format!("package holdpoint_test\n{test}\n"));
    let folders = [Folder { name: "x".to_owned(), rego: vec![rule, test] }];
    let mut judge = Judge::of(&folders[0]);
    let mutants = mutants_of(&folders, 0);
    let survivors = mutants.iter().filter(|mutant| judge.judge(&folders[0], mutant) == Fate::Survived);
    survivors.map(|mutant| mutant.what.clone()).collect()
}

#[test]
fn a_spoilt_rule_is_noticed_only_by_a_test_that_looks() {
    let rule = "deny contains {\"rule\": \"x\"} if input.request.body > 3";
    let sloppy = "test_x if count(data.holdpoint.deny) == 1 with input.request.body as 5";
    assert_eq!(
        survivors(rule, sloppy),
        ["a longer text", "a longer text", "`>=`", "one more", "one less", "without this statement"]
    );
    let careful = "test_x if {
        data.holdpoint.deny == {{\"rule\": \"x\"}} with input.request.body as 4
        count(data.holdpoint.deny) == 0 with input.request.body as 3
    }";
    assert_eq!(survivors(rule, careful), Vec::<String>::new());
}

#[test]
fn every_kind_of_change_makes_a_rule_that_loads() {
    let rule = "allow contains {} if {
        every action in input.actions { action.kind == \"read\" }
        not input.request.websocket
        count([1 | some x in input.principal.groups; x in {\"a\", \"b\"}]) + 1 != 5
        false == false
    }";
    let nothing = "test_x if count({1}) == 1";
    let mut found = survivors(rule, nothing);
    found.sort();
    found.dedup();
    assert_eq!(
        found,
        [
            "`!=`",
            "`-`",
            "`==`",
            "`not`",
            "`some` instead of `every`",
            "`true`",
            "a longer text",
            "one less",
            "one more",
            "without `not`",
            "without this rule",
            "without this statement",
        ]
    );
}
