use appliance_config::model::Role;
use std::time::Duration;

use thiserror::Error;

/// Why somebody may not do something, or not come in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Denial {
    /// Nobody said who asks.
    #[error("sign in first: with a session, a token, or a client certificate")]
    SignInNeeded,
    /// The cookie is of no session that goes on.
    #[error("the session has ended: sign in again")]
    SessionExpired,
    /// No such token.
    #[error("this token is not valid")]
    TokenInvalid,
    /// Its time is over.
    #[error("this token has expired")]
    TokenExpired,
    /// The name or the password.
    #[error("the user or the password is wrong")]
    WrongPassword,
    /// The code that was shown on the console.
    #[error("the code is wrong: causeway claim-code on the machine shows it")]
    WrongCode,
    /// The role is too small.
    #[error("this needs the role {}", .0.word())]
    RoleInsufficient(Role),
    /// A token for other paths.
    #[error("this token is for other paths")]
    OutOfScope,
    /// No token may do it, whatever its role.
    #[error("no token may do this: sign in as a user")]
    UserNeeded,
    /// Only root, on the machine itself.
    #[error("only root may do this, over the control socket")]
    RootNeeded,
    /// The request comes from another site in a browser.
    #[error("the request comes from another site")]
    CrossSite,
    /// A write by cookie without the token that came with the session.
    #[error("a write by cookie needs X-Csrf-Token, as GET /api/v1/session tells it")]
    CsrfTokenNeeded,
    /// The address is not among those that may come in.
    #[error("system.management.allow_from does not name your address")]
    SourceNotAllowed,
    /// Nothing says who may do it, so nobody may over the network.
    #[error("this cannot be done over the network")]
    NotOpen,
    /// Too many attempts.
    #[error("too many attempts: try again in {} s", seconds(*.0))]
    TooManyAttempts(Duration),
    /// Others are being signed in.
    #[error("too many are signing in: try again")]
    Crowded,
    /// An admin with a password is there.
    #[error("the machine is claimed already: sign in as an admin")]
    AlreadyClaimed,
    /// A password that is too short or too long.
    #[error("a password has 12 to 128 characters")]
    PasswordUnfit,
    /// A name that no user or token can have.
    #[error("a name has 1 to 63 of a-z A-Z 0-9 . _ - and is neither \".\" nor \"..\"")]
    NameUnfit,
    /// A scope that is no beginning of a path.
    #[error(
        "a scope is at most 16 beginnings of paths below /api/v1, each like /status or /config/connections"
    )]
    ScopeUnfit,
    /// An end that has passed, or lies too far away.
    #[error("expires_in_s is 60 to 315360000")]
    EndUnfit,
    /// The document has no such user.
    #[error("the document has no user {0:?}")]
    UnknownUser(String),
    /// There is no such token.
    #[error("there is no token {0:?}")]
    UnknownToken(String),
    /// The name is taken.
    #[error("there is a token {0:?} already")]
    TokenExists(String),
    /// No more tokens are taken.
    #[error("there are {0} tokens: remove one first")]
    TooManyTokens(usize),
}

/// A wait in whole seconds, never none.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}

impl Denial {
    /// The status of the answer, and the stable word.
    pub(crate) fn words(&self) -> (u16, &'static str) {
        match self {
            Self::SignInNeeded => (401, "sign-in-needed"),
            Self::SessionExpired => (401, "session-expired"),
            Self::TokenInvalid => (401, "token-invalid"),
            Self::TokenExpired => (401, "token-expired"),
            Self::WrongPassword => (401, "wrong-password"),
            Self::WrongCode => (403, "wrong-code"),
            Self::RoleInsufficient(_) => (403, "role-insufficient"),
            Self::OutOfScope => (403, "out-of-scope"),
            Self::UserNeeded => (403, "user-needed"),
            Self::RootNeeded => (403, "root-needed"),
            Self::CrossSite => (403, "cross-site"),
            Self::CsrfTokenNeeded => (403, "csrf-token-needed"),
            Self::SourceNotAllowed => (403, "source-not-allowed"),
            Self::NotOpen => (403, "not-open"),
            Self::TooManyAttempts(_) => (429, "too-many-attempts"),
            Self::Crowded => (503, "busy"),
            Self::AlreadyClaimed => (409, "already-claimed"),
            Self::PasswordUnfit => (422, "password-unfit"),
            Self::NameUnfit => (422, "invalid-name"),
            Self::ScopeUnfit => (422, "scope-unfit"),
            Self::EndUnfit => (422, "end-unfit"),
            Self::UnknownUser(_) => (404, "unknown-user"),
            Self::UnknownToken(_) => (404, "unknown-token"),
            Self::TokenExists(_) => (409, "token-exists"),
            Self::TooManyTokens(_) => (409, "too-many-tokens"),
        }
    }
}
