//! The table of known clients: how each is told by its fields, and how it behaves by default.
//!
//! To add a client, measure it against a server that never answers, and add a row. The first row
//! whose signs all hold is the one, so the special stands before the general.

use std::time::Duration;

use http::HeaderMap;

use super::super::form::Form;
use super::agent::Agent;

/// How SDKs of one kind behave with their default settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// What we call them, such as `boto3`; fit for a metric label.
    pub name: &'static str,
    /// How long they wait for the first byte of an answer; `None` without an end.
    pub read_timeout: Option<Duration>,
    /// The longest that the transport below them waits, whatever the SDK says.
    pub transport_timeout: Option<Duration>,
    /// How often they try in all when the answer does not come; `None` where that depends.
    pub attempts: Option<u32>,
    /// Whether they really come back when told to by `Retry-After`, for as long as they are told.
    pub waits_as_told: bool,
    /// In which form they understand a refusal.
    pub form: Form,
    /// Where this is known from.
    pub source: &'static str,
}

impl Profile {
    /// A client that nobody knows, which is held until it leaves.
    pub const UNKNOWN: &'static Self = &Self {
        name: "unknown",
        read_timeout: None,
        transport_timeout: None,
        attempts: None,
        waits_as_told: false,
        form: Form::Problem,
        source: "not recognised",
    };

    /// The profile of whoever sent these fields.
    pub(super) fn of(agent: &Agent<'_>, headers: &HeaderMap) -> &'static Self {
        ROWS.iter()
            .find(|row| row.signs.iter().all(|sign| sign.holds(agent, headers)))
            .map_or(Self::UNKNOWN, |row| &row.profile)
    }

    /// Every known client, in the order of the table.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ROWS.iter().map(|row| &row.profile)
    }
}

/// One client: all signs must hold.
struct Row {
    signs: &'static [Sign],
    profile: Profile,
}

enum Sign {
    /// The `User-Agent` names one of these products.
    Product(&'static [&'static str]),
    /// The `User-Agent` names a product that begins so.
    ProductPrefix(&'static str),
    /// A field is there, and its value begins so.
    Field(&'static str, &'static str),
}

impl Sign {
    fn holds(&self, agent: &Agent<'_>, headers: &HeaderMap) -> bool {
        match self {
            Self::Product(names) => names.iter().any(|name| agent.names(name)),
            Self::ProductPrefix(prefix) => agent.names_prefix(prefix),
            Self::Field(name, prefix) => {
                headers.get(*name).is_some_and(|value| value.as_bytes().starts_with(prefix.as_bytes()))
            }
        }
    }
}

use Sign::Field;
use Sign::Product;
use Sign::ProductPrefix;

/// A row with its columns: read time-out in seconds (0: none), attempts (0: it depends), source.
const fn row(
    name: &'static str,
    signs: &'static [Sign],
    read_timeout: u64,
    attempts: u32,
    source: &'static str,
) -> Row {
    let read_timeout = if read_timeout == 0 { None } else { Some(Duration::from_secs(read_timeout)) };
    let attempts = if attempts == 0 { None } else { Some(attempts) };
    Row {
        signs,
        profile: Profile {
            name,
            read_timeout,
            transport_timeout: None,
            attempts,
            waits_as_told: false,
            form: Form::Problem,
            source,
        },
    }
}

impl Row {
    /// Comes back when told to.
    const fn waits_as_told(mut self) -> Self {
        self.profile.waits_as_told = true;
        self
    }

    /// Reads refusals in a form of its own.
    const fn refused_as(mut self, form: Form) -> Self {
        self.profile.form = form;
        self
    }

    /// Runs on Node's own `fetch`, which gives up after `headersTimeout`.
    const fn on_node_fetch(mut self) -> Self {
        self.profile.transport_timeout = Some(Duration::from_secs(300));
        self
    }
}

const AWS_PYTHON: Sign = Product(&["Boto3", "Botocore", "botocore", "aws-cli"]);
const AWS_JS: Sign = Product(&["aws-sdk-js"]);
const STAINLESS_PYTHON: Sign = Field("x-stainless-lang", "python");
const STAINLESS_JS: Sign = Field("x-stainless-lang", "js");
const ON_NODE: Sign = Field("x-stainless-runtime", "node");
const ANTHROPIC: Sign = Field("anthropic-version", "");

#[rustfmt::skip] // A table is read by its columns.
static ROWS: &[Row] = &[
    //  name                  told by                                            wait  tries  source
    row("boto3-dynamodb",     &[AWS_PYTHON, Field("x-amz-target", "DynamoDB_")],   60,  4, "measured: botocore 1.44.5, silent server"),
    row("boto3",              &[AWS_PYTHON],                                       60,  3, "measured: boto3 1.44.5 IAM, silent server: 0, 60, 120 s, error at 180 s"),
    row("aws-sdk-js",         &[AWS_JS],                                            0,  3, "measured: aws-sdk-js 3.1169 IAM still waits at 400 s; 3 attempts on a reset")
        .waits_as_told(),
    row("aws-sdk-rust",       &[Product(&["aws-sdk-rust"])],                        0,  3, "measured: aws-sdk-iam 1.133 has a connect time-out only; 3 attempts on a reset"),
    row("gcs-python",         &[Product(&["gcloud-python"])],                      60,  2, "measured: google-cloud-storage 3.17.1, silent server: 0, 61 s, error at 121 s")
        .refused_as(Form::Google),
    row("gcs-js",             &[ProductPrefix("gcloud-node")],                      0,  4, "measured: @google-cloud/storage 7.22, none observed; 4 attempts on a reset")
        .refused_as(Form::Google),
    row("azure-storage-python", &[ProductPrefix("azsdk-python-storage-")],         60,  4, "measured: azure-storage-blob 12.31.1"),
    row("azure-python",       &[ProductPrefix("azsdk-python-")],                  300,  4, "read: azure-core 1.41, read timeout 300 s, 3 read retries"),
    row("azure-js",           &[ProductPrefix("azsdk-js-")],                        0,  4, "measured: @azure/storage-blob 12.32, none; 4 attempts on a reset"),
    row("client-go",          &[Product(&["kubectl", "kubectl-dispatcher", "kubernetes"])], 0, 1, "measured: kubectl 1.32.4 waits, one attempt; repeats with Retry-After up to 10 times")
        .waits_as_told().refused_as(Form::Kubernetes),
    row("openapi-generator",  &[Product(&["OpenAPI-Generator"])],                   0,  0, "measured: kubernetes 37.0.1 (Python) waits; urllib3 repeats GET, PUT and DELETE only"),
    row("anthropic-python",   &[STAINLESS_PYTHON, ANTHROPIC],                     600,  3, "measured: anthropic 2.11; waits as told for any length (read)")
        .waits_as_told().refused_as(Form::Anthropic),
    row("stainless-python",   &[STAINLESS_PYTHON],                                600,  3, "measured: openai 3.52; does not retry where told more than 120 s (read)")
        .refused_as(Form::OpenAi),
    row("anthropic-js-node",  &[STAINLESS_JS, ANTHROPIC, ON_NODE],                600,  3, "measured: @anthropic-ai/sdk 1.11 on Node, cut off by undici's 300 s")
        .waits_as_told().on_node_fetch().refused_as(Form::Anthropic),
    row("anthropic-js",       &[STAINLESS_JS, ANTHROPIC],                         600,  3, "read: @anthropic-ai/sdk 1.11, time-out 600 s, 2 retries")
        .waits_as_told().refused_as(Form::Anthropic),
    row("stainless-js-node",  &[STAINLESS_JS, ON_NODE],                           600,  3, "measured: openai-js 6.49 on Node, cut off at 302 s by undici's 300 s")
        .on_node_fetch().refused_as(Form::OpenAi),
    row("stainless-js",       &[STAINLESS_JS],                                    600,  3, "read: openai-js 6.49, time-out 600 s, 2 retries")
        .refused_as(Form::OpenAi),
    row("stripe-python",      &[Product(&["PythonBindings"])],                     80,  3, "measured: stripe 16.1, the module's API; a StripeClient tries once")
        .refused_as(Form::Stripe),
    row("stripe-js",          &[Product(&["NodeBindings"])],                       80,  3, "measured: stripe-node 23.1")
        .refused_as(Form::Stripe),
    row("pygithub",           &[Product(&["PyGithub"])],                           15, 11, "measured: PyGithub 2.10, POST and DELETE too")
        .refused_as(Form::GitHub),
    row("octokit",            &[Product(&["octokit-rest.js", "octokit-core.js", "octokit-request.js", "octokit.js"])], 300, 1, "measured: @octokit/rest 22.0.1 on Node fails at 303 s (undici headersTimeout)")
        .refused_as(Form::GitHub),
    row("elasticsearch-python", &[Product(&["elasticsearch-py"])],                 10,  1, "measured: elasticsearch 9.5.1 does not repeat on a time-out")
        .refused_as(Form::Elasticsearch),
    row("elasticsearch-js",   &[Product(&["elasticsearch-js", "elastic-transport-js"])], 0, 1, "measured: @elastic/elasticsearch 9.4.3 still waits at 400 s, one attempt")
        .refused_as(Form::Elasticsearch),
    row("slack-python",       &[Product(&["slackclient"])],                        30,  1, "measured: slack_sdk 3.47"),
    row("httpx",              &[Product(&["python-httpx"])],                        5,  1, "measured: httpx 0.28.1"),
    row("aiohttp",            &[Product(&["aiohttp"])],                           300,  1, "measured: aiohttp 3.14.5, 300 s in all"),
    row("requests",           &[Product(&["python-requests"])],                     0,  1, "measured: requests 2.34.2"),
    row("node-fetch",         &[Product(&["node", "undici"])],                    300,  1, "measured: Node 20.20.2 fails at 303 s (undici headersTimeout)"),
    row("curl",               &[Product(&["curl"])],                                0,  1, "measured: curl 7.88.1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_a_source() {
        let names: std::collections::BTreeSet<_> = Profile::all().map(|profile| profile.name).collect();
        assert_eq!(names.len(), ROWS.len());
        assert!(
            Profile::all()
                .all(|profile| profile.source.starts_with("measured: ") || profile.source.starts_with("read: "))
        );
    }

    #[test]
    fn whoever_has_to_be_answered_in_time_has_a_known_number_of_attempts() {
        for profile in Profile::all().filter(|profile| profile.read_timeout.is_some()) {
            assert!(profile.attempts.is_some(), "{}", profile.name);
        }
    }
}
