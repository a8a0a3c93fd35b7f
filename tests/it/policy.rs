//! `holdpoint policy` as operators use it: what it prints, and the codes it exits with.

use std::path::Path;
use std::process::Output;

use http::Method;
use serde_json::Value;

use crate::support::POLICY;
use crate::support::World;
use crate::support::holdpoint;

/// Exit code, standard output, standard error.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = holdpoint(&[&["policy"], arguments].concat(), variables);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn check_shows_the_place_and_fails_for_errors_or_strictly_for_warnings() {
    let wrong = folder(&[(
        "a.rego",
        "package holdpoint\n\ndeny contains {\"rule\": \"x\", \"reason\": input.context.reason}\n",
    )]);
    let (code, out, err) = run(&["check", text(wrong.path())], &[]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    for part in
        ["`input.context.reason` may be absent", "a.rego:3:39", "────", "object.get(input.context, \"reason\", \"\")"]
    {
        assert!(err.contains(part), "no {part} in {err}");
    }
    assert!(!err.contains('\u{1b}'), "nobody looks at it, so there is no colour: {err:?}");
    let (code, out, _) = run(&["check", text(wrong.path()), "-o", "json"], &[]);
    let finding = &json(&out)["findings"][0];
    assert_eq!((code, &finding["line"], &finding["column"], &finding["width"]), (1, &3.into(), &39.into(), &20.into()));

    let odd = folder(&[("a.rego", "package holdpoint\nallow contains {\"rule\": \"x\"} if 1 == 2\n")]);
    let (code, out, err) = run(&["check", text(odd.path())], &[]);
    assert!(code == 0 && out.contains("1 warnings") && err.contains("this rule never applies"), "{out} {err}");
    assert_eq!(run(&["check", text(odd.path()), "--strict"], &[]).0, 1);
    let (_, out, _) = run(&["check", text(odd.path()), "--explain"], &[]);
    assert!(out.contains("depends on: nothing of the input") && out.contains("decisions: shared"), "{out}");
    let (code, _, err) = run(&["check"], &[("HOLDPOINT_CONFIG", "/nowhere.yaml")]);
    assert_eq!((code, err.contains("which policy it is about is not known")), (1, true), "{err}");
}

#[test]
fn check_knows_the_groups_of_the_configuration() {
    let world = World::start();
    world.replace("policies/more.rego", "package holdpoint\nhold contains {\"rule\": \"x\", \"reviewers\": [{\"group\": \"owner\", \"count\": n}]} if {\n\tn := 1\n\tinput.request.path == \"/x\"\n}\n");
    let config = world.path("holdpoint.yaml");
    let (code, _, err) = run(&["check", "-c", text(&config)], &[]);
    assert!(code == 1 && err.contains("there is no reviewer group `owner`") && err.contains("more.rego:2:"), "{err}");
}

#[test]
fn tests_exit_with_2_and_say_what_does_not_hold() {
    let files = folder(&[
        ("a.rego", "package holdpoint\nallow contains {\"rule\": \"a\"} if {\n\tinput.version == 1\n}\n"),
        (
            "a_test.rego",
            "package holdpoint_test\ntest_good if count(data.holdpoint.allow) == 1 with input as {\"version\": 1}\ntest_bad if {\n\tprint(\"seen\")\n\tcount(data.holdpoint.allow) == 1 with input as {\"version\": 2}\n}\n",
        ),
    ]);
    let at = text(files.path());
    let (code, out, _) = run(&["test", at], &[]);
    assert_eq!(code, 2, "{out}");
    for part in ["FAIL  holdpoint_test.test_bad (a_test.rego:3)", "line 5 does not hold", "seen", "1 passed, 1 failed"]
    {
        assert!(out.contains(part), "no {part} in {out}");
    }
    let (code, out, _) = run(&["test", at, "--run", "test_go+d$", "-v"], &[]);
    assert!(code == 0 && out.contains("pass  holdpoint_test.test_good"), "{out}");
    let (code, _, err) = run(&["test", at, "--run", "nothing"], &[]);
    assert!(code == 1 && err.contains("no test was run"), "{err}");
    assert_eq!(run(&["test", at, "--run", "("], &[]).0, 2, "not a regular expression");
    let (_, out, _) = run(&["test", at, "-o", "junit"], &[]);
    assert!(out.starts_with("<?xml") && out.contains("failures=\"1\""), "{out}");
    let good = ["test", at, "--run", "good", "--coverage"];
    let (code, out, _) = run(&good, &[]);
    assert!(code == 0 && out.contains("100.0 %"), "{out}");
    let (code, _, err) = run(&["coverage", at], &[]);
    assert!(code == 1 && err.contains("1 tests failed"), "{err}");
}

#[test]
fn a_new_policy_passes_its_tests_and_is_never_written_over_another() {
    let at = tempfile::tempdir().unwrap();
    let at = text(at.path());
    for template in ["reads", "writes", "infrastructure", "customer-export"] {
        let (code, out, err) = run(&["new", &format!("my-{template}"), "--template", template, at], &[]);
        assert_eq!((code, out.lines().count()), (0, 2), "{err}");
    }
    let (code, out, err) = run(&["test", at], &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(run(&["check", at, "--strict"], &[]).0, 0);
    let (code, _, err) = run(&["new", "my-reads", "--template", "reads", at], &[]);
    assert!(code == 1 && err.contains("is there already"), "{err}");
    assert_eq!(run(&["new", "../x", "--template", "reads", at], &[]).0, 2);
    assert_eq!(run(&["new", "x", "--template", "none", at], &[]).0, 2);
    let (code, page, _) = run(&["docs", "--policy", at, "--format", "html"], &[]);
    assert!(code == 0 && page.starts_with("<!doctype html>") && page.contains("my-reads"), "{page}");
}

#[test]
fn examples_of_the_input_can_be_evaluated() {
    let (code, example, _) = run(&["input", "--example", "openapi", "--plain"], &[]);
    assert_eq!(code, 0);
    let files = folder(&[
        ("a.rego", "package holdpoint\nallow contains {\"rule\": \"a\"} if input.request.body.amount == 250\n"),
        ("in.json", &example),
    ]);
    let input = files.path().join("in.json");
    let (code, out, err) = run(&["eval", "--policy", text(files.path()), "--input", text(&input)], &[]);
    assert!(code == 0 && out.starts_with("allow: a\n"), "{out}{err}");
    // The one that editors are given is the one of this program.
    let kept = include_str!("../../examples/editors/schemas/input.json");
    assert!(kept.contains("draft-07"));
    assert_eq!(run(&["input", "--rego-schema"], &[]).1, kept, "`holdpoint policy input --rego-schema` prints it");
    assert_eq!(run(&["eval", "--policy", text(files.path())], &[]).0, 2, "neither an input nor an approval");
}

#[tokio::test]
async fn eval_tells_of_the_call_of_an_approval_and_replay_of_all_calls() {
    let world = World::start();
    assert_eq!(world.get("/open/a").send().await.status, 200);
    assert_eq!(world.get("/closed/a").send().await.status, 403);
    let call = world.call(Method::PUT, "/held/a?x=1").with("content-type", "application/json").body("{\"n\": 5}");
    let caller = call.spawn();
    let held = world.held("/held/a?x=1").await;
    let (config, ca) = (world.path("holdpoint.yaml"), world.path("ca.pem"));
    let server = format!("https://{}", world.admin);
    let admin = [
        ("HOLDPOINT_SERVER", server.as_str()),
        ("HOLDPOINT_CA", text(&ca)),
        ("HOLDPOINT_TOKEN", world.tokens["ana"].as_str()),
        ("HOLDPOINT_CONFIG", text(&config)),
    ];
    let (code, out, err) = run(&["eval", "--approval", held["id"].as_str().unwrap(), "-o", "json"], &admin);
    assert_eq!(code, 0, "{err}");
    let answer = json(&out);
    assert_eq!((&answer["decision"]["effect"], &answer["decision"]["rules"][0]), (&"hold".into(), &"held".into()));
    assert_eq!(answer["notes"], Value::Array(Vec::new()));
    assert_eq!(answer["input"]["request"]["body"]["n"], 5);
    assert_eq!(answer["input"]["request"]["query"]["x"][0], "1");
    assert_eq!(answer["input"]["principal"]["id"], "deploy-bot");
    let trace = answer["trace"].as_array().unwrap().iter().find(|rule| rule["rule"] == "open").unwrap().clone();
    assert_eq!((&trace["outcome"], &trace["line"]), (&"not-fired".into(), &5.into()), "{trace}");
    world.approve("bo", &held).await;
    assert_eq!(caller.await.unwrap().status, 200);

    let audit = world.path("audit");
    let replay = |policy: &str, more: &[&str]| {
        let files = folder(&[("a.rego", policy)]);
        let arguments = ["replay", "--audit", text(&audit), "--policy", text(files.path()), "-c", text(&config)];
        run(&[&arguments, more].concat(), &[])
    };
    let (code, out, err) = replay(POLICY, &["-o", "json", "--fail-on", "any"]);
    let report = json(&out);
    assert_eq!(
        (code, &report["calls"], &report["same"], &report["changed"]),
        (0, &3.into(), &3.into(), &0.into()),
        "{out}{err}"
    );

    let looser = POLICY.replace("deny contains {\"rule\": \"closed\"", "allow contains {\"rule\": \"closed\"");
    let (code, out, _) = replay(&looser, &["--fail-on", "loosened"]);
    assert!(code == 2 && out.contains("LOOSENED") && out.contains("GET /closed/a"), "{out}");
    assert_eq!(replay(&looser, &[]).0, 0);

    // Whether it would be denied depends on a body that was not recorded.
    let body = format!(
        "{POLICY}\ndeny contains {{\"rule\": \"five\"}} if {{\n\tinput.request.body.n == 5\n\tinput.request.method == \"PUT\"\n}}\n"
    );
    let (code, out, _) = replay(&body, &["-o", "json", "--fail-on", "maybe-loosened"]);
    let report = json(&out);
    assert_eq!(
        (code, &report["same"], &report["uncertain"], &report["maybe_loosened"]),
        (0, &2.into(), &1.into(), &0.into()),
        "{out}"
    );
    assert_eq!(report["changes"][0]["to"], "deny or hold");
    assert_eq!(report["changes"][0]["examples"][0]["unrecorded"][0], "input.request.body.n");
    world.verify();
}

/// An Ed25519 key pair as `openssl genpkey` and `openssl pkey -pubout` write it (RFC 8410 §10.3).
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn a_bundle_is_built_signed_and_verified_and_any_change_is_seen() {
    let rules = "package holdpoint\nallow contains {\"rule\": \"a\"} if data.switches.opened\n";
    let policy = folder(&[("a.rego", rules), ("a_test.rego", "package holdpoint_test\ntest_a if true\n")]);
    std::fs::create_dir(policy.path().join("switches")).unwrap();
    std::fs::write(policy.path().join("switches/data.yaml"), "opened: true\n").unwrap();
    let keys = folder(&[("private.pem", PRIVATE), ("public.pem", PUBLIC)]);
    let (private, public) = (keys.path().join("private.pem"), keys.path().join("public.pem"));
    let bundle = keys.path().join("b.tar.gz");
    let (at, to, private, public) = (text(policy.path()), text(&bundle), text(&private), text(&public));
    let verify = || run(&["bundle", "verify", to, "--public-key", public, "-o", "json"], &[]);

    let (code, out, err) = run(&["bundle", "build", at, to, "--revision", "v1"], &[]);
    assert!(code == 0 && out.contains("1 rules, not signed"), "{out}{err}");
    let (code, _, err) = verify();
    assert!(code == 1 && err.contains("has to be signed"), "{err}");
    let (code, _, err) = run(&["bundle", "sign", to, "--key", private], &[]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = verify();
    let said = json(&out);
    assert_eq!((code, &said["revision"], &said["rules"]), (0, &"v1".into(), &1.into()), "{err}");
    // The proxy says the same digest for the folder, without its tests.
    assert_eq!(json(&run(&["check", at, "-o", "json"], &[]).1)["digest"], said["digest"]);

    // The same files give the same bundle, signed at once or later.
    let signed = std::fs::read(&bundle).unwrap();
    assert_eq!(run(&["bundle", "build", at, to, "--revision", "v1", "--key", private], &[]).0, 0);
    assert_eq!(std::fs::read(&bundle).unwrap(), signed);
    let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n-----END PUBLIC KEY-----\n";
    std::fs::write(keys.path().join("other.pem"), other).unwrap();
    let (code, _, err) = run(&["bundle", "verify", to, "--public-key", text(&keys.path().join("other.pem"))], &[]);
    assert!(code == 1 && err.contains("does not verify"), "{err}");
    std::fs::write(&bundle, &signed[..signed.len() / 2]).unwrap();
    assert_eq!(verify().0, 1);
    assert_eq!(run(&["bundle", "sign", to, "--key", private], &[]).0, 1, "half a bundle is none");
    assert_eq!(run(&["bundle", "sign", to, "--key", public], &[]).0, 1, "a public key signs nothing");

    // What cannot be used is not packed, and what was there stays.
    std::fs::write(policy.path().join("b.rego"), "package holdpoint\nallow contains {").unwrap();
    let (code, _, err) = run(&["bundle", "build", at, to], &[]);
    assert!(code == 1 && err.contains("nothing was written") && err.contains("b.rego:2"), "{err}");
    std::fs::remove_file(policy.path().join("b.rego")).unwrap();
    std::fs::write(policy.path().join("limits.json"), "{}").unwrap();
    let (code, _, err) = run(&["bundle", "build", at, to], &[]);
    assert!(code == 1 && err.contains("`limits.json` is not a file of a bundle"), "{err}");
    assert_eq!(std::fs::read(&bundle).unwrap(), signed[..signed.len() / 2]);
}
