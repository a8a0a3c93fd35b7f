//! Which rule uses which: recursion is refused, and how much all of it nests is bounded.
//!
//! OPA refuses recursion when it compiles. regorus notices it in rules only while it evaluates
//! them, and in functions not at all: the stack runs out and the process aborts. A long chain of
//! functions, without any recursion, can do the same.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use regorus::unstable::RuleHead;

use super::ast;
use super::ast::Path;
use super::ast::Reference;
use super::ast::Seen;
use super::error::LoadError;

/// Every rule of a policy by its path.
pub(super) struct Names<'a> {
    groups: Vec<Group<'a>>,
    by_path: BTreeMap<Path, usize>,
}

/// All rules of one path; together they are one document or one function.
pub(super) struct Group<'a> {
    pub(super) path: Path,
    /// How many arguments it takes, if it is a function.
    pub(super) arguments: Option<usize>,
    /// The rules, each with the module it is in.
    pub(super) rules: Vec<(&'a Module, &'a Rule)>,
}

/// What the rules of one module can name.
pub(super) struct Scope<'a> {
    pub(super) package: Path,
    pub(super) imports: BTreeMap<&'a str, Path>,
}

impl<'a> Scope<'a> {
    pub(super) fn of(module: &'a Module) -> Self {
        Self { package: ast::package(module), imports: ast::imports(module) }
    }

    /// The path of a reference from `data` or `input` down, as far as it is constant, unless its
    /// root is one of `locals`. A name that is nothing else is taken for a rule of the package.
    pub(super) fn resolve(&self, reference: &Reference<'_>, locals: &BTreeSet<&str>) -> Option<Path> {
        let root = reference.root?;
        let mut path = match self.imports.get(root) {
            _ if locals.contains(root) => return None,
            _ if matches!(root, "data" | "input") => vec![root.to_owned()],
            Some(target) => target.clone(),
            None => {
                let mut path = self.package.clone();
                path.push(root.to_owned());
                path
            }
        };
        path.extend(reference.names().map(str::to_owned));
        Some(path)
    }
}

impl<'a> Names<'a> {
    pub(super) fn of(modules: &'a [Ref<Module>]) -> Self {
        let mut names = Self { groups: Vec::new(), by_path: BTreeMap::new() };
        for module in modules {
            let package = ast::package(module);
            for rule in &module.policy {
                let path = ast::rule_path(&package, rule);
                let arguments = match &**rule {
                    Rule::Spec { head: RuleHead::Func { args, .. }, .. } => Some(args.len()),
                    Rule::Default { args, .. } if !args.is_empty() => Some(args.len()),
                    Rule::Spec { .. } | Rule::Default { .. } => None,
                };
                let index = *names.by_path.entry(path.clone()).or_insert_with(|| {
                    names.groups.push(Group { path, arguments, rules: Vec::new() });
                    names.groups.len() - 1
                });
                if let Some(group) = names.groups.get_mut(index) {
                    group.rules.push((module, rule));
                }
            }
        }
        names
    }

    /// The function that a call names, in the order in which regorus looks for it.
    pub(super) fn function(&self, scope: &Scope<'_>, name: &Reference<'_>) -> Option<&Group<'a>> {
        let root = name.root?;
        let names = || name.names().map(str::to_owned);
        let aliased = scope.imports.get(root).map(|target| target.iter().cloned().chain(names()).collect());
        let local = match root {
            "data" => std::iter::once(root.to_owned()).chain(names()).collect(),
            _ => scope.package.iter().cloned().chain(std::iter::once(root.to_owned())).chain(names()).collect(),
        };
        aliased
            .into_iter()
            .chain([local])
            .filter_map(|path: Path| self.groups.get(*self.by_path.get(&path)?))
            .find(|group| group.arguments.is_some())
    }

    /// The path of some rule that is not a function, as regorus writes it.
    pub(super) fn first(&self) -> Option<String> {
        let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let group = self.groups.iter().find(|group| group.arguments.is_none() && group.path.iter().all(plain));
        group.map(|group| group.path.join("."))
    }

    /// True if a rule of `path`, above or below it exists.
    pub(super) fn touches(&self, path: &Path) -> bool {
        !self.touched(path).is_empty()
    }

    /// The rules that a reference to `path` may evaluate: the one above it and all below it.
    fn touched(&self, path: &Path) -> Vec<usize> {
        let above = (1..path.len()).filter_map(|length| self.by_path.get(path.get(..length)?).copied());
        let below = self.by_path.range(path.clone()..).take_while(|(name, _)| name.starts_with(path));
        above.chain(below.map(|(_, index)| *index)).collect()
    }

    /// The rules at `path` and all that they use, directly or not.
    pub(super) fn reachable(&self, path: &Path) -> Vec<(&'a Module, &'a Rule)> {
        self.closure(self.touched(path))
    }

    /// All that `rule` uses, directly or not.
    pub(super) fn used_by(&self, module: &'a Module, rule: &'a Rule) -> Vec<(&'a Module, &'a Rule)> {
        self.closure(self.uses(&[(module, rule)]))
    }

    fn closure(&self, start: impl IntoIterator<Item = usize>) -> Vec<(&'a Module, &'a Rule)> {
        let mut todo: Vec<usize> = start.into_iter().collect();
        let mut seen = BTreeSet::new();
        let mut rules = Vec::new();
        while let Some(index) = todo.pop() {
            let Some(group) = self.groups.get(index).filter(|_| seen.insert(index)) else { continue };
            rules.extend(&group.rules);
            todo.extend(self.uses(&group.rules));
        }
        rules
    }

    /// The rules that are one document or function with `path`.
    pub(super) fn group(&self, path: &Path) -> Option<&Group<'a>> {
        self.groups.get(*self.by_path.get(path)?)
    }

    /// Refuses recursion, and chains of rules that nest more than `nesting_max` altogether.
    pub(super) fn check(&self, nesting_max: usize, errors: &mut Vec<LoadError>) {
        let edges: Vec<BTreeSet<usize>> = self.groups.iter().map(|group| self.uses(&group.rules)).collect();
        let costs = self.groups.iter().map(Group::cost).collect();
        let mut search = Search { edges: &edges, costs, state: vec![State::New; edges.len()], cycles: Vec::new() };
        (0..edges.len()).for_each(|start| search.from(start));
        for cycle in &search.cycles {
            let Some(group) = cycle.first().and_then(|first| self.groups.get(*first)) else { continue };
            let path = cycle.iter().chain(cycle.first()).filter_map(|index| self.groups.get(*index));
            let names: Vec<String> = path.map(|group| format!("`{}`", group.path.join("."))).collect();
            let message = format!("{} uses itself: {}", group.name(), names.join(" uses "));
            errors.push(group.error(message).hint("a policy must end, so rules and functions cannot be recursive"));
        }
        let hint = "use fewer functions, loops and comprehensions within one another";
        self.too_dear(&search, nesting_max, "nest too deep", hint, errors);
        let costs = self.groups.iter().map(Group::multiplications).collect();
        let mut search = Search { edges: &edges, costs, state: vec![State::New; edges.len()], cycles: Vec::new() };
        (0..edges.len()).for_each(|start| search.from(start));
        let hint = "a number that is multiplied with itself again and again would not end; multiply with constants";
        self.too_dear(&search, MULTIPLICATIONS_MAX, "multiply too often", hint, errors);
    }

    /// Tells of the rules that cost more than `max`, together with what they use.
    fn too_dear(&self, search: &Search<'_>, max: usize, what: &str, hint: &str, errors: &mut Vec<LoadError>) {
        for (index, group) in self.groups.iter().enumerate() {
            let is_within = |index: usize| search.cost(index).is_none_or(|cost| cost <= max);
            // Whatever uses it is too dear as well, and need not be told.
            if !is_within(index) && search.edges.get(index).into_iter().flatten().all(|used| is_within(*used)) {
                errors.push(group.error(format!("{} and what it uses {what}", group.name())).hint(hint));
            }
        }
    }

    fn uses(&self, rules: &[(&'a Module, &'a Rule)]) -> BTreeSet<usize> {
        let mut uses = BTreeSet::new();
        for (module, rule) in rules {
            let scope = Scope::of(module);
            let locals = ast::locals(rule);
            ast::walk(rule, &mut |seen| match seen {
                Seen::Call { function, .. } => {
                    if let Some(called) = self.function(&scope, &function) {
                        uses.extend(self.by_path.get(&called.path));
                    }
                }
                // A function can be named without being called: `with f as g`.
                Seen::Reference(reference) | Seen::Replaced(reference) => {
                    let Some(path) = scope.resolve(&reference, &locals) else { return };
                    // regorus evaluates all of what an import stands for, whatever follows it.
                    let imported = reference.root.and_then(|root| scope.imports.get(root));
                    uses.extend(self.touched(imported.unwrap_or(&path)));
                }
            });
        }
        uses
    }
}

impl Group<'_> {
    fn name(&self) -> String {
        let kind = if self.arguments.is_some() { "function" } else { "rule" };
        format!("{kind} `{}`", self.path.join("."))
    }

    /// How much stack an evaluation needs, in units of about 4 KiB in a build without optimisation:
    /// measured, with room to spare.
    fn cost(&self) -> usize {
        let shapes = self.rules.iter().map(|(_, rule)| ast::walk(rule, &mut |_| {}));
        shapes.map(|shape| 3 + shape.depth + 4 * shape.loops).max().unwrap_or(0)
    }

    /// How often numbers may be multiplied in one evaluation of it.
    fn multiplications(&self) -> usize {
        self.rules.iter().map(|(_, rule)| ast::walk(rule, &mut |_| {}).multiplications).max().unwrap_or(0)
    }

    fn error(&self, message: String) -> LoadError {
        match self.rules.first() {
            Some((_, rule)) => ast::error_at(rule.span(), message),
            None => LoadError::of_file("", message),
        }
    }
}

/// The most multiplications of numbers that are not constant, in a row. Twelve make 1.6 million
/// digits of the longest number that an agent can send, which is a matter of a second.
const MULTIPLICATIONS_MAX: usize = 12;

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    /// With the cost of the dearest chain from here.
    Done(usize),
}

struct Search<'e> {
    edges: &'e [BTreeSet<usize>],
    costs: Vec<usize>,
    state: Vec<State>,
    cycles: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// A depth-first search that keeps its own stack.
    fn from(&mut self, start: usize) {
        let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
        self.enter(start, &mut path);
        while let Some((node, todo)) = path.last_mut() {
            let node = *node;
            match todo.pop() {
                Some(next) => match self.state.get(next) {
                    Some(State::New) => self.enter(next, &mut path),
                    Some(State::Open) => {
                        let from = path.iter().position(|(open, _)| *open == next).unwrap_or(0);
                        self.cycles.push(path.iter().skip(from).map(|(open, _)| *open).collect());
                    }
                    Some(State::Done(_)) | None => {}
                },
                None => {
                    let dearest = self.edges.get(node).into_iter().flatten().filter_map(|next| self.cost(*next)).max();
                    let own = self.costs.get(node).copied().unwrap_or(0);
                    self.set(node, State::Done(dearest.unwrap_or(0) + own));
                    path.pop();
                }
            }
        }
    }

    fn enter(&mut self, node: usize, path: &mut Vec<(usize, Vec<usize>)>) {
        if matches!(self.state.get(node), Some(State::New)) {
            self.set(node, State::Open);
            // Popped from the back, so that rules are looked at in the order of the source.
            path.push((node, self.edges.get(node).into_iter().flatten().rev().copied().collect()));
        }
    }

    fn set(&mut self, node: usize, state: State) {
        if let Some(slot) = self.state.get_mut(node) {
            *slot = state;
        }
    }

    fn cost(&self, node: usize) -> Option<usize> {
        match self.state.get(node)? {
            State::Done(cost) => Some(*cost),
            State::New | State::Open => None,
        }
    }
}
