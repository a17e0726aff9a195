use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::denial::Denial;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// So many are hashed at once, and so many wait, not for longer than this.
const AT_ONCE: usize = 2;
const WAITING: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

const CHARACTERS: std::ops::RangeInclusive<usize> = 12..=128;

/// Whether a password may be one.
pub(super) fn check(password: &SecretString) -> Result<(), Denial> {
    if CHARACTERS.contains(&password.expose_secret().chars().count()) {
        Ok(())
    } else {
        Err(Denial::PasswordUnfit)
    }
}

/// Hashes passwords, in threads of their own and few at once: each takes memory and time.
#[derive(Debug)]
pub(super) struct Hashing {
    places: Semaphore,
    waiting: Semaphore,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(AT_ONCE + WAITING),
        }
    }

    /// What is stored of a password.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, Denial> {
        self.run(move || hash(&password)).await?.ok_or(Denial::Crowded)
    }

    /// Whether this is the password. Without a stored one it takes as long, and is not.
    pub(super) async fn is(&self, password: SecretString, stored: Option<String>) -> Result<bool, Denial> {
        self.run(move || match stored {
            Some(stored) => is(&password, &stored),
            None => {
                let _as_long = hash(&password);
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Denial> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Denial::Crowded)?;
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let _place = place.map_err(|_| Denial::Crowded)?.map_err(|_| Denial::Crowded)?;
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| Denial::Crowded)
    }
}

fn argon2() -> Option<Argon2<'static>> {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

fn hash(password: &SecretString) -> Option<String> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).ok()?;
    let hashed = argon2()?.hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
    hashed.ok().map(|hash: PasswordHash| hash.to_string())
}

fn is(password: &SecretString, stored: &str) -> bool {
    let stored = PasswordHash::new(stored).ok();
    let verified = stored
        .zip(argon2())
        .map(|(stored, argon2)| argon2.verify_password(password.expose_secret().as_bytes(), &stored));
    verified.is_some_and(|verified| verified.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let hashing = Hashing::new();
        let password = || SecretString::from("correct horse battery");
        let stored = hashing.hash(password()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hashing.hash(password()).await.unwrap());
        assert!(hashing.is(password(), Some(stored.clone())).await.unwrap());
        assert!(
            !hashing
                .is("correct horse batterz".into(), Some(stored))
                .await
                .unwrap()
        );
        assert!(!hashing.is(password(), None).await.unwrap());
        assert!(!hashing.is(password(), Some("nonsense".to_owned())).await.unwrap());
    }

    #[test]
    fn a_password_has_twelve_to_128_characters() {
        for (length, fits) in [(11, false), (12, true), (128, true), (129, false)] {
            assert_eq!(check(&"ä".repeat(length).into()).is_ok(), fits, "{length}");
        }
    }
}
