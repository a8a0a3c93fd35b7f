//! What is refused before a policy is used: whatever could only fail, or silently not match, in
//! the middle of a call.

use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::ast::Path;
use super::ast::Reference;
use super::ast::Seen;
use super::builtins;
use super::builtins::Known;
use super::error::LoadError;
use super::graph::Names;
use super::graph::Scope;
use super::rules::RuleKind;
use super::schema;

/// How deep one rule may be nested. The parser stops at 32 levels of brackets, but not at a long
/// chain such as `1 + 1 + 1 + …`, which would exhaust the stack of whoever evaluates it.
const NESTING_MAX: usize = 200;

/// True if some rule is nested too deep to be looked at any further.
pub(super) fn too_deep(modules: &[Ref<Module>], errors: &mut Vec<LoadError>) -> bool {
    for rule in modules.iter().flat_map(|module| &module.policy) {
        if ast::walk(rule, &mut |_| {}).depth > NESTING_MAX {
            let message = format!("an expression of this rule is nested more than {NESTING_MAX} levels deep");
            errors.push(ast::error_at(rule.span(), message).hint("split it, or put long lists into a data file"));
        }
    }
    !errors.is_empty()
}

/// Checks every module.
pub(super) fn check(modules: &[Ref<Module>], names: &Names<'_>, errors: &mut Vec<LoadError>) {
    let schema = schema::input_schema();
    for module in modules {
        let scope = Scope::of(module);
        let is_test = is_test(module.package.span.source.get_path());
        package(module, &scope.package, is_test, errors);
        imports(module, names, errors);
        for rule in &module.policy {
            set(&scope.package, rule, errors);
            let locals = ast::locals(rule);
            ast::walk(rule, &mut |seen| match seen {
                Seen::Call { function, arguments } => call(&scope, names, &function, arguments, errors),
                Seen::Replaced(target) => forbidden(&scope, &target, is_test, errors),
                Seen::Reference(reference) => {
                    forbidden(&scope, &reference, false, errors);
                    let Some(path) = scope.resolve(&reference, &locals) else { return };
                    if !is_test {
                        input_path(&schema, &path, &reference, errors);
                    }
                    // A bare name may also be a variable, which regorus looks after.
                    if reference.root.is_some_and(|root| root == "data" || scope.imports.contains_key(root)) {
                        rule_name(names, &path, &reference, errors);
                    }
                    whole_package(modules, &scope, &path, &reference, errors);
                }
            });
        }
    }
}

/// True for the files that only `policy test` looks at.
pub(super) fn is_test(path: &str) -> bool {
    path.ends_with("_test.rego")
}

fn package(module: &Module, package: &Path, is_test: bool, errors: &mut Vec<LoadError>) {
    let names: Vec<&str> = package.iter().skip(1).map(String::as_str).collect();
    let message = match names.as_slice() {
        ["holdpoint"] => return,
        ["holdpoint", name, ..] if RuleKind::ALL.iter().any(|kind| kind.as_str() == *name) => {
            format!("package `{}` would hide the set `{name}` of package `holdpoint`", names.join("."))
        }
        ["holdpoint", ..] => return,
        ["holdpoint_test", ..] if is_test => return,
        _ => format!("package `{}` is not `holdpoint` or below it, so nothing would ask it", names.join(".")),
    };
    let hint = "write `package holdpoint`, or `package holdpoint.helpers` for helpers that other files import";
    let span = Reference::of(&module.package.refr).map_or(module.package.refr.span(), |reference| reference.span);
    errors.push(ast::error_at(span, message).hint(hint));
}

fn imports(module: &Module, names: &Names<'_>, errors: &mut Vec<LoadError>) {
    for import in &module.imports {
        let Some(reference) = Reference::of(&import.refr) else { continue };
        match reference.root {
            Some("data") => {
                let mut path = vec!["data".to_owned()];
                path.extend(reference.names().map(str::to_owned));
                rule_name(names, &path, &reference, errors);
            }
            Some("input" | "rego" | "future") => {}
            _ => {
                let message = "only `data` and `input` can be imported";
                errors.push(ast::error_at(import.refr.span(), message));
            }
        }
    }
}

/// `deny`, `hold` and `allow` are partial sets and nothing else: a default or a single value would
/// let one file answer for all.
fn set(package: &Path, rule: &Rule, errors: &mut Vec<LoadError>) {
    let path = ast::rule_path(package, rule);
    let Some(kind) = RuleKind::of(&path) else { return };
    let simple = ast::head(rule).is_some_and(|head| head.parts.is_empty());
    if matches!(rule, Rule::Spec { head: RuleHead::Set { key: Some(_), .. }, .. }) && simple {
        return;
    }
    let message = match rule {
        Rule::Default { .. } => format!("`{kind}` cannot have a default; set `policy.default` in the configuration"),
        Rule::Spec { .. } => format!("`{kind}` must be a set that every rule adds to"),
    };
    let hint = format!("write `{kind} contains {{\"rule\": \"my-rule\"}} if {{ … }}`");
    errors.push(ast::error_at(rule.span(), message).hint(hint));
}

fn call(scope: &Scope<'_>, names: &Names<'_>, function: &Reference<'_>, arguments: usize, errors: &mut Vec<LoadError>) {
    let Some(name) = function.dotted() else {
        return errors.push(ast::error_at(function.span, "the name of a function must be constant"));
    };
    let expected = match names.function(scope, function).and_then(|group| group.arguments) {
        Some(expected) => expected,
        None => match builtins::known(&name) {
            Known::Any => return,
            Known::Arguments(expected) => expected,
            Known::Forbidden(hint) => {
                let message = format!("`{name}` cannot be used in a policy");
                return errors.push(ast::error_at(function.span, message).hint(hint));
            }
            Known::Unknown => {
                let message = format!("there is no function `{name}`");
                let hint = "define it, import the package that does, or see policies/README.md for the builtins that OPA has and Holdpoint has not";
                return errors.push(ast::error_at(function.span, message).hint(hint));
            }
        },
    };
    // One argument more is where the answer goes: `f(x, answer)`.
    if arguments != expected && arguments != expected + 1 {
        let message = format!("`{name}` takes {expected} argument{}, not {arguments}", plural(expected));
        errors.push(ast::error_at(function.span, message));
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A builtin can be used without being called: `with count as http.send` (CVE-2022-36085). Tests
/// may replace one, though.
fn forbidden(scope: &Scope<'_>, reference: &Reference<'_>, is_target: bool, errors: &mut Vec<LoadError>) {
    let Some(name) = reference.dotted().filter(|_| !is_target) else { return };
    if scope.imports.contains_key(reference.root.unwrap_or_default()) {
        return;
    }
    if let (Known::Forbidden(hint), true) = (builtins::known(&name), name.contains('.')) {
        errors.push(ast::error_at(reference.span, format!("`{name}` cannot be used in a policy")).hint(hint));
    }
}

/// A name that the input never has is undefined, and `not` of it is true: a typing mistake allows.
fn input_path(schema: &serde_json::Value, path: &Path, reference: &Reference<'_>, errors: &mut Vec<LoadError>) {
    if path.first().map(String::as_str) != Some("input") {
        return;
    }
    let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
    if let Err(unknown) = schema::follow(schema, &names) {
        let (last, above) = unknown.split_last().unwrap_or((&"", &[]));
        let above: Vec<&str> = std::iter::once("input").chain(above.iter().copied()).collect();
        let known = schema::names(schema, above.get(1..).unwrap_or_default()).join("`, `");
        let message = format!("`{}` has no `{last}`", above.join("."));
        errors.push(ast::error_at(reference.span, message).hint(format!("it has `{known}`")));
    }
}

/// Nothing but rules can be below `data.holdpoint`, so a name that no rule has is a mistake.
fn rule_name(names: &Names<'_>, path: &Path, reference: &Reference<'_>, errors: &mut Vec<LoadError>) {
    let is_ours = path.len() > 2 && path.starts_with(&["data".to_owned(), "holdpoint".to_owned()]);
    if is_ours && !names.touches(path) {
        let message = format!("there is no rule or package `{}`", path.join("."));
        errors.push(ast::error_at(reference.span, message));
    }
}

/// regorus evaluates a package that is mentioned as a whole file by file, and takes all of it for
/// done after the first: rules of the other files, and of packages below, then see one another as
/// undefined, and a `deny` that rests on one would silently not match. It treats what an import
/// stands for as a whole, too.
fn whole_package(
    modules: &[Ref<Module>],
    scope: &Scope<'_>,
    path: &Path,
    reference: &Reference<'_>,
    errors: &mut Vec<LoadError>,
) {
    let evaluated = reference.root.and_then(|root| scope.imports.get(root)).unwrap_or(path);
    let files = modules.iter().filter(|module| ast::package(module).starts_with(evaluated)).count();
    if evaluated.first().map(String::as_str) != Some("data") || files < 2 {
        return;
    }
    let whole = evaluated.join(".");
    let message = format!("`{whole}` cannot be used as a whole, because it is made of {files} files");
    let hint = match path.get(evaluated.len()) {
        Some(name) => format!("write `{whole}.{name}` or `import {whole}.{name}`"),
        None => "name the rule that you need".to_owned(),
    };
    errors.push(ast::error_at(reference.span, message).hint(hint));
}
