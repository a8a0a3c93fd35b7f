//! What is refused before a policy is used, in the words that people see.

use insta::assert_snapshot;

use super::*;
use crate::policy::Limits;

fn files(files: &[(&str, &str)], data: &[(&str, &str)]) -> String {
    let sources = |files: &[(&str, &str)]| files.iter().map(|(path, text)| source(path, text)).collect::<Vec<_>>();
    match Policy::load(&sources(files), &sources(data), settings()) {
        Ok(_) => "loaded".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn syntax_errors_show_the_place() {
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\" if true"), @r#"
    p.rego:2:29: expecting `}` while parsing object
       2 | allow contains {"rule": "x" if true
         |                             ^
    "#);
}

#[test]
fn rego_before_version_1_is_refused() {
    assert_snapshot!(refusal("allow[x] { x := 1 }"), @r#"
    p.rego:2:10: `if` keyword is required before rule body
       2 | allow[x] { x := 1 }
         |          ^
    "#);
}

#[test]
fn unknown_functions_are_found_wherever_they_are() {
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if {\n\tfalse\n\tsome a in input.actions\n\t[y | y := crypto.sha256(a.name)]\n}"), @r#"
    p.rego:5:12: there is no function `crypto.sha256`
       5 |  [y | y := crypto.sha256(a.name)]
         |            ^
         = define it, import the package that does, or see policies/README.md for the builtins that OPA has and Holdpoint has not
    "#);
}

#[test]
fn functions_get_as_many_arguments_as_they_take() {
    assert_snapshot!(refusal("f(a, b) := a\nallow contains {\"rule\": \"x\"} if { f(1); startswith(\"a\"); f(1, 2, 1) }"), @r#"
    p.rego:3:35: `f` takes 2 arguments, not 1
       3 | allow contains {"rule": "x"} if { f(1); startswith("a"); f(1, 2, 1) }
         |                                   ^
    p.rego:3:41: `startswith` takes 2 arguments, not 1
       3 | allow contains {"rule": "x"} if { f(1); startswith("a"); f(1, 2, 1) }
         |                                         ^
    "#);
}

#[test]
fn builtins_that_look_outside_or_draw_lots_are_refused_however_they_are_named() {
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if http.send({\"url\": \"http://x\"})"), @r#"
    p.rego:2:33: `http.send` cannot be used in a policy
       2 | allow contains {"rule": "x"} if http.send({"url": "http://x"})
         |                                 ^
         = a policy does not call out; put what it needs into a data file
    "#);
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if opa.runtime()"), @r#"
    p.rego:2:33: `opa.runtime` cannot be used in a policy
       2 | allow contains {"rule": "x"} if opa.runtime()
         |                                 ^
         = a policy does not see the process that runs it
    "#);
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if time.now_ns() > 1"), @r#"
    p.rego:2:33: `time.now_ns` cannot be used in a policy
       2 | allow contains {"rule": "x"} if time.now_ns() > 1
         |                                 ^
         = use `time.parse_rfc3339_ns(input.context.time)`, so that a decision can be replayed
    "#);
    assert_snapshot!(refusal("f(x) := x\nallow contains {\"rule\": \"x\"} if f(1) with f as rand.intn"), @r#"
    p.rego:3:48: `rand.intn` cannot be used in a policy
       3 | allow contains {"rule": "x"} if f(1) with f as rand.intn
         |                                                ^
         = the same call must always get the same answer
    "#);
}

#[test]
fn recursion_is_refused_in_rules_and_in_functions() {
    assert_snapshot!(refusal("f(x) := g(x)\ng(x) := f(x) if x > 1\nallow contains {\"rule\": \"x\"} if f(1)"), @r#"
    p.rego:2:1: function `data.holdpoint.f` uses itself: `data.holdpoint.f` uses `data.holdpoint.g` uses `data.holdpoint.f`
       2 | f(x) := g(x)
         | ^
         = a policy must end, so rules and functions cannot be recursive
    "#);
    assert_snapshot!(refusal("a if b\nb if { count([x | x := a]) > 0 }\nallow contains {\"rule\": \"x\"} if a"), @r#"
    p.rego:2:1: rule `data.holdpoint.a` uses itself: `data.holdpoint.a` uses `data.holdpoint.b` uses `data.holdpoint.a`
       2 | a if b
         | ^
         = a policy must end, so rules and functions cannot be recursive
    "#);
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if count(data.holdpoint) > 1"), @r#"
    p.rego:2:1: rule `data.holdpoint.allow` uses itself: `data.holdpoint.allow` uses `data.holdpoint.allow`
       2 | allow contains {"rule": "x"} if count(data.holdpoint) > 1
         | ^
         = a policy must end, so rules and functions cannot be recursive
    "#);
    assert_snapshot!(refusal("f(x) := y if { some y in [1]; y == f(x) }\nallow contains {\"rule\": \"x\"} if f(1)"), @r#"
    p.rego:2:1: function `data.holdpoint.f` uses itself: `data.holdpoint.f` uses `data.holdpoint.f`
       2 | f(x) := y if { some y in [1]; y == f(x) }
         | ^
         = a policy must end, so rules and functions cannot be recursive
    "#);
}

#[test]
fn a_local_name_is_not_the_rule_of_that_name() {
    let rules = "reason := r if { some action in input.actions; r := action.name }\nverb contains x if { reason := \"a\"; x := reason }\nallow contains {\"rule\": \"x\"} if { some action in input.actions; action.kind == \"read\" }";
    assert_eq!(refusal(rules), "loaded");
}

#[test]
fn long_chains_and_deep_trees_are_refused() {
    let chain: String = (0..40).map(|n| format!("f{n}(x) := f{}(x)\n", n + 1)).collect();
    let error = refusal(&format!("{chain}f40(x) := x\nallow contains {{\"rule\": \"x\"}} if f0(1)"));
    assert_snapshot!(error, @"loaded");
    let sum = vec!["1"; 15_000].join(" +\n");
    let error = refusal(&format!("allow contains {{\"rule\": \"x\"}} if {{\n{sum} > 1\n}}"));
    assert_snapshot!(error, @r#"
    p.rego:2:1: an expression of this rule is nested more than 200 levels deep
       2 | allow contains {"rule": "x"} if {
         | ^
         = split it, or put long lists into a data file
    "#);
}

#[test]
fn braces_that_would_take_days_to_parse_are_refused() {
    let nested = |levels| (0..levels).fold("1".to_owned(), |inner, _| format!("{{\"a\": {inner}}}"));
    assert_eq!(refusal(&format!("x := {}\nallow contains {{\"rule\": \"x\"}}", nested(8))), "loaded");
    assert_snapshot!(refusal(&format!("# {{{{{{{{{{{{{{{{\nx := {}\nallow contains {{\"rule\": \"x\"}}", nested(30))), @r#"
    p.rego:3:1: braces are nested more than 10 levels deep
         = put large objects into a JSON data file
    "#);
    let quoted = "allow contains {\"rule\": \"x\"} if { input.request.path != \"{{{{{{{{{{{{{{\\\"{\"; input.request.path != `{{{{{{{{{{{{{{` }";
    assert_eq!(refusal(quoted), "loaded");
}

#[test]
fn the_three_names_are_sets_and_nothing_else() {
    assert_snapshot!(refusal("default allow := true"), @r#"
    p.rego:2:1: `allow` cannot have a default; set `policy.default` in the configuration
       2 | default allow := true
         | ^
         = write `allow contains {"rule": "my-rule"} if { … }`
    "#);
    assert_snapshot!(refusal("deny := true if input.request.path == \"/\""), @r#"
    p.rego:2:1: `deny` must be a set that every rule adds to
       2 | deny := true if input.request.path == "/"
         | ^
         = write `deny contains {"rule": "my-rule"} if { … }`
    "#);
    assert_snapshot!(refusal("hold.x := 1"), @r#"
    p.rego:2:1: `hold` must be a set that every rule adds to
       2 | hold.x := 1
         | ^
         = write `hold contains {"rule": "my-rule"} if { … }`
    "#);
    assert_snapshot!(refusal("allow(x) := true"), @r#"
    p.rego:2:1: `allow` must be a set that every rule adds to
       2 | allow(x) := true
         | ^
         = write `allow contains {"rule": "my-rule"} if { … }`
    "#);
}

#[test]
fn files_belong_to_package_holdpoint() {
    let allow = "allow contains {\"rule\": \"x\"}";
    assert_snapshot!(files(&[("p.rego", &format!("package app\n{allow}"))], &[]), @r#"
    p.rego:1:9: package `app` is not `holdpoint` or below it, so nothing would ask it
       1 | package app
         |         ^
         = write `package holdpoint`, or `package holdpoint.helpers` for helpers that other files import
    "#);
    assert_snapshot!(files(&[("p.rego", &format!("package holdpoint\n{allow}")), ("q.rego", "package holdpoint.deny\nx := 1")], &[]), @r#"
    q.rego:1:9: package `holdpoint.deny` would hide the set `deny` of package `holdpoint`
       1 | package holdpoint.deny
         |         ^
         = write `package holdpoint`, or `package holdpoint.helpers` for helpers that other files import
    q.rego:2:1: `deny` must be a set that every rule adds to
       2 | x := 1
         | ^
         = write `deny contains {"rule": "my-rule"} if { … }`
    "#);
    assert_eq!(
        files(&[("p.rego", &format!("package holdpoint\n{allow}")), ("q.rego", "package holdpoint.lib\nx := 1")], &[]),
        "loaded"
    );
}

#[test]
fn a_policy_without_rules_is_refused() {
    assert_snapshot!(files(&[("p.rego", "package holdpoint\nhelper := 1")], &[]), @r#"
    no file of the policy adds to `deny`, `hold` or `allow` of package `holdpoint`
         = without a rule every call meets the default; write one, or start from policies/starter
    "#);
    assert_snapshot!(files(&[], &[]), @r#"
    no file of the policy adds to `deny`, `hold` or `allow` of package `holdpoint`
         = without a rule every call meets the default; write one, or start from policies/starter
    "#);
    assert_snapshot!(files(&[("p_test.rego", "package holdpoint\nallow contains {\"rule\": \"x\"}")], &[]), @r#"
    no file of the policy adds to `deny`, `hold` or `allow` of package `holdpoint`
         = without a rule every call meets the default; write one, or start from policies/starter
    "#);
}

#[test]
fn names_that_cannot_be_there_are_refused() {
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if not input.request.metod == \"DELETE\""), @r#"
    p.rego:2:37: `input.request` has no `metod`
       2 | allow contains {"rule": "x"} if not input.request.metod == "DELETE"
         |                                     ^
         = it has `authority`, `body`, `body_bytes`, `body_error`, `content_type`, `headers`, `host`, `method`, `path`, `path_segments`, `query`, `query_raw`, `scheme`, `websocket`
    "#);
    assert_snapshot!(refusal("import input.principal as who\nallow contains {\"rule\": who.name}"), @r#"
    p.rego:3:25: `input.principal` has no `name`
       3 | allow contains {"rule": who.name}
         |                         ^
         = it has `authn`, `chain`, `claims`, `groups`, `id`, `kind`, `owners`
    "#);
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if not data.holdpoint.lib.is_bad"), @r#"
    p.rego:2:37: there is no rule or package `data.holdpoint.lib.is_bad`
       2 | allow contains {"rule": "x"} if not data.holdpoint.lib.is_bad
         |                                     ^
    "#);
    let lib = ("lib.rego", "package holdpoint.lib\nis_good := true");
    let main =
        ("p.rego", "package holdpoint\nimport data.holdpoint.lib\nallow contains {\"rule\": \"x\"} if not lib.is_bad");
    assert_snapshot!(files(&[lib, main], &[]), @r#"
    p.rego:3:37: there is no rule or package `data.holdpoint.lib.is_bad`
       3 | allow contains {"rule": "x"} if not lib.is_bad
         |                                     ^
    "#);
    assert_snapshot!(refusal("allow contains {\"rule\": \"x\"} if nobody == 1"), @r#"
    p.rego:2:33: use of undefined variable `nobody` is unsafe
       2 | allow contains {"rule": "x"} if nobody == 1
         |                                 ^
    "#);
}

#[test]
fn names_that_anything_may_follow_are_not_refused() {
    let rules = "allow contains {\"rule\": \"x\"} if { input.request.body.any.thing; input.request.headers[\"x-y\"][0]; input.principal.claims.team.name; input.upstream.labels.data; input.approval.x; data.routes.x; input.actions[0].kind; input.request.query.limit[_] }";
    assert_eq!(refusal(rules), "loaded");
}

#[test]
fn a_package_of_several_files_is_not_used_as_a_whole() {
    let main = "package holdpoint\nimport data.holdpoint.lib\ndeny contains {\"rule\": \"x\"} if lib.is_bad";
    let one = ("lib/a.rego", "package holdpoint.lib\nis_bad if helper");
    let two = ("lib/b.rego", "package holdpoint.lib\nhelper if input.request.path == \"/customers\"");
    assert_snapshot!(files(&[("p.rego", main), one, two], &[]), @r#"
    p.rego:3:32: `data.holdpoint.lib` cannot be used as a whole, because it is made of 2 files
       3 | deny contains {"rule": "x"} if lib.is_bad
         |                                ^
         = write `data.holdpoint.lib.is_bad` or `import data.holdpoint.lib.is_bad`
    "#);
    let spelt = main.replace("import data.holdpoint.lib", "").replace("lib.is_bad", "data.holdpoint.lib.is_bad");
    let sources = [source("p.rego", &spelt), source(one.0, one.1), source(two.0, two.1)];
    let policy = Policy::load(&sources, &[], settings()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(answer(&policy, &any_call()), "deny x");
}

#[test]
fn data_files_are_strict_json_objects_that_agree() {
    let rego = [("p.rego", "package holdpoint\nallow contains {\"rule\": \"x\"}")];
    assert_snapshot!(files(&rego, &[("data.json", "[1]")]), @"data.json: a data file must be an object");
    assert_snapshot!(files(&rego, &[("data.json", "{\"a\": 1, \"a\": 2}")]), @"data.json: the object at byte 0 has the same name twice");
    assert_snapshot!(files(&rego, &[("holdpoint/data.json", "{\"deny\": []}")]), @"holdpoint/data.json: data cannot be under `holdpoint`, where the rules are, such as those of `p.rego`; give it another name");
    for (file, text) in [
        ("data.yaml", "a: [1, &x {b: NO}, *x]\nc: yes\nd: true\ne: 0x10\nf: 1.5\ng: ~\n"),
        ("data.json", r#"{"a":[1,{"b":"NO"},{"b":"NO"}],"c":"yes","d":true,"e":16,"f":1.5,"g":null}"#),
    ] {
        let rule = r#"allow contains {"rule": "x"} if data.deep.er == {"a": [1, {"b": "NO"}, {"b": "NO"}], "c": "yes", "d": true, "e": 16, "f": 1.5, "g": null}"#;
        let path = format!("deep/er/{file}");
        let policy = Policy::load(
            &[source("p.rego", &format!("package holdpoint\n{rule}"))],
            &[source(&path, text)],
            settings(),
        );
        assert_eq!(answer(&policy.unwrap(), &any_call()), "allow x", "{file}");
    }
    assert_snapshot!(files(&rego, &[("data.yaml", "a: 1\na: 2\n")]), @"data.yaml: duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable at line 2, column 1");
    assert_snapshot!(files(&rego, &[("data.yaml", "a: [\n")]), @"data.yaml: unclosed bracket '[' at line 1, column 4");
    assert_snapshot!(files(&rego, &[("data.yaml", "- a\n")]), @"data.yaml: a data file must be an object");
    assert_snapshot!(files(&rego, &[("data.yaml", "a: 12345678901234567890123\n")]), @"data.yaml: the number `12345678901234568000000` may have been rounded; write it in a JSON file, or as a text");
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
    assert_snapshot!(files(&rego, &[("data.yaml", bomb)]), @"data.yaml: budget breached: ScalarBytes { total_scalar_bytes: 66609 } at line 1, column 12 (defined at line 5, column 7) (used at line 6, column 8)");
    assert_snapshot!(files(&rego, &[("data.yaml", "x: {y: {z: 1}}"), ("x/data.yml", "y: {w: 2}"), ("x/y/data.json", "{\"z\": 3}")]), @r#"
    x/y/data.json: it says something else about `data.x.y.z` than `data.yaml`
         = give one of them another folder or name
    "#);
    assert_snapshot!(files(&rego, &[("a.json", "{\"a\": 1}"), ("b.json", "{\"a\": 2}")]), @r#"
    b.json: it says something else about `data.a` than `a.json`
         = give one of them another folder or name
    "#);
}

#[test]
fn sizes_are_bounded() {
    let load = |limits, text: &str| {
        let files = [source("p.rego", text), source("q.rego", "package holdpoint\nx := 1")];
        let data = [source("data.json", "{\"a\": \"0123456789\"}")];
        Policy::load(&files, &data, Settings { limits, ..settings() }).unwrap_err().to_string()
    };
    let text = "package holdpoint\nallow contains {\"rule\": \"x\"}";
    assert_snapshot!(load(Limits { files_max: 1, ..Limits::default() }, text), @"there are 2 Rego files, more than 1");
    assert_snapshot!(load(Limits { file_bytes_max: 30, ..Limits::default() }, text), @r#"
    p.rego: the file has 46 bytes, more than 30
         = put tables into a JSON data file
    "#);
    assert_snapshot!(load(Limits { data_bytes_max: 10, ..Limits::default() }, text), @"the data files have 19 bytes, more than 10");
    assert_snapshot!(load(Limits::default(), &format!("{text} if \"{}\"", "-".repeat(2_000))), @"p.rego:2:34: line exceeds maximum column width of 1024");
}

#[test]
fn every_mistake_is_shown_at_once() {
    assert_snapshot!(files(&[
        ("a.rego", "package holdpoint\nallow contains {\"rule\": \"x\"} if unheard.of(1)"),
        ("b.rego", "package holdpoint\ndefault deny := false\nhold contains {\"rule\": \"y\"} if input.nothing"),
    ], &[]), @r#"
    a.rego:2:33: there is no function `unheard.of`
       2 | allow contains {"rule": "x"} if unheard.of(1)
         |                                 ^
         = define it, import the package that does, or see policies/README.md for the builtins that OPA has and Holdpoint has not
    b.rego:2:1: `deny` cannot have a default; set `policy.default` in the configuration
       2 | default deny := false
         | ^
         = write `deny contains {"rule": "my-rule"} if { … }`
    b.rego:3:32: `input` has no `nothing`
       3 | hold contains {"rule": "y"} if input.nothing
         |                                ^
         = it has `actions`, `approval`, `context`, `principal`, `request`, `upstream`, `version`
    "#);
}

#[test]
fn metadata_that_is_not_yaml_is_refused() {
    assert_snapshot!(refusal("# METADATA\n# title: [unclosed\nallow contains {\"rule\": \"x\"}"), @r#"
    p.rego:2:1: this METADATA cannot be read: error: line 1 column 9: unclosed bracket '['
       2 | # METADATA
         | ^
    "#);
}

#[test]
fn a_default_hold_needs_somebody_who_could_approve() {
    let settings = Settings { default: DefaultEffect::Hold, ..settings() };
    assert_snapshot!(load_with("allow contains {\"rule\": \"x\"}", settings).unwrap_err(), @"`policy.default` is `hold`, but `policy.default_reviewers` names nobody who could approve");
}

#[test]
fn whether_the_body_is_needed_is_found_out_and_never_guessed() {
    for (rules, expected) in [
        ("allow contains {\"rule\": \"x\"} if input.request.method == \"GET\"", false),
        ("allow contains {\"rule\": \"x\"} if input.request.headers[input.request.path][_]", false),
        ("allow contains {\"rule\": \"x\"} if { some action in input.actions; action.kind == \"read\" }", false),
        ("allow contains {\"rule\": \"x\"} if input.request[\"content_type\"] == \"a\"", false),
        ("allow contains {\"rule\": \"x\"} if input.request.body.amount < 5", true),
        ("allow contains {\"rule\": \"x\"} if input[\"request\"][`body`]", true),
        ("allow contains {\"rule\": \"x\"} if input.request.body_bytes < 5", true),
        ("allow contains {\"rule\": \"x\"} if not input.request.body_error", true),
        ("allow contains {\"rule\": \"x\"} if { field := \"body\"; input.request[field] }", true),
        ("allow contains {\"rule\": \"x\"} if { some part; input[part].body }", true),
        ("allow contains {\"rule\": \"x\"} if { r := input.request; r.body }", true),
        ("allow contains {\"rule\": \"x\"} if { some name, _ in input.request; name == \"body\" }", true),
        ("allow contains {\"rule\": \"x\"} if { walk(input, [_, \"x\"]) }", true),
        ("allow contains {\"rule\": \"x\"} if { {\"request\": {\"body\": b}} = input; b }", true),
        ("allow contains {\"rule\": \"x\"} if count(input) > 1", true),
        ("import input.request as r\nallow contains {\"rule\": \"x\"} if r.body", true),
        ("import input.request as r\nallow contains {\"rule\": \"x\"} if r.path", false),
        ("import input.request.body\nallow contains {\"rule\": \"x\"} if body", true),
        ("f(call) := call.request.body\nallow contains {\"rule\": \"x\"} if f(input)", true),
        ("f(x) if { every v in x { v } }\nallow contains {\"rule\": \"x\"} if f([input.request])", true),
        ("allow contains {\"rule\": input.request.body.x}", true),
        ("deny contains {\"rule\": \"x\"} if { [y | y := input.request.body.x][0] }", true),
        ("unused if input.request.body\nallow contains {\"rule\": \"x\"}", true),
        ("allow contains {\"rule\": \"x\"} if { input.request.path with input as {\"request\": {}} }", true),
        ("allow contains {\"rule\": \"x\"} if print(input.request)", true),
        ("allow contains {\"rule\": sprintf(\"%s\", [input])}", true),
    ] {
        assert_eq!(loaded(rules).reads_body(), expected, "{rules}");
    }
}

#[test]
fn the_paths_that_rules_read_are_told() {
    let policy = loaded(
        "allow contains {\"rule\": \"x\"} if { some action in input.actions; input.request.headers[\"x-y\"][0]; input.principal[input.request.path]; action }",
    );
    let paths: Vec<String> = policy.reads().iter().map(|path| path.join(".")).collect();
    assert_eq!(paths, ["actions", "principal", "request.headers.x-y", "request.path"]);
    assert!(!policy.reads().everything());
    assert!(loaded("allow contains {\"rule\": \"x\"} if input[_]").reads().everything());
}
