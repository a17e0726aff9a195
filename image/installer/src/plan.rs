//! What is written where, in which order.

use image_slots::{SECTOR, Slot, Transition};

use crate::disk::Kept;
use crate::gpt::{Gpt, HEAD, TAIL};
use crate::material::Material;

/// Octets of the first sector that hold code of the boot loader.
const CODE: usize = 440;

/// Something to write. All of it is read back before what is behind the next [`Write::Settle`] is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// So many zeros from there on.
    Zeros(u64, u64),
    /// These octets from there on.
    Octets(u64, Vec<u8>),
    /// The system from there on.
    System(u64),
    /// All so far is on the disk, and was read back.
    Settle,
}

/// A whole disk of so many octets. Its table of partitions goes first and comes last: a disk that is half written does not start.
pub(crate) fn whole(material: &Material, octets: u64) -> Vec<Write> {
    let sectors = octets / 512;
    let tail = (sectors - u64::try_from(TAIL).unwrap_or_default()) * 512;
    let (head, copy) = material.gpt.grown(sectors).encode(sectors);
    let length = |octets: &[u8]| u64::try_from(octets.len()).unwrap_or_default();
    let mut writes = vec![
        Write::Zeros(0, length(&head)),
        Write::Zeros(tail, length(&copy)),
        Write::Settle,
    ];
    for name in ["bios", "environment", "esp", "state"] {
        writes.extend(partition(material, name));
    }
    writes.extend(system(&material.gpt, Slot::A));
    writes.extend([
        Write::Settle,
        Write::Octets(tail, copy),
        Write::Octets(0, head),
        Write::Settle,
    ]);
    writes
}

/// The system beside the one that is there, which goes on to be what starts until all of the new one was read back.
pub(crate) fn beside(material: &Material, kept: &Kept) -> Vec<Write> {
    let sector = |table: &image_slots::Table| table.encode().into_iter().take(SECTOR).collect();
    let cleared = kept.table.after(Transition::Writing);
    let content = material.manifest.content.clone();
    let switched = cleared
        .after(Transition::Written(content))
        .after(Transition::Good(kept.slot()));
    let mut writes = vec![Write::Octets(kept.place, sector(&cleared)), Write::Settle];
    writes.extend(system(&material.gpt, kept.slot()));
    writes.push(Write::Settle);
    writes.extend(partition(material, "bios"));
    writes.extend(partition(material, "esp"));
    let code = material.piece(0).iter().take(CODE).copied().collect();
    writes.push(Write::Octets(0, code));
    writes.extend([
        Write::Settle,
        Write::Octets(kept.place, sector(&switched)),
        Write::Settle,
    ]);
    writes
}

/// All of a partition as the image has it.
fn partition(material: &Material, name: &str) -> Vec<Write> {
    let Some(partition) = material.gpt.named(name) else {
        return Vec::new();
    };
    let (start, end) = (partition.start(), partition.start() + partition.size());
    let (mut writes, mut at) = (Vec::new(), start);
    for (place, octets) in material.pieces.range(start..end) {
        writes.push(Write::Zeros(at, place - at));
        writes.push(Write::Octets(*place, octets.clone()));
        at = place + u64::try_from(octets.len()).unwrap_or_default();
    }
    writes.push(Write::Zeros(at, end.saturating_sub(at)));
    writes
}

fn system(gpt: &Gpt, slot: Slot) -> Option<Write> {
    let partition = gpt.named(&format!("slot-{}", slot.letter()))?;
    Some(Write::System(partition.start()))
}

/// Octets that a disk has at least: those of the image.
pub(crate) fn needed(material: &Material) -> u64 {
    let head = u64::try_from(HEAD).unwrap_or_default() * 512;
    let partitions = material.gpt.partitions();
    let end = partitions
        .iter()
        .map(|partition| partition.start() + partition.size())
        .max();
    (end.unwrap_or_default() + head).next_multiple_of(1 << 20)
}

#[cfg(test)]
mod tests {
    use image_slots::Table;

    use super::*;
    use crate::material::tests::{content, material};

    const MIB: u64 = 1 << 20;

    /// What a disk has after all of it, or after all before the write with this number.
    fn written(disk: &mut [u8], writes: &[Write]) {
        for write in writes {
            let (at, octets) = match write {
                Write::Zeros(at, length) => (*at, vec![0; usize::try_from(*length).unwrap()]),
                Write::Octets(at, octets) => (*at, octets.clone()),
                Write::System(at) => (*at, vec![0x55; 8192]),
                Write::Settle => continue,
            };
            let at = usize::try_from(at).unwrap();
            disk[at..at + octets.len()].copy_from_slice(&octets);
        }
    }

    fn slots(disk: &[u8]) -> Table {
        Table::find(&disk[2 << 20..3 << 20]).unwrap().1
    }

    /// Cut off anywhere, it is no disk that starts; at its end, nothing of what was there before is left in what is read.
    #[test]
    fn a_whole_disk_starts_only_once_all_of_it_is_there() {
        let writes = whole(&material(), 64 * MIB);
        for cut in 2..writes.len() - 2 {
            let mut disk = vec![0xee; 64 << 20];
            written(&mut disk, &writes[..cut]);
            assert_eq!(Gpt::decode(&disk[..HEAD * SECTOR]), None, "{cut}");
            assert_eq!(disk[510], 0, "{cut}");
        }
        let mut disk = vec![0xee; 64 << 20];
        written(&mut disk, &writes);
        let gpt = Gpt::decode(&disk[..HEAD * SECTOR]).unwrap();
        assert_eq!(gpt.named("state").unwrap().last, 64 * 2048 - 2048 - 1);
        assert_eq!(disk[1 << 20..(1 << 20) + 700], [1; 700]);
        assert!(disk[(1 << 20) + 700..2 << 20].iter().all(|octet| *octet == 0));
        assert_eq!(disk[5 << 20], 0x55);
    }

    /// Cut off anywhere, the system before is what starts, and its state is never touched.
    #[test]
    fn a_system_beside_another_counts_only_once_all_of_it_is_there() {
        let table = Table {
            good: Slot::B,
            tries: None,
            a: Some(content(8)),
            b: Some(content(9)),
        };
        let kept = Kept {
            table: table.clone(),
            place: 2 * MIB,
            runs: content(9),
        };
        let writes = beside(&material(), &kept);
        let before = || {
            let mut disk = vec![0xee; 64 << 20];
            disk[2 << 20..(2 << 20) + 1024].copy_from_slice(&table.encode());
            disk
        };
        for cut in 1..writes.len() - 2 {
            let mut disk = before();
            written(&mut disk, &writes[..cut]);
            let found = slots(&disk);
            assert_eq!(
                (found.good, found.a, found.b),
                (Slot::B, None, Some(content(9))),
                "{cut}"
            );
        }
        let mut disk = before();
        written(&mut disk, &writes);
        let found = slots(&disk);
        assert_eq!(
            (found.good, found.tries, found.a),
            (Slot::A, None, Some(content(10)))
        );
        let state = material().gpt.named("state").unwrap();
        let state = usize::try_from(state.start()).unwrap();
        assert!(disk[state..].iter().all(|octet| *octet == 0xee));
        assert!(disk[440..512].iter().all(|octet| *octet == 0xee));
    }
}
