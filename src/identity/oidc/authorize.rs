//! Sign-in by browser: the code flow with PKCE (RFC 6749 §4.1, RFC 7636).

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::AuthUrl;
use openidconnect::AuthenticationFlow;
use openidconnect::AuthorizationCode;
use openidconnect::CsrfToken;
use openidconnect::Nonce;
use openidconnect::PkceCodeChallenge;
use openidconnect::PkceCodeVerifier;
use openidconnect::RedirectUrl;
use openidconnect::RequestTokenError;
use openidconnect::Scope;
use openidconnect::TokenResponse;
use openidconnect::TokenUrl;
use openidconnect::core::CoreErrorResponseType;
use openidconnect::core::CoreResponseType;
use openidconnect::core::CoreTokenResponse;

use super::claims::SignedIn;
use super::discovery::Metadata;
use super::error::SignInError;
use super::http::HttpError;
use super::http::chain;
use super::provider::Provider;

/// A sign-in that has begun: where the browser has to go, and what must be known when it is back.
#[derive(Debug)]
pub struct Begun {
    /// Where the provider asks who somebody is.
    pub url: String,
    /// What the provider's answer will carry; unguessable.
    pub state: String,
    /// What belongs to the answer, and is nobody else's business.
    pub proof: Proof,
}

/// What shows that an answer is the one to our question.
#[derive(Debug)]
pub struct Proof {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// What the browser brings back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What can be exchanged for a token, once.
    pub code: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// Which provider says so.
    pub iss: Option<String>,
}

impl Provider {
    /// Begins.
    ///
    /// # Errors
    /// [`SignInError`] if the provider cannot be asked what it needs.
    pub async fn begin(&self) -> Result<Begun, SignInError> {
        let known = self.knowledge.get().await?;
        let (state, nonce) = (random()?, Nonce::new(random()?));
        // 43 characters, the least that RFC 7636 §4.1 has, out of 256 random bits.
        let verifier = PkceCodeVerifier::new(random()?);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let redirect = RedirectUrl::new(self.settings.redirect_uri.clone())
            .map_err(|error| SignInError::Discovery(error.to_string()))?;
        let client =
            self.client(&known)?.set_auth_uri(AuthUrl::from_url(known.metadata.authorization_endpoint.clone()));
        let client = client.set_redirect_uri(redirect);
        let (csrf, sent) = (CsrfToken::new(state.clone()), nonce.clone());
        let request =
            client.authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, move || csrf, move || sent);
        let request = request.add_scopes(self.settings.scopes.iter().cloned().map(Scope::new));
        let (url, _, _) = request.set_pkce_challenge(challenge).url();
        Ok(Begun { url: url.into(), state, proof: Proof { nonce, verifier } })
    }

    /// Ends, with the answer to the question of `proof`.
    ///
    /// # Errors
    /// [`SignInError`] says why nobody has signed in.
    pub async fn finish(&self, answer: Answer, proof: Proof) -> Result<SignedIn, SignInError> {
        let known = self.knowledge.get().await?;
        self.check_issuer(answer.iss.as_deref(), &known.metadata)?;
        let code = match (answer.code, answer.error) {
            (Some(code), None) => code,
            (_, Some(error)) => return Err(SignInError::refused(&error)),
            (None, None) => return Err(SignInError::refused("no_code")),
        };
        let redirect = RedirectUrl::new(self.settings.redirect_uri.clone())
            .map_err(|error| SignInError::Discovery(error.to_string()))?;
        let client = self.client(&known)?.set_token_uri(TokenUrl::from_url(known.metadata.token_endpoint.clone()));
        let client = client.set_redirect_uri(redirect);
        let send = self.sender();
        let exchange = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(proof.verifier);
        let response: CoreTokenResponse = exchange.request_async(&send).await.map_err(failed)?;
        let token = response.id_token().ok_or_else(|| SignInError::Token("there is none".to_owned()))?;
        self.believe(token, Some(&proof.nonce)).await
    }

    /// RFC 9207 §2.4: an answer that says who it is from must be from whom we have asked, and one
    /// of a provider that always says it must say it.
    fn check_issuer(&self, iss: Option<&str>, metadata: &Metadata) -> Result<(), SignInError> {
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            None if !metadata.authorization_response_iss_parameter_supported => Ok(()),
            Some(_) | None => Err(SignInError::Issuer),
        }
    }
}

/// What came of a request for a token.
pub(super) fn failed(
    error: RequestTokenError<HttpError, openidconnect::StandardErrorResponse<CoreErrorResponseType>>,
) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(said) => SignInError::refused(said.error().as_ref()),
        RequestTokenError::Request(error) => SignInError::Unreachable(chain(&error)),
        // What it said may hold a token, and is not repeated.
        RequestTokenError::Parse(error, _) => {
            SignInError::Unreachable(format!("its answer cannot be read at `{}`", error.path()))
        }
        RequestTokenError::Other(why) => SignInError::Unreachable(why.escape_debug().take(200).collect()),
    }
}

/// 256 random bits in 43 characters.
pub(super) fn random() -> Result<String, SignInError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SignInError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
