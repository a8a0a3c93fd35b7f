//! `holdpoint policy docs`.

use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;

use crate::cli::out;
use crate::policy::CatalogFormat;

use super::source::Which;

/// What to document.
#[derive(Debug, Args)]
pub(in crate::cli) struct DocsArgs {
    #[command(flatten)]
    which: Which,
    /// In which language
    #[arg(short, long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a repository or a wiki.
    Markdown,
    /// One page that needs nothing else.
    Html,
}

pub(super) fn run(args: &DocsArgs) -> anyhow::Result<ExitCode> {
    let (inspection, _) = args.which.load()?;
    let format = match args.format {
        Format::Markdown => CatalogFormat::Markdown,
        Format::Html => CatalogFormat::Html,
    };
    out::line(inspection.catalog(format).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
