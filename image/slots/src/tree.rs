//! The hash tree of dm-verity (Linux, Documentation/admin-guide/device-mapper/verity.rst, hash type 1), without a salt.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::bundle::PublicKey;
use crate::hexadecimal;
use crate::table::Content;

/// Octets of a block of data, and of one of hashes.
pub const HASH_BLOCK: usize = 4096;
const HASH: usize = 32;

/// The hash at the top of a tree: who knows it can tell whether any block below is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root(pub [u8; HASH]);

impl Root {
    /// The root that these 64 hexadecimal digits are.
    pub fn parse(digits: &str) -> Option<Self> {
        hexadecimal::decode(digits).map(Self)
    }
}

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hexadecimal::encode(&self.0))
    }
}

/// Takes data block by block and makes the tree of it.
#[derive(Debug, Default)]
pub struct Tree {
    leaves: Vec<u8>,
}

impl Tree {
    /// The next block; one that is shorter than [`HASH_BLOCK`] counts as filled up with zeros.
    pub fn block(&mut self, data: &[u8]) {
        self.leaves.extend_from_slice(&hash(data));
    }

    /// The levels as they are stored behind the data, the topmost first, and the root above them.
    pub fn finish(self) -> (Vec<u8>, Root) {
        let mut levels = Vec::new();
        let mut level = self.leaves;
        while level.len() > HASH {
            level.resize(level.len().next_multiple_of(HASH_BLOCK), 0);
            let above = level.chunks(HASH_BLOCK).flat_map(hash).collect();
            levels.push(std::mem::replace(&mut level, above));
        }
        let stored = levels.into_iter().rev().flatten().collect();
        let mut root = [0; HASH];
        for (octet, of_level) in root.iter_mut().zip(&level) {
            *octet = *of_level;
        }
        (stored, Root(root))
    }
}

fn hash(block: &[u8]) -> [u8; HASH] {
    let mut context = Context::new(&SHA256);
    context.update(block);
    let rest = HASH_BLOCK.saturating_sub(block.len());
    context.update(ZEROS.get(..rest).unwrap_or_default());
    let mut octets = [0; HASH];
    for (octet, of_hash) in octets.iter_mut().zip(context.finish().as_ref()) {
        *octet = *of_hash;
    }
    octets
}

impl Content {
    /// Whether this is what a reader has, block by block up to the root, behind it the hashes, and behind these the seal by one of the keys.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn is_read_from(&self, from: &mut impl Read, keys: &[PublicKey]) -> io::Result<bool> {
        let (mut tree, mut block) = (Tree::default(), vec![0; HASH_BLOCK]);
        for _ in 0..self.blocks {
            from.read_exact(&mut block)?;
            tree.block(&block);
        }
        let (hashes, root) = tree.finish();
        let mut found = vec![0; hashes.len()];
        from.read_exact(&mut found)?;
        from.read_exact(&mut block)?;
        let sealed = root.is_sealed(self.blocks, &block, keys);
        Ok(root == self.root && found == hashes && sealed)
    }
}

static ZEROS: [u8; HASH_BLOCK] = [0; HASH_BLOCK];

#[cfg(test)]
mod tests {
    use super::*;

    /// The octets of hashes, and the root, over so many blocks full of their own number.
    fn root_of(blocks: u8) -> (usize, String) {
        let mut tree = Tree::default();
        for number in 0..blocks {
            tree.block(&[number; HASH_BLOCK]);
        }
        let (stored, root) = tree.finish();
        (stored.len(), root.to_string())
    }

    #[test]
    fn levels_grow_by_the_hashes_that_a_block_holds() {
        assert_eq!(root_of(2).0, HASH_BLOCK);
        assert_eq!(root_of(128).0, HASH_BLOCK);
        assert_eq!(root_of(129).0, 3 * HASH_BLOCK);
    }

    #[test]
    fn one_other_bit_is_another_root() {
        let mut tree = Tree::default();
        for number in 0..129_u8 {
            let mut block = [number; HASH_BLOCK];
            block[17] ^= u8::from(number == 77);
            tree.block(&block);
        }
        assert_ne!(tree.finish().1.to_string(), root_of(129).1);
    }
}
