//! A file of packets (pcapng, draft-ietf-opsawg-pcapng), in the order of octets of little-endian machines; pure.

use std::time::Duration;

/// The largest packet that is kept whole, in octets: none is longer as it stands on a link.
pub(super) const LONGEST: usize = 65_536;

/// Blocks (§4), and what each begins with.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const VERSION: [u16; 2] = [1, 0];
/// How long a section is is not known when it begins (§4.1).
const UNKNOWN_LENGTH: u64 = u64::MAX;
/// An IP packet without anything before it, of either version (LINKTYPE_RAW).
const RAW_IP: u16 = 101;

/// Options (§3.5, §4.1 to §4.3).
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const FLAGS: u16 = 2;
const MISSED: u16 = 4;
/// Times are told in nanoseconds: ten to the power of minus nine of a second.
const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// One packet as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    /// The link where it was, by the kernel's index.
    pub(super) link: u32,
    /// When, since 1970.
    pub(super) at: Duration,
    /// It left.
    pub(super) outbound: bool,
    /// What of it is kept.
    pub(super) octets: &'a [u8],
    /// How long it is.
    pub(super) length: usize,
    /// How many before it nobody had the time to take.
    pub(super) missed: u32,
}

/// A file while it is written.
#[derive(Debug)]
pub(super) struct File {
    /// The links that it tells of, in their order.
    links: Vec<u32>,
    octets: Vec<u8>,
    /// So many octets more it may have.
    room: usize,
}

impl File {
    /// The beginning of one of at most so many octets, with a word on what it is.
    pub(super) fn new(comment: &str, most: usize) -> Self {
        let mut body = BYTE_ORDER.to_le_bytes().to_vec();
        VERSION.iter().for_each(|part| body.extend(part.to_le_bytes()));
        body.extend(UNKNOWN_LENGTH.to_le_bytes());
        option(&mut body, COMMENT, comment.as_bytes());
        let application = concat!("causewayd ", env!("CARGO_PKG_VERSION"));
        option(&mut body, APPLICATION, application.as_bytes());
        option(&mut body, 0, &[]);
        let octets = block(SECTION, &body);
        Self {
            links: Vec::new(),
            room: most.saturating_sub(octets.len()),
            octets,
        }
    }

    /// One packet more; `name` says what a link is called that was not told of yet. False if it has no room.
    pub(super) fn add(&mut self, packet: &Packet, name: impl FnOnce(u32) -> String) -> bool {
        let known = self.links.iter().position(|link| *link == packet.link);
        let mut blocks = match known {
            Some(_) => Vec::new(),
            None => interface(&name(packet.link)),
        };
        blocks.extend(enhanced(known.unwrap_or(self.links.len()), packet));
        let Some(room) = self.room.checked_sub(blocks.len()) else {
            return false;
        };
        if known.is_none() {
            self.links.push(packet.link);
        }
        self.room = room;
        self.octets.extend(blocks);
        true
    }

    /// What is still to be written, when no packet comes any more: readers want to know of a link, though none has a packet.
    pub(super) fn end(&mut self) -> Vec<u8> {
        if self.links.is_empty() {
            self.octets.extend(interface("none"));
        }
        self.take()
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets)
    }
}

fn interface(name: &str) -> Vec<u8> {
    let mut body = u32::from(RAW_IP).to_le_bytes().to_vec();
    body.extend(count(LONGEST).to_le_bytes());
    option(&mut body, NAME, name.as_bytes());
    option(&mut body, RESOLUTION, &[NANOSECONDS]);
    option(&mut body, 0, &[]);
    block(INTERFACE, &body)
}

/// An enhanced packet block (§4.3).
fn enhanced(place: usize, packet: &Packet) -> Vec<u8> {
    let at = u64::try_from(packet.at.as_nanos())
        .unwrap_or(u64::MAX)
        .to_le_bytes();
    let (low, high) = at.split_at(4);
    let mut body = count(place).to_le_bytes().to_vec();
    body.extend([high, low].concat());
    body.extend(count(packet.octets.len()).to_le_bytes());
    body.extend(count(packet.length).to_le_bytes());
    body.extend(packet.octets);
    pad(&mut body);
    let direction = if packet.outbound { OUTBOUND } else { INBOUND };
    option(&mut body, FLAGS, &direction.to_le_bytes());
    if packet.missed > 0 {
        option(&mut body, MISSED, &u64::from(packet.missed).to_le_bytes());
    }
    option(&mut body, 0, &[]);
    block(PACKET, &body)
}

/// A block has its length before and behind it (§3.1).
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = count(body.len() + 12).to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(code.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(value.iter().take(length.into()));
    pad(body);
}

/// Everything begins at a multiple of four octets.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A length as the file has it.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks by kind and body, read by their lengths alone.
    fn blocks(mut octets: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut read = Vec::new();
        while !octets.is_empty() {
            let word = |at: usize| u32::from_le_bytes(octets[at..at + 4].try_into().unwrap());
            let (kind, length) = (word(0), word(4) as usize);
            assert_eq!((length % 4, word(length - 4) as usize), (0, length));
            read.push((kind, octets[8..length - 4].to_vec()));
            octets = &octets[length..];
        }
        read
    }

    #[test]
    fn each_link_is_told_of_before_its_first_packet() {
        let mut file = File::new("to-b", 1000);
        let packet = |link, outbound, octets| Packet {
            link,
            at: Duration::new(1, 2),
            outbound,
            octets,
            length: 100,
            missed: 7,
        };
        for (link, octets) in [(3, &[0x45_u8, 1, 2, 3, 4][..]), (9, &[0x60]), (3, &[0x45])] {
            assert!(file.add(&packet(link, link == 9, octets), |link| format!("link{link}")));
        }
        assert!(
            !file.add(&packet(3, false, &[0x45; 900]), |_| String::new()),
            "it is full"
        );
        let octets = file.take();
        assert!(file.octets.is_empty());
        let blocks = blocks(&octets);
        let kinds: Vec<_> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, PACKET, INTERFACE, PACKET, PACKET]);
        assert_eq!(blocks[0].1[..4], [0x4d, 0x3c, 0x2b, 0x1a]);
        assert_eq!(blocks[1].1[..8], [101, 0, 0, 0, 0, 0, 1, 0]);
        assert!(blocks[3].1.windows(5).any(|octets| octets == b"link9"));
        let first = [
            &[0, 0, 0, 0][..],
            &[0, 0, 0, 0, 0x02, 0xca, 0x9a, 0x3b],
            &[5, 0, 0, 0, 100, 0, 0, 0],
            &[0x45, 1, 2, 3, 4, 0, 0, 0],
            &[2, 0, 4, 0, 1, 0, 0, 0],
            &[4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 0],
        ];
        assert_eq!(blocks[2].1, first.concat());
        let (second, third) = (&blocks[4].1, &blocks[5].1);
        assert_eq!((second[0], third[0]), (1, 0));
        assert_eq!(second[24..32], [2, 0, 4, 0, 2, 0, 0, 0]);
    }
}
