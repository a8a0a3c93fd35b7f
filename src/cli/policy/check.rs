//! `holdpoint policy check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::cli::out;
use crate::policy::Explanation;
use crate::policy::Finding;
use crate::policy::Inspection;
use crate::policy::Severity;

use super::Form;
use super::report::Reporter;
use super::source::ConfigArg;

/// Which policies to check.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The policy's folder or file; else the one that the configuration names
    path: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    /// Say of each rule what it depends on, whether bodies are read for it, and what keeps calls from
    /// sharing decisions
    #[arg(long)]
    explain: bool,
    /// Warnings fail as well
    #[arg(long)]
    strict: bool,
    /// How to show the result
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let found = args.config.find(args.path.as_deref())?;
    let loaded = Inspection::load(&found.files.rego, &found.files.data, found.settings.clone());
    let findings = match &loaded {
        Ok(inspection) => inspection.findings(),
        Err(errors) => errors.0.iter().cloned().map(Finding::refused).collect(),
    };
    let count = |wanted| findings.iter().filter(|finding| finding.severity == wanted).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let is_fine = errors == 0 && (warnings == 0 || !args.strict);
    let inspection = loaded.as_ref().ok();
    match args.output {
        Form::Json => out::json(&json!({
            "ok": is_fine,
            "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
            "rules": inspection.map(|inspection| inspection.policy().rules().len()),
            "digest": inspection.map(|inspection| inspection.policy().digest().to_string()),
            "explain": inspection.filter(|_| args.explain).map(Inspection::explain),
        }))?,
        Form::Text => {
            let reporter = Reporter::new(&found.files);
            findings.iter().try_for_each(|finding| out::note(format!("{}\n", reporter.text(finding))))?;
            match inspection {
                Some(inspection) if is_fine => summary(inspection, warnings)?,
                Some(_) | None => out::note(format!("{errors} errors, {warnings} warnings"))?,
            }
            if let Some(inspection) = inspection.filter(|_| args.explain) {
                explain(&inspection.explain())?;
            }
        }
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(inspection: &Inspection, warnings: usize) -> std::io::Result<()> {
    let policy = inspection.policy();
    let but = if warnings == 0 { String::new() } else { format!(", {warnings} warnings") };
    out::line(format!("{} rules are fine{but}, digest {}", policy.rules().len(), policy.digest()))?;
    out::line(match policy.shares_decisions() {
        true => "calls that the rules cannot tell apart share a decision",
        false => "every call is evaluated: a rule reads the time, the body, or a whole object that has one of them",
    })?;
    if policy.reads_body() {
        out::line("bodies are read whole before the decision: a rule looks at them")?;
    }
    Ok(())
}

/// One set of rules decides on all routes, so what holds for one rule holds for all calls.
fn explain(explanation: &Explanation) -> std::io::Result<()> {
    for rule in &explanation.rules {
        let mode = if rule.shadow { ", in shadow mode" } else { "" };
        out::line(format!("\n{} {} ({}:{}{mode})", rule.kind, rule.rule, rule.file, rule.line))?;
        let reads = if rule.reads.is_empty() { "nothing of the input".to_owned() } else { rule.reads.join(", ") };
        out::line(format!("  depends on: {reads}"))?;
        out::line(format!("  body: {}", if rule.reads_body { "has to be read" } else { "not needed" }))?;
        let shared =
            if rule.shares_decisions { "can be shared by calls that agree on these" } else { "cannot be shared" };
        out::line(format!("  decisions: {shared}"))?;
    }
    out::line("\nall routes, since one set of rules decides on all of them")?;
    let body = if explanation.reads_body { "read whole before every decision" } else { "streamed, not read" };
    out::line(format!("  bodies: {body}"))?;
    let shared = if explanation.shares_decisions { "shared" } else { "made anew for every call, because" };
    out::line(format!("  decisions: {shared}"))?;
    for blocker in &explanation.blockers {
        let rules = match blocker.rules.as_slice() {
            [] => "no rule uses what reads it".to_owned(),
            rules => format!("for {}", rules.join(", ")),
        };
        out::line(format!("    {} is read in {} ({rules}): {}", blocker.path, blocker.places.join(", "), blocker.why))?;
    }
    Ok(())
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let error = &finding.error;
    json!({
        "severity": finding.severity,
        "code": finding.code,
        "file": error.file,
        "line": error.line,
        "column": error.column,
        "width": error.width,
        "message": error.message,
        "hint": error.hint,
    })
}
