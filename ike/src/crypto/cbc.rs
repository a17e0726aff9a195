use super::separate::Cipher;
use super::{Encryption, ProtectionError, Secret};
use secrecy::ExposeSecret;

/// A cipher in CBC mode without an authenticator: IKEv1 authenticates what is inside (RFC 2409 appendix B).
pub(crate) struct Cbc {
    cipher: Cipher,
    block: usize,
}

impl Cbc {
    /// Takes a key as long as the cipher's; an AEAD cipher cannot do without its authenticator.
    pub(crate) fn new(encryption: Encryption, key: &Secret) -> Result<Self, ProtectionError> {
        if key.expose_secret().len() != encryption.key_octets() {
            return Err(ProtectionError::KeyLength);
        }
        Ok(Self {
            cipher: Cipher::new(encryption, key.expose_secret())?,
            block: encryption.block_octets(),
        })
    }

    /// Encrypts the text after zeros that fill its last block.
    pub(crate) fn encrypt(&self, iv: &[u8], mut text: Vec<u8>) -> Result<Vec<u8>, ProtectionError> {
        text.resize(text.len().next_multiple_of(self.block), 0);
        self.cipher.encrypt(iv, &mut text)?;
        Ok(text)
    }

    /// What whole blocks say, padding included; `None` for a part of a block, and for nothing.
    pub(crate) fn decrypt(&self, iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(self.block) {
            return None;
        }
        self.cipher.decrypt(&[iv, ciphertext].concat()).ok()
    }
}
