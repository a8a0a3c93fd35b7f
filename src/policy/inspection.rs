//! A policy together with its source, for the tools that look into it: `check`, `eval`, `replay`
//! and `docs`. The proxy has no use for one.

use regorus::Engine;
use regorus::unstable::Module;
use regorus::unstable::Ref;

use super::check;
use super::decide::Policy;
use super::error::LoadErrors;
use super::load;
use super::load::Source;
use super::settings::Settings;

/// A policy together with its source.
pub struct Inspection {
    pub(super) policy: Policy,
    /// Prepared, with exactly the rules of the source.
    pub(super) engine: Engine,
    pub(super) modules: Vec<Ref<Module>>,
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
        let mut loaded = load::compile(&rego, &sorted, &settings.limits)?;
        load::set_timer(&mut loaded.engine, settings.evaluation_max);
        let data = sorted.into_iter().cloned().collect();
        Ok(Self { policy, engine: loaded.engine, modules: loaded.modules, data, settings })
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
