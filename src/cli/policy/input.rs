//! `holdpoint policy input`.

use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;

use crate::cli::out;
use crate::policy;
use crate::policy::Example;

/// What to print about `input`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InputArgs {
    /// An example for a dialect instead, with comments
    #[arg(long, value_enum, value_name = "DIALECT", num_args = 0..=1, default_missing_value = "http")]
    example: Option<Dialect>,
    /// The example without comments, as `policy eval --input` takes it
    #[arg(long, requires = "example")]
    plain: bool,
    /// The schema in the form for `schemas:` annotations and `opa check --schema`
    #[arg(long, conflicts_with = "example")]
    rego_schema: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Dialect {
    /// Plain HTTP.
    Http,
    /// An API with an OpenAPI document.
    Openapi,
}

pub(super) fn run(args: &InputArgs) -> anyhow::Result<ExitCode> {
    let example = args.example.map(|dialect| match dialect {
        Dialect::Http => Example::Http,
        Dialect::Openapi => Example::OpenApi,
    });
    out::line(match example {
        Some(example) if args.plain => serde_json::to_string_pretty(&policy::example(example))?,
        Some(example) => example.annotated(),
        None if args.rego_schema => serde_json::to_string_pretty(&policy::rego_schema())?,
        None => serde_json::to_string_pretty(&policy::input_schema())?,
    })?;
    Ok(ExitCode::SUCCESS)
}
