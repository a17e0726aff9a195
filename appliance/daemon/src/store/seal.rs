use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, digest, hmac, rand};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::error::StoreError;

const KEY: usize = 32;
const NONCE: usize = 12;
/// Octets of a fingerprint: enough to see that a secret is another one.
const FINGERPRINT: usize = 8;

/// Seals secrets, so that the database without this machine gives none away.
#[derive(Debug)]
pub(super) struct MachineKey {
    seal: RandomizedNonceKey,
    fingerprint: hmac::Key,
}

impl MachineKey {
    /// Of 32 octets that nobody else knows.
    pub(super) fn of(octets: &SecretSlice<u8>) -> Option<Self> {
        let octets = octets.expose_secret();
        let master = hmac::Key::new(hmac::HMAC_SHA256, octets);
        let derived = |label: &[u8]| hmac::sign(&master, label);
        let seal = RandomizedNonceKey::new(&AES_256_GCM, derived(b"causeway seal").as_ref()).ok()?;
        let key = Self {
            seal,
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, derived(b"causeway fingerprint").as_ref()),
        };
        (octets.len() == KEY).then_some(key)
    }

    /// The secret, sealed under its name and version.
    pub(super) fn seal(&self, name: &str, version: u32, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = value.to_vec();
        let nonce = self
            .seal
            .seal_in_place_append_tag(bound_to(name, version), &mut sealed)
            .map_err(|_| StoreError::Randomness)?;
        Ok([nonce.as_ref(), sealed.as_slice()].concat())
    }

    /// The secret again, if this machine sealed it under this name and version.
    pub(super) fn open_sealed(&self, name: &str, version: u32, sealed: &[u8]) -> Option<SecretSlice<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut value = Zeroizing::new(sealed.to_vec());
        let value = self
            .seal
            .open_in_place(nonce, bound_to(name, version), &mut value)
            .ok()?;
        Some(value.to_vec().into())
    }

    /// Tells that a secret is another one than before, and nothing else about it to those who lack the key.
    pub(super) fn fingerprint(&self, name: &str, value: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.fingerprint);
        context.update(name.as_bytes());
        context.update(&[0]);
        context.update(value);
        hex(context.sign().as_ref().get(..FINGERPRINT).unwrap_or_default())
    }
}

fn bound_to(name: &str, version: u32) -> Aad<Vec<u8>> {
    Aad::from([name.as_bytes(), &[0], &version.to_be_bytes()].concat())
}

/// The octets of a new machine key.
pub(super) fn fresh_key() -> Result<SecretSlice<u8>, StoreError> {
    Ok(random::<KEY>()?.to_vec().into())
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, StoreError> {
    let mut octets = Zeroizing::new([0; N]);
    rand::fill(octets.as_mut_slice()).map_err(|_| StoreError::Randomness)?;
    Ok(octets)
}

/// A secret that nobody knows yet: 256 random bits in hexadecimal.
pub(crate) fn fresh_secret() -> Result<SecretSlice<u8>, StoreError> {
    let digits = hex(random::<KEY>()?.as_slice());
    Ok(SecretSlice::from(digits.into_bytes()))
}

/// The same octets, in constant time: whoever sets a secret is not to find out the one of before.
pub(super) fn same(one: &SecretSlice<u8>, other: &SecretSlice<u8>) -> bool {
    constant_time::verify_slices_are_equal(one.expose_secret(), other.expose_secret()).is_ok()
}

/// SHA-256 over these parts, each told apart from the next by its length.
pub(super) fn checksum(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// Octets in hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Octets from hexadecimal.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(octet: u8) -> MachineKey {
        MachineKey::of(&vec![octet; KEY].into()).unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_on_its_machine_under_its_name_and_version_only() {
        let key = key_of(1);
        let again = key_of(1);
        let other = key_of(2);
        let sealed = key.seal("psk", 1, b"Geheim1").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"Geheim1"));
        assert_ne!(sealed, key.seal("psk", 1, b"Geheim1").unwrap());
        assert_eq!(
            again.open_sealed("psk", 1, &sealed).unwrap().expose_secret(),
            b"Geheim1"
        );
        assert!(key.open_sealed("psk", 2, &sealed).is_none());
        assert!(key.open_sealed("other", 1, &sealed).is_none());
        assert!(other.open_sealed("psk", 1, &sealed).is_none());
        assert!(key.open_sealed("psk", 1, &sealed[..11]).is_none());
        assert!(MachineKey::of(&vec![1; KEY - 1].into()).is_none());
    }

    #[test]
    fn a_fingerprint_tells_secrets_apart_and_machines_too() {
        let key = key_of(1);
        let other = key_of(2);
        let print = key.fingerprint("psk", b"Geheim1");
        assert_eq!(print.len(), 16);
        assert_eq!(print, key.fingerprint("psk", b"Geheim1"));
        assert_ne!(print, key.fingerprint("psk", b"Geheim2"));
        assert_ne!(print, key.fingerprint("psk2", b"Geheim1"));
        assert_ne!(print, other.fingerprint("psk", b"Geheim1"));
    }

    #[test]
    fn hexadecimal_is_read_as_it_is_written() {
        assert_eq!(from_hex(&hex(&[0, 10, 255])), Some(vec![0, 10, 255]));
        for wrong in ["0", "0g", "é0"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
