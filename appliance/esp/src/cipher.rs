use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use secrecy::{ExposeSecret, SecretSlice};

use crate::des::{self, Schedule};
use crate::mac::Mac;
use crate::{Integrity, Keys};

/// Octets of SPI and sequence number in front of every packet.
pub(crate) const HEADER: usize = 8;
/// The longest ESP trailer before the ICV: padding to an AES block, pad length, next header.
pub(crate) const TRAILER: usize = 17;
/// The longest ICV.
pub(crate) const ICV: usize = 32;
const AEAD_IV: usize = 8;
const AEAD_TAG: usize = 16;
const BLOCK: usize = 16;

/// The key's length fits no algorithm, or the library refused the octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl From<aws_lc_rs::error::Unspecified> for Failed {
    fn from(_: aws_lc_rs::error::Unspecified) -> Failed {
        Failed
    }
}

/// AES-GCM or ChaCha20-Poly1305 with its salt (RFC 4106 §4, RFC 7634 §2); the same for both directions.
pub(crate) struct Aead {
    key: LessSafeKey,
    salt: [u8; 4],
}

/// A cipher that does not authenticate, and what does: AES-CBC is sealed with `EncryptingKey` and opened with
/// `DecryptingKey`.
pub(crate) struct Separate<K> {
    key: K,
    pub(crate) mac: Mac,
}

/// What seals one direction.
pub(crate) enum SealingCipher {
    Aead(Box<Aead>),
    Cbc(Box<Separate<EncryptingKey>>),
    Des(Box<Separate<Schedule>>),
    Null(Box<Mac>),
}

/// What opens one direction.
pub(crate) enum OpeningCipher {
    Aead(Box<Aead>),
    Cbc(Box<Separate<DecryptingKey>>),
    Des(Box<Separate<Schedule>>),
    Null(Box<Mac>),
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

    pub(crate) fn high(&self) -> [u8; 4] {
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
        Ok(match Material::of(keys)? {
            Material::Aead(aead) => SealingCipher::Aead(Box::new(aead)),
            Material::Cbc(key, mac) => {
                let key = EncryptingKey::cbc(key)?;
                SealingCipher::Cbc(Box::new(Separate { key, mac }))
            }
            Material::Des(key, mac) => SealingCipher::Des(Box::new(Separate { key, mac })),
            Material::Null(mac) => SealingCipher::Null(Box::new(mac)),
        })
    }

    /// Length of the IV, of what the plaintext is padded to, and of the ICV.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        match self {
            SealingCipher::Aead(_) => (AEAD_IV, 4, AEAD_TAG),
            SealingCipher::Cbc(cbc) => (BLOCK, BLOCK, cbc.mac.icv_len()),
            SealingCipher::Des(des) => (des::BLOCK, des::BLOCK, des.mac.icv_len()),
            SealingCipher::Null(mac) => (0, 4, mac.icv_len()),
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
        if let SealingCipher::Aead(aead) = self {
            return aead.seal(head, inner, trailer, body);
        }
        let (iv_len, _, _) = self.shape();
        let (iv, rest) = body.split_at_mut_checked(iv_len).ok_or(Failed)?;
        let (text, icv) = rest
            .split_at_mut_checked(inner.len() + trailer.len())
            .ok_or(Failed)?;
        let (start, end) = text.split_at_mut_checked(inner.len()).ok_or(Failed)?;
        start.copy_from_slice(inner);
        end.copy_from_slice(trailer);
        let mac = match self {
            SealingCipher::Aead(_) => return Err(Failed),
            SealingCipher::Cbc(cbc) => {
                // The library draws the IV at random, so nobody foresees it (RFC 3602 §3).
                let context = cbc.key.encrypt(text)?;
                let drawn: &[u8] = (&context).try_into()?;
                iv.copy_from_slice(drawn);
                &cbc.mac
            }
            SealingCipher::Des(des) => {
                iv.copy_from_slice(&des.key.encrypt(text)?);
                &des.mac
            }
            SealingCipher::Null(mac) => mac,
        };
        let made = mac.icv(head, iv, text);
        icv.copy_from_slice(made.get(..mac.icv_len()).ok_or(Failed)?);
        Ok(())
    }
}

impl OpeningCipher {
    pub(crate) fn new(keys: &Keys) -> Result<OpeningCipher, Failed> {
        Ok(match Material::of(keys)? {
            Material::Aead(aead) => OpeningCipher::Aead(Box::new(aead)),
            Material::Cbc(key, mac) => {
                let key = DecryptingKey::cbc(key)?;
                OpeningCipher::Cbc(Box::new(Separate { key, mac }))
            }
            Material::Des(key, mac) => OpeningCipher::Des(Box::new(Separate { key, mac })),
            Material::Null(mac) => OpeningCipher::Null(Box::new(mac)),
        })
    }

    /// Length of the IV, of what the plaintext is padded to, and of the ICV.
    pub(crate) fn shape(&self) -> (usize, usize, usize) {
        match self {
            OpeningCipher::Aead(_) => (AEAD_IV, 4, AEAD_TAG),
            OpeningCipher::Cbc(cbc) => (BLOCK, BLOCK, cbc.mac.icv_len()),
            OpeningCipher::Des(des) => (des::BLOCK, des::BLOCK, des.mac.icv_len()),
            OpeningCipher::Null(mac) => (0, 4, mac.icv_len()),
        }
    }

    /// Authenticates and then decrypts, in place, what follows the header: IV, ciphertext, ICV.
    pub(crate) fn open(&self, head: &Authenticated, body: &mut [u8]) -> Result<(), Failed> {
        match self {
            OpeningCipher::Aead(aead) => aead.open(head, body),
            OpeningCipher::Cbc(cbc) => {
                let (iv, text) = authentic::<BLOCK>(&cbc.mac, head, body)?;
                cbc.key
                    .decrypt(text, DecryptionContext::Iv128(FixedLength::from(iv)))?;
                Ok(())
            }
            OpeningCipher::Des(des) => {
                let (iv, text) = authentic::<{ des::BLOCK }>(&des.mac, head, body)?;
                des.key.decrypt(iv, text)
            }
            OpeningCipher::Null(mac) => authentic::<0>(mac, head, body).map(|_| ()),
        }
    }
}

/// IV and ciphertext of what follows the header, if the ICV after them is right.
fn authentic<'b, const IV: usize>(
    mac: &Mac,
    head: &Authenticated,
    body: &'b mut [u8],
) -> Result<([u8; IV], &'b mut [u8]), Failed> {
    let (iv, rest) = body.split_first_chunk_mut::<IV>().ok_or(Failed)?;
    let cut = rest.len().checked_sub(mac.icv_len()).ok_or(Failed)?;
    let (text, icv) = rest.split_at_mut_checked(cut).ok_or(Failed)?;
    let made = mac.icv(head, iv, text);
    verify_slices_are_equal(made.get(..mac.icv_len()).ok_or(Failed)?, icv)?;
    Ok((*iv, text))
}

/// Keys as the library takes them, before they are bound to a direction.
enum Material {
    Aead(Aead),
    Cbc(UnboundCipherKey, Mac),
    Des(Schedule, Mac),
    Null(Mac),
}

impl Material {
    fn of(keys: &Keys) -> Result<Material, Failed> {
        let mac = |integrity: &Integrity, key: &SecretSlice<u8>| Mac::new(*integrity, key.expose_secret());
        Ok(match keys {
            Keys::AesGcm16 { key_and_salt } => Material::Aead(Aead::aes_gcm(key_and_salt.expose_secret())?),
            Keys::ChaCha20Poly1305 { key_and_salt } => {
                let algorithm = &aead::CHACHA20_POLY1305;
                Material::Aead(Aead::new(algorithm, key_and_salt.expose_secret())?)
            }
            Keys::AesCbc {
                key,
                integrity,
                integrity_key,
            } => Material::Cbc(aes(key.expose_secret())?, mac(integrity, integrity_key)?),
            Keys::TripleDes {
                key,
                integrity,
                integrity_key,
            } => Material::Des(
                Schedule::triple(key.expose_secret())?,
                mac(integrity, integrity_key)?,
            ),
            Keys::Des {
                key,
                integrity,
                integrity_key,
            } => Material::Des(
                Schedule::single(key.expose_secret())?,
                mac(integrity, integrity_key)?,
            ),
            Keys::Null {
                integrity,
                integrity_key,
            } => Material::Null(mac(integrity, integrity_key)?),
        })
    }
}

impl Aead {
    fn aes_gcm(key_and_salt: &[u8]) -> Result<Aead, Failed> {
        let algorithm = match key_and_salt.len() {
            20 => &aead::AES_128_GCM,
            28 => &aead::AES_192_GCM,
            36 => &aead::AES_256_GCM,
            _ => return Err(Failed),
        };
        Aead::new(algorithm, key_and_salt)
    }

    fn new(algorithm: &'static aead::Algorithm, key_and_salt: &[u8]) -> Result<Aead, Failed> {
        let (key, salt) = key_and_salt.split_last_chunk::<4>().ok_or(Failed)?;
        Ok(Aead {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key)?),
            salt: *salt,
        })
    }

    /// Salt and explicit IV (RFC 4106 §4, RFC 7634 §2).
    fn nonce(&self, iv: [u8; AEAD_IV]) -> Nonce {
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
        let (iv, rest) = body.split_first_chunk_mut::<AEAD_IV>().ok_or(Failed)?;
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
        let (iv, rest) = body.split_first_chunk_mut::<AEAD_IV>().ok_or(Failed)?;
        let (associated, len) = head.associated();
        let associated = Aad::from(associated.get(..len).ok_or(Failed)?);
        self.key.open_in_place(self.nonce(*iv), associated, rest)?;
        Ok(())
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
