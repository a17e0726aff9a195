//! Ciphers in CBC mode with an authenticator over the message (RFC 7296 §3.14, RFC 3602, RFC 2451, RFC 2405).

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::{Des, TdesEde3};
use secrecy::ExposeSecret;

use super::mac::Mac;
use super::{Encryption, Integrity, OpenError, ProtectionError, Secret};

/// A cipher and an authenticator, made ready.
pub(super) struct Separate {
    cipher: Cipher,
    integrity: Integrity,
    mac: Mac,
}

/// A cipher in CBC mode, made ready.
pub(super) enum Cipher {
    Aes(Box<(EncryptingKey, DecryptingKey)>),
    TripleDes(Secret),
    Des(Secret),
}

impl Separate {
    pub(super) fn new(
        encryption: Encryption,
        material: &[u8],
        (integrity, integrity_key): (Integrity, &Secret),
    ) -> Result<Self, ProtectionError> {
        if integrity_key.expose_secret().len() != integrity.key_octets() {
            return Err(ProtectionError::KeyLength);
        }
        Ok(Self {
            cipher: Cipher::new(encryption, material)?,
            integrity,
            mac: integrity.keyed(integrity_key.expose_secret()),
        })
    }

    fn icv_octets(&self) -> usize {
        self.integrity.icv_octets()
    }

    /// Appends IV, ciphertext of the padded `body`, and the ICV of all that stands in `message` then.
    pub(super) fn seal(
        &self,
        message: &mut Vec<u8>,
        mut body: Vec<u8>,
        iv: &[u8],
    ) -> Result<(), ProtectionError> {
        self.cipher.encrypt(iv, &mut body)?;
        message.extend_from_slice(iv);
        message.append(&mut body);
        let mut icv = vec![0; self.icv_octets()];
        self.mac.sign(&[message], &mut icv);
        message.append(&mut icv);
        Ok(())
    }

    /// The ICV, which covers the whole message before it, is checked before anything is decrypted.
    pub(super) fn open(&self, associated: &[u8], body: &[u8]) -> Result<Vec<u8>, OpenError> {
        let length = body.len().checked_sub(self.icv_octets());
        let (signed, icv) = length
            .and_then(|length| body.split_at_checked(length))
            .ok_or(OpenError::Malformed)?;
        let mut expected = vec![0; icv.len()];
        self.mac.sign(&[associated, signed], &mut expected);
        constant_time::verify_slices_are_equal(&expected, icv).map_err(|_| OpenError::Integrity)?;
        self.cipher.decrypt(signed)
    }
}

impl Integrity {
    fn keyed(self, key: &[u8]) -> Mac {
        match self {
            Self::HmacMd5_96 => Mac::md5(key),
            Self::HmacSha1_96 => Mac::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key),
            Self::HmacSha2_256_128 => Mac::new(hmac::HMAC_SHA256, key),
            Self::HmacSha2_384_192 => Mac::new(hmac::HMAC_SHA384, key),
            Self::HmacSha2_512_256 => Mac::new(hmac::HMAC_SHA512, key),
        }
    }
}

impl Cipher {
    pub(super) fn new(encryption: Encryption, material: &[u8]) -> Result<Self, ProtectionError> {
        let algorithm = match encryption {
            Encryption::AesCbc(128) => &AES_128,
            Encryption::AesCbc(192) => &AES_192,
            Encryption::AesCbc(256) => &AES_256,
            Encryption::TripleDes => return Ok(Self::TripleDes(material.to_vec().into())),
            Encryption::Des => return Ok(Self::Des(material.to_vec().into())),
            Encryption::AesCbc(_) => return Err(ProtectionError::KeyLength),
            Encryption::AesGcm16(_) | Encryption::ChaCha20Poly1305 | Encryption::Null => {
                return Err(ProtectionError::Mismatch);
            }
        };
        let key = || UnboundCipherKey::new(algorithm, material);
        let refused = |_| ProtectionError::KeyLength;
        let encrypting = key().and_then(EncryptingKey::cbc).map_err(refused)?;
        let decrypting = key().and_then(DecryptingKey::cbc).map_err(refused)?;
        Ok(Self::Aes(Box::new((encrypting, decrypting))))
    }

    /// Encrypts whole blocks in place.
    pub(super) fn encrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<(), ProtectionError> {
        let failed = ProtectionError::Failed;
        match self {
            Self::Aes(keys) => {
                let iv: &[u8; 16] = iv.try_into().map_err(|_| failed)?;
                let context = EncryptionContext::Iv128(FixedLength::from(iv));
                keys.0
                    .less_safe_encrypt(body, context)
                    .map(|_| ())
                    .map_err(|_| failed)
            }
            Self::TripleDes(key) => encrypted::<cbc::Encryptor<TdesEde3>>(key, iv, body).ok_or(failed),
            Self::Des(key) => encrypted::<cbc::Encryptor<Des>>(key, iv, body).ok_or(failed),
        }
    }

    /// What the ciphertext after the IV says. A part of a block is the peer's mistake: it proved to have the keys.
    pub(super) fn decrypt(&self, body: &[u8]) -> Result<Vec<u8>, OpenError> {
        let octets = if matches!(self, Self::Aes(_)) { 16 } else { 8 };
        let (iv, ciphertext) = body.split_at_checked(octets).ok_or(OpenError::Malformed)?;
        let mut plaintext = ciphertext.to_vec();
        let done = match self {
            Self::Aes(keys) => {
                let iv: &[u8; 16] = iv.try_into().map_err(|_| OpenError::Malformed)?;
                let context = DecryptionContext::Iv128(FixedLength::from(iv));
                keys.1.decrypt(&mut plaintext, context).map(|_| ()).ok()
            }
            Self::TripleDes(key) => decrypted::<cbc::Decryptor<TdesEde3>>(key, iv, &mut plaintext),
            Self::Des(key) => decrypted::<cbc::Decryptor<Des>>(key, iv, &mut plaintext),
        };
        done.map(|()| plaintext).ok_or(OpenError::Padding)
    }
}

fn encrypted<C: BlockModeEncrypt + KeyIvInit>(key: &Secret, iv: &[u8], body: &mut [u8]) -> Option<()> {
    let length = body.len();
    let cipher = C::new_from_slices(key.expose_secret(), iv).ok()?;
    cipher.encrypt_padded::<NoPadding>(body, length).ok().map(|_| ())
}

fn decrypted<C: BlockModeDecrypt + KeyIvInit>(key: &Secret, iv: &[u8], body: &mut [u8]) -> Option<()> {
    let cipher = C::new_from_slices(key.expose_secret(), iv).ok()?;
    cipher.decrypt_padded::<NoPadding>(body).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn check(encryption: Encryption, key: &[u8], iv: &[u8], [plaintext, ciphertext]: [&[u8]; 2]) {
        let cipher = Cipher::new(encryption, key).unwrap();
        let mut sealed = plaintext.to_vec();
        cipher.encrypt(iv, &mut sealed).unwrap();
        assert_eq!(sealed, ciphertext, "{encryption}");
        assert_eq!(cipher.decrypt(&[iv, ciphertext].concat()).unwrap(), plaintext);
    }

    /// RFC 3602 §4, case 2.
    #[test]
    fn published_aes() {
        let key = hex!("c286696d887c9aa0611bbb3e2025a45a");
        let iv = hex!("562e17996d093d28ddb3ba695a2e6f58");
        let plaintext: Vec<u8> = (0..32).collect();
        let ciphertext = hex!("d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1");
        check(Encryption::AesCbc(128), &key, &iv, [&plaintext, &ciphertext]);
    }

    /// FIPS 81, appendix C: text in CBC mode.
    #[test]
    fn published_des() {
        let key = hex!("0123456789abcdef");
        let iv = hex!("1234567890abcdef");
        let text = b"Now is the time for all ";
        let ciphertext = hex!("e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6");
        check(Encryption::Des, &key, &iv, [text, &ciphertext]);
        // Three equal keys are DES (SP 800-67 §3.2).
        check(Encryption::TripleDes, &key.repeat(3), &iv, [text, &ciphertext]);
    }

    /// NIST SP 800-67 appendix B: three different keys.
    #[test]
    fn published_triple_des() {
        let key = hex!("0123456789abcdef 23456789abcdef01 456789abcdef0123");
        let blocks = ["The qufc", "k brown ", "fox jump"];
        let sealed = [
            hex!("a826fd8ce53b855f"),
            hex!("cce21c8112256fe6"),
            hex!("68d5c05dd9b6b900"),
        ];
        for (block, sealed) in blocks.iter().zip(sealed) {
            check(Encryption::TripleDes, &key, &[0; 8], [block.as_bytes(), &sealed]);
        }
    }

    /// A ciphertext that is not whole blocks is refused.
    #[test]
    fn parts_of_blocks_are_refused() {
        for (encryption, iv) in [(Encryption::TripleDes, 8), (Encryption::AesCbc(192), 16)] {
            let cipher = Cipher::new(encryption, &[7; 24]).unwrap();
            assert_eq!(cipher.decrypt(&vec![0; iv + 9]), Err(OpenError::Padding));
            assert_eq!(cipher.decrypt(&vec![0; iv - 1]), Err(OpenError::Malformed));
        }
    }
}
