//! The table of partitions (UEFI 2.10, section 5.3), as far as the installer reads and writes it.

/// Octets of a sector: the image is laid out for disks whose sectors are this long.
pub(crate) const SECTOR: usize = 512;
/// Sectors of the table at the beginning of a disk: that of the BIOS, the header, 32 of entries.
pub(crate) const HEAD: usize = 34;
/// Sectors of its copy at the end.
pub(crate) const TAIL: usize = HEAD - 1;
const SIGNATURE: &[u8] = b"EFI PART\0\0\x01\0";
const HEADER: usize = 92;
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// A partition ends on a whole MiB, in sectors.
const ALIGNMENT: u64 = 2048;

/// A partition: both sectors belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Partition {
    /// Where it begins, in octets.
    pub(crate) fn start(&self) -> u64 {
        self.first.saturating_mul(512)
    }

    /// How long it is, in octets.
    pub(crate) fn size(&self) -> u64 {
        (self.last.saturating_sub(self.first))
            .saturating_add(1)
            .saturating_mul(512)
    }
}

/// The table of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gpt {
    /// What the BIOS reads: code, and a table of one partition that stands for all.
    first_sector: Vec<u8>,
    disk: [u8; 16],
    entries: Vec<u8>,
}

impl Gpt {
    /// What the first [`HEAD`] sectors say; nothing where they are no such table, or a damaged one.
    pub(crate) fn decode(head: &[u8]) -> Option<Self> {
        let header = head.get(SECTOR..SECTOR + HEADER)?;
        let entries = head.get(2 * SECTOR..HEAD * SECTOR)?;
        let mut unsigned = header.to_vec();
        unsigned.get_mut(16..20)?.fill(0);
        let sound = header.starts_with(SIGNATURE)
            && number(header, 16, 4)? == u64::from(crc32(&unsigned))
            && number(header, 80, 4)? == u64::try_from(ENTRIES).ok()?
            && number(header, 84, 4)? == u64::try_from(ENTRY).ok()?
            && number(header, 88, 4)? == u64::from(crc32(entries));
        sound.then_some(Self {
            first_sector: head.get(..SECTOR)?.to_vec(),
            disk: header.get(56..72)?.try_into().ok()?,
            entries: entries.to_vec(),
        })
    }

    /// The partitions in their order.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        let entries = self.entries.chunks(ENTRY);
        entries
            .filter(|entry| !entry.iter().take(16).all(|octet| *octet == 0))
            .filter_map(partition)
            .collect()
    }

    /// The partition with this name.
    pub(crate) fn named(&self, name: &str) -> Option<Partition> {
        self.partitions()
            .into_iter()
            .find(|partition| partition.name == name)
    }

    /// The same for a disk of so many sectors, with the last partition up to its end.
    pub(crate) fn grown(&self, sectors: u64) -> Self {
        let mut table = self.clone();
        let used = self.partitions().len();
        let end = sectors.saturating_sub(u64::try_from(HEAD).unwrap_or(u64::MAX)) / ALIGNMENT * ALIGNMENT;
        let place = used.saturating_sub(1) * ENTRY + 40;
        put(&mut table.entries, place, &end.saturating_sub(1).to_le_bytes());
        let most = u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX);
        put(&mut table.first_sector, 446 + 12, &most.to_le_bytes());
        table
    }

    /// The first [`HEAD`] sectors and the last [`TAIL`] ones of a disk of so many sectors.
    pub(crate) fn encode(&self, sectors: u64) -> (Vec<u8>, Vec<u8>) {
        let last = sectors.saturating_sub(1);
        let copy = sectors.saturating_sub(u64::try_from(TAIL).unwrap_or(u64::MAX));
        let head = [
            self.first_sector.as_slice(),
            &self.header(sectors, [1, last, 2]),
            &self.entries,
        ];
        let tail = [self.entries.as_slice(), &self.header(sectors, [last, 1, copy])];
        (head.concat(), tail.concat())
    }

    /// A header that is in the first of these sectors, with the other one in the second, and entries from the third on.
    fn header(&self, sectors: u64, [here, there, entries]: [u64; 3]) -> Vec<u8> {
        let usable = sectors.saturating_sub(u64::try_from(HEAD).unwrap_or(u64::MAX));
        let first = u64::try_from(HEAD).unwrap_or(u64::MAX);
        let mut header = [SIGNATURE, &92_u32.to_le_bytes(), &[0; 8]].concat();
        for sector in [here, there, first, usable] {
            header.extend_from_slice(&sector.to_le_bytes());
        }
        header.extend_from_slice(&self.disk);
        header.extend_from_slice(&entries.to_le_bytes());
        for number in [128, 128, crc32(&self.entries)] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32(&header).to_le_bytes();
        put(&mut header, 16, &sum);
        header.resize(SECTOR, 0);
        header
    }
}

fn put(octets: &mut [u8], at: usize, value: &[u8]) {
    for (octet, new) in octets.iter_mut().skip(at).zip(value) {
        *octet = *new;
    }
}

/// A number, least octet first.
fn number(octets: &[u8], at: usize, length: usize) -> Option<u64> {
    let octets = octets.get(at..at + length)?;
    Some(
        octets
            .iter()
            .rev()
            .fold(0, |number, octet| number << 8 | u64::from(*octet)),
    )
}

fn partition(entry: &[u8]) -> Option<Partition> {
    let units: Vec<u16> = entry
        .get(56..)?
        .chunks_exact(2)
        .filter_map(|pair| u16::try_from(number(pair, 0, 2)?).ok())
        .take_while(|unit| *unit != 0)
        .collect();
    Some(Partition {
        name: String::from_utf16_lossy(&units),
        first: number(entry, 32, 8)?,
        last: number(entry, 40, 8)?,
    })
}

/// The check sum of IEEE 802.3, which the table has.
fn crc32(octets: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for octet in octets {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xEDB8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table of partitions, each so many sectors long, from sector 2048 on.
    pub(crate) fn table(partitions: &[(&str, u64)]) -> Gpt {
        let (mut entries, mut first) = (Vec::new(), 2048_u64);
        for (name, sectors) in partitions {
            let last = first + sectors - 1;
            let mut entry = [&[7; 32][..], &first.to_le_bytes(), &last.to_le_bytes(), &[0; 8]].concat();
            entry.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            entry.resize(ENTRY, 0);
            entries.extend(entry);
            first = last + 1;
        }
        entries.resize(ENTRY * ENTRIES, 0);
        Gpt {
            first_sector: vec![0xcd; SECTOR],
            disk: [9; 16],
            entries,
        }
    }

    /// IEEE 802.3: the sum over the digits that every description of it gives.
    #[test]
    fn check_sum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_last_partition_ends_where_the_disk_does() {
        let grown = table(&[("esp", 4096), ("state", 2048)]).grown(1 << 20);
        let (head, tail) = grown.encode(1 << 20);
        assert_eq!((head.len(), tail.len()), (HEAD * SECTOR, TAIL * SECTOR));
        let again = Gpt::decode(&head).unwrap();
        assert_eq!(again, grown);
        let state = again.named("state").unwrap();
        assert_eq!((state.first, state.last), (2048 + 4096, (1 << 20) - 2048 - 1));
        assert!(state.last < (1 << 20) - 34);
        assert_eq!(again.named("esp").unwrap().size(), 4096 * 512);
    }

    #[test]
    fn a_damaged_table_is_none() {
        let (mut head, _) = table(&[("esp", 4096)]).encode(1 << 20);
        for place in [SECTOR, SECTOR + 24, 2 * SECTOR + 40] {
            head[place] ^= 1;
            assert_eq!(Gpt::decode(&head), None, "{place}");
            head[place] ^= 1;
        }
        assert!(Gpt::decode(&head).is_some());
        assert_eq!(Gpt::decode(&head[..9000]), None);
    }
}
