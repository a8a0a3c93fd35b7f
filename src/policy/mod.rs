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

mod ast;
mod builtins;
mod cache;
mod check;
mod data;
mod decide;
mod error;
mod form;
mod graph;
mod input;
mod json;
mod load;
mod merge;
mod metadata;
mod obligations;
mod projection;
mod reads;
mod rules;
mod schema;
mod settings;
mod shadow;
mod values;

pub use decide::Policy;
pub use error::EvaluateError;
pub use error::LoadError;
pub use error::LoadErrors;
pub use input::input_json;
pub use load::Source;
pub use reads::InputPaths;
pub use rules::RuleInfo;
pub use rules::RuleKind;
pub use schema::input_schema;
pub use settings::DefaultEffect;
pub use settings::Limits;
pub use settings::Settings;

#[cfg(test)]
mod tests;
