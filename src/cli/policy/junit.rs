//! Results of tests as JUnit's XML, which CI systems read.

use std::fmt::Write;

use crate::policy::runner::TestOutcome;
use crate::policy::runner::TestResult;

/// One document for all tests: a suite for each package.
pub(super) fn document(results: &[&TestResult]) -> String {
    let mut packages: Vec<&str> = results.iter().map(|test| test.package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for package in packages {
        let tests: Vec<_> = results.iter().filter(|test| test.package == package).collect();
        let count = |is: fn(&TestOutcome) -> bool| tests.iter().filter(|test| is(&test.outcome)).count();
        let seconds: f64 = tests.iter().map(|test| test.duration.as_secs_f64()).sum();
        push(
            &mut text,
            format_args!(
                "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{seconds:.6}\">\n",
                escaped(package),
                tests.len(),
                count(|outcome| matches!(outcome, TestOutcome::Failed(_))),
                count(|outcome| matches!(outcome, TestOutcome::Skipped)),
            ),
        );
        tests.iter().for_each(|test| case(&mut text, test));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>");
    text
}

fn case(text: &mut String, test: &TestResult) {
    push(
        text,
        format_args!(
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.6}\">\n",
            escaped(&test.package),
            escaped(&test.name),
            escaped(&test.file),
            test.line,
            test.duration.as_secs_f64(),
        ),
    );
    match &test.outcome {
        TestOutcome::Passed => {}
        TestOutcome::Skipped => text.push_str("      <skipped/>\n"),
        TestOutcome::Failed(why) => {
            let because = test.because.iter().map(|because| format!("\n{because}")).collect::<String>();
            let why = escaped(&format!("{why}{because}"));
            let first = why.lines().next().unwrap_or_default();
            push(text, format_args!("      <failure message=\"{first}\">{why}</failure>\n"));
        }
    }
    if !test.output.is_empty() {
        push(text, format_args!("      <system-out>{}</system-out>\n", escaped(&test.output.join("\n"))));
    }
    text.push_str("    </testcase>\n");
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a string takes all");
}

/// Text for XML; characters that XML 1.0 cannot carry become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' => escaped.push(char),
            char if char < ' ' || matches!(char, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn what_a_test_says_cannot_break_out_of_its_element() {
        let test = TestResult {
            name: "test_x".to_owned(),
            package: "a&b".to_owned(),
            file: "\"x\".rego".to_owned(),
            line: 3,
            outcome: TestOutcome::Failed("]]></failure>\u{1}\nmore".to_owned()),
            duration: Duration::from_millis(2),
            output: vec!["<seen>".to_owned()],
            because: None,
        };
        assert_snapshot!(document(&[&test]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="a&amp;b" tests="1" failures="1" skipped="0" time="0.002000">
            <testcase classname="a&amp;b" name="test_x" file="&quot;x&quot;.rego" line="3" time="0.002000">
              <failure message="]]&gt;&lt;/failure&gt;�">]]&gt;&lt;/failure&gt;�
        more</failure>
              <system-out>&lt;seen&gt;</system-out>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
