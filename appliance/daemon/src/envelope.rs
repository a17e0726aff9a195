//! Secrets under a passphrase: argon2id makes the key, AES-256-GCM seals (RFC 9106, SP 800-38D).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::{from_hex, hex};

const KEY: usize = 32;
const NONCE: usize = 12;
const SALT: usize = 16;
/// What a key costs whoever guesses, and us: about a third of a second.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// A file must not make us work without end.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_PASSES: u32 = 16;

/// Secrets that only a passphrase opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope {
    /// `argon2id`, one lane.
    key: KeyDerivation,
    memory_kib: u32,
    passes: u32,
    /// Hexadecimal.
    salt: String,
    /// `aes-256-gcm`.
    cipher: Cipher,
    /// The nonce, then what it seals; hexadecimal.
    sealed: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum KeyDerivation {
    Argon2id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Cipher {
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
}

/// Why an envelope does not open, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The passphrase is another one, or what is sealed, or what it belongs to, was changed.
    WrongPassphrase,
    /// It is no envelope of ours.
    Unknown,
    /// The system has no random numbers or no memory.
    System,
}

/// By name.
pub(crate) type Secrets = Vec<(String, SecretSlice<u8>)>;

impl Envelope {
    /// Seals secrets, bound to what they belong to. Takes a while.
    pub(crate) fn seal(secrets: &Secrets, passphrase: &SecretString, belongs: &[u8]) -> Result<Self, Stuck> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| Stuck::System)?;
        let key = key(passphrase, &salt, (MEMORY_KIB, PASSES))?;
        let mut octets = plain(secrets)?.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(belongs), &mut octets)
            .map_err(|_| Stuck::System)?;
        Ok(Self {
            key: KeyDerivation::Argon2id,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: hex(&salt),
            cipher: Cipher::Aes256Gcm,
            sealed: hex(&[nonce.as_ref(), octets.as_slice()].concat()),
        })
    }

    /// The secrets again. Takes a while.
    pub(crate) fn open(&self, passphrase: &SecretString, belongs: &[u8]) -> Result<Secrets, Stuck> {
        let bearable = self.memory_kib <= MOST_MEMORY_KIB && self.passes <= MOST_PASSES;
        let salt = from_hex(&self.salt).filter(|_| bearable).ok_or(Stuck::Unknown)?;
        let sealed = from_hex(&self.sealed).ok_or(Stuck::Unknown)?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(Stuck::Unknown)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Stuck::Unknown)?;
        let key = key(passphrase, &salt, (self.memory_kib, self.passes))?;
        let mut octets = Zeroizing::new(sealed.to_vec());
        let opened = key.open_in_place(nonce, Aad::from(belongs), &mut octets);
        secrets(opened.map_err(|_| Stuck::WrongPassphrase)?)
    }
}

fn key(
    passphrase: &SecretString,
    salt: &[u8],
    (memory_kib, passes): (u32, u32),
) -> Result<RandomizedNonceKey, Stuck> {
    let parameters = Params::new(memory_kib, passes, 1, Some(KEY)).map_err(|_| Stuck::Unknown)?;
    let mut memory = vec![Block::default(); parameters.block_count()];
    let mut key = Zeroizing::new([0; KEY]);
    let passphrase = passphrase.expose_secret().as_bytes();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into_with_memory(passphrase, salt, key.as_mut_slice(), &mut memory)
        .map_err(|_| Stuck::Unknown)?;
    RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| Stuck::System)
}

/// Each name and each value behind its length.
fn plain(secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, Stuck> {
    let mut octets = Zeroizing::new(Vec::new());
    for (name, value) in secrets {
        for part in [name.as_bytes(), value.expose_secret()] {
            let length = u32::try_from(part.len()).map_err(|_| Stuck::System)?;
            octets.extend_from_slice(&length.to_be_bytes());
            octets.extend_from_slice(part);
        }
    }
    Ok(octets)
}

fn secrets(mut octets: &[u8]) -> Result<Secrets, Stuck> {
    let mut secrets = Vec::new();
    while !octets.is_empty() {
        let (name, rest) = part(octets).ok_or(Stuck::Unknown)?;
        let (value, rest) = part(rest).ok_or(Stuck::Unknown)?;
        let name = String::from_utf8(name.to_vec()).map_err(|_| Stuck::Unknown)?;
        secrets.push((name, value.to_vec().into()));
        octets = rest;
    }
    Ok(secrets)
}

/// The first part, and what follows it.
fn part(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(secrets: &Secrets) -> Vec<(&str, &[u8])> {
        secrets
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect()
    }

    #[test]
    fn an_envelope_opens_with_its_passphrase_and_what_it_belongs_to_only() {
        let secrets = vec![
            ("psk-b".to_owned(), b"Geheim1".to_vec().into()),
            ("empty".to_owned(), Vec::new().into()),
        ];
        let (right, wrong) = (SecretString::from("correct horse"), SecretString::from("battery"));
        let envelope = Envelope::seal(&secrets, &right, b"document").unwrap();
        let text = serde_json::to_string(&envelope).unwrap();
        assert!(!text.contains("Geheim1") && !text.contains(&hex(b"Geheim1")));
        let opened = envelope.open(&right, b"document").unwrap();
        assert_eq!(told(&opened), told(&secrets));
        let stuck = |opened: Result<Secrets, Stuck>| opened.err().unwrap();
        assert_eq!(stuck(envelope.open(&wrong, b"document")), Stuck::WrongPassphrase);
        assert_eq!(stuck(envelope.open(&right, b"another")), Stuck::WrongPassphrase);
        let mut greedy = envelope.clone();
        greedy.memory_kib = u32::MAX;
        assert_eq!(stuck(greedy.open(&right, b"document")), Stuck::Unknown);
        for sealed in ["", "00", "zz"] {
            let broken = Envelope {
                sealed: sealed.to_owned(),
                ..envelope.clone()
            };
            assert_eq!(
                stuck(broken.open(&right, b"document")),
                Stuck::Unknown,
                "{sealed}"
            );
        }
    }
}
