//! The slot table as the boot loader reads and writes it: an environment block of GRUB
//! (GNU GRUB Manual 2.06, "The GRUB environment block").

use std::collections::BTreeMap;

use thiserror::Error;

use crate::hexadecimal;
use crate::table::{Content, Slot, Table};
use crate::tree::Root;

/// Octets of the block.
pub const BLOCK: usize = 1024;
/// Octets of the block's beginning that hold all of the table: a disk writes a sector whole or not at all.
pub const SECTOR: usize = 512;
const HEADER: &str = "# GRUB Environment Block\n";

/// The block is none that we wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvironmentError {
    /// It does not begin as one does.
    #[error("no environment block")]
    NoBlock,
    /// This variable is missing or says nothing known.
    #[error("the environment block has no usable {0}")]
    Variable(&'static str),
}

impl Table {
    /// The block that tells the boot loader all of this.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}good={}\n", self.good.letter());
        if let Some(tries) = self.tries {
            text += &format!("trial={}\ntries={tries}\n", self.good.other().letter());
        }
        for slot in [Slot::A, Slot::B] {
            if let Some(content) = self.content(slot) {
                let letter = slot.letter();
                let Content {
                    version,
                    build,
                    blocks,
                    root,
                } = content;
                text += &format!(
                    "{letter}_version={version}\n{letter}_build={build}\n{letter}_blocks={blocks}\n{letter}_root={root}\n"
                );
            }
        }
        let mut block = text.into_bytes();
        block.resize(BLOCK, b'#');
        block
    }

    /// The table in a partition, and where its block begins there, in octets.
    pub fn find(partition: &[u8]) -> Option<(u64, Self)> {
        let mut sectors = (0..).step_by(SECTOR).zip(partition.chunks(SECTOR));
        sectors.find_map(|(place, sector)| Some((place, Self::decode(sector).ok()?)))
    }

    /// The table in a block.
    ///
    /// # Errors
    /// Whatever we would not have written, and GRUB neither.
    pub fn decode(block: &[u8]) -> Result<Self, EnvironmentError> {
        let text = block
            .get(..SECTOR)
            .and_then(|sector| std::str::from_utf8(sector).ok());
        let text = text.and_then(|text| text.strip_prefix(HEADER));
        let lines = text.ok_or(EnvironmentError::NoBlock)?.lines();
        let variables: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
        let good = variables.get("good").and_then(|letter| Slot::named(letter));
        let trial = variables
            .get("trial")
            .copied()
            .filter(|letter| !letter.is_empty());
        let tries = match trial {
            Some(_) => Some(number(&variables, "tries").ok_or(EnvironmentError::Variable("tries"))?),
            None => None,
        };
        Ok(Self {
            good: good.ok_or(EnvironmentError::Variable("good"))?,
            tries,
            a: content(&variables, Slot::A),
            b: content(&variables, Slot::B),
        })
    }
}

fn number<N: std::str::FromStr>(variables: &BTreeMap<&str, &str>, name: &str) -> Option<N> {
    variables.get(name)?.parse().ok()
}

fn content(variables: &BTreeMap<&str, &str>, slot: Slot) -> Option<Content> {
    let name = |what: &str| format!("{}_{what}", slot.letter());
    let version = *variables.get(name("version").as_str())?;
    Some(Content {
        version: version.to_owned(),
        build: number(variables, &name("build"))?,
        blocks: number(variables, &name("blocks"))?,
        root: Root(hexadecimal::decode(variables.get(name("root").as_str())?)?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents() -> impl Strategy<Value = Option<Content>> {
        let one = (
            "[a-zA-Z0-9.+~-]{1,32}",
            any::<u64>(),
            any::<u64>(),
            any::<[u8; 32]>(),
        );
        prop::option::of(one.prop_map(|(version, build, blocks, root)| Content {
            version,
            build,
            blocks,
            root: Root(root),
        }))
    }

    proptest! {
        /// It comes back as it was, and all of it is in the sector that a disk writes in one go.
        #[test]
        fn a_table_survives(good: bool, tries in prop::option::of(0_u8..=2), a in contents(), b in contents()) {
            let good = if good { Slot::A } else { Slot::B };
            let table = Table { good, tries, a, b };
            let block = table.encode();
            prop_assert_eq!(block.len(), BLOCK);
            prop_assert!(block.iter().skip(SECTOR).all(|octet| *octet == b'#'));
            prop_assert_eq!(Table::decode(&block), Ok(table));
        }

        #[test]
        fn other_octets_are_no_table(octets in prop::collection::vec(any::<u8>(), 0..BLOCK)) {
            prop_assert!(Table::decode(&octets).is_err());
        }
    }
}
