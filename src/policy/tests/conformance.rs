//! Rego as its documentation has it, and where we differ.
//!
//! The cases of `conformance/` hold in OPA as well. The table below has those that do not; the guide
//! names each of them.

use super::*;
use crate::policy::Limits;
use crate::policy::load;
use crate::policy::runner;
use crate::policy::runner::Covering;
use crate::policy::runner::run_tests;

fn cases() -> Vec<Source> {
    macro_rules! files {
        ($($name:literal)*) => { vec![$(source($name, include_str!(concat!("conformance/", $name))),)*] };
    }
    files!("builtins_test.rego" "queries_test.rego" "rules_test.rego" "values_test.rego")
}

#[test]
fn what_the_documentation_says_holds() {
    let report = run_tests(&cases(), &[], &|_| true, Covering::Nothing).unwrap_or_else(|errors| panic!("{errors}"));
    let failed: Vec<_> = report.results.iter().filter(|result| result.outcome != runner::TestOutcome::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.results.len() >= 180, "only {} cases were found", report.results.len());
}

/// A rule `r`, what it is here, what it is in OPA 1.x, and the words by which the guide tells it.
const DIFFERENCES: [(&str, &str, &str, &str); 41] = [
    ("r := [1 | not startswith(input.no, \"a\")]", "[1]", "[]", "`not` before a call"),
    ("r := [1 | not input.no in [1]]", "[1]", "[]", "`not` before a call"),
    ("r := [1 | not input.no != 1]", "[1]", "[]", "`not` before a call"),
    ("r := [1 | not input.no < 1]", "[1]", "[]", "`not` before a call"),
    ("t contains {\"a\": 1, \"b\": 2}\nr := {x | some {\"a\": x} in t}", "[1]", "[]", "Object patterns"),
    (
        "r := [x | some x in t]\nt := v if v := {\"a\": \"text\"}.a",
        "error",
        "[]",
        "something that cannot be run through",
    ),
    ("r := count(t)\nt := v if v := {\"a\": 5}.a", "error", "undefined", "A type error in a builtin"),
    ("p := 1\nr := [1 | p == 5 with p as 5]", "error", "[1]", "by its whole path"),
    ("r := 1 if {1} in {{1}}", "refused", "1", "begins with `{`"),
    ("r := 1 if {x | x := 1} == {1}", "refused", "1", "begins with `{`"),
    ("p(1)\nr := [1 | p(1)]", "refused", "[1]", "neither a value nor a body"),
    ("r := $\"a {1} b\"", "refused", "\"a 1 b\"", "Template strings"),
    ("r := 1e400", "refused", "1e400", "Numbers with a fraction"),
    ("r := 0.1 + 0.2 == 0.3", "false", "true", "Numbers with a fraction"),
    ("r := 9007199254740993 * 1.0", "9007199254740992", "9007199254740993", "Numbers with a fraction"),
    ("r := regex.match(`^\\d$`, \"٣\")", "true", "false", "every script"),
    ("r := regex.match(`^\\w$`, \"é\")", "true", "false", "every script"),
    ("r := regex.match(`\\bx`, \"éx\")", "false", "true", "`\\b`"),
    ("r := regex.split(\"\", \"ab\")", "[\"\", \"a\", \"b\", \"\"]", "[\"a\", \"b\"]", "`regex.split`"),
    ("r := glob.match(\"[^a]\", [], \"b\")", "true", "false", "`[^a]`"),
    ("r := net.cidr_contains(\"10.0.0.0/8\", \"::ffff:10.1.2.3\")", "false", "true", "`net.cidr_contains`"),
    (
        "r := time.add_date(1769860800000000000, 0, 1, 0)",
        "1772280000000000000",
        "1772539200000000000",
        "`time.add_date`",
    ),
    ("r := time.parse_duration_ns(\"1d\")", "error", "86400000000000", "`time.parse_duration_ns`"),
    ("r := time.parse_rfc3339_ns(\"2026-11-24 11:00:00Z\")", "1795518000000000000", "error", "`time.parse_rfc3339_ns`"),
    ("r := strings.replace_n({\"a\": \"b\", \"b\": \"c\"}, \"ab\")", "\"cc\"", "\"bc\"", "`strings.replace_n`"),
    ("r := {\"a\": 1} < {1}", "false", "true", "Sets come before objects"),
    ("r := count(\"😀\")", "2", "1", "`count`"),
    ("r := array.flatten([1, [2]])", "refused", "[1, 2]", "`array.flatten`"),
    ("r := upper(\"ß\")", "\"SS\"", "\"ß\"", "`upper`"),
    ("r := semver.is_valid(\"v1.0.0\")", "false", "true", "`semver.is_valid`"),
    ("r := urlquery.decode(\"%zz\")", "\"%zz\"", "error", "`urlquery.decode`"),
    ("r := urlquery.encode(\"~*\")", "\"%7E*\"", "\"~%2A\"", "`urlquery.encode`"),
    ("r := indexof(\"abc\", \"\")", "0", "error", "`indexof`"),
    ("r := json.patch({}, [{\"op\": \"remove\", \"path\": \"/b\"}])", "undefined", "error", "`json.patch`"),
    ("r := json.marshal(\"<\")", "\"\\\"<\\\"\"", "\"\\\"\\\\u003c\\\"\"", "`json.marshal`"),
    ("r := sprintf(\"%d\", [-5])", "\"--5\"", "\"-5\"", "`sprintf`"),
    ("r := sprintf(\"%5s|\", [\"a\"])", "\"a|\"", "\"    a|\"", "`sprintf`"),
    ("r := sprintf(\"%6.2f\", [1.5])", "error", "\"  1.50\"", "`sprintf`"),
    ("r := sprintf(\"%d\", [\"a\"])", "\"\"", "\"%!d(string=a)\"", "`sprintf`"),
    ("r := sprintf(\"%s\", [\"a\", \"b\"])", "error", "\"a%!(EXTRA string=b)\"", "`sprintf`"),
    ("r := to_number(\" 1\")", "error", "error", "`to_number`"),
];

/// What `r` is: a value, `undefined`, `error`, or `refused` if the rules cannot be loaded.
fn answer_of(rules: &str) -> String {
    let source = source("r_test.rego", &format!("package holdpoint_test\n{rules}\n"));
    let Ok(mut loaded) = load::compile(&[&source], &[], &Limits::default()) else { return "refused".to_owned() };
    match loaded.engine.eval_rule("data.holdpoint_test.r".to_owned()) {
        Ok(regorus::Value::Undefined) => "undefined".to_owned(),
        Ok(value) => value.to_string(),
        Err(_) => "error".to_owned(),
    }
}

#[test]
fn where_we_differ_from_opa_is_known() {
    let changed: Vec<String> = DIFFERENCES
        .iter()
        .map(|(rules, ours, _, _)| (rules, ours, answer_of(rules)))
        .filter(|(_, ours, found)| found.replace(' ', "") != ours.replace(' ', ""))
        .map(|(rules, ours, found)| format!("{rules}: {found}, not {ours}"))
        .collect();
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn the_guide_tells_every_difference() {
    let silent: Vec<_> = DIFFERENCES.iter().filter(|(.., words)| !GUIDE.contains(words)).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/README.md"));
