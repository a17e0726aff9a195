use appliance_config::model::Role;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest};
use secrecy::{ExposeSecret, SecretString};

use crate::store::hex;

/// A session ends after so long without a request, and in any case.
const IDLE: Duration = Duration::from_secs(30 * 60);
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// So many of one user; then the one that was idle for longest ends.
const MOST_OF_USER: usize = 16;

/// A session that has just begun.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the cookie holds.
    pub(crate) cookie: SecretString,
    /// Who it is of.
    pub(crate) user: String,
    /// What they may do.
    pub(crate) role: Role,
}

/// The sessions that go on, by the hash of their cookie. They live in memory: a start ends them all.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<[u8; 32], Session>);

#[derive(Debug)]
struct Session {
    user: String,
    begun: Instant,
    used: Instant,
}

/// SHA-256 of what is shown once.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    octets
}

/// What a write by cookie must repeat in X-Csrf-Token: it follows from the cookie, which pages of others never see.
pub(crate) fn csrf_token(cookie: &str) -> String {
    hex(&hash(&format!("causeway csrf {cookie}")))
}

/// Whether it was repeated.
pub(super) fn is_csrf_token(given: &str, cookie: &str) -> bool {
    let expected = csrf_token(cookie);
    constant_time::verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
}

impl Sessions {
    /// Begins one under a cookie that nobody has had.
    pub(super) fn open(&mut self, user: &str, cookie: &SecretString, now: Instant) {
        self.0.retain(|_, session| session.goes_on(now));
        let of_user = self.0.iter().filter(|(_, session)| session.user == user);
        if of_user.clone().count() >= MOST_OF_USER
            && let Some(idle) = of_user.min_by_key(|(_, session)| session.used)
        {
            let idle = *idle.0;
            self.0.remove(&idle);
        }
        let session = Session {
            user: user.to_owned(),
            begun: now,
            used: now,
        };
        self.0.insert(hash(cookie.expose_secret()), session);
    }

    /// Whose session this is, if it goes on; it is used now.
    pub(super) fn user(&mut self, hash: &[u8; 32], now: Instant) -> Option<String> {
        let session = self.0.get_mut(hash).filter(|session| session.goes_on(now))?;
        session.used = now;
        Some(session.user.clone())
    }

    /// Ends one.
    pub(super) fn close(&mut self, hash: &[u8; 32]) {
        self.0.remove(hash);
    }

    /// Ends all of a user, but for one.
    pub(super) fn close_others(&mut self, user: &str, but: Option<&[u8; 32]>) {
        self.0
            .retain(|hash, session| session.user != user || Some(hash) == but);
    }

    /// Makes every session as old as this, for tests.
    #[cfg(test)]
    pub(super) fn age(&mut self, by: Duration) {
        for session in self.0.values_mut() {
            session.used = session.used.checked_sub(by).unwrap();
        }
    }
}

impl Session {
    fn goes_on(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE && now.saturating_duration_since(self.begun) < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_and_in_any_case_after_half_a_day() {
        let (mut sessions, begun) = (Sessions::default(), Instant::now());
        let key = hash("cookie");
        let open = |sessions: &mut Sessions| sessions.open("alice", &"cookie".into(), begun);
        open(&mut sessions);
        let mut now = begun;
        while now < begun + LONGEST {
            assert_eq!(sessions.user(&key, now).as_deref(), Some("alice"));
            now += IDLE - Duration::from_secs(1);
        }
        assert_eq!(sessions.user(&key, now), None);
        open(&mut sessions);
        assert_eq!(sessions.user(&key, begun + IDLE), None);
    }

    #[test]
    fn a_user_has_a_bounded_number_of_sessions_and_loses_the_idlest() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let at = |number: u64| now + Duration::from_secs(number);
        sessions.open("bob", &"bob".into(), now);
        for number in 0..17 {
            sessions.open("alice", &number.to_string().into(), at(number));
        }
        assert_eq!(sessions.0.len(), MOST_OF_USER + 1);
        assert_eq!(sessions.user(&hash("0"), at(20)), None);
        assert!(sessions.user(&hash("1"), at(20)).is_some() && sessions.user(&hash("bob"), at(20)).is_some());
        sessions.close_others("alice", Some(&hash("16")));
        assert_eq!(sessions.user(&hash("15"), at(20)), None);
        assert!(
            sessions.user(&hash("16"), at(20)).is_some() && sessions.user(&hash("bob"), at(20)).is_some()
        );
    }

    #[test]
    fn the_csrf_token_is_of_its_cookie_and_is_not_the_cookie() {
        let token = csrf_token("cookie");
        assert!(is_csrf_token(&token, "cookie") && !is_csrf_token(&token, "other"));
        assert!(!is_csrf_token("", "cookie") && !is_csrf_token("cookie", "cookie"));
    }
}
