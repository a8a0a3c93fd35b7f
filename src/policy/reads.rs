//! Which parts of `input` the rules can look at.
//!
//! The answer is an upper bound: what it leaves out cannot change any decision. Whether the body
//! has to be read rests on it, so every doubt counts as a read.

use std::collections::BTreeSet;

use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::Span;

use super::ast;
use super::ast::Path;
use super::ast::Reference;
use super::ast::Seen;
use super::graph::Names;
use super::graph::Scope;

/// The parts of `input` that rules can look at. A path stands for all that is below it; the empty
/// path, for everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPaths(BTreeSet<Path>);

impl InputPaths {
    /// Finds the paths that those rules of `modules` read that `counts` says.
    pub(super) fn of(modules: &[Ref<Module>], counts: impl Fn(&Rule) -> bool) -> Self {
        let mut paths = BTreeSet::new();
        for module in modules {
            let scope = Scope::of(module);
            for rule in module.policy.iter().filter(|rule| counts(rule)) {
                add(&scope, rule, &mut paths);
            }
        }
        Self(paths)
    }

    /// Finds the paths that the rules at `path`, and all that they use, read.
    pub(super) fn under(names: &Names<'_>, path: &Path) -> Self {
        let mut paths = BTreeSet::new();
        for (module, rule) in names.reachable(path) {
            add(&Scope::of(module), rule, &mut paths);
        }
        Self(paths)
    }

    /// Finds the paths that `rule`, and all that it uses, read.
    pub(super) fn of_rule<'a>(names: &Names<'a>, module: &'a Module, rule: &'a Rule) -> Self {
        let mut paths = BTreeSet::new();
        add(&Scope::of(module), rule, &mut paths);
        for (module, rule) in names.used_by(module, rule) {
            add(&Scope::of(module), rule, &mut paths);
        }
        Self(paths)
    }

    pub(super) fn from_paths(paths: BTreeSet<Path>) -> Self {
        Self(paths)
    }

    /// True if a rule looks at all of the input, or may.
    pub fn everything(&self) -> bool {
        self.0.contains(&Path::new())
    }

    /// The paths, shortest first where one begins another.
    pub fn iter(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// True if a rule can look at `path`, at something below it, or at all of something above it.
    pub fn may_read(&self, path: &[&str]) -> bool {
        self.0.iter().any(|read| read.iter().zip(path).all(|(read, name)| read == name))
    }

    /// True if a rule names exactly `path` or something below it.
    pub(super) fn names(&self, path: &[&str]) -> bool {
        self.0.iter().any(|read| read.len() >= path.len() && read.iter().zip(path).all(|(read, name)| read == name))
    }
}

fn add(scope: &Scope<'_>, rule: &Rule, paths: &mut BTreeSet<Path>) {
    ast::walk(rule, &mut |seen| match seen {
        Seen::Reference(reference) => paths.extend(path(scope, &reference)),
        // What a `with` puts there may hide what it leaves, never add to it. But a
        // function that is replaced is named here, so its name is looked at as well.
        Seen::Replaced(target) => paths.extend(path(scope, &target)),
        Seen::Call { function, .. } => paths.extend(path(scope, &function)),
    });
}

/// Every place where `modules` read input.
pub(super) fn sites(modules: &[Ref<Module>]) -> Vec<(Path, &Span)> {
    let mut sites = Vec::new();
    for module in modules {
        let scope = Scope::of(module);
        for rule in &module.policy {
            ast::walk(rule, &mut |seen| {
                let (Seen::Reference(reference) | Seen::Replaced(reference) | Seen::Call { function: reference, .. }) =
                    seen;
                sites.extend(path(&scope, &reference).map(|path| (path, reference.span)));
            });
        }
    }
    sites
}

/// The path below `input` that `reference` reads. A local variable named `input` counts as well:
/// one read too many does no harm.
fn path(scope: &Scope<'_>, reference: &Reference<'_>) -> Option<Path> {
    let mut path = scope.resolve(reference, &BTreeSet::new())?;
    (path.first().map(String::as_str) == Some("input")).then(|| path.split_off(1))
}
