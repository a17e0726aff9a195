//! DES and 3DES in CBC mode (RFC 2405, RFC 2451), for peers that know nothing better.

use aws_lc_rs::rand;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use cbc::{Decryptor, Encryptor};
use des::{Des, TdesEde3};

use crate::cipher::Failed;

/// Octets of a block, and of the IV.
pub(crate) const BLOCK: usize = 8;

/// The schedule of a key, for both directions.
pub(crate) enum Schedule {
    Single(Des),
    Triple(Box<TdesEde3>),
}

impl Schedule {
    pub(crate) fn single(key: &[u8]) -> Result<Schedule, Failed> {
        Des::new_from_slice(key).map(Schedule::Single).map_err(|_| Failed)
    }

    pub(crate) fn triple(key: &[u8]) -> Result<Schedule, Failed> {
        let schedule = TdesEde3::new_from_slice(key).map_err(|_| Failed)?;
        Ok(Schedule::Triple(Box::new(schedule)))
    }

    /// Encrypts whole blocks in place, and says with which IV, which nobody could foresee.
    pub(crate) fn encrypt(&self, text: &mut [u8]) -> Result<[u8; BLOCK], Failed> {
        let mut iv = [0; BLOCK];
        rand::fill(&mut iv)?;
        let len = text.len();
        let done = match self {
            Schedule::Single(des) => {
                Encryptor::inner_iv_init(des.clone(), &iv.into()).encrypt_padded::<NoPadding>(text, len)
            }
            Schedule::Triple(des) => Encryptor::inner_iv_init(TdesEde3::clone(des), &iv.into())
                .encrypt_padded::<NoPadding>(text, len),
        };
        done.map(|_| iv).map_err(|_| Failed)
    }

    /// Decrypts whole blocks in place.
    pub(crate) fn decrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> Result<(), Failed> {
        let done = match self {
            Schedule::Single(des) => {
                Decryptor::inner_iv_init(des.clone(), &iv.into()).decrypt_padded::<NoPadding>(text)
            }
            Schedule::Triple(des) => {
                Decryptor::inner_iv_init(TdesEde3::clone(des), &iv.into()).decrypt_padded::<NoPadding>(text)
            }
        };
        done.map(|_| ()).map_err(|_| Failed)
    }
}
