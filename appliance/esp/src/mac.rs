use ::hmac::digest::Key;
use ::hmac::{Hmac, KeyInit, Mac as _};
use aws_lc_rs::hmac;
use md5::Md5;
use zeroize::Zeroize;

use crate::Integrity;
use crate::cipher::{Authenticated, Failed, ICV};

/// The authenticator beside a cipher that has none, with its key.
pub(crate) struct Mac {
    keyed: Keyed,
    /// Octets of the ICV.
    icv: usize,
}

enum Keyed {
    Sha(Box<hmac::Key>),
    /// What AWS-LC does not offer.
    Md5(Box<Hmac<Md5>>),
}

impl Mac {
    pub(crate) fn new(integrity: Integrity, key: &[u8]) -> Result<Mac, Failed> {
        let (algorithm, key_len, icv) = match integrity {
            Integrity::HmacMd5_96 => return Mac::md5(key),
            Integrity::HmacSha1_96 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20, 12),
            Integrity::HmacSha2_256_128 => (hmac::HMAC_SHA256, 32, 16),
            Integrity::HmacSha2_384_192 => (hmac::HMAC_SHA384, 48, 24),
            Integrity::HmacSha2_512_256 => (hmac::HMAC_SHA512, 64, 32),
        };
        if key.len() != key_len {
            return Err(Failed);
        }
        let keyed = Keyed::Sha(Box::new(hmac::Key::new(algorithm, key)));
        Ok(Mac { keyed, icv })
    }

    fn md5(key: &[u8]) -> Result<Mac, Failed> {
        if key.len() != 16 {
            return Err(Failed);
        }
        let mut block = Key::<Hmac<Md5>>::default();
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let keyed = Keyed::Md5(Box::new(Hmac::new(&block)));
        block.as_mut_slice().zeroize();
        Ok(Mac { keyed, icv: 12 })
    }

    pub(crate) fn icv_len(&self) -> usize {
        self.icv
    }

    /// The ICV, of which the first octets count; the unsent half of the sequence number comes last (RFC 4303 §2.2.1).
    pub(crate) fn icv(&self, head: &Authenticated, iv: &[u8], text: &[u8]) -> [u8; ICV] {
        let high = head.high();
        let unsent: &[u8] = if head.extended { &high } else { &[] };
        let parts = [&head.header, iv, text, unsent];
        let mut icv = [0; ICV];
        match &self.keyed {
            Keyed::Sha(key) => {
                let mut context = hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                let tag = context.sign();
                icv.iter_mut()
                    .zip(tag.as_ref())
                    .for_each(|(to, from)| *to = *from);
            }
            Keyed::Md5(keyed) => {
                let mut context = Hmac::clone(keyed);
                parts.iter().for_each(|part| context.update(part));
                let tag = context.finalize().into_bytes();
                icv.iter_mut().zip(&tag).for_each(|(to, from)| *to = *from);
            }
        }
        icv
    }
}
