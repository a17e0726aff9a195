//! The block behind the hash tree of a slot: who made the system signs its root there, and the first file system starts no other.

use std::ops::Range;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::bundle::{PublicKey, SIGNATURE};
use crate::tree::{HASH_BLOCK, Root};

/// What the signed octets begin with, so that no other signature of the same key is one of these; the last is the number of the format.
const PURPOSE: [u8; 16] = *b"CAUSEWAY-SYSTEM1";
/// Hashes in a block of them.
const FANOUT: u64 = 128;

/// Where in a slot the hashes of so many blocks are, in octets: the seal is the block behind them. Nothing where no disk is so large.
pub fn hashes(blocks: u64) -> Option<Range<u64>> {
    let block = u64::try_from(HASH_BLOCK).ok()?;
    let (mut level, mut all) = (blocks, blocks);
    while level > 1 {
        level = level.div_ceil(FANOUT);
        all = all.checked_add(level)?;
    }
    Some(blocks.checked_mul(block)?..all.checked_mul(block)?)
}

impl Root {
    /// The block, signed by the caller.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn seal<E>(
        &self,
        blocks: u64,
        sign: impl FnOnce(&[u8]) -> Result<[u8; SIGNATURE], E>,
    ) -> Result<Vec<u8>, E> {
        let mut block = sign(&self.statement(blocks))?.to_vec();
        block.resize(HASH_BLOCK, 0);
        Ok(block)
    }

    /// Whether this block says that one of these keys signed a system of so many blocks with this root.
    pub fn is_sealed(&self, blocks: u64, block: &[u8], keys: &[PublicKey]) -> bool {
        let statement = self.statement(blocks);
        let signature = block.get(..SIGNATURE).unwrap_or_default();
        keys.iter().any(|key| {
            UnparsedPublicKey::new(&ED25519, key.0)
                .verify(&statement, signature)
                .is_ok()
        })
    }

    fn statement(&self, blocks: u64) -> Vec<u8> {
        [&PURPOSE[..], &blocks.to_be_bytes(), &self.0].concat()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::tree::Tree;

    fn pair(seed: u8) -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = PublicKey(pair.public_key().as_ref().try_into().unwrap());
        (pair, public)
    }

    #[test]
    fn a_seal_is_about_one_root_of_so_many_blocks_and_by_one_key() {
        let ((pair, known), (_, other)) = (pair(1), pair(2));
        let sign = |octets: &[u8]| Ok::<_, ()>(pair.sign(octets).as_ref().try_into().unwrap());
        let block = Root([7; 32]).seal(300, sign).unwrap();
        assert_eq!(block.len(), HASH_BLOCK);
        assert!(Root([7; 32]).is_sealed(300, &block, &[other, known]));
        assert!(!Root([7; 32]).is_sealed(300, &block, &[other]));
        assert!(!Root([7; 32]).is_sealed(301, &block, &[known]));
        assert!(!Root([8; 32]).is_sealed(300, &block, &[known]));
        assert!(!Root([7; 32]).is_sealed(300, &[0; HASH_BLOCK], &[known]));
        assert!(!Root([7; 32]).is_sealed(300, &[], &[known]));
    }

    #[test]
    fn the_seal_is_behind_the_hashes() {
        for blocks in [2, 128, 129, 16384, 16385] {
            let mut tree = Tree::default();
            (0..blocks).for_each(|_| tree.block(&[]));
            let stored = u64::try_from(tree.finish().0.len()).unwrap();
            let data = blocks * u64::try_from(HASH_BLOCK).unwrap();
            assert_eq!(hashes(blocks), Some(data..data + stored), "{blocks}");
        }
        assert_eq!(hashes(u64::MAX), None);
    }
}
