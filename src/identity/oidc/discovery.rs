//! What an identity provider says of itself (OpenID Connect Discovery 1.0, RFC 8414).

use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use openidconnect::url::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::SignInError;
use super::http::Http;
use super::http::chain;
use super::http::is_this_machine;

/// The part of a discovery document that we use.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    #[serde(default)]
    pub(super) device_authorization_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether every answer says who it is from (RFC 9207 §3).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Asks `issuer` for it.
    pub(super) async fn fetch(http: &Http, issuer: &str) -> Result<Self, SignInError> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Self = get(http, &url).await?;
        metadata.check(issuer)?;
        Ok(metadata)
    }

    fn check(&self, issuer: &str) -> Result<(), SignInError> {
        // Two issuers that differ in a `/` are two issuers (Discovery 1.0 §4.3).
        if self.issuer != issuer {
            let said: String = self.issuer.escape_debug().take(200).collect();
            return Err(SignInError::Discovery(format!(
                "it says that its issuer is `{said}`, and `reviewers.oidc.issuer` says `{issuer}`; they must be the same"
            )));
        }
        let urls = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        match urls.into_iter().chain(&self.device_authorization_endpoint).find(|url| !is_safe(url)) {
            Some(url) => Err(SignInError::Discovery(format!(
                "it names `{}`, which is not encrypted",
                url.as_str().escape_debug()
            ))),
            None => Ok(()),
        }
    }

    /// Whether our secret goes into the body of a request, because it cannot go into `Authorization`.
    pub(super) fn secret_in_body(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_some_and(|methods| {
            let has = |name: &str| methods.iter().any(|method| method == name);
            has("client_secret_post") && !has("client_secret_basic")
        })
    }
}

/// Reads the JSON at `url`.
pub(super) async fn get<T: DeserializeOwned>(http: &Http, url: &str) -> Result<T, SignInError> {
    let request = Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new());
    let request = request.map_err(|_| SignInError::Discovery("it names something that is no URL".to_owned()))?;
    let answer: Response<Vec<u8>> =
        http.send(request).await.map_err(|error| SignInError::Unreachable(chain(&error)))?;
    if answer.status() != StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(SignInError::Unreachable(format!("`{url}` was answered with status {status}")));
    }
    serde_json::from_slice(answer.body())
        .map_err(|error| SignInError::Discovery(format!("what `{url}` answers cannot be read: {error}")))
}

/// Encrypted, or not leaving this machine.
fn is_safe(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(host))
}
