use aws_lc_rs::{constant_time, hmac};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{Prf, Secret};

impl Prf {
    /// prf(key, parts one after the other); the key may have any length.
    pub fn compute(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        let mut output = vec![0; self.octets()];
        sign(&self.key(key), &Zeroizing::new(parts.concat()), &mut output);
        output.into()
    }

    /// prf+(key, seed) of `octets` octets (RFC 7296 §2.13).
    ///
    /// # Panics
    /// If more than 255 outputs of the function are asked for, which prf+ cannot give.
    pub fn expand(self, key: &[u8], seed: &[&[u8]], octets: usize) -> Secret {
        assert!(octets <= 255 * self.octets(), "prf+ ends after 255 blocks");
        let key = self.key(key);
        let seed = Zeroizing::new(seed.concat());
        let mut material = vec![0; octets];
        let mut input = Zeroizing::new(Vec::with_capacity(self.octets() + seed.len() + 1));
        let mut block = Zeroizing::new(vec![0; self.octets()]);
        for (counter, part) in (1..=u8::MAX).zip(material.chunks_mut(self.octets())) {
            input.clear();
            if counter > 1 {
                input.extend_from_slice(&block);
            }
            input.extend_from_slice(&seed);
            input.push(counter);
            sign(&key, &input, &mut block);
            part.iter_mut()
                .zip(block.iter())
                .for_each(|(to, from)| *to = *from);
        }
        material.into()
    }

    /// Whether `claimed` is prf(key, parts), in constant time.
    pub fn verify(self, key: &[u8], parts: &[&[u8]], claimed: &[u8]) -> bool {
        let expected = self.compute(key, parts);
        constant_time::verify_slices_are_equal(expected.expose_secret(), claimed).is_ok()
    }

    fn key(self, key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha2_256 => hmac::HMAC_SHA256,
            Self::HmacSha2_384 => hmac::HMAC_SHA384,
            Self::HmacSha2_512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, key)
    }
}

/// Writes the code straight into memory that will be wiped: `hmac::Tag` is not.
fn sign(key: &hmac::Key, data: &[u8], output: &mut [u8]) {
    let signed = hmac::sign_to_buffer(key, data, output);
    assert!(signed.is_ok(), "HMAC cannot fail on a buffer of its length");
}
