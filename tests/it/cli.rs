//! The command line: what it prints, and the codes it exits with.

use std::process::Output;

use http::Method;
use serde_json::Value;

use crate::support::CREDENTIAL;
use crate::support::World;
use crate::support::holdpoint;

/// Exit code, standard output, standard error.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = holdpoint(arguments, variables);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn in_repository(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn help_and_mistakes() {
    for arguments in [
        vec!["--help"],
        vec!["--version"],
        vec!["serve", "--help"],
        vec!["approvals", "--help"],
        vec!["audit", "verify", "--help"],
        vec!["policy", "replay", "--help"],
        vec!["completion", "bash"],
        vec!["completion", "zsh"],
        vec!["completion", "fish"],
    ] {
        let (code, out, err) = run(&arguments, &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("holdpoint"), "{arguments:?}: {out}");
    }
    for arguments in [
        vec![],
        vec!["srve"],
        vec!["serve", "--confg", "x"],
        vec!["config"],
        vec!["demo", "--proxy-port", "70000"],
        vec!["approvals", "list", "--limit", "0"],
        vec!["audit", "tail", "-n", "1", "--from", "0"],
        vec!["audit", "verify", "--proof", "some.tlog-proof"],
        vec!["keys", "create"],
        vec!["tokens", "create", "--reviewer", "a", "--expires-in", "soon"],
        vec!["completion", "tcsh"],
    ] {
        let (code, out, err) = run(&arguments, &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn config_schema_is_the_one_beside_the_example() {
    let (code, out, _) = run(&["config", "schema"], &[]);
    let kept = std::fs::read_to_string(in_repository("examples/quickstart/holdpoint.schema.json")).unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!((code, parse(&out)), (0, parse(&kept)));
}

#[tokio::test]
async fn config_check_says_what_is_wrong_and_where() {
    let world = World::start();
    let file = world.path("holdpoint.yaml");
    let file = file.to_str().unwrap();
    let (code, out, _) = run(&["config", "check", "--config", file], &[]);
    assert_eq!((code, out.contains("is fine")), (0, true), "{out}");
    let (code, out, _) = run(&["config", "check"], &[("HOLDPOINT_CONFIG", file)]);
    assert_eq!((code, out.contains("is fine")), (0, true), "{out}");
    let (code, out, _) = run(&["policy", "check", "--config", file], &[]);
    assert_eq!((code, out.contains("rules are fine")), (0, true), "{out}");

    let good = std::fs::read_to_string(file).unwrap();
    for (from, to, told) in [
        ("threads: 2", "threads: two", vec!["holdpoint.yaml:1:", "threads"]),
        ("path_prefix: /", "path_prefix: a", vec!["holdpoint.yaml:10:", "upstreams[0].match.path_prefix", "`a`"]),
        ("response: 2s", "respons: 2s", vec!["holdpoint.yaml:14:", "respons", "response"]),
        ("file:keys/deploy-bot", "file:keys/nobody", vec!["keys/nobody"]),
        ("\"file:upstream.token\"", CREDENTIAL, vec!["credentials.cloud.token"]),
        ("policies }", "nowhere }", vec!["nowhere"]),
        ("credential: cloud", "credential: claud", vec!["claud", "cloud"]),
    ] {
        assert!(good.contains(from), "{from}");
        let other = world.path("other.yaml");
        std::fs::write(&other, good.replacen(from, to, 1)).unwrap();
        let (code, out, err) = run(&["config", "check", "--config", other.to_str().unwrap()], &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{to}: {err}");
        for part in told {
            assert!(err.contains(&part.replace("holdpoint.yaml", "other.yaml")), "no `{part}` for {to}: {err}");
        }
        assert!(!err.contains(CREDENTIAL), "{err}");
        let (code, _, _) = run(&["serve", "--config", other.to_str().unwrap()], &[]);
        assert_eq!(code, 1, "{to}");
    }
    let (code, _, err) = run(&["config", "check", "--config", "/nowhere/holdpoint.yaml"], &[]);
    assert_eq!((code, err.contains("/nowhere/holdpoint.yaml")), (1, true), "{err}");
}

#[test]
fn the_starter_policies_pass_their_tests() {
    let (code, out, err) = run(&["policy", "test", &in_repository("policies/starter")], &[]);
    assert_eq!((code, out.contains(" 0 failed")), (0, true), "{out}{err}");
    let (code, out, _) = run(&["policy", "test", "-o", "json", &in_repository("policies/starter")], &[]);
    assert_eq!(code, 0);
    let outcomes: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(outcomes.len() > 5 && outcomes.iter().all(|test| test["outcome"] == "passed"), "{out}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("a_test.rego"), "package holdpoint\n\ntest_no if 1 == 2\n").unwrap();
    let (code, out, _) = run(&["policy", "test", path], &[]);
    assert_eq!((code, out.contains("FAIL  ")), (2, true), "{out}");
    let (code, _, err) = run(&["policy", "test", "--run", "nothing", path], &[]);
    assert_eq!((code, err.contains("no test was run")), (1, true), "{err}");
    let (code, out, _) = run(&["policy", "input"], &[]);
    assert!(code == 0 && serde_json::from_str::<Value>(&out).unwrap()["properties"].is_object());
}

#[tokio::test]
async fn keys_and_tokens_are_made_and_work() {
    let world = World::start();
    let file = world.path("holdpoint.yaml");
    let file = file.to_str().unwrap();
    let (code, key, err) =
        run(&["keys", "create", "--principal", "deploy-bot", "--created-by", "bo@example.com", "-c", file], &[]);
    assert_eq!(code, 0, "{err}");
    assert!(key.starts_with("hp_") && key.lines().count() == 1, "{key}");
    let (code, made, _) = run(&["tokens", "create", "--reviewer", "bo@example.com", "-c", file, "-o", "json"], &[]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(code, 0);
    let records = std::fs::read_to_string(world.path("keys/deploy-bot")).unwrap();
    assert!(!records.contains(key.trim()), "the key itself is kept: {records}");
    crate::support::eventually("the key to be known", || async {
        let call = world.get("/open/a").with("authorization", &format!("Bearer {}", key.trim()));
        (call.send().await.status == 200).then_some(())
    })
    .await;
    crate::support::eventually("the token to be known", || async {
        let call = world.admin_call("ana", Method::GET, "/v1/me");
        let answer = call.with("authorization", &format!("Bearer {}", made["key"].as_str().unwrap())).send().await;
        (answer.json()["person"] == "bo@example.com").then_some(())
    })
    .await;
    // Whoever made a key never approves what is done with it.
    let caller = world.get("/held/a").with("authorization", &format!("Bearer {}", key.trim())).spawn();
    let item = world.held("/held/a").await;
    let own = world.decide("bo", &item, "approve", None).await;
    assert_eq!((own.status, own.code().as_str()), (403, "own-request"));
    world.approve("ana", &item).await;
    assert_eq!(caller.await.unwrap().status, 200);
    let (code, _, err) = run(&["keys", "create", "--principal", "nobody", "-c", file], &[]);
    assert_eq!((code, err.contains("`nobody`")), (1, true), "{err}");
}

#[tokio::test]
async fn reviewers_work_on_the_command_line() {
    let world = World::start();
    let server = format!("https://{}", world.admin);
    let ca = world.path("ca.pem");
    let as_person = |person: &str, arguments: &[&str]| {
        let variables = [
            ("HOLDPOINT_SERVER", server.as_str()),
            ("HOLDPOINT_CA", ca.to_str().unwrap()),
            ("HOLDPOINT_TOKEN", world.tokens[person].as_str()),
        ];
        run(&[&["approvals"], arguments].concat(), &variables)
    };
    let callers = ["/held/a", "/held/b", "/held/c"].map(|target| world.get(target).spawn());
    for target in ["/held/a", "/held/b", "/held/c"] {
        world.held(target).await;
    }
    let (code, out, err) = as_person("ana", &["list"]);
    assert_eq!((code, err.as_str()), (0, ""));
    for part in ["/held/a", "/held/b", "/held/c", "deploy-bot"] {
        assert!(out.contains(part), "no {part} in {out}");
    }
    let (_, names, _) = as_person("ana", &["list", "-o", "name"]);
    assert_eq!(names.lines().count(), 3, "{names}");
    let (_, page, _) = as_person("ana", &["list", "-o", "json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    let of = |target: &str| {
        page["items"].as_array().unwrap().iter().find(|item| item["call"]["target"] == target).unwrap().clone()
    };
    let id = |target: &str| of(target)["id"].as_str().unwrap().to_owned();
    let digest = |target: &str| of(target)["digest"].as_str().unwrap().trim_start_matches("sha256:")[..8].to_owned();

    let (code, out, _) = as_person("ana", &["show", &id("/held/a")]);
    assert!(code == 0 && out.contains("GET") && out.contains("/held/a") && out.contains("needs a look"), "{out}");
    for form in ["json", "yaml", "name", "wide"] {
        let (code, out, _) = as_person("ana", &["show", &id("/held/a"), "-o", form]);
        assert!(code == 0 && out.contains(&id("/held/a")), "{form}: {out}");
    }

    let (a, b, c) = (id("/held/a"), id("/held/b"), id("/held/c"));
    let (right, other) = (digest("/held/a"), digest("/held/b"));
    for (person, arguments, expected) in [
        ("ana", vec!["approve", &a], 2),
        ("ana", vec!["approve", &a, "--digest", &other], 5),
        ("ana", vec!["deny", &a], 2),
        ("ana", vec!["show", "apr_00000000000000000000000000000000"], 3),
        ("cy", vec!["approve", &a, "--digest", &right], 4),
        ("olga", vec!["approve", &a, "--digest", &right], 4),
        ("ana", vec!["approve", &a, "--digest", &right, "-m", "seen"], 0),
        ("bo", vec!["approve", &a, "--digest", &right], 5),
        ("ana", vec!["deny", &b, "-m", "too broad"], 0),
        ("olga", vec!["withdraw", &c, "-m", "not needed"], 0),
    ] {
        let (code, _, err) = as_person(person, &arguments);
        assert_eq!(code, expected, "{person} {arguments:?}: {err}");
        if (person, expected) == ("ana", 0) && arguments[0] == "approve" {
            world.waits_for("/held/a", "completed", false).await;
        }
    }
    let mut answers = Vec::new();
    for caller in callers {
        let answer = caller.await.unwrap();
        answers.push((answer.status, answer.code()));
    }
    let refused = |code: &str| (403, code.to_owned());
    assert_eq!(answers, [(200, String::new()), refused("approval-denied"), refused("approval-withdrawn")]);

    let expired = world.get("/brief/a").send().await.field("approval-id").to_owned();
    let item = world.approval(&expired).await;
    let digest = &item["digest"].as_str().unwrap().trim_start_matches("sha256:")[..8];
    assert_eq!(as_person("ana", &["approve", &expired, "--digest", digest]).0, 7);

    let wrong = [("HOLDPOINT_SERVER", server.as_str()), ("HOLDPOINT_CA", ca.to_str().unwrap())];
    let (code, _, err) = run(&["approvals", "list"], &wrong);
    assert_eq!((code, err.contains("there is no token")), (2, true), "{err}");
    let agent = [wrong[0], wrong[1], ("HOLDPOINT_TOKEN", world.keys["deploy-bot"].as_str())];
    assert_eq!(run(&["approvals", "list"], &agent).0, 4);
    world.verify();
}
