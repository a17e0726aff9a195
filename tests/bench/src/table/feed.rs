//! UPDATE messages that look like those of a full table: always the same ones.

use std::net::Ipv4Addr;

use anyhow::Result;
use system_tests::lab::random::Random;

/// Of 1,000 prefixes so many have this length, about as in the Internet's table.
const LENGTHS: [(u8, u64); 13] = [
    (24, 604),
    (23, 103),
    (22, 112),
    (21, 48),
    (20, 46),
    (19, 26),
    (18, 14),
    (17, 9),
    (16, 24),
    (15, 5),
    (14, 4),
    (13, 3),
    (12, 2),
];
/// Of 100 paths so many have this number of autonomous systems behind the neighbour.
const PATHS: [(u8, u64); 9] = [
    (1, 6),
    (2, 22),
    (3, 32),
    (4, 20),
    (5, 10),
    (6, 5),
    (7, 3),
    (9, 1),
    (12, 1),
];
/// Of 100 UPDATEs so many bring this number of prefixes: four on average.
const SIZES: [(u8, u64); 7] = [(1, 38), (2, 18), (3, 12), (4, 10), (6, 9), (10, 8), (18, 5)];
/// Of 100 UPDATEs so many have attributes that none had before.
const NEW_SETS: u64 = 60;
/// First octets that no table holds: this network, private ones, loopback, documentation and whatever is near them.
const NOT_USED: [u8; 6] = [10, 127, 169, 172, 192, 198];

/// A table as a list of UPDATEs, without what depends on who announces it.
pub struct Feed {
    sets: Vec<Set>,
    updates: Vec<(usize, Vec<Prefix>)>,
    prefixes: u32,
}

/// Who announces a feed.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    /// Its autonomous system, the first of every path.
    pub asn: u32,
    /// How often it stands there.
    pub times: u8,
    /// Its address, the next hop.
    pub next_hop: Ipv4Addr,
}

/// Attributes that prefixes share.
struct Set {
    origin: u8,
    path: Vec<u32>,
    med: Option<u32>,
    aggregator: Option<u32>,
    communities: Vec<u32>,
    large: Vec<[u32; 3]>,
}

#[derive(Clone, Copy)]
struct Prefix {
    address: u32,
    length: u8,
}

impl Feed {
    /// So many prefixes, each once.
    pub fn new(prefixes: u32) -> Self {
        let mut random = Random::new(4271);
        let mut feed = Self {
            sets: Vec::new(),
            updates: Vec::new(),
            prefixes: 0,
        };
        let mut taken = vec![false; 1 << 25];
        while feed.prefixes < prefixes {
            let set = if feed.sets.is_empty() || random.below(100) < NEW_SETS {
                feed.sets.push(Set::new(&mut random));
                feed.sets.len() - 1
            } else {
                let sets = u64::try_from(feed.sets.len()).unwrap_or_default();
                usize::try_from(random.below(sets)).unwrap_or_default()
            };
            let most = u32::from(pick(&mut random, &SIZES)).min(prefixes - feed.prefixes);
            let block = block(&mut random, most, &mut taken);
            feed.prefixes += u32::try_from(block.len()).unwrap_or_default();
            if !block.is_empty() {
                feed.updates.push((set, block));
            }
        }
        feed
    }

    /// How many prefixes it has.
    pub fn prefixes(&self) -> u32 {
        self.prefixes
    }

    /// How many UPDATEs, and how many of these have attributes that no earlier one had.
    pub fn shape(&self) -> (usize, usize) {
        (self.updates.len(), self.sets.len())
    }

    /// The messages of one who announces it.
    ///
    /// # Errors
    /// When a message would be too long.
    pub fn announced_by(&self, announcer: &Announcer) -> Result<Vec<u8>> {
        let sets: Vec<Vec<u8>> = self
            .sets
            .iter()
            .map(|set| set.encode(announcer))
            .collect::<Result<_>>()?;
        let mut octets = Vec::new();
        for (set, prefixes) in &self.updates {
            let attributes = sets.get(*set).map_or(&[][..], Vec::as_slice);
            let prefixes: Vec<u8> = prefixes.iter().flat_map(|prefix| prefix.encode()).collect();
            octets.extend([0xff; 16]);
            octets.extend(u16::try_from(23 + attributes.len() + prefixes.len())?.to_be_bytes());
            octets.extend([2, 0, 0]);
            octets.extend(u16::try_from(attributes.len())?.to_be_bytes());
            octets.extend(attributes);
            octets.extend(prefixes);
        }
        Ok(octets)
    }
}

impl Set {
    fn new(random: &mut Random) -> Self {
        let mut path: Vec<u32> = (0..pick(random, &PATHS)).map(|_| system(random)).collect();
        let origin = path.last().copied();
        // One path in eight is prepended by its origin.
        if random.below(8) == 0 {
            path.extend(origin.iter().cycle().take(few(random, 4)));
        }
        let neighbour = path.first().copied().unwrap_or_default() & 0xffff;
        let communities = if random.below(100) < 62 { few(random, 8) } else { 0 };
        let large = if random.below(100) < 6 { few(random, 3) } else { 0 };
        let small = |random: &mut Random| u32::try_from(random.of_any_size(12)).unwrap_or_default();
        Self {
            origin: if random.below(100) < 88 { 0 } else { 2 },
            med: (random.below(100) < 20).then(|| small(random)),
            aggregator: (random.below(100) < 8).then_some(origin).flatten(),
            communities: (0..communities)
                .map(|_| (neighbour << 16) | small(random))
                .collect(),
            large: (0..large)
                .map(|_| [neighbour, small(random), small(random)])
                .collect(),
            path,
        }
    }

    /// RFC 4271 §4.3, RFC 1997, RFC 8092; numbers of autonomous systems have four octets (RFC 6793).
    fn encode(&self, announcer: &Announcer) -> Result<Vec<u8>> {
        let mut octets = Vec::new();
        let mut put = |flags: u8, code: u8, value: &[u8]| -> Result<()> {
            octets.extend([flags, code, u8::try_from(value.len())?]);
            octets.extend(value);
            Ok(())
        };
        put(0x40, 1, &[self.origin])?;
        let first = std::iter::repeat_n(announcer.asn, usize::from(announcer.times));
        let path: Vec<u32> = first.chain(self.path.iter().copied()).collect();
        let mut segment = vec![2, u8::try_from(path.len())?];
        segment.extend(path.iter().flat_map(|system| system.to_be_bytes()));
        put(0x40, 2, &segment)?;
        put(0x40, 3, &announcer.next_hop.octets())?;
        if let Some(med) = self.med {
            put(0x80, 4, &med.to_be_bytes())?;
        }
        if let Some(system) = self.aggregator {
            put(0x40, 6, &[])?;
            let [a, b, c, d] = system.to_be_bytes();
            put(0xc0, 7, &[a, b, c, d, 198, 51, 100, 1])?;
        }
        if !self.communities.is_empty() {
            let communities = self.communities.iter();
            let value: Vec<u8> = communities.flat_map(|one| one.to_be_bytes()).collect();
            put(0xc0, 8, &value)?;
        }
        if !self.large.is_empty() {
            let large = self.large.iter().flatten();
            let value: Vec<u8> = large.flat_map(|part| part.to_be_bytes()).collect();
            put(0xc0, 32, &value)?;
        }
        Ok(octets)
    }
}

impl Prefix {
    /// RFC 4271 §4.3: the length, and as many octets as it needs.
    fn encode(self) -> impl Iterator<Item = u8> {
        let octets = usize::from(self.length.div_ceil(8));
        let address = self.address.to_be_bytes().into_iter().take(octets);
        std::iter::once(self.length).chain(address)
    }

    /// Its place among all prefixes no longer than 24.
    fn place(self) -> usize {
        let number = (1_u32 << self.length) | (self.address >> (32 - u32::from(self.length)));
        usize::try_from(number).unwrap_or_default()
    }
}

/// At most so many neighbouring prefixes that were not taken.
fn block(random: &mut Random, most: u32, taken: &mut [bool]) -> Vec<Prefix> {
    let length = pick(random, &LENGTHS);
    let step = 1_u32 << (32 - length);
    let start = loop {
        let address = u32::try_from(random.below(1 << 32)).unwrap_or_default();
        let first = address.to_be_bytes()[0];
        if (1..224).contains(&first) && !NOT_USED.contains(&first) {
            break address & !(step - 1);
        }
    };
    let first = start.to_be_bytes()[0];
    let all = (0..most).map(|number| Prefix {
        address: start.saturating_add(number * step),
        length,
    });
    all.take_while(|prefix| prefix.address.to_be_bytes()[0] == first)
        .filter(|prefix| {
            let place = taken.get_mut(prefix.place());
            place.is_some_and(|place| !std::mem::replace(place, true))
        })
        .collect()
}

/// One of these, as often as it weighs.
fn pick(random: &mut Random, among: &[(u8, u64)]) -> u8 {
    let mut left = random.below(among.iter().map(|(_, weight)| weight).sum());
    for (value, weight) in among {
        if left < *weight {
            return *value;
        }
        left -= weight;
    }
    among.first().map_or(1, |(value, _)| *value)
}

fn few(random: &mut Random, most: u64) -> usize {
    usize::try_from(1 + random.below(most)).unwrap_or(1)
}

/// A public autonomous system; those with low numbers are met far more often.
fn system(random: &mut Random) -> u32 {
    let number = u32::try_from(random.of_any_size(16)).unwrap_or_default();
    if random.below(100) < 30 {
        131_072 + number
    } else {
        100 + number % 63_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The feed is what the measurement says it is.
    #[test]
    fn a_feed_shares_attributes_as_a_full_table_does() {
        let feed = Feed::new(200_000);
        assert_eq!(feed.prefixes(), 200_000);
        let (updates, sets) = feed.shape();
        assert!((45_000..55_000).contains(&updates), "{updates} updates");
        assert!((20_000..40_000).contains(&sets), "{sets} sets");
        let announcer = Announcer {
            asn: 65001,
            times: 1,
            next_hop: Ipv4Addr::new(192, 0, 2, 11),
        };
        let octets = feed.announced_by(&announcer).unwrap();
        assert_eq!(octets, Feed::new(200_000).announced_by(&announcer).unwrap());
        let per_prefix = octets.len() / 200_000;
        assert!((15..40).contains(&per_prefix), "{per_prefix} octets for each");
    }
}
