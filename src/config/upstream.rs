//! The origins that calls are forwarded to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;

use crate::model::ActionKind;

use super::address::HostName;
use super::address::PathPrefix;
use super::address::UpstreamUrl;
use super::duration::HumanDuration;
use super::file::FileRef;
use super::name::Name;
use super::text::shown;

/// One origin that calls are forwarded to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its name in policies (`input.upstream.name`), records and metrics.
    pub name: Name,
    /// Which calls are for it. Of all upstreams that match, the one with a `host` and then with
    /// the longest `path_prefix` gets the call; a call that none matches is answered 404.
    pub r#match: Match,
    /// Where it is: `https://` or `http://`, a host, and a port if it is not the usual one. No
    /// path: calls keep their own, less the matched prefix.
    pub url: UpstreamUrl,
    /// The certificate authorities that it is trusted by, in PEM, instead of those of this
    /// machine. Default none: the authorities that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<FileRef>,
    /// How calls are read: `http`, or `{openapi: file:PATH}`. Default `http`: method and path.
    #[serde(default)]
    pub dialect: Dialect,
    /// Such as `production`, for policies (`input.upstream.environment`). Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// For policies (`input.upstream.labels`), such as `data: customer`. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Which of the `credentials` a permitted call gets, unless its rule names another. Default
    /// none: calls leave without any, for the agent's own never goes further than here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Name>,
    /// How long its calls are held at most before their callers are told to call again, unless a
    /// rule says so. Default none: `approvals.hold_for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_for: Option<HumanDuration>,
    /// How the policy applies to it.
    #[serde(default)]
    pub policy: UpstreamPolicy,
    /// How long it is waited for.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Networks in which its address may be although it would be refused. Loopback and private
    /// addresses need no permission, since only the operator names hosts; link-local ones and
    /// cloud metadata services (169.254.0.0/16, fe80::/10, fd00:ec2::254 and the like), multicast
    /// and unspecified ones do, whatever the host's name resolves to. Default none: whoever
    /// controls a name must not be able to send calls to a metadata service.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub allow_addresses: Vec<IpNet>,
}

impl Upstream {
    pub(super) fn resolve(&mut self, base: &Path) {
        if let Some(ca) = &mut self.ca {
            ca.resolve(base);
        }
        match &mut self.dialect {
            Dialect::Http => {}
            Dialect::OpenApi(openapi) => openapi.openapi.resolve(base),
        }
    }
}

/// How the policy applies to the calls of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamPolicy {
    /// `full`, or `shadow`: then **every call passes that the policy denies or holds**, nobody is
    /// asked, and what would have been done is only recorded and counted. It is for trying a
    /// policy on calls that need no protection yet. A policy that fails still refuses, and so does
    /// everything else that refuses. Default `full`.
    pub enforce: Enforce,
}

/// Whether the policy's answers have an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Enforce {
    /// They have.
    #[default]
    Full,
    /// They are only recorded.
    Shadow,
}

/// Which calls are for an upstream. At least one of the two is needed; `path_prefix: /` alone
/// takes whatever no other upstream takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Match {
    /// The host that the agent calls, without port. Default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// How the path begins, by whole segments. It is removed before the call is forwarded, and
    /// before policy sees the path. Default any path, with nothing removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.path_prefix) {
            (Some(host), Some(prefix)) => write!(f, "host {host}, path {prefix}"),
            (Some(host), None) => write!(f, "host {host}"),
            (None, Some(prefix)) => write!(f, "path {prefix}"),
            (None, None) => f.write_str("nothing"),
        }
    }
}

/// How calls are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)] // Only for writing; see the `Deserialize` below.
pub enum Dialect {
    /// `http`: by method and path.
    #[default]
    #[serde(serialize_with = "http_word")]
    Http,
    /// By the upstream's OpenAPI document.
    OpenApi(OpenApi),
}

/// Calls are read by an OpenAPI document. What it does not describe is of kind `unknown`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenApi {
    /// The document, OpenAPI 3.0 or 3.1, in JSON or YAML.
    pub openapi: FileRef,
    /// The kind of action by `operationId`, over what the document says with `x-holdpoint-kind`.
    /// Default none: by the document, else by the method.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, ActionKind>,
}

// By hand, because an untagged enum would say of every mistake only that nothing fits.
impl<'de> Deserialize<'de> for Dialect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Dialect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`http` or `{openapi: file:PATH}`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dialect, E> {
                match text {
                    "http" => Ok(Dialect::Http),
                    "openapi" => {
                        Err(E::custom("the dialect `openapi` needs its document; write `{openapi: file:PATH}`"))
                    }
                    _ => Err(E::unknown_variant(text, &["http", "{openapi: file:PATH}"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dialect, A::Error> {
                OpenApi::deserialize(MapAccessDeserializer::new(map)).map(Dialect::OpenApi)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl schemars::JsonSchema for Dialect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dialect".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let openapi = generator.subschema_for::<OpenApi>();
        schemars::json_schema!({
            "description": "How calls are read.",
            "oneOf": [{ "const": "http", "description": "By method and path." }, openapi],
        })
    }
}

/// Networks, each read on its own so that a mistake is told with its place.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Network(IpNet);

    impl TryFrom<String> for Network {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            let network = text.parse().map(Self);
            network.map_err(|_| format!("`{}` is not a network, such as `10.1.0.0/16` or `fe80::1/128`", shown(&text)))
        }
    }

    Ok(Vec::<Network>::deserialize(deserializer)?.into_iter().map(|network| network.0).collect())
}

fn http_word<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("http")
}

/// How long an upstream is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until the connection stands, TLS included. Default `10s`: three lost packets and their
    /// repetitions fit in.
    pub connect: HumanDuration,
    /// From the last byte of the call to the head of the answer. Default `5m`: what has been sent
    /// may have run, so giving up early leaves its outcome unknown.
    pub response: HumanDuration,
    /// The longest silence within a body, either way, and on an upgraded connection. Default
    /// `10m`: event streams send something within a minute, people at a terminal do not.
    pub idle: HumanDuration,
    /// How long an unused connection is kept for the next call. Default `50s`: less than the
    /// minute after which many servers close it from their side.
    pub pool_idle: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: HumanDuration::seconds(10),
            response: HumanDuration::seconds(300),
            idle: HumanDuration::seconds(600),
            pool_idle: HumanDuration::seconds(50),
        }
    }
}
