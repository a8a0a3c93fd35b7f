//! The rules that add to `deny`, `hold` and `allow`, with everything the source says about them.

use regorus::unstable::Expr;
use regorus::unstable::Module;
use regorus::unstable::Ref;
use regorus::unstable::Rule;
use serde_json::Map;

use super::annotations::Annotations;
use super::ast;
use super::obligations::UNNAMED;
use super::rules;
use super::rules::RuleKind;
use super::shadow::Shadowed;

/// One rule that adds to a set.
pub(super) struct Entry<'a> {
    pub(super) kind: RuleKind,
    pub(super) module: &'a Module,
    pub(super) rule: &'a Rule,
    /// What it adds, as written.
    pub(super) object: Option<&'a Expr>,
    /// What of that is constant.
    pub(super) constants: Map<String, serde_json::Value>,
    /// The names of what is not.
    pub(super) dynamic: Vec<String>,
    /// True if it is in shadow mode, and has no effect.
    pub(super) shadow: bool,
}

impl<'a> Entry<'a> {
    /// All of them, in the order of the source.
    pub(super) fn all(modules: &'a [Ref<Module>], shadowed: &Shadowed) -> Vec<Self> {
        let mut entries = Vec::new();
        for module in modules.iter().filter(|module| !super::check::is_test(module.package.span.source.get_path())) {
            let package = ast::package(module);
            for rule in &module.policy {
                let Some(kind) = RuleKind::of(&ast::rule_path(&package, rule)) else { continue };
                let object = rules::object(rule);
                let (mut constants, mut dynamic) = (Map::new(), Vec::new());
                if let Some(Expr::Object { fields, .. }) = object {
                    for (_, key, value) in fields {
                        let Some(key) =
                            ast::constant(key).and_then(|key| key.as_string().map(|key| key.to_string()).ok())
                        else {
                            dynamic.push("…".to_owned());
                            continue;
                        };
                        match ast::constant(value).and_then(|value| serde_json::to_value(value).ok()) {
                            Some(value) => drop(constants.insert(key, value)),
                            None => dynamic.push(key),
                        }
                    }
                }
                let shadow = shadowed.has(rule);
                entries.push(Self { kind, module, rule, object, constants, dynamic, shadow });
            }
        }
        entries
    }

    /// Its name, if that is constant.
    pub(super) fn name(&self) -> Option<&str> {
        let named = self.constants.get("rule").and_then(serde_json::Value::as_str);
        let is_unnamed = matches!(self.object, Some(Expr::Object { .. }))
            && self.dynamic.iter().all(|key| key != "rule" && key != "…");
        named.or(is_unnamed.then_some(UNNAMED))
    }

    /// Its name, or words for a name that its body makes.
    pub(super) fn label(&self) -> String {
        self.name().unwrap_or("(named when it matches)").to_owned()
    }

    /// The file it is in.
    pub(super) fn file(&self) -> &'a str {
        self.rule.span().source.get_path()
    }

    /// The line it begins on, from 1.
    pub(super) fn line(&self) -> u32 {
        self.rule.span().line
    }

    /// What its METADATA comment says. Mistakes in it are refused by the loader.
    pub(super) fn annotations(&self) -> Annotations {
        Annotations::above(self.rule.span().source.get_contents(), self.line()).unwrap_or_default()
    }
}
