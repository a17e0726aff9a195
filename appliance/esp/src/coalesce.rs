use std::io::IoSlice;

use crate::checksum::Sum;
use crate::packet::{self, IPV4_HEADER, IPV6_HEADER, TCP};
use crate::virtio::{Header, Offload};

/// Segments in one large packet; with its headers it must fit the system's vectors.
const PIECES: usize = 64;
/// How many packets back a flow is looked for.
const LOOK_BACK: usize = 8;
/// The largest IP packet.
const LARGEST: usize = 65_535;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const TCP_HEADER: usize = 20;

/// Joins TCP segments of one flow, as they come out of the tunnel, into the large packets that the TUN interface
/// takes. Packets of one flow leave in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    groups: Vec<Group>,
    pieces: Vec<Piece>,
}

/// Where octets lie in the receive buffers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) buffer: usize,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// The payload of one segment, and which one follows.
#[derive(Debug)]
struct Piece {
    place: Place,
    next: Option<usize>,
}

/// A packet to be written, of one or more segments.
#[derive(Debug)]
struct Group {
    interface: u64,
    /// Headers of the first segment, or all of a packet that takes no others.
    head: Place,
    first: Option<usize>,
    last: Option<usize>,
    segments: usize,
    /// What a segment must be to follow; `None` once none may.
    tcp: Option<Open>,
    /// The checksum of everything in it was found right.
    verified: Option<Tcp>,
}

/// What the next segment has to continue.
#[derive(Debug, Clone, Copy)]
struct Open {
    next_sequence: u32,
    total: usize,
}

/// A TCP segment that may be joined with others.
#[derive(Debug, Clone, Copy)]
struct Tcp {
    transport: usize,
    headers: usize,
    payload: usize,
    sequence: u32,
    push: bool,
}

impl Coalescer {
    /// Takes the inner packet that lies at `place`.
    pub(crate) fn push(&mut self, interface: u64, place: Place, buffers: &[Box<[u8]>]) {
        let bytes = octets(buffers, place);
        let Some(tcp) = Tcp::of(bytes) else {
            self.groups.push(Group::whole(interface, place));
            return;
        };
        let piece = Piece {
            place: Place {
                start: place.start + tcp.headers,
                len: tcp.payload,
                ..place
            },
            next: None,
        };
        let index = self.pieces.len();
        let same = |group: &&mut Group| group.interface == interface && group.is_flow(bytes, &tcp, buffers);
        if let Some(group) = self.groups.iter_mut().rev().take(LOOK_BACK).find(same) {
            if group.takes(bytes, &tcp, buffers) {
                let last = group.last.and_then(|last| self.pieces.get_mut(last));
                if let Some(last) = last {
                    last.next = Some(index);
                }
                group.append(index, &tcp);
                self.pieces.push(piece);
                return;
            }
            group.tcp = None;
        }
        self.pieces.push(piece);
        self.groups.push(Group::start(interface, place, index, tcp));
    }

    /// Writes all that was taken, in order, and forgets it.
    pub(crate) fn flush(&mut self, buffers: &mut [Box<[u8]>], mut write: impl FnMut(u64, &[IoSlice<'_>])) {
        for group in &self.groups {
            let payload = self.pieces_of(group).map(|piece| piece.place.len).sum::<usize>();
            let header = group.finish(payload, buffers).encode();
            let mut vector = [IoSlice::new(&[]); PIECES + 2];
            let pieces = self.pieces_of(group).map(|piece| octets(buffers, piece.place));
            let all = [header.as_slice(), octets(buffers, group.head)]
                .into_iter()
                .chain(pieces);
            let mut filled = 0;
            for (slot, octets) in vector.iter_mut().zip(all) {
                *slot = IoSlice::new(octets);
                filled += 1;
            }
            write(group.interface, vector.get(..filled).unwrap_or_default());
        }
        self.groups.clear();
        self.pieces.clear();
    }

    fn pieces_of(&self, group: &Group) -> impl Iterator<Item = &Piece> {
        let piece = |index: Option<usize>| index.and_then(|index| self.pieces.get(index));
        std::iter::successors(piece(group.first), move |last| piece(last.next))
    }
}

impl Group {
    /// A packet that stays alone.
    fn whole(interface: u64, place: Place) -> Group {
        Group {
            interface,
            head: place,
            first: None,
            last: None,
            segments: 1,
            tcp: None,
            verified: None,
        }
    }

    fn start(interface: u64, place: Place, index: usize, tcp: Tcp) -> Group {
        let open = Open {
            next_sequence: tcp
                .sequence
                .wrapping_add(u32::try_from(tcp.payload).unwrap_or_default()),
            total: tcp.headers + tcp.payload,
        };
        Group {
            interface,
            head: Place {
                len: tcp.headers,
                ..place
            },
            first: Some(index),
            last: Some(index),
            segments: 1,
            tcp: (!tcp.push).then_some(open),
            verified: Some(tcp),
        }
    }

    /// Whether a segment has the addresses and ports of this group.
    fn is_flow(&self, bytes: &[u8], tcp: &Tcp, buffers: &[Box<[u8]>]) -> bool {
        let head = octets(buffers, self.head);
        self.verified.is_some_and(|own| own.transport == tcp.transport)
            && packet::addresses(head) == packet::addresses(bytes)
            && head.get(tcp.transport..tcp.transport + 4) == bytes.get(tcp.transport..tcp.transport + 4)
    }

    /// Whether a segment of this flow follows directly, with headers that differ only in what a large packet need
    /// not tell.
    fn takes(&self, bytes: &[u8], tcp: &Tcp, buffers: &[Box<[u8]>]) -> bool {
        let (Some(open), Some(own)) = (self.tcp, self.verified) else {
            return false;
        };
        let (head, headers) = (
            octets(buffers, self.head),
            bytes.get(..tcp.headers).unwrap_or_default(),
        );
        open.next_sequence == tcp.sequence
            && tcp.payload <= own.payload
            && tcp.headers == own.headers
            && open.total + tcp.payload <= LARGEST
            && self.segments < PIECES
            && agree(head, headers, tcp.transport)
    }

    fn append(&mut self, index: usize, tcp: &Tcp) {
        self.last = Some(index);
        self.segments += 1;
        if let (Some(open), Some(own)) = (&mut self.tcp, &mut self.verified) {
            open.next_sequence = open
                .next_sequence
                .wrapping_add(u32::try_from(tcp.payload).unwrap_or_default());
            open.total += tcp.payload;
            own.push |= tcp.push;
            if tcp.push || tcp.payload < own.payload {
                self.tcp = None;
            }
        }
    }

    /// Makes the headers say what the whole packet is.
    fn finish(&self, payload: usize, buffers: &mut [Box<[u8]>]) -> Header {
        let Some(tcp) = self.verified else {
            return Header::default();
        };
        if self.segments == 1 {
            return Header {
                checksum_valid: true,
                ..Header::default()
            };
        }
        let total = tcp.headers + payload;
        let Place { buffer, start, len } = self.head;
        let head = buffers
            .get_mut(buffer)
            .and_then(|buffer| buffer.get_mut(start..start + len));
        let head = head.unwrap_or_default();
        let v4 = head.first().is_some_and(|first| first >> 4 == 4);
        let (field, value) = if v4 { (2, total) } else { (4, total - IPV6_HEADER) };
        put(
            head,
            field,
            u16::try_from(value).unwrap_or_default().to_be_bytes(),
        );
        if v4 {
            packet::set_ipv4_checksum(head);
        }
        let pseudo = packet::pseudo_header(
            packet::addresses(head).unwrap_or_default(),
            TCP,
            total - tcp.transport,
        );
        put(head, tcp.transport + 16, pseudo.partial());
        if let Some(flags) = head.get_mut(tcp.transport + 13) {
            *flags |= if tcp.push { PSH } else { 0 };
        }
        let u16_of = |value: usize| u16::try_from(value).unwrap_or_default();
        Header {
            needs_checksum: true,
            checksum_valid: false,
            offload: if v4 { Offload::TcpV4 } else { Offload::TcpV6 },
            header_len: u16_of(tcp.headers),
            segment_len: u16_of(tcp.payload),
            checksum_start: u16_of(tcp.transport),
            checksum_offset: 16,
        }
    }
}

impl Tcp {
    /// A segment with payload, no flag but ACK and PSH, no IP options, not a fragment, and right checksums.
    fn of(bytes: &[u8]) -> Option<Tcp> {
        let transport = match bytes {
            [0x45, _, _, _, _, _, flags, offset, _, TCP, ..] if flags & 0xbf == 0 && *offset == 0 => {
                IPV4_HEADER
            }
            [first, _, _, _, _, _, TCP, ..] if first >> 4 == 6 => IPV6_HEADER,
            _ => return None,
        };
        let segment = bytes.get(transport..)?;
        let header = segment.first_chunk::<TCP_HEADER>()?;
        let &[_, _, _, _, a, b, c, d, _, _, _, _, offset, flags, ..] = header;
        let len = usize::from(offset >> 4) * 4;
        if flags & !PSH != ACK || offset & 0xf != 0 || len < TCP_HEADER || segment.len() <= len {
            return None;
        }
        let pseudo = packet::pseudo_header(packet::addresses(bytes)?, TCP, segment.len());
        let intact = transport == IPV6_HEADER || Sum::default().add(bytes.get(..transport)?).is_intact();
        (intact && pseudo.add(segment).is_intact()).then_some(Tcp {
            transport,
            headers: transport + len,
            payload: segment.len() - len,
            sequence: u32::from_be_bytes([a, b, c, d]),
            push: flags & PSH != 0,
        })
    }
}

/// Whether two segments agree in all that a large packet tells but once: all but lengths, IPv4 identification,
/// checksums, sequence number and flags.
fn agree(one: &[u8], other: &[u8], transport: usize) -> bool {
    let network = if transport == IPV4_HEADER {
        same::<2>(one, other, 0) && same::<4>(one, other, 6)
    } else {
        same::<4>(one, other, 0) && same::<2>(one, other, 6)
    };
    network
        && same::<4>(one, other, transport + 8)
        && same::<1>(one, other, transport + 12)
        && same::<2>(one, other, transport + 14)
        && one.get(transport + 18..) == other.get(transport + 18..)
}

/// Whether both have the same `N` octets at a place.
fn same<const N: usize>(one: &[u8], other: &[u8], at: usize) -> bool {
    let chunk = |octets: &[u8]| octets.get(at..).and_then(|rest| rest.first_chunk::<N>().copied());
    chunk(one).is_some_and(|chunk_of_one| chunk(other) == Some(chunk_of_one))
}

fn octets(buffers: &[Box<[u8]>], place: Place) -> &[u8] {
    let buffer = buffers.get(place.buffer);
    buffer
        .and_then(|buffer| buffer.get(place.start..place.start + place.len))
        .unwrap_or_default()
}

fn put(octets: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(field) = octets.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *field = value;
    }
}
