//! What is known about a provider: its discovery document and its keys, and when to ask again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::core::CoreJsonWebKeySet;
use tokio::sync::Mutex;

use crate::model::Clock;
use crate::model::Timestamp;

use super::discovery;
use super::discovery::Metadata;
use super::error::SignInError;
use super::http::Http;

/// What a provider said at one moment.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) metadata: Metadata,
    pub(super) keys: CoreJsonWebKeySet,
    at: Timestamp,
}

/// What a provider says, asked for when it is needed.
#[derive(Debug)]
pub(super) struct Knowledge {
    http: Http,
    issuer: String,
    clock: Clock,
    known: ArcSwapOption<Known>,
    /// When it was last asked, whatever came of it. Held while it is asked, so that one asks for all.
    asked: Mutex<Option<Timestamp>>,
}

impl Knowledge {
    pub(super) fn new(http: Http, issuer: String, clock: Clock) -> Self {
        Self { http, issuer, clock, known: ArcSwapOption::empty(), asked: Mutex::new(None) }
    }

    /// What is known, at most an hour old.
    pub(super) async fn get(&self) -> Result<Arc<Known>, SignInError> {
        let fresh = |known: &Arc<Known>| self.clock.now().since(known.at) < FRESH_FOR;
        if let Some(known) = self.known.load_full().filter(fresh) {
            return Ok(known);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked meanwhile.
        if let Some(known) = self.known.load_full().filter(fresh) {
            return Ok(known);
        }
        // It was asked in vain by somebody for whom all the others have waited.
        if asked.is_some_and(|asked| self.clock.now().since(asked) < PAUSE) {
            return Err(SignInError::Unreachable("it did not a moment ago".to_owned()));
        }
        self.ask(&mut asked).await
    }

    /// What is known now, where `old` has not the key that is wanted. However many tokens with
    /// keys of their own invention come, the provider is asked once in a while only.
    ///
    /// # Errors
    /// [`SignInError::Key`] if it is too early to ask again.
    pub(super) async fn newer_than(&self, old: &Arc<Known>) -> Result<Arc<Known>, SignInError> {
        let mut asked = self.asked.lock().await;
        if let Some(known) = self.known.load_full().filter(|known| !Arc::ptr_eq(known, old)) {
            return Ok(known);
        }
        let waited = asked.map_or(Duration::MAX, |asked| self.clock.now().since(asked));
        if waited < ASK_EVERY {
            return Err(SignInError::Key(ASK_EVERY.saturating_sub(waited)));
        }
        self.ask(&mut asked).await
    }

    async fn ask(&self, asked: &mut Option<Timestamp>) -> Result<Arc<Known>, SignInError> {
        let now = self.clock.now();
        let answer = async {
            let metadata = Metadata::fetch(&self.http, &self.issuer).await?;
            let keys: CoreJsonWebKeySet = discovery::get(&self.http, metadata.jwks_uri.as_str()).await?;
            Ok((metadata, keys))
        };
        let answer = answer.await;
        *asked = Some(self.clock.now());
        let (metadata, keys) = answer?;
        let known = Arc::new(Known { metadata, keys, at: now });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

/// After which time a provider may have withdrawn a key without anybody noticing.
const FRESH_FOR: Duration = Duration::from_secs(3_600);

/// How long a provider that has not answered is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// How often a provider is asked at most because of keys that are not known.
const ASK_EVERY: Duration = Duration::from_secs(10);
