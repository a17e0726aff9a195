use appliance_config::model::Role;
use aws_lc_rs::constant_time;
use secrecy::{ExposeSecret, SecretString};

use super::denial::Denial;
use super::session::hash;
use crate::store::{StoreError, Token, fresh_secret};

/// What every token begins with, so that it is found where it should not be.
const PREFIX: &str = "cw_";
/// So many beginnings of paths in a scope, each of so many characters.
const MOST_PATHS: usize = 16;
const LONGEST_PATH: usize = 160;
/// How long a token may live, in seconds.
const LIFE: std::ops::RangeInclusive<u64> = 60..=315_360_000;

/// The role of a word.
pub(crate) fn role(word: &str) -> Option<Role> {
    let all = [Role::Viewer, Role::Operator, Role::Admin];
    all.into_iter().find(|role| role.word() == word)
}

/// A token to be.
#[derive(Debug, Clone)]
pub(crate) struct NewToken {
    /// Its name.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) user: String,
    /// What it may do.
    pub(crate) role: Role,
    /// Beginnings of paths below /api/v1; all of them if there is none.
    pub(crate) scope: Vec<String>,
    /// How long it lives; for ever without.
    pub(crate) expires_in_s: Option<u64>,
}

/// A token that has just been made.
#[derive(Debug)]
pub(crate) struct MadeToken {
    /// What is shown once.
    pub(crate) text: SecretString,
    /// What is kept.
    pub(crate) token: Token,
}

impl NewToken {
    /// Makes it.
    pub(super) fn make(self, now: i64) -> Result<Result<MadeToken, Denial>, StoreError> {
        if !self.scope_fits() {
            return Ok(Err(Denial::ScopeUnfit));
        }
        if self.expires_in_s.is_some_and(|life| !LIFE.contains(&life)) {
            return Ok(Err(Denial::EndUnfit));
        }
        let secret = fresh_secret()?;
        let digits = String::from_utf8_lossy(secret.expose_secret());
        let text = SecretString::from(format!("{PREFIX}{digits}"));
        let life = self.expires_in_s.and_then(|life| i64::try_from(life).ok());
        let token = Token {
            name: self.name,
            user: self.user,
            role: self.role.word().to_owned(),
            scope: self.scope.join(" "),
            at: now,
            expires_at: life.map(|life| now.saturating_add(life)),
            hash: hash(text.expose_secret()).to_vec(),
        };
        Ok(Ok(MadeToken { text, token }))
    }

    fn scope_fits(&self) -> bool {
        let fits = |path: &String| {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/._-:".contains(&octet);
            (2..=LONGEST_PATH).contains(&path.len())
                && path.starts_with('/')
                && !path.ends_with('/')
                && path.bytes().all(plain)
        };
        self.scope.len() <= MOST_PATHS && self.scope.iter().all(fits)
    }
}

/// The token that this text is, if its time is not over. All of them are compared, each in constant time.
pub(super) fn find<'t>(tokens: &'t [Token], text: &str, now: i64) -> Result<&'t Token, Denial> {
    let given = hash(text);
    let mut found = None;
    for token in tokens {
        if constant_time::verify_slices_are_equal(&token.hash, &given).is_ok() {
            found = Some(token);
        }
    }
    let token = found.ok_or(Denial::TokenInvalid)?;
    match token.expires_at {
        Some(end) if now >= end => Err(Denial::TokenExpired),
        Some(_) | None => Ok(token),
    }
}

/// Whether a path is one of those in a scope, or below one.
pub(super) fn covers(scope: &str, path: &str) -> bool {
    let below = path.strip_prefix("/api/v1").unwrap_or_default();
    let within = |start: &str| {
        let rest = below.strip_prefix(start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
    };
    scope.is_empty() || scope.split(' ').any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(scope: &[&str], expires_in_s: Option<u64>) -> NewToken {
        NewToken {
            name: "backup".to_owned(),
            user: "alice".to_owned(),
            role: Role::Viewer,
            scope: scope.iter().map(|path| (*path).to_owned()).collect(),
            expires_in_s,
        }
    }

    #[test]
    fn a_token_is_found_by_its_text_alone_until_its_time_is_over() {
        let (one, other) = (
            new(&[], Some(60)).make(1000).unwrap().unwrap(),
            new(&[], None).make(1000).unwrap().unwrap(),
        );
        let text = one.text.expose_secret();
        assert!(text.starts_with("cw_") && text.len() == 67, "{text}");
        let tokens = [other.token, one.token.clone()];
        assert_eq!(find(&tokens, text, 1059).unwrap(), &one.token);
        assert_eq!(find(&tokens, text, 1060), Err(Denial::TokenExpired));
        assert_eq!(find(&tokens, "cw_", 1000), Err(Denial::TokenInvalid));
        let later = i64::MAX;
        assert!(find(&tokens, other.text.expose_secret(), later).is_ok());
    }

    #[test]
    fn a_scope_covers_what_is_below_its_paths_and_nothing_beside_them() {
        let scope = "/status /config/connections";
        for path in [
            "/status",
            "/status/connections/to-b",
            "/config/connections/to-b",
            "/config/connections",
        ] {
            assert!(covers(scope, &format!("/api/v1{path}")), "{path}");
        }
        for path in [
            "/config",
            "/config/connectionsx",
            "/config:check",
            "/secrets",
            "/config/%63onnections/x",
        ] {
            assert!(!covers(scope, &format!("/api/v1{path}")), "{path}");
        }
        assert!(covers("/config", "/api/v1/config:check") && covers("", "/api/v1/secrets"));
    }

    #[test]
    fn a_scope_or_an_end_that_means_nothing_is_refused() {
        for scope in ["", "/", "status", "/status/", "/a b", "/%63onfig"] {
            let made = new(&[scope], None).make(0).unwrap();
            assert_eq!(made.unwrap_err(), Denial::ScopeUnfit, "{scope:?}");
        }
        for life in [0, 59, u64::MAX] {
            assert_eq!(
                new(&[], Some(life)).make(0).unwrap().unwrap_err(),
                Denial::EndUnfit
            );
        }
    }
}
