//! Signing in with an account of the organisation's identity provider: in a browser, from a
//! terminal, and out again.
//!
//! Owns the routes; what the provider says and whether it is believed is
//! `identity::oidc`'s. A session is begun in one place only, [`establish`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::approval::store::Kept;
use crate::approval::store::Shelf;
use crate::identity::Directory;
use crate::identity::oidc::Attempts;
use crate::identity::oidc::Obeyed;
use crate::identity::oidc::Provider;
use crate::identity::oidc::SignInError;
use crate::identity::oidc::SignedIn;
use crate::model::Timestamp;

use super::Shared;
use super::refused::Code;
use super::refused::Refused;
use super::session::Account;
use super::session::Carrier;
use super::session::Holder;
use super::session::SessionKey;

pub(super) mod browser;
pub(super) mod device;
pub(super) mod logout;

use browser::Waiting;
use device::Outcome;

/// Where the provider sends browsers back to, below `reviewers.oidc.public_url`.
pub const CALLBACK: &str = "/signin/oidc/callback";

/// What sign-in is made of.
#[derive(Clone)]
pub struct SignIn {
    /// The identity provider, as configured now; none if only tokens are accepted.
    pub provider: Arc<ArcSwapOption<Provider>>,
    /// Who is who.
    pub directory: Arc<Directory>,
    /// The sessions that the last process has left.
    pub kept: Vec<Kept>,
}

/// What goes on.
pub(super) struct Desk {
    browsers: Attempts<Waiting>,
    devices: Attempts<watch::Receiver<Option<Outcome>>>,
    /// Places for terminals that begin.
    beginning: Semaphore,
    obeyed: Obeyed,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            browsers: Attempts::new(BROWSERS_MAX, BROWSERS_PER_NETWORK_MAX),
            devices: Attempts::new(DEVICES_MAX, DEVICES_PER_NETWORK_MAX),
            beginning: Semaphore::new(DEVICES_MAX),
            obeyed: Obeyed::default(),
        }
    }
}

/// A session that somebody has from now on.
pub(super) struct Established {
    pub(super) secret: String,
    pub(super) person: String,
    pub(super) expires: Timestamp,
}

/// Begins a session for somebody whom the provider has just proved to be who they are.
pub(super) async fn establish(admin: &Shared, who: &SignedIn, carrier: Carrier) -> Result<Established, Refused> {
    let state = &admin.state;
    let now = state.clock.now();
    let account = state.sign_in.directory.admit(who, now).map_err(|error| refused(admin, &error))?;
    let text = serde_json::to_string(&account).expect("strings and numbers are always JSON");
    let name = account.key();
    state.approvals.keep(Kept { shelf: Shelf::Accounts, name, until: now.plus(ACCOUNT_KEPT_FOR), text }).await?;
    let holder = Holder::Account(Account { person: account.person.clone(), ..Account::from(who) });
    let begun = admin.sessions.begin(holder, carrier, now);
    let begun = begun.ok_or_else(|| refused(admin, &SignInError::NoRandomness))?;
    begun.ended.iter().for_each(|ended| end(admin, *ended));
    if let Some(kept) = begun.kept
        && let Err(error) = state.approvals.keep(kept).await
    {
        admin.sessions.end(SessionKey::of(&begun.secret));
        return Err(error.into());
    }
    tracing::info!(person = %account.person, ?carrier, "signed in with the identity provider");
    state.metrics.signed_in(carrier);
    Ok(Established { secret: begun.secret, person: account.person.to_string(), expires: begun.expires })
}

/// Whether what a session hangs on is still good.
pub(super) fn is_good(admin: &Shared, holder: &Holder) -> bool {
    let state = &admin.state;
    match holder {
        Holder::Token(token) => state.tokens.load().is_good(token, state.clock.now()),
        Holder::Account(Account { issuer, subject, person, .. }) => {
            state.sign_in.directory.is_still(issuer, subject, person)
        }
    }
}

/// Ends a session, here at once and in the store as soon as it can be written. Should this process
/// end before that, it is there again after the restart, until its time is over.
pub(super) fn end(admin: &Shared, key: SessionKey) {
    admin.sessions.end(key);
    let (state, age_max) = (admin.state.clone(), admin.state.settings.sessions.age_max);
    let until = state.clock.now().plus(age_max);
    tokio::spawn(async move {
        // No longer than the store would have it anyway.
        while let Err(error) = state.approvals.drop_kept(Shelf::Sessions, key.name()).await {
            tracing::error!(%error, "a session that has ended is still in the store");
            if state.clock.now() > until || state.drain.is_cancelled() {
                return;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    });
}

/// Has the store know when a session was used last.
pub(super) fn write(admin: &Shared, key: SessionKey, kept: Option<Kept>) {
    let Some(kept) = kept else { return };
    let (sessions, approvals) = (Arc::clone(&admin.sessions), admin.state.approvals.clone());
    tokio::spawn(async move {
        // It may have ended meanwhile, and must not come back.
        if !sessions.is_open(key) {
            return;
        }
        if let Err(error) = approvals.keep(kept).await {
            tracing::warn!(%error, "the store does not know that a session was used");
        }
    });
}

/// Takes ended sessions out of the store. Those that it cannot take out now it takes out later.
pub(super) async fn forget(admin: &Shared, ended: &[SessionKey]) -> Result<(), Refused> {
    let mut failed = None;
    for key in ended {
        if let Err(error) = admin.state.approvals.drop_kept(Shelf::Sessions, key.name()).await {
            end(admin, *key);
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// What to say of an attempt that failed. The log hears of it once.
pub(super) fn refused(admin: &Shared, error: &SignInError) -> Refused {
    admin.state.metrics.not_signed_in(error);
    tracing::warn!(%error, reason = error.reason(), "nobody has signed in");
    let code = match error {
        SignInError::Busy => Code::TooManySignIns,
        _ if error.is_outage() => Code::SignInUnavailable,
        _ => Code::SignInFailed,
    };
    Refused::new(code, error.to_string())
}

/// The provider, if there is one.
pub(super) fn provider(admin: &Shared) -> Result<Arc<Provider>, Refused> {
    admin.state.sign_in.provider.load_full().ok_or_else(|| {
        Refused::new(Code::NotFound, "no identity provider is configured here; sign in with a reviewer token")
    })
}

/// Attempts in browsers at one time; each is a few hundred bytes.
const BROWSERS_MAX: usize = 10_000;
const BROWSERS_PER_NETWORK_MAX: usize = 256;

/// Attempts from terminals at one time; each asks the provider every few seconds.
const DEVICES_MAX: usize = 32;
const DEVICES_PER_NETWORK_MAX: usize = 4;

/// After the store could not be written.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How long it is known which account is which person: for longer than anybody leaves and comes
/// back.
const ACCOUNT_KEPT_FOR: Duration = Duration::from_secs(10 * 365 * 86_400);
