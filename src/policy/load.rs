//! From files to a policy that can be asked: parse, check, prepare.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::time::Duration;

use regorus::Engine;
use regorus::PolicyLengthConfig;
use regorus::Rc;
use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::utils::limits::ExecutionTimerConfig;

use super::ast;
use super::ast::Seen;
use super::builtins;
use super::cache::Cache;
use super::check;
use super::data;
use super::decide::APPROVED_BEFORE;
use super::decide::Policy;
use super::error::LoadError;
use super::error::LoadErrors;
use super::graph::Names;
use super::heads;
use super::projection::Projection;
use super::reads::InputPaths;
use super::rules;
use super::settings::DefaultEffect;
use super::settings::Limits;
use super::settings::Settings;
use super::shadow::Shadowed;
use crate::model::CanonicalHasher;
use crate::model::PolicyDigest;

/// The longest line of a Rego file, in columns.
const COLUMNS_MAX: NonZeroU32 = NonZeroU32::new(1_024).expect("1,024 is not 0");
/// The most lines of a Rego file.
const LINES_MAX: NonZeroUsize = NonZeroUsize::new(20_000).expect("20,000 is not 0");
/// How deep braces may be nested in a Rego file.
const BRACES_MAX: usize = 10;
/// The stack for reading a policy: a kilobyte for every link of the longest chain that fits into a
/// file of the default size. Only what is used of it costs memory.
const STACK_BYTES: usize = 128 << 20;
/// How many steps the evaluator takes between two looks at the clock.
const TIMER_STEPS: NonZeroU32 = NonZeroU32::new(1_000).expect("1,000 is not 0");

/// One file of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path relative to the policy's folder, with `/`, as shown to people. The folders of a
    /// data file say where in `data` it goes: `routes/data.json` is `data.routes`.
    pub path: String,
    /// All of its text.
    pub text: String,
}

impl Policy {
    /// Compiles a policy out of Rego files and data files, in JSON or YAML. Files named `…_test.rego` are left
    /// out; [`super::runner::run_tests`] is for them.
    ///
    /// # Errors
    /// Everything that is wrong with the files, in the order of the files.
    pub fn load(rego: &[Source], data: &[Source], settings: Settings) -> Result<Self, LoadErrors> {
        let mut rego: Vec<&Source> = rego.iter().filter(|source| !check::is_test(&source.path)).collect();
        rego.sort_by(|a, b| a.path.cmp(&b.path));
        let mut data: Vec<&Source> = data.iter().collect();
        data.sort_by(|a, b| a.path.cmp(&b.path));

        let mut loaded = compile(&rego, &data, &settings.limits)?;
        let mut errors = Vec::new();
        let shadowed = Shadowed::find(&loaded.modules, &mut errors);
        let rules = rules::read(&loaded.modules, &shadowed, &settings, &mut errors);
        if shadowed.enforced.is_empty() && shadowed.kinds.is_empty() {
            let message = "no file of the policy adds to `deny`, `hold` or `allow` of package `holdpoint`";
            let hint = "without a rule every call meets the default; write one, or start from policies/starter";
            errors.push(LoadError::of_file("", message).hint(hint));
        }
        if settings.default == DefaultEffect::Hold && settings.default_reviewers.is_empty() {
            let message = "`policy.default` is `hold`, but `policy.default_reviewers` names nobody who could approve";
            errors.push(LoadError::of_file("", message));
        }
        finish(errors)?;
        if !shadowed.kinds.is_empty() {
            loaded.engine = on_large_stack(|| set_apart(&rego, &data, &shadowed, &settings.limits))?;
        }
        set_timer(&mut loaded.engine, settings.evaluation_max);
        let reads = InputPaths::of(&loaded.modules, |_| true);
        let enforced_reads = InputPaths::of(&loaded.modules, |rule| !shadowed.has(rule));
        let mentions_history = rego.iter().chain(&data).any(|source| source.text.contains(APPROVED_BEFORE[1]));
        let digest = digest(&rego, &data, &settings);
        let projection = Projection::of(&reads);
        let cache = Cache::new();
        let Shadowed { enforced: kinds, kinds: shadow_kinds, .. } = shadowed;
        let engine = loaded.engine;
        Ok(Self {
            engine,
            projection,
            cache,
            kinds,
            shadow_kinds,
            reads,
            enforced_reads,
            mentions_history,
            rules,
            digest,
            settings,
        })
    }
}

/// Files that have passed every check, and an engine that can evaluate them.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    pub(super) modules: Vec<Ref<Module>>,
}

/// Parses and checks the files, and prepares the engine.
pub(super) fn compile(rego: &[&Source], data: &[&Source], limits: &Limits) -> Result<Loaded, LoadErrors> {
    on_large_stack(|| compile_here(rego, data, limits))
}

/// An engine in which the rules in shadow mode are in sets of their own. The files have passed
/// every check, so that only what was added to them could be too much.
fn set_apart(rego: &[&Source], data: &[&Source], shadowed: &Shadowed, limits: &Limits) -> Result<Engine, LoadErrors> {
    let apart = shadowed.apart(rego);
    let limits = Limits { file_bytes_max: limits.file_bytes_max.saturating_mul(2), ..limits.clone() };
    let mut errors = Vec::new();
    let mut engine = new_engine(&limits, COLUMNS_MAX.saturating_mul(NonZeroU32::new(2).unwrap_or(COLUMNS_MAX)));
    for source in &apart {
        errors.extend(add(&mut engine, source, &limits).err());
    }
    data::add(&mut engine, rego, data, &limits, &mut errors);
    finish(errors)?;
    let modules = engine.get_modules().clone();
    let names = Names::of(&modules);
    let prepared = builtins::add_capped(&mut engine, &named(&modules)).and_then(|()| prepare(&mut engine, &names));
    let rego: Vec<&Source> = apart.iter().collect();
    finish(prepared.err().map(|error| from_regorus(&rego, "", &error)).into_iter().collect())?;
    Ok(engine)
}

/// Runs `load` on a thread with a stack of its own: regorus parses, and drops, a chain such as
/// `1 + 1 + 1 + …` one level deeper for each link, before we can refuse it. The thread also keeps
/// a panic of the parser to itself.
fn on_large_stack<T: Send>(load: impl FnOnce() -> Result<T, LoadErrors> + Send) -> Result<T, LoadErrors> {
    let failed = |what: &str| LoadErrors(vec![LoadError::of_file("", format!("the policy cannot be read: {what}"))]);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("policy-load".to_owned()).stack_size(STACK_BYTES);
        match builder.spawn_scoped(scope, load) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(failed("the parser panicked"))),
            Err(error) => Err(failed(&error.to_string())),
        }
    })
}

fn compile_here(rego: &[&Source], data: &[&Source], limits: &Limits) -> Result<Loaded, LoadErrors> {
    let mut errors = Vec::new();
    let mut engine = new_engine(limits, COLUMNS_MAX);
    if rego.len() > limits.files_max {
        let message = format!("there are {} Rego files, more than {}", rego.len(), limits.files_max);
        return Err(LoadErrors(vec![LoadError::of_file("", message)]));
    }
    for source in rego {
        errors.extend(add(&mut engine, source, limits).err());
    }
    data::add(&mut engine, rego, data, limits, &mut errors);
    finish(std::mem::take(&mut errors))?;

    let modules = engine.get_modules().clone();
    if check::too_deep(&modules, &mut errors) {
        return Err(LoadErrors(errors));
    }
    let names = Names::of(&modules);
    check::check(&modules, &names, &mut errors);
    names.check(limits.nesting_max, &mut errors);
    heads::check(&modules, &names, &mut errors);
    finish(std::mem::take(&mut errors))?;

    let prepared = builtins::add_capped(&mut engine, &named(&modules)).and_then(|()| prepare(&mut engine, &names));
    finish(prepared.err().map(|error| from_regorus(rego, "", &error)).into_iter().collect())?;
    Ok(Loaded { engine, modules })
}

fn finish(mut errors: Vec<LoadError>) -> Result<(), LoadErrors> {
    // One mistake may be seen from several sides; what it says is the same.
    errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    errors.dedup();
    if errors.is_empty() { Ok(()) } else { Err(LoadErrors(errors)) }
}

fn new_engine(limits: &Limits, columns_max: NonZeroU32) -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    // `print` would write to standard error otherwise.
    engine.set_gather_prints(true);
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: columns_max,
        max_file_bytes: NonZeroUsize::new(limits.file_bytes_max).unwrap_or(NonZeroUsize::MIN),
        max_lines: LINES_MAX,
    });
    engine
}

/// Bounds how long one evaluation may take.
pub(super) fn set_timer(engine: &mut Engine, limit: Duration) {
    engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval: TIMER_STEPS });
}

fn add(engine: &mut Engine, source: &Source, limits: &Limits) -> Result<(), LoadError> {
    if source.text.len() > limits.file_bytes_max {
        let message = format!("the file has {} bytes, more than {}", source.text.len(), limits.file_bytes_max);
        return Err(LoadError::of_file(&source.path, message).hint("put tables into a JSON data file"));
    }
    if let Some(line) = braces_too_deep(&source.text) {
        let message = format!("braces are nested more than {BRACES_MAX} levels deep");
        let error = LoadError::at(&source.path, &source.text, line, 1, message);
        return Err(error.hint("put large objects into a JSON data file"));
    }
    match engine.add_policy(source.path.clone(), source.text.clone()) {
        Ok(_) => Ok(()),
        Err(error) => Err(from_regorus(&[source], &source.path, &error)),
    }
}

/// The line on which braces are nested too deep. regorus tries each `{` as a set, a comprehension
/// and an object in turn, so that its time doubles with each level: 30 would take days.
fn braces_too_deep(text: &str) -> Option<u32> {
    let mut depth = 0usize;
    let mut line = 1;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            '\n' => line += 1,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '#' => line += u32::from(chars.any(|c| c == '\n')),
            '`' => line += chars.by_ref().take_while(|c| *c != '`').filter(|c| *c == '\n').map(|_| 1).sum::<u32>(),
            '"' => skip_string(&mut chars),
            _ => {}
        }
        if depth > BRACES_MAX {
            return Some(line);
        }
    }
    None
}

/// Goes to the end of a string in quotes, which is on one line.
fn skip_string(chars: &mut std::str::Chars<'_>) {
    while let Some(next) = chars.next() {
        match next {
            '\\' => drop(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// Finds the mistakes that only regorus' own analysis finds, such as variables that nothing binds,
/// and makes all later clones of the engine ready to evaluate.
fn prepare(engine: &mut Engine, names: &Names<'_>) -> anyhow::Result<()> {
    match names.first() {
        Some(path) => engine.compile_with_entrypoint(&Rc::from(path)).map(drop),
        None => Ok(()),
    }
}

/// The dotted names of everything that is called or mentioned.
fn named(modules: &[Ref<Module>]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rule in modules.iter().flat_map(|module| &module.policy) {
        ast::walk(rule, &mut |seen| match seen {
            Seen::Call { function: name, .. } | Seen::Reference(name) | Seen::Replaced(name) => {
                named.extend(name.dotted());
            }
        });
    }
    named
}

/// Reads the place out of an error of regorus, whose text is `--> file:line:column`, the source
/// and `error: what`.
fn from_regorus(sources: &[&Source], file: &str, error: &anyhow::Error) -> LoadError {
    let text = error.to_string();
    let message = text.rsplit_once("error: ").map_or(text.as_str(), |(_, message)| message).trim();
    let place = text.lines().find_map(|line| {
        let (rest, column) = line.strip_prefix("--> ")?.rsplit_once(':')?;
        let (file, line) = rest.rsplit_once(':')?;
        Some((file, line.parse::<u32>().ok()?, column.parse::<u32>().ok()?))
    });
    let Some((file, line, column)) = place else { return LoadError::of_file(file, message) };
    let text = sources.iter().find(|source| source.path == file).map_or("", |source| source.text.as_str());
    LoadError::at(file, text, line, column, message)
}

/// Over all that changes an answer. Groups and credentials only change which answers are errors,
/// so that a new reviewer group does not void the approvals that are open.
fn digest(rego: &[&Source], data: &[&Source], settings: &Settings) -> PolicyDigest {
    let mut hasher = CanonicalHasher::new("holdpoint/policy/v1");
    for sources in [rego, data] {
        hasher.count(sources.len());
        for source in sources {
            hasher.field(source.path.as_bytes());
            hasher.field(source.text.as_bytes());
        }
    }
    hasher.count(match settings.default {
        DefaultEffect::Deny => 0,
        DefaultEffect::Hold => 1,
    });
    hasher.count(settings.default_reviewers.len());
    for reviewer in &settings.default_reviewers {
        hasher.field(reviewer.group.as_bytes());
        hasher.count(reviewer.count as usize);
    }
    hasher.finish()
}
