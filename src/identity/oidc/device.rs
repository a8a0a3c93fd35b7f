//! Sign-in from a terminal: the device flow (RFC 8628).

use std::time::Duration;

use openidconnect::DeviceAuthorizationUrl;
use openidconnect::DeviceCodeErrorResponse;
use openidconnect::RequestTokenError;
use openidconnect::Scope;
use openidconnect::TokenResponse;
use openidconnect::TokenUrl;
use openidconnect::core::CoreDeviceAuthorizationResponse;
use openidconnect::core::CoreTokenResponse;

use super::authorize::failed;
use super::claims::SignedIn;
use super::error::SignInError;
use super::error::WITHIN;
use super::http::HttpError;
use super::http::chain;
use super::provider::Provider;

/// What somebody types in at the provider, and what we ask it with meanwhile.
#[derive(Debug)]
pub struct DeviceCode {
    response: CoreDeviceAuthorizationResponse,
}

impl DeviceCode {
    /// What to type in.
    pub fn user_code(&self) -> &str {
        self.response.user_code().secret()
    }

    /// Where.
    pub fn verification_uri(&self) -> &str {
        self.response.verification_uri().as_str()
    }

    /// How long there is time for it.
    pub fn expires_in(&self) -> Duration {
        self.response.expires_in().min(WITHIN)
    }
}

impl Provider {
    /// Begins.
    ///
    /// # Errors
    /// [`SignInError`] if it is not allowed, or if the provider does not offer it or cannot be asked.
    pub async fn begin_device(&self) -> Result<DeviceCode, SignInError> {
        if !self.settings.device_sign_in {
            return Err(SignInError::DeviceOff);
        }
        let known = self.knowledge.get().await?;
        let url = known.metadata.device_authorization_endpoint.clone().ok_or(SignInError::NoDeviceCode)?;
        let client = self.client(&known)?.set_device_authorization_url(DeviceAuthorizationUrl::from_url(url));
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let send = self.sender();
        let response = client.exchange_device_code().add_scopes(scopes).request_async(&send).await.map_err(failed)?;
        Ok(DeviceCode { response })
    }

    /// Asks, as often as the provider wants to be asked, until somebody has signed in.
    ///
    /// # Errors
    /// [`SignInError`] says why nobody has.
    pub async fn finish_device(&self, code: &DeviceCode) -> Result<SignedIn, SignInError> {
        let known = self.knowledge.get().await?;
        let client = self.client(&known)?.set_token_uri(TokenUrl::from_url(known.metadata.token_endpoint.clone()));
        let send = self.sender();
        let exchange = client.exchange_device_access_token(&code.response).set_max_backoff_interval(BACKOFF_MAX);
        let asking = exchange.request_async(&send, tokio::time::sleep, Some(code.expires_in()));
        let response = tokio::time::timeout(code.expires_in(), asking).await.map_err(|_| SignInError::Expired)?;
        let response: CoreTokenResponse = response.map_err(refused)?;
        let token = response.id_token().ok_or_else(|| SignInError::Token("there is none".to_owned()))?;
        self.believe(token, None).await
    }
}

fn refused(error: RequestTokenError<HttpError, DeviceCodeErrorResponse>) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(said) => match said.error().as_ref() {
            "expired_token" => SignInError::Expired,
            word => SignInError::refused(word),
        },
        RequestTokenError::Request(error) => SignInError::Unreachable(chain(&error)),
        RequestTokenError::Parse(error, _) => {
            SignInError::Unreachable(format!("its answer cannot be read at `{}`", error.path()))
        }
        RequestTokenError::Other(why) => SignInError::Unreachable(why.escape_debug().take(200).collect()),
    }
}

/// How long a provider that does not answer is left alone at most.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
