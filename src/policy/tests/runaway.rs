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

/// A chain of rules, each made of the one before it, written with `$`.
fn chain(first: &str, step: &str, length: usize) -> String {
    let steps = (1..=length).map(|n| format!("r{n} := {}\n", step.replace('$', &format!("r{}", n - 1))));
    format!("r0 := {first}\n{}", steps.collect::<String>())
}

/// Each of these would take all memory, or a core for ever, within one builtin: between two steps
/// the clock is looked at, inside of one it is not.
#[test]
fn texts_and_lists_that_grow_out_of_themselves_are_an_error() {
    let long = "concat(\"\", [\"0123456789\" | some _ in numbers.range(1, 10000)])";
    for (rules, last, expected) in [
        (chain(long, "concat(\"\", [$, $, $, $])", 40), "r40", "makes texts of at most 16777216 bytes"),
        (chain(long, "concat($, [$ | some _ in numbers.range(1, 9000)])", 3), "r3", "makes texts of at most"),
        (chain(long, "sprintf(\"%s%s\", [$, $])", 40), "r40", "makes texts of at most"),
        (chain(long, "replace($, \"0\", $)", 3), "r3", "makes texts of at most"),
        (chain(long, "regex.replace($, \"0\", $)", 3), "r3", "makes texts of at most"),
        (chain(long, "hex.encode($)", 40), "r40", "makes texts of at most"),
        (chain(long, "urlquery.encode(base64.encode(base64url.encode($)))", 40), "r40", "makes texts of at most"),
        (chain("\"\\\\\"", "json.marshal($)", 60), "r60", "makes texts of at most"),
        // One text and sixty pairs stand for 2^60 texts.
        (chain("\"x\"", "[$, $]", 60), "json.marshal(r60)", "makes texts of at most"),
        (chain("\"x\"", "[$, $]", 60), "sprintf(\"%v\", [r60])", "makes texts of at most"),
        (chain("numbers.range(1, 9000)", "array.concat($, $)", 40), "r40", "gives at most 1000000 items"),
        (
            chain("2", "$", 1),
            "product(array.concat(numbers.range(1, 9000), numbers.range(1, 9000)))",
            "multiplies at most 1000 numbers",
        ),
    ] {
        let answer =
            answer(&loaded(&format!("{rules}allow contains {{\"rule\": \"x\"}} if {last} != null")), &any_call());
        assert!(answer.starts_with("error: ") && answer.contains(expected), "{rules}: {answer}");
    }
}

/// The `regex` crate takes time in proportion to text and pattern, and bounds the pattern.
#[test]
fn patterns_that_explode_elsewhere_do_not_here() {
    let text = "a".repeat(100_000);
    for (pattern, is_fine) in [
        ("^(a+)+$", true),
        ("(a|aa)+b", true),
        ("(.*)(.*)(.*)(.*)(.*)x", true),
        ("((a{1,100}){1,100}){1,100}", false),
        ("(?:\\pL{1000}){1000}", false),
    ] {
        let rules = format!(
            "allow contains {{\"rule\": \"x\"}} if regex.match(`{}`, input.request.query.t[0])\nallow contains {{\"rule\": \"y\"}}",
            pattern.replace("\\\\", "\\")
        );
        let call = call(|_, request| request.query = Some(format!("t={text}")));
        let answer = answer(&loaded(&rules), &call);
        assert_eq!(answer.starts_with("allow "), is_fine, "{pattern}: {answer}");
    }
}

/// What an agent sends is looked at by rules that any policy may have.
#[test]
fn bodies_made_to_be_slow_end_in_an_answer() {
    let json = [("content-type", "application/json")];
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let wide = format!("[{}]", (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let rules = [
        "count({x | some x in input.request.body}) > 5",
        "count({x | walk(input.request.body, [_, x])}) > 5",
        "count(json.marshal(input.request.body)) > 5",
        "some x in input.request.body; some y in input.request.body; x == y + 0.5",
        "count(sort(input.request.body)) > 5",
        "sum(input.request.body) > product([x | some x in array.slice(input.request.body, 0, 9)])",
        "count(concat(\",\", [sprintf(\"%v\", [x]) | some x in input.request.body])) > 5",
    ];
    let settings = Settings { evaluation_max: Duration::from_millis(500), ..settings() };
    for rule in rules {
        let policy =
            load_with(&format!("allow contains {{\"rule\": \"x\"}} if {{ {rule} }}"), settings.clone()).unwrap();
        for body in [deep(64), deep(65), deep(100_000), wide.clone(), format!("[{}1", "[".repeat(100))] {
            let begun = std::time::Instant::now();
            let answer = answer(&policy, &posted(&json, body.as_bytes()));
            assert!(begun.elapsed() < Duration::from_secs(30), "{rule}: {answer}");
        }
    }
}

#[test]
fn a_set_that_is_too_large_for_an_answer_is_an_error_in_time() {
    // Every element becomes a rule that matches.
    let rules = "deny contains {\"rule\": sprintf(\"%d-%d\", [x, y])} if { some x in numbers.range(1, 9000); some y in numbers.range(1, 9000) }";
    let error = decide(&with_limit(rules), &any_call()).unwrap_err();
    assert!(matches!(error, EvaluateError::TooSlow { .. }), "{error}");
}

/// Whole numbers are exact, so that each squaring doubles the digits.
#[test]
fn numbers_that_grow_out_of_themselves_are_refused() {
    let number = "9".repeat(300);
    let load_chain = |step: &str, length: usize| {
        load(&format!("{}allow contains {{\"rule\": \"x\"}} if r{length} != null", chain(&number, step, length)))
    };
    let squared = load_chain("$ * $", 12).unwrap();
    assert_eq!(answer(&squared, &any_call()), "allow x");
    for (step, length) in [("$ * $", 13), ("product([$, $, $, $])", 2), ("$ * product([$ | some _ in [1, 2]])", 2)] {
        let errors = load_chain(step, length).map(drop).unwrap_err().to_string();
        assert!(errors.contains("multiply too often"), "{step}: {errors}");
    }
    // Those with a constant do not count.
    assert_eq!(answer(&load_chain("$ * 2 + 3", 40).unwrap(), &any_call()), "allow x");
}
