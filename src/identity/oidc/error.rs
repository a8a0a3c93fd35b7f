//! Why somebody could not sign in.

use std::time::Duration;

/// Why somebody could not sign in, in words for them and for who runs this. Nothing that a browser
/// sent is repeated, apart from words of a closed form, and no part of any token ever is.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider cannot be asked.
    #[error("the identity provider does not answer as it should: {0}; try again, or see this process's log")]
    Unreachable(String),
    /// Its discovery document is another one's, or cannot be used.
    #[error("the identity provider's discovery document cannot be used: {0}")]
    Discovery(String),
    /// It cannot do this.
    #[error(
        "the identity provider offers no sign-in by device code; use a browser or a reviewer token, or turn the device grant on for this client there"
    )]
    NoDeviceCode,
    /// The operator has not allowed it.
    #[error(
        "sign-in by device code is not turned on here (`reviewers.oidc.device_sign_in`); sign in with a browser, or use a reviewer token in a terminal"
    )]
    DeviceOff,
    /// Too many people are at it.
    #[error("too many sign-ins are under way; try again in a minute")]
    Busy,
    /// The answer belongs to no attempt of this browser.
    #[error("this answer belongs to no sign-in that this browser has begun within the last {} minutes; begin again", WITHIN.as_secs() / 60)]
    Unknown,
    /// The provider says no.
    #[error("the identity provider has refused the sign-in (`{0}`)")]
    Refused(String),
    /// The answer is from somebody else (RFC 9207).
    #[error(
        "the answer does not come from the configured identity provider: its `iss` is missing or another one; begin again"
    )]
    Issuer,
    /// There is no ID token, or it cannot be believed.
    #[error("the identity provider's ID token cannot be believed: {0}")]
    Token(String),
    /// Its key is not known, and was looked for just now.
    #[error("the identity provider's token is signed with a key that it does not publish; if it has just changed its keys, try again in {} s", .0.as_secs().max(1))]
    Key(Duration),
    /// Nobody knows who that is.
    #[error("the identity provider does not say which person you are: {0}")]
    Person(String),
    /// Nobody knows which groups somebody is in.
    #[error("which groups you are in is not known: {0}")]
    Groups(String),
    /// It took too long, or was given up.
    #[error("the sign-in was not finished in time; begin again")]
    Expired,
    /// The system gave no random bytes.
    #[error("the system gives no random numbers; nobody can sign in")]
    NoRandomness,
}

impl SignInError {
    /// The reason as a metric label, from a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Discovery(_) => "discovery",
            Self::NoDeviceCode => "no_device_code",
            Self::DeviceOff => "device_off",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Refused(_) => "refused",
            Self::Issuer => "issuer",
            Self::Token(_) => "token",
            Self::Key(_) => "key",
            Self::Person(_) => "person",
            Self::Groups(_) => "groups",
            Self::Expired => "expired",
            Self::NoRandomness => "no_randomness",
        }
    }

    /// Every word that [`Self::reason`] can say.
    pub const REASONS: [&'static str; 13] = [
        "unreachable",
        "discovery",
        "no_device_code",
        "busy",
        "unknown",
        "refused",
        "issuer",
        "token",
        "key",
        "person",
        "groups",
        "expired",
        "no_randomness",
    ];

    /// Whether the cause is with the provider or us, and not with who signs in.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Discovery(_) | Self::Busy | Self::NoRandomness => true,
            Self::NoDeviceCode
            | Self::DeviceOff
            | Self::Unknown
            | Self::Refused(_)
            | Self::Issuer
            | Self::Token(_)
            | Self::Key(_)
            | Self::Person(_)
            | Self::Groups(_)
            | Self::Expired => false,
        }
    }

    /// What the provider's `error` says, if that is a word as RFC 6749 §4.1.2.1 has them.
    pub(super) fn refused(word: &str) -> Self {
        let plain =
            (1..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Self::Refused(if plain { word.to_owned() } else { "unknown_error".to_owned() })
    }
}

/// How long somebody may take at the identity provider: password, second factor, a new password.
pub(super) const WITHIN: Duration = Duration::from_secs(600);
