//! What a decision costs, by the number of rules: remembered, made, and what a bare evaluator takes.
//!
//! `bench-decisions` prints a Markdown table of microseconds of CPU for each decision, on one thread.
//! "bare regorus" is the same rules and the same input, ready-made, in an engine of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use holdpoint::model::Access;
use holdpoint::model::Action;
use holdpoint::model::ActionKind;
use holdpoint::model::Actions;
use holdpoint::model::Attempt;
use holdpoint::model::Authn;
use holdpoint::model::Body;
use holdpoint::model::Call;
use holdpoint::model::CallId;
use holdpoint::model::DecisionId;
use holdpoint::model::HttpRequest;
use holdpoint::model::IdSource;
use holdpoint::model::Message;
use holdpoint::model::Principal;
use holdpoint::model::PrincipalKind;
use holdpoint::model::Timestamp;
use holdpoint::model::Upstream;
use holdpoint::policy;
use holdpoint::policy::Policy;
use holdpoint::policy::Settings;
use holdpoint::policy::Source;
use http::HeaderMap;
use http::Method;
use regorus::Engine;

const RULES: [usize; 6] = [5, 30, 100, 300, 1_000, 3_000];

fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "| rules | remembered, µs | made, µs | bare regorus, µs | made / bare |\n|---|---|---|---|---|")?;
    for rules in RULES {
        let sources = sources_of(rules);
        // As many evaluations as take a second or two.
        let rounds = (200_000 / rules).max(20);
        let settings = Settings::without_configuration();
        let policy = Policy::load(&sources, &[], settings).map_err(|errors| anyhow::anyhow!("{errors}"))?;
        anyhow::ensure!(policy.shares_decisions(), "these rules share decisions");

        let ids = IdSource::new([7; 10]);
        let decide = |call: &Call| {
            let now = call.received;
            policy.decide(call, None, DecisionId::new(&ids, now), now).map(drop)
        };
        let same = call(&ids, 0);
        decide(&same)?;
        let remembered = micros(100_000, || decide(&same).map_err(anyhow::Error::from))?;

        // Another path each time, which the rules look at: nothing is remembered.
        let calls: Vec<Call> = (1..=rounds).map(|number| call(&ids, number)).collect();
        let mut next = calls.iter();
        let made = micros(rounds, || decide(next.next().context("a call for each round")?).map_err(Into::into))?;

        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        for source in sources {
            engine.add_policy(source.path, source.text)?;
        }
        let input = regorus::Value::from_json_str(&policy::input_json(&same, None, same.received).to_string())?;
        engine.set_input(input.clone());
        let sets = ["data.holdpoint.deny", "data.holdpoint.hold", "data.holdpoint.allow"];
        sets.iter().try_for_each(|set| engine.eval_rule((*set).to_owned()).map(drop))?;
        let bare = micros(rounds, || {
            let mut engine = engine.clone();
            engine.set_input(input.clone());
            sets.iter().try_for_each(|set| engine.eval_rule((*set).to_owned()).map(drop))
        })?;
        writeln!(out, "| {rules} | {remembered:.2} | {made:.0} | {bare:.0} | {:.2} |", made / bare)?;
    }
    Ok(())
}

/// Denies, holds and allows in equal parts, 500 to a file. The first one matches; the others look and
/// do not.
fn sources_of(count: usize) -> Vec<Source> {
    let numbers: Vec<usize> = (0..count).collect();
    let text = |numbers: &[usize]| {
        numbers.iter().fold("package holdpoint\n".to_owned(), |text, number| text + "\n" + &rule(*number))
    };
    let files = numbers.chunks(500).enumerate();
    files.map(|(file, numbers)| Source { path: format!("bench-{file}.rego"), text: text(numbers) }).collect()
}

fn rule(number: usize) -> String {
    let (set, more) = match number % 3 {
        _ if number == 0 => {
            return "allow contains {\"rule\": \"matching\"} if startswith(input.request.path, \"/orders/\")\n"
                .to_owned();
        }
        0 => ("deny", ""),
        1 => ("hold", ", \"reviewers\": [{\"group\": \"owners\", \"count\": 1}]"),
        _ => ("allow", ""),
    };
    format!(
        "{set} contains {{\"rule\": \"rule-{number}\"{more}}} if {{\n\tinput.request.method == \"POST\"\n\tstartswith(input.request.path, \"/service-{number}/\")\n\tsome action in input.actions\n\taction.access == \"write\"\n}}\n"
    )
}

fn call(ids: &IdSource, number: usize) -> Call {
    let now = Timestamp::from_unix_micros(1_795_500_000_000_000);
    let principal = Principal {
        id: "bench-bot".to_owned(),
        kind: PrincipalKind::Agent,
        owners: "ana@example.com".parse().into_iter().collect(),
        groups: vec!["bots".to_owned()],
        claims: BTreeMap::new(),
        authn: Authn { method: "api-key".to_owned(), key_id: "key_1".to_owned(), created_by: None },
        chain: Vec::new(),
    };
    let upstream = Upstream { name: "shop".to_owned(), environment: "production".to_owned(), labels: BTreeMap::new() };
    let action = Action {
        name: "openapi:placeOrder".to_owned(),
        kind: ActionKind::Write,
        access: Access::Write,
        resource: Some("/orders".to_owned()),
        irreversible: false,
        summary: None,
    };
    let request = HttpRequest {
        method: Method::POST,
        scheme: "https",
        authority: "shop.example.com".to_owned(),
        path: format!("/orders/{number}"),
        query: None,
        headers: HeaderMap::new(),
        body: Body::Unread,
        websocket: false,
    };
    Call {
        id: CallId::new(ids, now),
        received: now,
        principal: Arc::new(principal),
        upstream: Arc::new(upstream),
        actions: Actions::one(action),
        message: Message::Http(request),
        reason: None,
        context: None,
        resumes: None,
        respond_async: false,
        attempt: Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: std::net::Ipv4Addr::LOCALHOST.into(),
    }
}

/// The CPU time of one `run`, out of `rounds`, in microseconds.
fn micros(rounds: usize, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let before = cpu_nanos()?;
    for _ in 0..rounds {
        run()?;
    }
    Ok((cpu_nanos()? - before) / rounds as f64 / 1_000.0)
}

/// What this thread has had of the processor, which is another thing than what the clock says.
fn cpu_nanos() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("the kernel does not tell CPU time")?;
    let first = text.split_whitespace().next().context("it tells nothing")?;
    Ok(first.parse()?)
}
