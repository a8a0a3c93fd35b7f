//! A policy together with its source, for the tools that look into it: `check`, `eval`, `replay`
//! and `docs`. The proxy has no use for one.

use regorus::Engine;
use regorus::unstable::Module;
use regorus::unstable::Ref;

use super::check;
use super::decide::Policy;
use super::entries::Entry;
use super::error::LoadErrors;
use super::load;
use super::load::Source;
use super::settings::Settings;
use super::shadow::Shadowed;

/// A policy together with its source.
pub struct Inspection {
    pub(super) policy: Policy,
    /// Prepared, with rules in shadow mode where no other sees them.
    pub(super) engine: Engine,
    pub(super) modules: Vec<Ref<Module>>,
    pub(super) shadowed: Shadowed,
    pub(super) data: Vec<Source>,
    pub(super) settings: Settings,
}

impl Inspection {
    /// Loads a policy as [`Policy::load`] does, and keeps what that lets go of.
    ///
    /// # Errors
    /// The same.
    pub fn load(rego: &[Source], data: &[Source], settings: Settings) -> Result<Self, LoadErrors> {
        let policy = Policy::load(rego, data, settings.clone())?;
        let mut rego: Vec<&Source> = rego.iter().filter(|source| !check::is_test(&source.path)).collect();
        rego.sort_by(|a, b| a.path.cmp(&b.path));
        let mut sorted: Vec<&Source> = data.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path));
        let modules = load::compile(&rego, &sorted, &settings.limits)?.modules;
        let shadowed = Shadowed::find(&modules, &mut Vec::new());
        let data = sorted.into_iter().cloned().collect();
        Ok(Self { engine: policy.engine.clone(), policy, modules, shadowed, data, settings })
    }

    /// The rules that add to `deny`, `hold` and `allow`.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        Entry::all(&self.modules, &self.shadowed)
    }

    /// The policy itself.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection").field("policy", &self.policy).finish_non_exhaustive()
    }
}
