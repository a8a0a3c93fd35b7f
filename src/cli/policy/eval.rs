//! `holdpoint policy eval`: what a policy says to one input, and why.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde_json::Value;
use serde_json::json;

use crate::cli::approvals;
use crate::cli::approvals::ConnectionArgs;
use crate::cli::approvals::Terminal;
use crate::cli::approvals::text::one_line;
use crate::cli::out;
use crate::model::Action;
use crate::model::Actions;
use crate::model::Attempt;
use crate::model::Authn;
use crate::model::Body;
use crate::model::Call;
use crate::model::CallId;
use crate::model::Effect;
use crate::model::HttpRequest;
use crate::model::IdSource;
use crate::model::Message;
use crate::model::Principal;
use crate::model::PrincipalKind;
use crate::model::Upstream;
use crate::policy;
use crate::policy::EvaluateError;
use crate::policy::Policy;
use crate::policy::RuleOutcome;
use crate::policy::RuleTrace;
use crate::review::api::Detail;
use crate::wire::Coding;

use super::Form;
use super::source::Which;

/// What to evaluate.
#[derive(Debug, Args)]
pub(in crate::cli) struct EvalArgs {
    #[command(flatten)]
    which: Which,
    /// A file with the input as JSON, as `policy input --example` prints one; `-` for standard input
    #[arg(short, long, value_name = "FILE", required_unless_present = "approval", conflicts_with = "approval")]
    input: Option<String>,
    /// The call that an approval is about, read through the admin API
    #[arg(short, long, value_name = "ID")]
    approval: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// How to show the result
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

pub(in crate::cli) async fn run(args: &EvalArgs, terminal: &Terminal) -> anyhow::Result<ExitCode> {
    let (inspection, _) = args.which.load()?;
    let policy = inspection.policy();
    let (input, notes) = match (&args.input, &args.approval) {
        (Some(file), _) => (read(file)?, Vec::new()),
        (None, Some(id)) => {
            let detail = approvals::fetch(&args.connection, terminal, id).await?;
            of_approval(&detail, policy)?
        }
        (None, None) => anyhow::bail!("name an input with `--input`, or an approval with `--approval`"),
    };
    let answer = policy.decide_input(&input);
    let trace = inspection.trace(&input);
    match args.output {
        Form::Json => out::json(&json!({
            "decision": decision_json(&answer),
            "policy": policy.digest().to_string(),
            "trace": trace,
            "notes": notes,
            "input": input,
        }))?,
        Form::Text => {
            notes.iter().try_for_each(|note| out::note(format!("note: {note}")))?;
            decision(&answer)?;
            out::line("")?;
            trace.iter().try_for_each(rule)?;
        }
    }
    Ok(if answer.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads an input; `{"input": …}` is taken for what is in it, as OPA's tools write it.
fn read(file: &str) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file == "-" {
        std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut text)
            .context("standard input cannot be read")?;
    } else {
        let file = std::fs::File::open(Path::new(file)).with_context(|| format!("`{file}` cannot be read"))?;
        file.take(INPUT_BYTES_MAX).read_to_string(&mut text).context("the input cannot be read")?;
    }
    let mut input: Value = serde_json::from_str(&text).context("the input is not JSON")?;
    let inner = input.as_object_mut().filter(|fields| fields.len() == 1).and_then(|fields| fields.remove("input"));
    let input = inner.unwrap_or(input);
    anyhow::ensure!(input.is_object(), "the input is not a JSON object");
    Ok(input)
}

/// What the policy was told about the call of an approval, and what of that is not kept.
fn of_approval(detail: &Detail, policy: &Policy) -> anyhow::Result<(Value, Vec<String>)> {
    let call = call(detail)?;
    let mut input = policy::input_json(&call, None, detail.item.created_at);
    let mut notes = Vec::new();
    for (above, name) in [("request", "scheme"), ("request", "websocket"), ("context", "source_ip")] {
        let fields = input.get_mut(above).and_then(Value::as_object_mut);
        fields.into_iter().for_each(|fields| drop(fields.remove(name)));
        if policy.reads().may_read(&[above, name]) {
            notes.push(format!("`input.{above}.{name}` is not kept with approvals, and a rule can look at it"));
        }
    }
    if policy.reads_history() {
        notes.push("what was approved before is not kept with approvals, and a rule looks at it".to_owned());
    }
    if !detail.body.inline && policy.reads().may_read(&["request", "body"]) {
        notes.push("the body is too long to be shown with the approval, and a rule can look at it".to_owned());
    }
    if !detail.request.redacted.is_empty() {
        let hidden = detail.request.redacted.join("`, `");
        notes.push(format!("`{hidden}` of the request is redacted, and what stands there instead is evaluated"));
    }
    if policy.digest().to_string() != detail.policy {
        notes.push("this is not the policy that held the call".to_owned());
    }
    Ok((input, notes))
}

fn call(detail: &Detail) -> anyhow::Result<Call> {
    let item = &detail.item;
    let facts = detail.facts.as_ref();
    let facts =
        facts.context("the server does not say what the policy was told about the caller; it is an older version")?;
    let actions = item.actions.iter().map(|action| serde_json::from_value(serde_json::to_value(action)?));
    let actions: Vec<Action> = actions.collect::<Result<_, _>>().context("an action cannot be read")?;
    let owners = item.principal.owners.iter().map(|owner| owner.parse());
    let principal = Principal {
        id: item.principal.id.clone(),
        kind: PrincipalKind::Agent,
        owners: owners.collect::<Result<_, _>>().context("an owner cannot be read")?,
        groups: facts.groups.clone(),
        claims: facts.claims.clone(),
        authn: Authn { method: facts.authn_method.clone(), key_id: facts.key_id.clone(), created_by: None },
        chain: facts.chain.clone(),
    };
    let upstream = Upstream {
        name: item.upstream.name.clone(),
        environment: item.upstream.environment.clone(),
        labels: facts.labels.clone(),
    };
    Ok(Call {
        id: CallId::new(&IdSource::new([0; 10]), item.created_at),
        received: item.created_at,
        principal: Arc::new(principal),
        upstream: Arc::new(upstream),
        actions: Actions::new(actions).context("the approval names no action")?,
        message: Message::Http(request(detail)?),
        reason: item.agent_reason.clone(),
        context: detail.agent_context.clone(),
        resumes: None,
        respond_async: false,
        attempt: Attempt::default(),
        patience: None,
        hold_for: None,
        source_ip: std::net::Ipv4Addr::UNSPECIFIED.into(),
    })
}

fn request(detail: &Detail) -> anyhow::Result<HttpRequest> {
    let shown = &detail.request;
    let mut headers = HeaderMap::new();
    for header in shown.headers.iter().filter(|header| !header.name.starts_with("trailer ")) {
        let name: HeaderName = header.name.parse().context("a field's name cannot be read")?;
        headers.append(name, HeaderValue::from_str(&header.value).context("a field's value cannot be read")?);
    }
    let (path, query) = match shown.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (shown.target.as_str(), None),
    };
    Ok(HttpRequest {
        method: shown.method.parse().context("the method cannot be read")?,
        scheme: "https",
        authority: shown.authority.clone(),
        path: path.to_owned(),
        query,
        body: body(detail, &headers)?,
        headers,
        websocket: false,
    })
}

/// The body as the policy looked at it: without its content coding.
fn body(detail: &Detail, headers: &HeaderMap) -> anyhow::Result<Body> {
    let shown = &detail.request;
    if !detail.body.inline {
        return Ok(Body::Unread);
    }
    let decoded: Bytes = match (&shown.body_text, &shown.body_base64) {
        (Some(text), _) => text.clone().into(),
        (None, Some(base64)) => STANDARD.decode(base64).context("the body cannot be read")?.into(),
        (None, None) => return Ok(Body::Absent),
    };
    let (bytes, trailers) = (decoded.clone(), HeaderMap::new());
    let coding = detail.body.coding.as_ref().map(|_| Coding::of(headers)).transpose()?.flatten();
    Ok(match coding {
        None => Body::Read { bytes, trailers },
        Some(coding) => Body::Encoded { bytes, trailers, coding: coding.name(), decoded },
    })
}

/// An answer in the words of the API.
pub(super) fn decision_json(answer: &Result<Effect, EvaluateError>) -> Value {
    match answer {
        Ok(Effect::Allow(allow)) => json!({"effect": "allow", "rules": allow.rules, "obligations": allow}),
        Ok(Effect::Hold(hold)) => json!({"effect": "hold", "rules": hold.rules, "obligations": hold}),
        Ok(Effect::Deny(rules)) => {
            let reasons: BTreeMap<&str, Option<&str>> =
                rules.iter().map(|rule| (rule.rule.as_str(), rule.reason.as_deref())).collect();
            json!({"effect": "deny", "rules": reasons.keys().collect::<Vec<_>>(), "reasons": reasons})
        }
        Ok(Effect::NoMatch) => json!({"effect": "deny", "rules": [], "default": true}),
        Err(error) => json!({"effect": "error", "error": error.to_string()}),
    }
}

fn decision(answer: &Result<Effect, EvaluateError>) -> anyhow::Result<()> {
    let shown = decision_json(answer);
    let rules: Vec<&str> =
        shown.get("rules").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    match answer {
        Ok(Effect::NoMatch) => out::line("deny: no rule matches, and that is the default")?,
        Ok(effect) => out::line(format!("{}: {}", effect.as_str(), one_line(&rules.join(", "))))?,
        Err(error) => out::line(format!("error: {}\nthe call would be refused", one_line(&error.to_string())))?,
    }
    for part in ["obligations", "reasons"] {
        let fields = shown.get(part).and_then(Value::as_object).into_iter().flatten();
        for (name, value) in fields.filter(|(name, value)| *name != "rules" && !is_empty(value)) {
            out::line(format!("  {}: {}", one_line(name), one_line(&value.to_string())))?;
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    }
}

fn rule(trace: &RuleTrace) -> std::io::Result<()> {
    let mode = if trace.shadow { ", in shadow mode" } else { "" };
    let place = format!("{} {} ({}:{}{mode})", trace.kind, trace.rule, trace.file, trace.line);
    match &trace.outcome {
        RuleOutcome::Fired { .. } => out::line(format!("applies  {place}")),
        RuleOutcome::Failed { error } => out::line(format!("FAILS    {place}: {}", one_line(error))),
        RuleOutcome::NotFired { line, expression, values } => {
            out::line(format!("no       {place}"))?;
            out::line(format!("           line {line} does not hold: {expression}"))?;
            values.iter().try_for_each(|value| out::line(format!("             {}", one_line(&value.to_string()))))
        }
    }
}

/// More than the largest call that can be held, as JSON.
const INPUT_BYTES_MAX: u64 = 256 << 20;
