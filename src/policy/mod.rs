//! Rego policies: read, checked and prepared once, then asked about each call.
//!
//! A policy is a set of Rego files in package `holdpoint` that add to the sets `deny`, `hold` and
//! `allow`, and data files that they may look things up in (DESIGN 4). [`Policy::load`] refuses
//! whatever could only fail, or never end, in the middle of a call; [`Policy::decide`] answers for
//! one call and turns every doubt into an error, never into an allow.
//! Does not own where the files come from (`server`), who may review (`approval`) or what a caller
//! is told about an error (`gate`). Pure: no IO, and the caller brings `now`.

pub mod bundle;
pub mod runner;

mod annotations;
mod ast;
mod builtins;
mod cache;
mod catalog;
mod check;
mod coverage;
mod data;
mod decide;
mod entries;
mod error;
mod example;
mod explain;
mod form;
mod graph;
mod heads;
mod input;
mod inspection;
mod json;
mod lint;
mod load;
mod merge;
mod obligations;
mod places;
mod possible;
mod probe;
mod projection;
mod reads;
mod render;
mod rules;
mod schema;
mod settings;
mod shadow;
mod trace;
mod values;

pub use annotations::Annotations;
pub use catalog::CatalogFormat;
pub use coverage::Coverage;
pub use coverage::FileCoverage;
pub use decide::Policy;
pub use error::EvaluateError;
pub use error::LoadError;
pub use error::LoadErrors;
pub use example::Example;
pub use example::example;
pub use explain::Blocker;
pub use explain::Explanation;
pub use explain::RuleReads;
pub use input::HISTORY;
pub use input::History;
pub use input::input_json;
pub use input::request_json;
pub use input::time_json;
pub use inspection::Inspection;
pub use lint::Finding;
pub use lint::Severity;
pub use load::Source;
pub use possible::Candidate;
pub use possible::Possible;
pub use reads::InputPaths;
pub use rules::RuleInfo;
pub use rules::RuleKind;
pub use schema::input_schema;
pub use schema::rego_schema;
pub use settings::DefaultEffect;
pub use settings::Known;
pub use settings::Limits;
pub use settings::Settings;
pub use trace::RuleOutcome;
pub use trace::RuleTrace;
pub use trace::SeenValue;

#[cfg(test)]
mod tests;
