//! What the disks of the machine are, and what is on them.

use image_slots::{Content, Slot, Table};

use crate::gpt::{Gpt, HEAD, SECTOR};
use crate::material::Material;

/// A disk that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Its name in `/dev`.
    pub(crate) name: String,
    pub(crate) octets: u64,
    pub(crate) model: String,
    pub(crate) serial: String,
    /// Octets of its smallest piece.
    pub(crate) sector: usize,
    pub(crate) found: Found,
}

/// What is on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Empty,
    /// Something without a table of partitions.
    Data,
    /// Partitions of others.
    Partitions,
    /// A Causeway of this version, whose configuration can be kept, or not for this reason.
    Causeway(String, Result<Box<Kept>, NotKept>),
}

/// An installed Causeway, as much as is needed to put another system beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) table: Table,
    /// Where the slot table is, in octets of the disk.
    pub(crate) place: u64,
    /// What its configuration belongs to.
    pub(crate) runs: Content,
}

impl Kept {
    /// The slot that gets the new system.
    pub(crate) fn slot(&self) -> Slot {
        self.table.good.other()
    }
}

/// Why a configuration cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// Its partitions are at other places.
    Layout,
    /// It cannot be told what ran.
    Table,
    /// What ran is newer than what is on the stick, which may not read its state.
    Newer,
}

impl NotKept {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Layout => "its partitions are at other places than those of this version",
            Self::Table => "its slot table cannot be read",
            Self::Newer => "it is newer than what is on this stick, which may not read it",
        }
    }
}

/// Why a disk cannot be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has fewer octets than are needed.
    Small(u64),
    /// Its sectors are of another length than the image is laid out for.
    Sectors(usize),
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Small(needed) => write!(f, "too small: {} are needed", size(*needed)),
            Self::Sectors(octets) => write!(
                f,
                "its sectors have {octets} octets, and only those of 512 are supported"
            ),
        }
    }
}

impl Disk {
    /// Whether it can be written to.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn fits(&self, needed: u64) -> Result<(), Unfit> {
        if self.sector != SECTOR {
            return Err(Unfit::Sectors(self.sector));
        }
        if self.octets < needed {
            return Err(Unfit::Small(needed));
        }
        Ok(())
    }
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9}  {}", size(self.octets), self.name)?;
        if !self.model.is_empty() {
            write!(f, "  {}", self.model)?;
        }
        if !self.serial.is_empty() {
            write!(f, "  serial {}", self.serial)?;
        }
        match &self.found {
            Found::Empty => write!(f, "  empty"),
            Found::Data => write!(f, "  data without partitions"),
            Found::Partitions => write!(f, "  partitions"),
            Found::Causeway(version, _) => write!(f, "  Causeway {version}"),
        }
    }
}

/// A size as disks are sold: in powers of ten.
pub(crate) fn size(octets: u64) -> String {
    let tenths = octets / 100_000_000;
    if tenths < 10 {
        return format!("{} MB", octets / 1_000_000);
    }
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

/// What is on a disk that begins so, and whose partition `environment` is read by the caller.
pub(crate) fn judge(
    head: &[u8],
    environment: impl FnOnce(u64, u64) -> Vec<u8>,
    material: &Material,
) -> Found {
    let Some(gpt) = Gpt::decode(head.get(..HEAD * SECTOR).unwrap_or(head)) else {
        let marked = head.get(510..512) == Some(&[0x55, 0xaa]);
        let empty = head.iter().all(|octet| *octet == 0);
        return match (empty, marked) {
            (true, _) => Found::Empty,
            (false, true) => Found::Partitions,
            (false, false) => Found::Data,
        };
    };
    let ours = ["environment", "slot-a", "slot-b", "state"];
    if !ours.iter().all(|name| gpt.named(name).is_some()) {
        return if gpt.partitions().is_empty() {
            Found::Empty
        } else {
            Found::Partitions
        };
    }
    let Some(place) = gpt.named("environment") else {
        return Found::Partitions;
    };
    let found = Table::find(&environment(place.start(), place.size()));
    let running = found.as_ref().and_then(|(_, table)| table.content(table.good));
    let version = running.map_or_else(String::new, |content| content.version.clone());
    let kept = match (&found, running) {
        _ if !same_places(&gpt, &material.gpt) => Err(NotKept::Layout),
        (Some((at, table)), Some(runs)) => kept(table, place.start() + at, runs, &material.manifest.content),
        (Some(_) | None, _) => Err(NotKept::Table),
    };
    Found::Causeway(version, kept)
}

fn kept(table: &Table, place: u64, runs: &Content, new: &Content) -> Result<Box<Kept>, NotKept> {
    if runs.build > new.build {
        return Err(NotKept::Newer);
    }
    let (table, runs) = (table.clone(), runs.clone());
    Ok(Box::new(Kept { table, place, runs }))
}

/// Whether all partitions begin where ours do, and all but the last end there.
fn same_places(found: &Gpt, ours: &Gpt) -> bool {
    let (found, ours) = (found.partitions(), ours.partitions());
    let last = ours.len().saturating_sub(1);
    found.len() == ours.len()
        && found
            .iter()
            .zip(&ours)
            .enumerate()
            .all(|(number, (found, ours))| {
                found.name == ours.name
                    && found.first == ours.first
                    && (number == last || found.last == ours.last)
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::tests::table;
    use crate::material::tests::{content, material};

    /// A disk with the image's partitions, the last one grown, and this table of slots.
    fn found(slots: &Table) -> Found {
        let (head, _) = material().gpt.grown(1 << 20).encode(1 << 20);
        let environment = [vec![0; 5 * SECTOR], slots.encode()].concat();
        judge(
            &head,
            |start, _| if start == 2 << 20 { environment } else { vec![] },
            &material(),
        )
    }

    fn slots(build: u64) -> Table {
        Table {
            good: Slot::B,
            tries: None,
            a: None,
            b: Some(content(build)),
        }
    }

    #[test]
    fn what_is_on_a_disk_is_told() {
        let judged = |head: &[u8]| judge(head, |_, _| vec![], &material());
        let mut head = vec![0; HEAD * SECTOR];
        assert_eq!(judged(&head), Found::Empty);
        head[3] = 7;
        assert_eq!(judged(&head), Found::Data);
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(judged(&head), Found::Partitions);
        let others = table(&[("EFI", 2048), ("root", 2048)]).encode(1 << 20).0;
        assert_eq!(judged(&others), Found::Partitions);
    }

    #[test]
    fn a_configuration_is_kept_beside_the_slot_that_runs() {
        let Found::Causeway(version, Ok(kept)) = found(&slots(9)) else {
            panic!("{:?}", found(&slots(9)));
        };
        assert_eq!(
            (version.as_str(), kept.slot(), kept.place),
            ("0.1.0+9", Slot::A, (2 << 20) + 5 * 512)
        );
    }

    #[test]
    fn a_configuration_that_this_version_may_not_read_is_not_kept() {
        let not_kept = |found: Found| match found {
            Found::Causeway(_, kept) => kept.unwrap_err(),
            Found::Empty | Found::Data | Found::Partitions => panic!("{found:?}"),
        };
        assert_eq!(not_kept(found(&slots(11))), NotKept::Newer);
        let nothing = Table { b: None, ..slots(9) };
        assert_eq!(not_kept(found(&nothing)), NotKept::Table);
        let names = ["environment", "slot-a", "slot-b", "state"].map(|name| (name, 2048));
        let head = table(&names).encode(1 << 20).0;
        assert_eq!(
            not_kept(judge(&head, |_, _| vec![], &material())),
            NotKept::Layout
        );
    }
}
