//! `holdpoint policy new`: a policy to begin with, with its tests.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::cli::out;

/// What to begin with.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The name of the new files and rules: lower-case letters, digits and `-`
    #[arg(value_parser = name)]
    name: String,
    /// Which one to begin with
    #[arg(short, long, value_parser = clap::builder::PossibleValuesParser::new(TEMPLATES.map(|template| template.name)))]
    template: String,
    /// The folder to write to; made if there is none
    dir: PathBuf,
}

struct Template {
    name: &'static str,
    /// Where it is below `policies/`.
    path: &'static str,
    rules: &'static str,
    tests: &'static str,
}

impl Template {
    /// True if it is a folder of the library, in which all names begin with the folder's.
    fn is_folder(&self) -> bool {
        !self.path.starts_with("starter/")
    }
}

macro_rules! templates {
    ($($name:literal: $path:literal,)*) => {
        [$(Template {
            name: $name,
            path: $path,
            rules: include_str!(concat!("../../../policies/", $path, ".rego")),
            tests: include_str!(concat!("../../../policies/", $path, "_test.rego")),
        },)*]
    };
}

/// The library. A new one is a line here: its name, and where it is below `policies/`. Its test
/// package ends in the name of the file. What it calls its own (rules, helpers, data) has that name,
/// or one that begins with it, and is given the new one.
const TEMPLATES: [Template; 13] = templates! {
    "amount-thresholds": "amount-thresholds/amount-thresholds",
    "customer-export": "starter/customer-export",
    "data-classification": "data-classification/data-classification",
    "data-export": "data-export/data-export",
    "environment-defaults": "environment-defaults/environment-defaults",
    "generic-http": "generic-http/generic-http",
    "infrastructure": "starter/infrastructure",
    "privilege-escalation": "privilege-escalation/privilege-escalation",
    "production-change-windows": "production-change-windows/production-change-windows",
    "reads": "starter/reads",
    "risky-rate": "risky-rate/risky-rate",
    "time-and-on-call": "time-and-on-call/time-and-on-call",
    "writes": "starter/writes",
};

pub(super) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let template = TEMPLATES.into_iter().find(|template| template.name == args.template);
    let template = template.with_context(|| format!("there is no template `{}`", args.template))?;
    std::fs::create_dir_all(&args.dir).with_context(|| format!("`{}` cannot be made", args.dir.display()))?;
    let files = [(format!("{}.rego", args.name), template.rules), (format!("{}_test.rego", args.name), template.tests)];
    for (file, _) in &files {
        let path = args.dir.join(file);
        anyhow::ensure!(
            !path.exists(),
            "`{}` is there already, and nothing was written; choose another name",
            path.display()
        );
    }
    for (file, text) in files {
        let path = args.dir.join(file);
        write(&path, &renamed(text, &template, &args.name))?;
        out::line(path.display().to_string())?;
    }
    out::note(format!("next: `holdpoint policy test {0}`, then `holdpoint policy check {0}`", args.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there yet, whatever happens in between.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("`{}` cannot be written", path.display()))
}

/// A template under its new name. Kinds of actions may be called as it is, so a folder's own name is
/// only what stands before something else.
fn renamed(text: &str, template: &Template, to: &str) -> String {
    let (from, from_id, to_id) = (template.name, identifier(template.name), identifier(to));
    let package = |id: &str| format!("package holdpoint_test.{id}\n");
    let text = text.replace(&package(&from_id), &package(&to_id));
    if !template.is_folder() {
        return text.replace(&format!("\"{from}\""), &format!("\"{to}\""));
    }
    text.replace(&format!("\"{from}-"), &format!("\"{to}-"))
        .replace(&format!("data.{from_id}."), &format!("data.{to_id}."))
        .replace(&format!("data.{from_id} "), &format!("data.{to_id} "))
        .replace(&format!("{from_id}_"), &format!("{to_id}_"))
}

/// A name as Rego has names.
fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

fn name(text: &str) -> Result<String, String> {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let is_name =
        text.starts_with(|char: char| char.is_ascii_lowercase()) && text.len() <= 64 && text.chars().all(is_plain);
    if KEYWORDS.contains(&text) {
        return Err("it is a word of Rego itself".to_owned());
    }
    if is_name { Ok(text.to_owned()) } else { Err("use lower-case letters, digits and `-`, a letter first".to_owned()) }
}

/// What cannot be part of a package's or a document's name.
const KEYWORDS: [&str; 15] = [
    "as", "contains", "data", "default", "else", "every", "false", "if", "import", "in", "not", "null", "some", "true",
    "with",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Inspection;
    use crate::policy::Settings;
    use crate::policy::Source;
    use crate::policy::runner::Covering;
    use crate::policy::runner::run_tests;

    #[test]
    fn every_template_passes_its_tests_under_another_name() {
        for template in TEMPLATES {
            let source =
                |path: &str, text| Source { path: path.to_owned(), text: renamed(text, &template, "another-name") };
            let files = [source("a.rego", template.rules), source("a_test.rego", template.tests)];
            let report =
                run_tests(&files, &[], &|_| true, Covering::Nothing).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(report.passed() && !report.results.is_empty(), "{}: {:?}", template.name, report.results);
            let tests = &files[1].text;
            assert!(tests.contains("package holdpoint_test.another_name"), "{tests}");
            let loaded = Inspection::load(&files, &[], Settings::without_configuration());
            let inspection = loaded.unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(inspection.findings(), [], "{}", template.name);
            assert!(inspection.policy().rules().iter().any(|rule| rule.name.starts_with("another-name")));
            let (id, rules) = (identifier(template.name), &files[0].text);
            let mine = [format!("\"{}-", template.name), format!("{id}_"), format!("data.{id}")];
            let is_mine = |text: &str| mine.iter().any(|name| text.contains(name));
            assert!(!template.is_folder() || !is_mine(rules) && !is_mine(tests), "{rules}\n{tests}");
        }
    }

    /// A folder of the library is a line in the table.
    #[test]
    fn every_policy_of_the_library_is_a_template() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        for folder in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
            for file in std::fs::read_dir(folder).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                let Some(name) = file.strip_suffix(".rego").filter(|name| !name.ends_with("_test")) else { continue };
                assert!(TEMPLATES.iter().any(|template| template.name == name), "`{name}` is no template");
            }
        }
    }
}
