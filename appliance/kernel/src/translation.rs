//! The nftables table that translates addresses, replaced whole.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use appliance_nat::{Counted, Numbers, Program};

use crate::mark;
use crate::tracking::Marked;

/// How the name of the chain begins that says which program the table holds.
const DIGEST: &str = "program_";
/// The half of a flow's mark that says by which binding its destination was translated, and the one for its source.
const HALVES: [(u32, u32); 2] = [(0x0000_ffff, 0), (0xffff_0000, 16)];

/// What the table does. Two are the same if they come from one program.
#[derive(Clone)]
pub struct Translation {
    /// `None` if it was found at start.
    program: Option<Arc<Program>>,
    numbers: Numbers,
    digest: String,
    /// The script that makes it where there is no table.
    script: Option<Arc<str>>,
}

impl PartialEq for Translation {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translation")
            .field("digest", &self.digest)
            .field("bindings", &self.numbers.bindings.len())
            .finish_non_exhaustive()
    }
}

impl Translation {
    /// What a program does.
    pub fn of(program: Program) -> Self {
        let script = program.script(&BTreeMap::new());
        let digest = format!("{:016x}", fnv1a(script.bytes()));
        let creation = format!("create table inet {}\n", mark::TRANSLATION_TABLE);
        Self {
            numbers: program.numbers().clone(),
            program: Some(Arc::new(program)),
            script: Some(signed(creation + &script, &digest).into()),
            digest,
        }
    }

    /// The numbers that its bindings and sites have.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// The program, unless it is one that was found at start.
    pub fn program(&self) -> Option<&Arc<Program>> {
        self.program.as_ref()
    }

    /// The script for `nft -f -` that makes the table where there is none. It removes nothing, so the kernel has nothing to wait for.
    pub(crate) fn creation(&self) -> Option<Arc<str>> {
        self.script.clone()
    }

    /// The script that replaces the table, if there is one, in one transaction, with counters that go on from here.
    pub(crate) fn replacement(&self, counters: &BTreeMap<String, Counted>) -> Option<String> {
        let script = self.program.as_ref()?.script(counters);
        Some(signed(Self::removal() + &script, &self.digest))
    }

    /// The script that makes this of what was there before, by what differs, in one transaction; `None` if that is not known, or
    /// not less work.
    pub(crate) fn change(&self, before: &Self) -> Option<String> {
        let mut script = self.program.as_ref()?.change(before.program.as_ref()?)?;
        let table = mark::TRANSLATION_TABLE;
        for (word, digest) in [("delete", &before.digest), ("add", &self.digest)] {
            let _ = writeln!(script, "{word} chain inet {table} {DIGEST}{digest}");
        }
        Some(script)
    }

    /// The script that removes the table, whether it is there or not.
    pub(crate) fn removal() -> String {
        let table = mark::TRANSLATION_TABLE;
        format!("table inet {table} {{}}\ndelete table inet {table}\n")
    }

    /// Reads what `nft list table` prints of our table. One of another version is not known again.
    pub(crate) fn from_listing(listing: &str) -> Self {
        Self {
            program: None,
            numbers: Numbers::from_listing(listing).unwrap_or_default(),
            digest: digest_in(listing, DIGEST),
            script: None,
        }
    }

    /// The flows of bindings that are there no longer once this is replaced by another.
    pub(crate) fn outdated(&self, after: Option<&Self>) -> Vec<Marked> {
        let stays = |binding| after.is_some_and(|after| after.numbers.bindings.contains_key(binding));
        let gone = self
            .numbers
            .bindings
            .iter()
            .filter(|(binding, _)| !stays(*binding));
        gone.flat_map(|(_, number)| {
            HALVES.map(|(mask, shift)| Marked {
                value: u32::from(*number) << shift,
                mask,
            })
        })
        .collect()
    }
}

/// The digest that a listing of a table has in the name of a chain, behind this; nothing where there is none.
pub(crate) fn digest_in(listing: &str, before: &str) -> String {
    let digest = listing.lines().find_map(|line| {
        let name = line.trim().strip_prefix("chain ")?.strip_suffix(" {")?;
        name.strip_prefix(before)
    });
    digest.unwrap_or_default().to_owned()
}

/// With the chain by whose name the program is known again.
fn signed(mut script: String, digest: &str) -> String {
    let table = mark::TRANSLATION_TABLE;
    let _ = writeln!(script, "add chain inet {table} {DIGEST}{digest}");
    script
}

/// FNV-1a: must not change between versions, which the standard library's hash may.
pub(crate) fn fnv1a(octets: impl Iterator<Item = u8>) -> u64 {
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}
