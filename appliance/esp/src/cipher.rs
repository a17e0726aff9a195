use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use secrecy::ExposeSecret;

use crate::{Integrity, Keys};

/// Octets of SPI and sequence number in front of every packet.
pub(crate) const HEADER: usize = 8;
/// The longest ESP trailer before the ICV: padding to an AES block, pad length, next header.
pub(crate) const TRAILER: usize = 17;
/// The longest ICV.
pub(crate) const ICV: usize = 32;
const GCM_IV: usize = 8;
const GCM_TAG: usize = 16;
const BLOCK: usize = 16;

/// The key's length fits no algorithm, or the library refused the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl From<aws_lc_rs::error::Unspecified> for Failed {
    fn from(_: aws_lc_rs::error::Unspecified) -> Failed {
        Failed
    }
}

/// AES-GCM with its salt (RFC 4106 §4); the same for both directions.
pub(crate) struct Gcm {
    key: LessSafeKey,
    salt: [u8; 4],
}

/// AES-CBC, sealing with `EncryptingKey` or opening with `DecryptingKey`, and its HMAC.
pub(crate) struct Cbc<K> {
    key: K,
    integrity: hmac::Key,
    icv: usize,
}

/// What seals one direction.
pub(crate) enum SealingCipher {
    Gcm(Box<Gcm>),
    Cbc(Box<Cbc<EncryptingKey>>),
}

/// What opens one direction.
pub(crate) enum OpeningCipher {
    Gcm(Box<Gcm>),
    Cbc(Box<Cbc<DecryptingKey>>),
}

/// Sequence number and SPI as they are authenticated.
pub(crate) struct Authenticated {
    /// SPI and the half of the sequence number that is sent.
    pub(crate) header: [u8; HEADER],
    /// All of it.
    pub(crate) sequence: u64,
    /// Whether the half that is not sent is authenticated too (RFC 4303 §2.2.1).
    pub(crate) extended: bool,
}

impl Authenticated {
    pub(crate) fn new(spi: u32, sequence: u64, extended: bool) -> Authenticated {
        let [a, b, c, d] = spi.to_be_bytes();
        let [_, _, _, _, e, f, g, h] = sequence.to_be_bytes();
        Authenticated {
            header: [a, b, c, d, e, f, g, h],
            sequence,
            extended,
        }
    }

    fn high(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.sequence.to_be_bytes();
        [a, b, c, d]
    }

    /// SPI and 32-bit, or SPI and 64-bit sequence number (RFC 4106 §5).
    fn associated(&self) -> ([u8; 12], usize) {
        let [a, b, c, d, i, j, k, l] = self.header;
        let [e, f, g, h] = self.high();
        if self.extended {
            ([a, b, c, d, e, f, g, h, i, j, k, l], 12)
        } else {
            ([a, b, c, d, i, j, k, l, 0, 0, 0, 0], 8)
        }
    }
}

impl SealingCipher {
    pub(crate) fn new(keys: &Keys) -> Result<SealingCipher, Failed> {
        Ok(match keys {
            Keys::AesGcm16 { key_and_salt } => {
                SealingCipher::Gcm(Box::new(Gcm::new(key_and_salt.expose_secret())?))
            }
            Keys::AesCbc {
                key,
                integrity,
                integrity_key,
            } => {
                let key = EncryptingKey::cbc(aes(key.expose_secret())?)?;
                SealingCipher::Cbc(Box::new(Cbc::new(
                    key,
                    *integrity,
                    integrity_key.expose_secret(),
                )?))
            }
        })
    }

    /// Length of the IV, of what the plaintext is padded to, and of the ICV.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        match self {
            SealingCipher::Gcm(_) => (GCM_IV, 4, GCM_TAG),
            SealingCipher::Cbc(cbc) => (BLOCK, BLOCK, cbc.icv),
        }
    }

    /// Writes header, IV, ciphertext and ICV of `inner` followed by `trailer`; `out` has their exact length.
    pub(crate) fn seal(
        &self,
        head: &Authenticated,
        inner: &[u8],
        trailer: &[u8],
        out: &mut [u8],
    ) -> Result<(), Failed> {
        let (header, body) = out.split_first_chunk_mut::<HEADER>().ok_or(Failed)?;
        *header = head.header;
        match self {
            SealingCipher::Gcm(gcm) => gcm.seal(head, inner, trailer, body),
            SealingCipher::Cbc(cbc) => {
                let (iv, rest) = body.split_first_chunk_mut::<BLOCK>().ok_or(Failed)?;
                let (text, icv) = rest
                    .split_at_mut_checked(inner.len() + trailer.len())
                    .ok_or(Failed)?;
                let (start, end) = text.split_at_mut_checked(inner.len()).ok_or(Failed)?;
                start.copy_from_slice(inner);
                end.copy_from_slice(trailer);
                // The library draws the IV at random, so nobody foresees it (RFC 3602 §3).
                let context = cbc.key.encrypt(text)?;
                iv.copy_from_slice((&context).try_into()?);
                icv.copy_from_slice(cbc.tag(head, iv, text).as_ref().get(..cbc.icv).ok_or(Failed)?);
                Ok(())
            }
        }
    }
}

impl OpeningCipher {
    pub(crate) fn new(keys: &Keys) -> Result<OpeningCipher, Failed> {
        Ok(match keys {
            Keys::AesGcm16 { key_and_salt } => {
                OpeningCipher::Gcm(Box::new(Gcm::new(key_and_salt.expose_secret())?))
            }
            Keys::AesCbc {
                key,
                integrity,
                integrity_key,
            } => {
                let key = DecryptingKey::cbc(aes(key.expose_secret())?)?;
                OpeningCipher::Cbc(Box::new(Cbc::new(
                    key,
                    *integrity,
                    integrity_key.expose_secret(),
                )?))
            }
        })
    }

    /// Length of the IV, of what the plaintext is padded to, and of the ICV.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        match self {
            OpeningCipher::Gcm(_) => (GCM_IV, 4, GCM_TAG),
            OpeningCipher::Cbc(cbc) => (BLOCK, BLOCK, cbc.icv),
        }
    }

    /// Authenticates and then decrypts, in place, what follows the header: IV, ciphertext, ICV.
    pub(crate) fn open(&self, head: &Authenticated, body: &mut [u8]) -> Result<(), Failed> {
        match self {
            OpeningCipher::Gcm(gcm) => gcm.open(head, body),
            OpeningCipher::Cbc(cbc) => {
                let (iv, rest) = body.split_first_chunk_mut::<BLOCK>().ok_or(Failed)?;
                let cut = rest.len().checked_sub(cbc.icv).ok_or(Failed)?;
                let (text, icv) = rest.split_at_mut_checked(cut).ok_or(Failed)?;
                verify_slices_are_equal(
                    cbc.tag(head, iv, text).as_ref().get(..cbc.icv).ok_or(Failed)?,
                    icv,
                )?;
                cbc.key
                    .decrypt(text, DecryptionContext::Iv128(FixedLength::from(*iv)))?;
                Ok(())
            }
        }
    }
}

impl Gcm {
    fn new(key_and_salt: &[u8]) -> Result<Gcm, Failed> {
        let (key, salt) = key_and_salt.split_last_chunk::<4>().ok_or(Failed)?;
        let algorithm = match key.len() {
            16 => &aead::AES_128_GCM,
            24 => &aead::AES_192_GCM,
            32 => &aead::AES_256_GCM,
            _ => return Err(Failed),
        };
        Ok(Gcm {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key)?),
            salt: *salt,
        })
    }

    /// Salt and explicit IV (RFC 4106 §4).
    fn nonce(&self, iv: [u8; GCM_IV]) -> Nonce {
        let ([s, t, u, v], [a, b, c, d, e, f, g, h]) = (self.salt, iv);
        Nonce::assume_unique_for_key([s, t, u, v, a, b, c, d, e, f, g, h])
    }

    fn seal(
        &self,
        head: &Authenticated,
        inner: &[u8],
        trailer: &[u8],
        body: &mut [u8],
    ) -> Result<(), Failed> {
        let (iv, rest) = body.split_first_chunk_mut::<GCM_IV>().ok_or(Failed)?;
        let (text, end) = rest.split_at_mut_checked(inner.len()).ok_or(Failed)?;
        // The sequence number never repeats under one key, so neither does the nonce (RFC 4106 §3.1).
        *iv = head.sequence.to_be_bytes();
        let (associated, len) = head.associated();
        let associated = Aad::from(associated.get(..len).ok_or(Failed)?);
        Ok(self
            .key
            .seal_out_of_place_scatter(self.nonce(*iv), associated, inner, text, trailer, end)?)
    }

    fn open(&self, head: &Authenticated, body: &mut [u8]) -> Result<(), Failed> {
        let (iv, rest) = body.split_first_chunk_mut::<GCM_IV>().ok_or(Failed)?;
        let (associated, len) = head.associated();
        let associated = Aad::from(associated.get(..len).ok_or(Failed)?);
        self.key.open_in_place(self.nonce(*iv), associated, rest)?;
        Ok(())
    }
}

impl<K> Cbc<K> {
    fn new(key: K, integrity: Integrity, integrity_key: &[u8]) -> Result<Cbc<K>, Failed> {
        let (algorithm, key_len, icv) = match integrity {
            Integrity::HmacSha1_96 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20, 12),
            Integrity::HmacSha2_256_128 => (hmac::HMAC_SHA256, 32, 16),
            Integrity::HmacSha2_384_192 => (hmac::HMAC_SHA384, 48, 24),
            Integrity::HmacSha2_512_256 => (hmac::HMAC_SHA512, 64, 32),
        };
        if integrity_key.len() != key_len {
            return Err(Failed);
        }
        Ok(Cbc {
            key,
            integrity: hmac::Key::new(algorithm, integrity_key),
            icv,
        })
    }

    /// The untruncated ICV; the unsent half of the sequence number comes last (RFC 4303 §2.2.1).
    pub(crate) fn tag(&self, head: &Authenticated, iv: &[u8], text: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.integrity);
        context.update(&head.header);
        context.update(iv);
        context.update(text);
        if head.extended {
            context.update(&head.high());
        }
        context.sign()
    }
}

fn aes(key: &[u8]) -> Result<UnboundCipherKey, Failed> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        _ => return Err(Failed),
    };
    Ok(UnboundCipherKey::new(algorithm, key)?)
}
