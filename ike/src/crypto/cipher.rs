use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use secrecy::ExposeSecret;

use super::separate::Separate;
use super::{Encryption, Integrity, Secret};
use crate::Random;

/// Type of the Encrypted and Authenticated payload, SK (RFC 7296 §3.14).
const ENCRYPTED: u8 = 46;
/// Octets of the IKE header (§3.1).
const HEADER: usize = 28;
/// Octets of a generic payload header (§3.2).
const GENERIC: usize = 4;

/// The keys that protect one direction of an IKE SA (RFC 7296 §3.14, RFC 5282).
pub struct Protection {
    encryption: Encryption,
    /// With the salt of an AEAD cipher.
    key: Secret,
    integrity: Option<(Integrity, Secret)>,
    /// How many messages an AEAD cipher has sealed: the next IV.
    sealed: u64,
}

/// The keys made ready for one message: they take many times the room of a key, and IKE sends few messages.
enum Keys {
    Aead(LessSafeKey, [u8; 4]),
    Separate(Separate),
}

/// Why keys cannot protect anything, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtectionError {
    /// An AEAD cipher with an authenticator, another cipher without one, or none.
    #[error("the cipher and the authenticator do not go together")]
    Mismatch,
    /// A key has not the length of its algorithm.
    #[error("a key has the wrong length")]
    KeyLength,
    /// As many messages were sealed as there are IVs.
    #[error("the key is used up")]
    Exhausted,
    /// The message would be longer than IKE can say.
    #[error("the message is too long")]
    TooLong,
    /// AWS-LC failed, for want of memory.
    #[error("the cryptographic library failed")]
    Failed,
}

/// Why a message could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is not one header and one SK payload that agree on their lengths.
    #[error("the message is not one Encrypted payload")]
    Malformed,
    /// The ICV is wrong: it is not from the peer, or damaged.
    #[error("the integrity check value is wrong")]
    Integrity,
    /// The peer itself padded it wrongly.
    #[error("the padding is wrong")]
    Padding,
}

/// What was inside an SK payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Type of the first payload; 0 if there is none.
    pub first: u8,
    /// The payloads.
    pub payloads: Vec<u8>,
}

impl Protection {
    /// Takes keys that can protect. `key` is as long as `Encryption::key_octets` says: with the salt of an
    /// AEAD cipher, which takes no authenticator.
    pub fn new(
        encryption: Encryption,
        key: Secret,
        integrity: Option<(Integrity, Secret)>,
    ) -> Result<Self, ProtectionError> {
        let protection = Self {
            encryption,
            key,
            integrity,
            sealed: 0,
        };
        protection.ready().map(|_| protection)
    }

    fn ready(&self) -> Result<Keys, ProtectionError> {
        let material = self.key.expose_secret();
        if material.len() != self.encryption.key_octets() {
            return Err(ProtectionError::KeyLength);
        }
        match (self.encryption.is_aead(), &self.integrity) {
            (true, None) => Keys::aead(self.encryption, material),
            (false, Some((integrity, key))) => {
                Separate::new(self.encryption, material, (*integrity, key)).map(Keys::Separate)
            }
            (true, Some(_)) | (false, None) => Err(ProtectionError::Mismatch),
        }
    }

    /// Octets that protecting adds at most: IV, padding with its length, and ICV.
    pub fn overhead(&self) -> usize {
        self.encryption.iv_octets() + self.encryption.block_octets() + self.icv_octets()
    }

    /// A whole message: `header` with its next payload and length put right, and one SK payload that holds
    /// `payloads`, the first of type `first`.
    pub fn seal_message(
        &mut self,
        header: &[u8; HEADER],
        first: u8,
        payloads: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, ProtectionError> {
        let body = self.sealed_octets(payloads.len());
        let payload_length = u16::try_from(GENERIC + body).map_err(|_| ProtectionError::TooLong)?;
        let length = u32::try_from(HEADER + GENERIC + body).map_err(|_| ProtectionError::TooLong)?;
        let mut message = Vec::with_capacity(HEADER + GENERIC + body);
        let (spis, _) = header.split_at(16);
        message.extend_from_slice(spis);
        message.push(ENCRYPTED);
        message.extend(header.iter().skip(17).take(7));
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&[first, 0]);
        message.extend_from_slice(&payload_length.to_be_bytes());
        self.seal(message, payloads, random)
    }

    /// Opens a whole message, which must be a header and one SK payload: the ICV is checked first.
    pub fn open_message(&self, message: &[u8]) -> Result<Opened, OpenError> {
        let (associated, body) = message
            .split_at_checked(HEADER + GENERIC)
            .ok_or(OpenError::Malformed)?;
        let (header, generic) = associated
            .split_first_chunk::<HEADER>()
            .ok_or(OpenError::Malformed)?;
        let &[first, _, high, low] = generic else {
            return Err(OpenError::Malformed);
        };
        let payload_length = usize::from(u16::from_be_bytes([high, low]));
        let announced = header.last_chunk().map(|octets| u32::from_be_bytes(*octets));
        let agrees = announced.is_some_and(|octets| usize::try_from(octets) == Ok(message.len()));
        if header.get(16) != Some(&ENCRYPTED) || !agrees || payload_length != GENERIC + body.len() {
            return Err(OpenError::Malformed);
        }
        Ok(Opened {
            first,
            payloads: self.open(associated, body)?,
        })
    }

    /// Appends to `message`, which ends with the generic header of SK (or the four fields of SKF), its body:
    /// IV, protected `plaintext` with padding, and ICV. The lengths in `message` must allow for it already.
    pub fn seal(
        &mut self,
        mut message: Vec<u8>,
        plaintext: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, ProtectionError> {
        let padding = self.padding(plaintext.len());
        match self.ready()? {
            Keys::Aead(key, salt) => {
                let iv = self.sealed.to_be_bytes();
                self.sealed = self.sealed.checked_add(1).ok_or(ProtectionError::Exhausted)?;
                let mut body = padded(plaintext, padding, 16);
                let nonce = Nonce::assume_unique_for_key(nonce(salt, iv));
                key.seal_in_place_append_tag(nonce, Aad::from(&message), &mut body)
                    .map_err(|_| ProtectionError::Failed)?;
                message.extend_from_slice(&iv);
                message.append(&mut body);
            }
            Keys::Separate(keys) => {
                let mut iv = vec![0; self.encryption.iv_octets()];
                random.fill(&mut iv);
                keys.seal(&mut message, padded(plaintext, padding, 0), &iv)?;
            }
        }
        Ok(message)
    }

    /// Checks and opens the body of an SK payload (IV, ciphertext, ICV); `associated` is the message up to it.
    pub fn open(&self, associated: &[u8], body: &[u8]) -> Result<Vec<u8>, OpenError> {
        // Keys that were taken can be made ready; if memory is short, the message is as good as lost.
        let plaintext = match self.ready().map_err(|_| OpenError::Integrity)? {
            Keys::Aead(key, salt) => open_aead(&key, salt, associated, body)?,
            Keys::Separate(keys) => keys.open(associated, body)?,
        };
        without_padding(plaintext)
    }

    /// Octets of the body of an SK payload that holds `plaintext` octets.
    pub fn sealed_octets(&self, plaintext: usize) -> usize {
        self.encryption.iv_octets() + plaintext + self.padding(plaintext) + 1 + self.icv_octets()
    }

    /// Octets of a whole message with one SK payload that holds `plaintext` octets.
    pub fn message_octets(&self, plaintext: usize) -> usize {
        HEADER + GENERIC + self.sealed_octets(plaintext)
    }

    /// The most octets whose protected form has at most `sealed` octets; `None` if nothing fits.
    pub fn plaintext_octets(&self, sealed: usize) -> Option<usize> {
        let blocks = sealed.checked_sub(self.encryption.iv_octets() + self.icv_octets())?;
        let block = self.encryption.block_octets();
        (blocks / block * block)
            .checked_sub(1)
            .filter(|octets| *octets > 0)
    }

    fn icv_octets(&self) -> usize {
        match &self.integrity {
            None => self.encryption.icv_octets(),
            Some((integrity, _)) => integrity.icv_octets(),
        }
    }

    /// Octets of padding that fill the last block, whose last octet tells how many they are.
    fn padding(&self, plaintext: usize) -> usize {
        (plaintext + 1).next_multiple_of(self.encryption.block_octets()) - plaintext - 1
    }
}

impl Keys {
    fn aead(encryption: Encryption, material: &[u8]) -> Result<Self, ProtectionError> {
        let algorithm = match encryption {
            Encryption::AesGcm16(128) => &AES_128_GCM,
            Encryption::AesGcm16(192) => &AES_192_GCM,
            Encryption::AesGcm16(256) => &AES_256_GCM,
            Encryption::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Encryption::AesGcm16(_)
            | Encryption::AesCbc(_)
            | Encryption::TripleDes
            | Encryption::Des
            | Encryption::Null => return Err(ProtectionError::KeyLength),
        };
        let (key, salt) = material
            .split_last_chunk::<4>()
            .ok_or(ProtectionError::KeyLength)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| ProtectionError::KeyLength)?;
        Ok(Self::Aead(LessSafeKey::new(key), *salt))
    }
}

/// RFC 5282 §4, RFC 7634 §2: the salt, then the explicit IV.
fn nonce(salt: [u8; 4], iv: [u8; 8]) -> [u8; 12] {
    let [a, b, c, d] = salt;
    let [e, f, g, h, i, j, k, l] = iv;
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Plaintext, zeros and the length of the padding, with room for `more` octets.
fn padded(plaintext: &[u8], padding: usize, more: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(plaintext.len() + padding + 1 + more);
    body.extend_from_slice(plaintext);
    body.resize(plaintext.len() + padding, 0);
    body.push(u8::try_from(padding).unwrap_or(u8::MAX));
    body
}

fn open_aead(key: &LessSafeKey, salt: [u8; 4], associated: &[u8], body: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (iv, sealed) = body.split_first_chunk::<8>().ok_or(OpenError::Malformed)?;
    let mut sealed = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce(salt, *iv));
    let length = key
        .open_in_place(nonce, Aad::from(associated), &mut sealed)
        .map_err(|_| OpenError::Integrity)?
        .len();
    sealed.truncate(length);
    Ok(sealed)
}

/// Any padding that fits is right, whatever is in it (RFC 7296 §3.14).
fn without_padding(mut plaintext: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    let padding = usize::from(plaintext.pop().ok_or(OpenError::Padding)?);
    let length = plaintext.len().checked_sub(padding).ok_or(OpenError::Padding)?;
    plaintext.truncate(length);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    struct Fixed(Vec<u8>);

    impl Random for Fixed {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0);
        }
    }

    /// One line of `tests/vectors/encrypted.txt`.
    struct Vector {
        encryption: Encryption,
        encryption_key: Secret,
        integrity: Option<(Integrity, Secret)>,
        iv: Vec<u8>,
        first: u8,
        payloads: Vec<u8>,
        message: Vec<u8>,
    }

    impl Vector {
        fn protection(&self) -> Protection {
            Protection::new(
                self.encryption,
                self.encryption_key.clone(),
                self.integrity.clone(),
            )
            .unwrap()
        }

        fn header(&self) -> [u8; HEADER] {
            *self.message.first_chunk().unwrap()
        }
    }

    fn octets(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn vectors() -> Vec<Vector> {
        let integrities = [
            Integrity::HmacMd5_96,
            Integrity::HmacSha1_96,
            Integrity::HmacSha2_256_128,
            Integrity::HmacSha2_384_192,
            Integrity::HmacSha2_512_256,
        ];
        let aes = [128, 192, 256].map(|bits| [Encryption::AesCbc(bits), Encryption::AesGcm16(bits)]);
        let others = [
            Encryption::ChaCha20Poly1305,
            Encryption::TripleDes,
            Encryption::Des,
        ];
        let encryptions = [aes.as_flattened(), &others].concat();
        let lines = include_str!("../../tests/vectors/encrypted.txt")
            .lines()
            .filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let fields: Vec<&str> = line.split(' ').collect();
                let [suite, key, integrity_key, iv, first, payloads, message] = fields[..] else {
                    panic!()
                };
                let (encryption, integrity) = suite.split_once('+').unwrap_or((suite, ""));
                Vector {
                    encryption: *encryptions
                        .iter()
                        .find(|known| known.to_string() == encryption)
                        .unwrap(),
                    encryption_key: octets(key).into(),
                    integrity: integrities
                        .into_iter()
                        .find(|known| known.to_string() == integrity)
                        .map(|known| (known, octets(integrity_key).into())),
                    iv: octets(iv),
                    first: first.parse().unwrap(),
                    payloads: octets(payloads),
                    message: octets(message),
                }
            })
            .collect()
    }

    /// What we seal is what another implementation seals, octet for octet, and we open what it seals.
    #[test]
    fn messages_agree_with_others() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 11);
        for vector in vectors {
            let mut protection = vector.protection();
            let mut random = Fixed(vector.iv.clone());
            let sealed = protection
                .seal_message(&vector.header(), vector.first, &vector.payloads, &mut random)
                .unwrap();
            assert_eq!(sealed, vector.message, "{}", vector.encryption);
            let opened = protection.open_message(&vector.message).unwrap();
            assert_eq!((opened.first, &opened.payloads), (vector.first, &vector.payloads));
        }
    }

    /// Any octet changed, anywhere, is noticed; nothing in the message is unprotected.
    #[test]
    fn changed_messages_are_refused() {
        for vector in vectors() {
            let protection = vector.protection();
            for index in 0..vector.message.len() {
                let mut message = vector.message.clone();
                message[index] ^= 0x80;
                assert!(
                    protection.open_message(&message).is_err(),
                    "{} at {index}",
                    vector.encryption
                );
            }
            for length in 0..vector.message.len() {
                assert!(protection.open_message(&vector.message[..length]).is_err());
            }
        }
    }

    /// Truncated bodies whose lengths agree are refused too, down to nothing.
    #[test]
    fn short_bodies_are_refused() {
        for vector in vectors() {
            let (associated, body) = vector.message.split_at(HEADER + GENERIC);
            for length in 0..body.len() {
                assert!(vector.protection().open(associated, &body[..length]).is_err());
            }
        }
    }

    /// Test cases 4, 10 and 16 of the GCM specification (McGrew and Viega), their IV taken as salt and explicit IV.
    #[test]
    fn published_gcm() {
        let key = hex!("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let associated = hex!("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plaintext = hex!(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
        );
        let sealed: [(u16, &[u8]); 3] = [
            (
                128,
                &hex!(
                    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                    "5bc94fbc3221a5db94fae95ae7121a47"
                ),
            ),
            (
                192,
                &hex!(
                    "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
                    "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710"
                    "2519498e80f1478f37ba55bd6d27618c"
                ),
            ),
            (
                256,
                &hex!(
                    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                    "76fc6ece0f4e1768cddf8853bb2d551b"
                ),
            ),
        ];
        for (bits, sealed) in sealed {
            let material: Secret = [&key[..usize::from(bits / 8)], &hex!("cafebabe")].concat().into();
            let protection = Protection::new(Encryption::AesGcm16(bits), material, None).unwrap();
            let Ok(Keys::Aead(key, salt)) = protection.ready() else {
                panic!()
            };
            let body = [&hex!("facedbaddecaf888")[..], sealed].concat();
            assert_eq!(
                open_aead(&key, salt, &associated, &body).unwrap(),
                plaintext,
                "{bits}"
            );
        }
    }

    /// RFC 7634 appendix A: an ESP packet, whose IV and sequence number are not those that we would choose.
    #[test]
    fn published_chacha20_poly1305() {
        let material: Vec<u8> = (0x80..=0xa3).collect();
        let protection = Protection::new(Encryption::ChaCha20Poly1305, material.into(), None).unwrap();
        let Ok(Keys::Aead(key, salt)) = protection.ready() else {
            panic!()
        };
        let body = hex!(
            "1011121314151617 24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
            "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b50"
            "2773f6fb94e664da9165b82829f641e0 76aaa8266b7fb0f7b11b369907e1ad43"
        );
        let plaintext = hex!(
            "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b"
            "0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
            "3435363701020204"
        );
        let opened = open_aead(&key, salt, &hex!("0102030400000005"), &body);
        assert_eq!(opened.unwrap(), plaintext);
    }

    /// A GCM key never sees an IV twice, whatever the generator says (RFC 5282 §3.1).
    #[test]
    fn explicit_iv_counts() {
        let key: Secret = vec![7; 20].into();
        let mut protection = Protection::new(Encryption::AesGcm16(128), key, None).unwrap();
        for count in 0..3_u64 {
            let message = protection
                .seal_message(&[0; HEADER], 0, &[], &mut Fixed(vec![]))
                .unwrap();
            assert_eq!(message[HEADER + GENERIC..][..8], count.to_be_bytes());
        }
        protection.sealed = u64::MAX;
        let exhausted = protection.seal_message(&[0; HEADER], 0, &[], &mut Fixed(vec![]));
        assert_eq!(exhausted, Err(ProtectionError::Exhausted));
    }

    /// The peer may pad as much as it likes, with whatever it likes; a pad length beyond the payload is refused.
    #[test]
    fn any_fitting_padding_is_accepted() {
        assert_eq!(without_padding(vec![1, 2, 9, 9, 2]), Ok(vec![1, 2]));
        assert_eq!(without_padding(vec![3, 3, 3, 3]), Ok(vec![]));
        assert_eq!(without_padding(vec![4, 4, 4, 4]), Err(OpenError::Padding));
        assert_eq!(without_padding(vec![]), Err(OpenError::Padding));
    }

    #[test]
    fn keys_must_fit() {
        let key = |octets| Secret::from(vec![0; octets]);
        let new = |encryption, octets, integrity: Option<(Integrity, usize)>| {
            let integrity = integrity.map(|(algorithm, octets)| (algorithm, key(octets)));
            Protection::new(encryption, key(octets), integrity).err()
        };
        let sha2 = Integrity::HmacSha2_256_128;
        assert_eq!(new(Encryption::AesGcm16(128), 20, None), None);
        assert_eq!(
            new(Encryption::AesGcm16(128), 16, None),
            Some(ProtectionError::KeyLength)
        );
        assert_eq!(
            new(Encryption::AesGcm16(128), 20, Some((sha2, 32))),
            Some(ProtectionError::Mismatch)
        );
        assert_eq!(
            new(Encryption::AesCbc(128), 16, None),
            Some(ProtectionError::Mismatch)
        );
        assert_eq!(
            new(Encryption::AesCbc(128), 16, Some((sha2, 20))),
            Some(ProtectionError::KeyLength)
        );
        assert_eq!(
            new(Encryption::AesCbc(64), 8, Some((sha2, 32))),
            Some(ProtectionError::KeyLength)
        );
        assert_eq!(
            new(Encryption::ChaCha20Poly1305, 32, None),
            Some(ProtectionError::KeyLength)
        );
        assert_eq!(
            new(Encryption::Null, 0, Some((sha2, 32))),
            Some(ProtectionError::Mismatch),
            "an IKE SA hides what it says"
        );
    }

    /// A payload's length has 16 bits: what does not fit is refused, not cut.
    #[test]
    fn too_long_messages_are_refused() {
        let key: Secret = vec![7; 20].into();
        let mut protection = Protection::new(Encryption::AesGcm16(128), key, None).unwrap();
        let payloads = vec![0; 65_535];
        let sealed = protection.seal_message(&[0; HEADER], 0, &payloads, &mut Fixed(vec![]));
        assert_eq!(sealed, Err(ProtectionError::TooLong));
        let fits = 65_535 - GENERIC - protection.sealed_octets(0);
        let sealed = protection
            .seal_message(&[0; HEADER], 0, &payloads[..fits], &mut Fixed(vec![]))
            .unwrap();
        assert_eq!(protection.open_message(&sealed).unwrap().payloads.len(), fits);
    }
}
