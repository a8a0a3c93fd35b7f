//! Policies that would never end, or would end the process.

use std::time::Duration;

use super::*;

fn with_limit(rules: &str) -> Policy {
    let settings = Settings { evaluation_max: Duration::from_millis(50), ..settings() };
    load_with(rules, settings).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_rule_that_takes_too_long_refuses_the_call() {
    let numbers = "numbers.range(1, 9000)";
    for body in [
        format!("count([1 | some x in {numbers}; some y in {numbers}; x + y > 0]) > 0"),
        format!("every x in {numbers} {{ every y in {numbers} {{ x + y > 0 }} }}"),
        format!("count({{x | some x in {numbers}; f(x)}}) > 0"),
    ] {
        let rules = format!(
            "f(x) if count([y | some y in {numbers}; y > x]) > 0\nallow contains {{\"rule\": \"slow\"}} if {body}\nallow contains {{\"rule\": \"fast\"}}"
        );
        let error = decide(&with_limit(&rules), &any_call()).unwrap_err();
        assert!(matches!(error, EvaluateError::TooSlow { .. }), "{body}: {error}");
    }
}

#[test]
fn a_builtin_that_would_run_away_is_an_error() {
    for (body, expected) in [
        ("numbers.range(1, 100000000)[0] == 1", "at most 10000 numbers"),
        ("net.cidr_expand(\"10.0.0.0/8\")[0]", "at most 10000 addresses"),
        ("sprintf(\"%999999999d\", [1])", "at most 256 characters"),
        ("to_number(input.request.query.n[0]) > 1", "a power of 400 of ten"),
        ("units.parse_bytes(input.request.query.n[0]) > 1", "a power of 400 of ten"),
    ] {
        let call = call(|_, request| request.query = Some("n=1e2000000000".to_owned()));
        let answer = answer(&loaded(&format!("allow contains {{\"rule\": \"x\"}} if {body}")), &call);
        assert!(answer.starts_with("error: ") && answer.contains(expected), "{body}: {answer}");
    }
}

/// What the loader lets through must fit on the stack of a test's thread, which is 2 MiB, in a
/// build without optimisation.
#[test]
fn the_deepest_policies_that_are_accepted_do_not_exhaust_the_stack() {
    type Wrap = fn(String, usize) -> String;
    let shapes: [(&str, Wrap); 7] = [
        ("calls", |call, _| format!("y := {call}")),
        ("comprehensions", |call, n| {
            format!("y := {}", (0..n).fold(call, |inner, k| format!("[v{k} | v{k} := {inner}]")))
        }),
        ("loops", |call, n| {
            let loops: String = (0..n).map(|k| format!("some v{k} in [1]; ")).collect();
            format!("{loops}y := {call}")
        }),
        ("brackets", |call, n| format!("{}y := {call}", "[1][_]; ".repeat(n))),
        ("arguments", |call, n| format!("y := {}", (0..n).fold(call, |inner, _| format!("count([1, {inner}])")))),
        ("objects", |call, n| format!("y := {}", (0..n).fold(call, |inner, _| format!("{{\"a\": {inner}}}.a")))),
        ("every", |call, n| format!("y := 1; {}{call}{}", "every z in [1] { ".repeat(n), " }".repeat(n))),
    ];
    for (name, shape) in shapes {
        for width in [1, 6] {
            let chain = |depth: usize| {
                let functions =
                    (0..depth).map(|n| format!("f{n}(x) := y if {{ {} }}\n", shape(format!("f{}(x)", n + 1), width)));
                let functions: String = functions.collect();
                load(&format!("{functions}f{depth}(x) := x\nallow contains {{\"rule\": \"x\"}} if f0(1)"))
            };
            let (mut accepted, mut refused) = (1, 80);
            let mut deepest = chain(accepted).unwrap_or_else(|errors| panic!("{name}: {errors}"));
            while refused - accepted > 1 {
                let depth = accepted.midpoint(refused);
                match chain(depth) {
                    Ok(policy) => (accepted, deepest) = (depth, policy),
                    Err(errors) => {
                        assert!(errors.to_string().contains("nest too deep"), "{name}: {errors}");
                        refused = depth;
                    }
                }
            }
            assert_eq!(answer(&deepest, &any_call()), "allow x", "{name} {width}");
        }
    }
}
