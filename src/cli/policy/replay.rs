//! `holdpoint policy replay`: recorded calls through a candidate policy.
//!
//! The audit log does not hold everything that a policy is told: no header fields, no bodies, and of
//! allowed calls no query. What a call may be answered is told with that in mind (`policy::Possible`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use crate::audit;
use crate::cli::approvals::text::one_line;
use crate::cli::out;
use crate::policy::Candidate;
use crate::policy::Inspection;
use crate::policy::Possible;

use super::Form;
use super::recorded::Call;
use super::recorded::Facts;
use super::source::ConfigArg;

/// What to replay.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// The folder of the audit log
    #[arg(long, value_name = "DIR")]
    audit: PathBuf,
    /// The candidate policy's folder or file
    #[arg(long, value_name = "PATH")]
    policy: PathBuf,
    #[command(flatten)]
    config: ConfigArg,
    /// Exit with 2 if a decision would change so
    #[arg(long, value_enum, value_name = "HOW")]
    fail_on: Option<FailOn>,
    /// How to show the result
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// It would certainly be less strict.
    Loosened,
    /// It would be less strict, or that cannot be ruled out.
    MaybeLoosened,
    /// It would certainly be another one.
    Any,
}

/// What became of all recorded calls.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Calls that the log has a policy's decision on.
    calls: usize,
    /// Those that would certainly be answered the same: allow, hold or deny.
    same: usize,
    /// Those that would certainly be answered differently.
    changed: usize,
    /// Those of them that would be answered less strictly.
    loosened: usize,
    /// Those whose answer depends on what was not recorded.
    uncertain: usize,
    /// Those of them that may be answered less strictly.
    maybe_loosened: usize,
    /// Entries about decisions that cannot be read back.
    unreadable: usize,
    /// Parts of the input that were not recorded and that the policy can look at, with the number of
    /// calls for which that matters.
    unrecorded: BTreeMap<String, usize>,
    changes: Vec<Change>,
}

/// Calls that change in the same way.
#[derive(Debug, Serialize)]
struct Change {
    from: String,
    to: String,
    /// The rules that decide, or that may.
    rules: Vec<String>,
    certain: bool,
    loosened: bool,
    count: usize,
    /// At most three.
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Example {
    index: u64,
    call: String,
    /// What was not recorded of it and could matter.
    unrecorded: Vec<String>,
}

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let found = args.config.find(Some(&args.policy))?;
    let inspection = Inspection::load(&found.files.rego, &found.files.data, found.settings.clone())
        .map_err(|errors| anyhow::anyhow!("the candidate policy cannot be used\n{errors}"))?;
    let facts = Facts::of(found.config.as_ref())?;
    let report = replay(args, &inspection, &facts)?;
    match args.output {
        Form::Json => out::json(&report)?,
        Form::Text => show(&report, found.config.is_some())?,
    }
    let fails = match args.fail_on {
        None => false,
        Some(FailOn::Loosened) => report.loosened > 0,
        Some(FailOn::MaybeLoosened) => report.loosened + report.maybe_loosened > 0,
        Some(FailOn::Any) => report.changed > 0,
    };
    Ok(if fails { ExitCode::from(CHANGED) } else { ExitCode::SUCCESS })
}

fn replay(args: &ReplayArgs, inspection: &Inspection, facts: &Facts) -> anyhow::Result<Report> {
    let mut report = Report::default();
    // Few sets of unknown parts come up, and to make a policy ready for one takes a while.
    let mut candidates: BTreeMap<Vec<&'static [&'static str]>, Candidate<'_>> = BTreeMap::new();
    let mut changes: BTreeMap<(String, String, Vec<String>), Change> = BTreeMap::new();
    let unread = || format!("the audit log in `{}` cannot be read", args.audit.display());
    anyhow::ensure!(args.audit.is_dir(), "`{}` is no folder", args.audit.display());
    for entry in audit::disclosed(&args.audit).with_context(unread)? {
        let entry = entry.with_context(unread)?;
        let call = match Call::read(&entry, facts) {
            Ok(Some(call)) => call,
            Ok(None) => continue,
            Err(_) => {
                report.unreadable += 1;
                continue;
            }
        };
        report.calls += 1;
        let candidate = candidates.entry(call.unknown.clone()).or_insert_with(|| inspection.candidate(&call.unknown));
        let possible = candidate.possible(&call.input);
        let Some(change) = compare(&call, &possible, &mut report) else { continue };
        let unrecorded: &[String] = if change.certain { &[] } else { candidate.unknown() };
        for part in unrecorded {
            *report.unrecorded.entry(part.clone()).or_default() += 1;
        }
        let key = (change.from.clone(), change.to.clone(), change.rules.clone());
        let change = changes.entry(key).or_insert(change);
        change.count += 1;
        if change.examples.len() < EXAMPLES_MAX {
            let example = Example { index: entry.index, call: call.line, unrecorded: unrecorded.to_vec() };
            change.examples.push(example);
        }
    }
    report.changes = changes.into_values().collect();
    report.changes.sort_by_key(|change| (!change.certain, !change.loosened, std::cmp::Reverse(change.count)));
    Ok(report)
}

/// Counts the call, and says how its answer may change.
fn compare(call: &Call, possible: &Possible, report: &mut Report) -> Option<Change> {
    let is_looser = possible.effects.iter().any(|effect| strictness(effect) < strictness(call.effect));
    let certain = possible.effects.len() == 1;
    if certain && possible.effects.contains(call.effect) {
        report.same += 1;
        return None;
    }
    if certain {
        report.changed += 1;
        report.loosened += usize::from(is_looser);
    } else {
        report.uncertain += 1;
        report.maybe_loosened += usize::from(is_looser);
    }
    let mut rules = if certain { possible.rules.clone() } else { possible.undecided.clone() };
    rules.sort();
    rules.dedup();
    let to = possible.effects.iter().copied().collect::<Vec<_>>().join(" or ");
    Some(Change {
        from: call.effect.to_owned(),
        to,
        rules,
        certain,
        loosened: is_looser,
        count: 0,
        examples: Vec::new(),
    })
}

fn strictness(effect: &str) -> u8 {
    match effect {
        "allow" => 0,
        "hold" => 1,
        // A policy that fails refuses.
        _ => 2,
    }
}

fn show(report: &Report, has_configuration: bool) -> anyhow::Result<()> {
    if has_configuration {
        out::note("note: owners, groups, claims, labels and dialects are those of the configuration as it is today")?;
    } else {
        out::note(
            "note: without `--config`, what a policy is told about callers and upstreams beyond their names is not known",
        )?;
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["CALLS", "FROM", "TO", "", "RULES", "EXAMPLES"]);
    for change in &report.changes {
        let mark = match (change.certain, change.loosened) {
            (true, true) => "LOOSENED",
            (true, false) => "tightened",
            (false, true) => "may be loosened",
            (false, false) => "uncertain",
        };
        let examples = change.examples.iter().map(|example| {
            let unrecorded = match example.unrecorded.as_slice() {
                [] => String::new(),
                parts => format!(" (not recorded: {})", parts.join(", ")),
            };
            one_line(&format!("#{} {}{unrecorded}", example.index, example.call)).into_owned()
        });
        let examples = examples.collect::<Vec<_>>().join("\n");
        let rules = if change.rules.is_empty() { "(default)".to_owned() } else { change.rules.join(", ") };
        table.add_row([
            change.count.to_string(),
            change.from.clone(),
            change.to.clone(),
            mark.to_owned(),
            rules,
            examples,
        ]);
    }
    if !report.changes.is_empty() {
        out::line(table.trim_fmt())?;
        out::line("")?;
    }
    let Report { calls, same, changed, loosened, uncertain, maybe_loosened, unreadable, .. } = report;
    out::line(format!(
        "{calls} recorded calls: {same} are answered the same, {changed} differently ({loosened} loosened)"
    ))?;
    if *uncertain > 0 {
        out::line(format!(
            "{uncertain} cannot be told, for want of what was not recorded ({maybe_loosened} may be loosened):"
        ))?;
        for (part, count) in &report.unrecorded {
            out::line(format!("  {part} matters for {count}"))?;
        }
    }
    if *unreadable > 0 {
        out::line(format!(
            "{unreadable} entries cannot be replayed at all: what they are about was destroyed or not recorded"
        ))?;
    }
    out::line("the answers are compared, not who would have to approve")?;
    Ok(())
}

/// The most examples of one change.
const EXAMPLES_MAX: usize = 3;
/// The exit code of `--fail-on`.
const CHANGED: u8 = 2;
