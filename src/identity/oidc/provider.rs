//! One identity provider, as it is asked.

use std::future::Future;
use std::pin::Pin;

use openidconnect::AuthType;
use openidconnect::ClientId;
use openidconnect::ClientSecret;
use openidconnect::HttpRequest;
use openidconnect::HttpResponse;
use openidconnect::IssuerUrl;
use openidconnect::Nonce;
use openidconnect::RedirectUrl;
use openidconnect::core::CoreClient;
use openidconnect::core::CoreIdToken;
use secrecy::ExposeSecret;

use crate::model::Clock;

use super::claims;
use super::claims::SignedIn;
use super::error::SignInError;
use super::http::Http;
use super::http::HttpError;
use super::keys::Knowledge;
use super::keys::Known;
use super::settings::Settings;
use super::settings::SetupError;
use super::token;
use super::token::Claims;
use super::token::Doubt;

/// A request on its way.
type Sending = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

/// An identity provider. Nothing is asked of it before somebody wants to sign in.
#[derive(Debug)]
pub struct Provider {
    pub(super) settings: Settings,
    pub(super) http: Http,
    pub(super) knowledge: Knowledge,
    pub(super) clock: Clock,
}

impl Provider {
    /// The provider of `settings`.
    ///
    /// # Errors
    /// [`SetupError`] if a URL or a file of the settings cannot be used.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, SetupError> {
        IssuerUrl::new(settings.issuer.clone()).map_err(|_| SetupError::Url(settings.issuer.clone()))?;
        RedirectUrl::new(settings.redirect_uri.clone()).map_err(|_| SetupError::Url(settings.redirect_uri.clone()))?;
        let http = Http::new(settings.ca.as_deref())?;
        let knowledge = Knowledge::new(http.clone(), settings.issuer.clone(), clock.clone());
        Ok(Self { settings, http, knowledge, clock })
    }

    /// What it was set up with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whom `token` is about, once it is believed.
    pub(super) async fn believe(&self, token: &CoreIdToken, nonce: Option<&Nonce>) -> Result<SignedIn, SignInError> {
        let verify = |known: &Known| token::verify(token, nonce, known, &self.settings, self.clock.now());
        claims::read(&self.with_keys(verify).await?, &self.settings)
    }

    /// Verifies something with the keys that are known, and if the right one is not among them,
    /// with those that the provider has now.
    pub(super) async fn with_keys(
        &self,
        verify: impl Fn(&Known) -> Result<Claims, Doubt>,
    ) -> Result<Claims, SignInError> {
        let known = self.knowledge.get().await?;
        match verify(&known) {
            Ok(claims) => Ok(claims),
            Err(Doubt::Token(error)) => Err(error),
            Err(Doubt::Key) => match verify(&*self.knowledge.newer_than(&known).await?) {
                Ok(claims) => Ok(claims),
                Err(Doubt::Token(error)) => Err(error),
                Err(Doubt::Key) => Err(SignInError::Key(std::time::Duration::from_secs(10))),
            },
        }
    }

    /// The client for one request to the provider.
    pub(super) fn client(&self, known: &Known) -> Result<CoreClient, SignInError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone());
        let issuer = issuer.map_err(|error| SignInError::Discovery(error.to_string()))?;
        let client = CoreClient::new(ClientId::new(self.settings.client_id.clone()), issuer, known.keys.clone());
        Ok(match &self.settings.client_secret {
            None => client,
            Some(secret) => {
                client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())).set_auth_type(
                    if known.metadata.secret_in_body() { AuthType::RequestBody } else { AuthType::BasicAuth },
                )
            }
        })
    }

    /// Sends what the library wants to be sent. Borrows nothing, so that a task can own it.
    pub(super) fn sender(&self) -> impl Fn(HttpRequest) -> Sending + Send + Sync + use<> {
        let http = self.http.clone();
        move |request| {
            let http = http.clone();
            Box::pin(async move { http.send(request).await })
        }
    }
}
