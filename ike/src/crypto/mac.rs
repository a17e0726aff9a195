use aws_lc_rs::hmac as sha;
use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac as _};
use md5::{Digest, Md5};
use zeroize::Zeroize;

/// HMAC with its key (RFC 2104).
pub(super) enum Mac {
    /// A hash that AWS-LC has.
    Sha(Box<sha::Key>),
    /// MD5, which it does not offer.
    Md5(Box<Hmac<Md5>>),
}

impl Mac {
    pub(super) fn new(algorithm: sha::Algorithm, key: &[u8]) -> Self {
        Self::Sha(Box::new(sha::Key::new(algorithm, key)))
    }

    /// A key of any length: one longer than a block is hashed first, a shorter one is followed by zeros.
    pub(super) fn md5(key: &[u8]) -> Self {
        let mut block = Key::<Hmac<Md5>>::default();
        if key.len() > block.len() {
            let mut digest = Md5::digest(key);
            block.iter_mut().zip(&digest).for_each(|(to, from)| *to = *from);
            digest.as_mut_slice().zeroize();
        } else {
            block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        }
        let keyed = Self::Md5(Box::new(Hmac::new(&block)));
        block.as_mut_slice().zeroize();
        keyed
    }

    /// Writes the first octets of the code of all parts; of no more than the hash has.
    pub(super) fn sign(&self, parts: &[&[u8]], output: &mut [u8]) {
        match self {
            Self::Sha(key) => {
                let mut context = sha::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                let tag = context.sign();
                output
                    .iter_mut()
                    .zip(tag.as_ref())
                    .for_each(|(to, from)| *to = *from);
            }
            Self::Md5(keyed) => {
                let mut context = Hmac::clone(keyed);
                parts.iter().for_each(|part| context.update(part));
                let mut tag = context.finalize().into_bytes();
                output.iter_mut().zip(&tag).for_each(|(to, from)| *to = *from);
                tag.as_mut_slice().zeroize();
            }
        }
    }

    /// Writes the code as long as the hash into memory that will be wiped: `hmac::Tag` is not.
    pub(super) fn sign_secret(&self, data: &[u8], output: &mut [u8]) {
        match self {
            Self::Sha(key) => {
                let signed = sha::sign_to_buffer(key, data, output);
                assert!(signed.is_ok(), "HMAC cannot fail on a buffer of its length");
            }
            Self::Md5(_) => self.sign(&[data], output),
        }
    }
}
