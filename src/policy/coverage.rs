//! Which lines of a policy its tests have evaluated.
//!
//! Files with tests are left out: they would count as covered by themselves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use regorus::Engine;
use regorus::unstable::Module;
use regorus::unstable::Ref;

use super::ast;
use super::ast::Seen;
use super::check;

/// Which lines were evaluated, file by file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The files of the policy that have something to evaluate.
    pub files: BTreeMap<String, FileCoverage>,
}

/// Which lines of one file were evaluated, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCoverage {
    /// Those that were.
    pub covered: BTreeSet<u32>,
    /// Those that were not.
    pub not_covered: BTreeSet<u32>,
    /// True once the evaluator has said what lines there are to cover.
    is_reported: bool,
}

impl Coverage {
    /// Nothing evaluated yet of `modules`.
    pub(super) fn of(modules: &[Ref<Module>]) -> Self {
        let mut coverage = Self::default();
        for module in modules {
            let path = module.package.span.source.get_path();
            if check::is_test(path) {
                continue;
            }
            // A file that no test touches is not in any report, and is not covered.
            let file = coverage.files.entry(path.clone()).or_default();
            for rule in &module.policy {
                ast::walk(rule, &mut |seen| {
                    let (Seen::Reference(reference)
                    | Seen::Replaced(reference)
                    | Seen::Call { function: reference, .. }) = seen;
                    file.not_covered.insert(reference.span.line);
                });
                file.not_covered.insert(rule.span().line);
            }
        }
        coverage
    }

    /// Adds what `engine` has evaluated since its coverage was enabled.
    pub(super) fn add(&mut self, engine: &Engine) {
        let Ok(report) = engine.get_coverage_report() else { return };
        for file in report.files.into_iter().filter(|file| !check::is_test(&file.path)) {
            let known = self.files.entry(file.path).or_default();
            if !known.is_reported {
                *known = FileCoverage { is_reported: true, ..FileCoverage::default() };
            }
            known.covered.extend(file.covered);
            known.not_covered.extend(file.not_covered);
            known.not_covered.retain(|line| !known.covered.contains(line));
        }
    }

    /// The share of lines that were evaluated, in per cent; 100 where there is none to evaluate.
    pub fn percent(&self) -> f64 {
        let count = |lines: fn(&FileCoverage) -> usize| self.files.values().map(lines).sum::<usize>();
        percent(count(|file| file.covered.len()), count(|file| file.not_covered.len()))
    }
}

impl FileCoverage {
    /// The share of lines that were evaluated, in per cent.
    pub fn percent(&self) -> f64 {
        percent(self.covered.len(), self.not_covered.len())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a policy has fewer than 2^52 lines")]
fn percent(covered: usize, not_covered: usize) -> f64 {
    if not_covered == 0 {
        return 100.0;
    }
    100.0 * covered as f64 / (covered + not_covered) as f64
}
