use proptest::prelude::*;

use super::*;
use crate::coalesce::{Coalescer, Place};
use crate::virtio;

const V4_ADDRESSES: [u8; 8] = [10, 1, 0, 10, 10, 2, 0, 10];

/// A TCP packet with 12 octets of options and this payload, its checksum unfinished as the kernel hands it over.
fn tcp(v4: bool, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0x14, 0x51];
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 9, 0x80, flags, 0x01, 0xf6, 0, 0, 0, 0]);
    segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    segment.extend(payload);
    let mut packet = ip(v4, TCP, &segment);
    let transport = packet.len() - segment.len();
    let pseudo = packet::pseudo_header(packet::addresses(&packet).unwrap(), TCP, segment.len());
    packet[transport + 16..transport + 18].copy_from_slice(&pseudo.partial());
    packet
}

fn ip(v4: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = if v4 {
        let [high, low] = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        [
            &[0x45, 0x02, high, low, 0xff, 0xfe, 0x40, 0, 63, protocol, 0, 0],
            V4_ADDRESSES.as_slice(),
        ]
        .concat()
    } else {
        let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [
            &[0x60, 0x20, 0, 0, high, low, protocol, 63],
            [0xfd; 32].as_slice(),
        ]
        .concat()
    };
    if v4 {
        packet::set_ipv4_checksum(&mut packet);
    }
    packet.extend(payload);
    packet
}

fn tso(v4: bool, segment_len: u16) -> Header {
    Header {
        needs_checksum: true,
        offload: if v4 { Offload::TcpV4 } else { Offload::TcpV6 },
        segment_len,
        checksum_start: if v4 { 20 } else { 40 },
        checksum_offset: 16,
        ..Header::default()
    }
}

fn cut(header: Header, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    segment(header, &mut packet.to_vec(), |inner| packets.push(inner.to_vec())).unwrap();
    packets
}

/// Both checksums of a packet as a receiver verifies them.
fn is_intact(packet: &[u8], protocol: u8) -> bool {
    let v4 = packet[0] >> 4 == 4;
    let transport = if v4 { 20 } else { 40 };
    let pseudo = packet::pseudo_header(
        packet::addresses(packet).unwrap(),
        protocol,
        packet.len() - transport,
    );
    let network = !v4 || Sum::default().add(&packet[..transport]).is_intact();
    network && pseudo.add(&packet[transport..]).is_intact() && packet::total_len(packet) == Some(packet.len())
}

/// Puts packets through the coalescer: virtio header and packet, as they reach the TUN interface.
fn join(packets: &[Vec<u8>]) -> Vec<(Header, Vec<u8>)> {
    let mut buffers: Vec<Box<[u8]>> = packets
        .iter()
        .map(|packet| packet.clone().into_boxed_slice())
        .collect();
    let mut coalescer = Coalescer::default();
    for (buffer, packet) in packets.iter().enumerate() {
        coalescer.push(
            7,
            Place {
                buffer,
                start: 0,
                len: packet.len(),
            },
            &buffers,
        );
    }
    let mut written = Vec::new();
    coalescer.flush(&mut buffers, |interface, pieces| {
        assert_eq!(interface, 7);
        let (header, pieces) = pieces.split_first().unwrap();
        let header = Header::decode(header[..].try_into().unwrap()).unwrap();
        written.push((header, pieces.iter().flat_map(|piece| piece.to_vec()).collect()));
    });
    written
}

/// RFC 9293 and RFC 3168 §6.1.2: only the last segment ends and pushes, only the first tells of the reduced window.
#[test]
fn flags_stand_where_they_belong() {
    let packets = cut(
        tso(true, 100),
        &tcp(true, ACK | FIN | PSH | CWR, 1_000, &[5; 250]),
    );
    let flags: Vec<u8> = packets.iter().map(|packet| packet[33]).collect();
    assert_eq!(flags, [ACK | CWR, ACK, ACK | FIN | PSH]);
    let sequences: Vec<u32> = packets
        .iter()
        .map(|packet| u32::from_be_bytes(packet[24..28].try_into().unwrap()))
        .collect();
    assert_eq!(sequences, [1_000, 1_100, 1_200]);
    let identifications: Vec<&[u8]> = packets.iter().map(|packet| &packet[4..6]).collect();
    assert_eq!(identifications, [[0xff, 0xfe], [0xff, 0xff], [0, 0]]);
}

#[test]
fn datagrams_are_cut_too() {
    for v4 in [true, false] {
        let mut datagram = vec![0x9c, 0x40, 0, 53, 0, 0, 0, 0];
        datagram.extend([3; 1_000]);
        let header = Header {
            needs_checksum: true,
            offload: Offload::Udp,
            segment_len: 400,
            checksum_start: if v4 { 20 } else { 40 },
            checksum_offset: 6,
            ..Header::default()
        };
        let packets = cut(header, &ip(v4, UDP, &datagram));
        let transport = if v4 { 20 } else { 40 };
        let lens: Vec<&[u8]> = packets
            .iter()
            .map(|packet| &packet[transport + 4..transport + 6])
            .collect();
        assert_eq!(lens, [[1, 152], [1, 152], [0, 208]]);
        assert!(packets.iter().all(|packet| is_intact(packet, UDP)));
    }
}

#[test]
fn an_unfinished_checksum_is_finished() {
    let header = Header {
        offload: Offload::None,
        ..tso(true, 0)
    };
    let [packet] = cut(header, &tcp(true, ACK, 1, b"odd")).try_into().unwrap();
    assert!(is_intact(&packet, TCP));
}

/// What the kernel never sends is refused, not followed.
#[test]
fn a_header_that_does_not_fit_is_refused() {
    let packet = tcp(true, ACK, 1, &[0; 100]);
    let good = tso(true, 50);
    let bad = [
        Header {
            segment_len: 0,
            ..good
        },
        Header {
            checksum_start: 0,
            ..good
        },
        Header {
            checksum_start: 200,
            ..good
        },
        Header {
            checksum_start: 100,
            ..good
        },
        Header {
            offload: Offload::None,
            checksum_start: 500,
            ..good
        },
        Header {
            offload: Offload::None,
            checksum_offset: 500,
            ..good
        },
    ];
    for header in bad {
        assert_eq!(
            segment(header, &mut packet.clone(), |_| {}),
            Err(Malformed),
            "{header:?}"
        );
    }
}

#[test]
fn damaged_and_foreign_packets_pass_untouched() {
    let mut packets = cut(tso(true, 100), &tcp(true, ACK, 1, &[5; 300]));
    packets[1][60] ^= 1;
    packets.insert(1, ip(true, 1, b"\x08\0ping"));
    let written = join(&packets);
    let seen: Vec<Vec<u8>> = written.iter().map(|(_, packet)| packet.clone()).collect();
    assert_eq!(seen, packets, "in order and as they were");
    assert!(
        !written[2].0.checksum_valid,
        "the receiver has to find the damage"
    );
}

#[test]
fn flows_are_kept_apart_and_in_order() {
    let one = cut(tso(true, 100), &tcp(true, ACK, 1, &[1; 200]));
    let mut other = cut(tso(false, 100), &tcp(false, ACK, 1, &[2; 200]));
    let late = other.pop().unwrap();
    let packets = [one[0].clone(), other[0].clone(), one[1].clone(), late];
    let written = join(&packets);
    assert_eq!(written.len(), 2);
    assert_eq!(cut(written[0].0, &written[0].1), one);
    assert_eq!(
        cut(written[1].0, &written[1].1),
        [packets[1].clone(), packets[3].clone()]
    );
    let reversed = join(&[one[1].clone(), one[0].clone()]);
    assert_eq!(reversed.len(), 2, "a gap is not joined over");
}

const ACK: u8 = 0x10;

proptest! {
    /// Segments are what the wire needs, and joined again they are what was cut.
    #[test]
    fn cut_and_join(v4: bool, len in 1usize..40_000, segment_len in 600u16..1_460, push: bool, sequence: u32, fill: u8) {
        let payload: Vec<u8> = (0..251).cycle().take(len).map(|octet: u8| octet ^ fill).collect();
        let large = tcp(v4, if push { ACK | PSH } else { ACK }, sequence, &payload);
        let packets = cut(tso(v4, segment_len), &large);
        prop_assert_eq!(packets.len(), len.div_ceil(usize::from(segment_len)));
        prop_assert!(packets.iter().all(|packet| is_intact(packet, TCP)));
        let written = join(&packets);
        if packets.len() <= 64 {
            prop_assert_eq!(written.len(), 1);
        }
        let again: Vec<Vec<u8>> = written.iter().flat_map(|(header, packet)| cut(*header, packet)).collect();
        prop_assert_eq!(&again, &packets);
        if let [(header, joined)] = written.as_slice() && packets.len() > 1 {
            prop_assert_eq!(joined, &large);
            prop_assert!(header.needs_checksum && header.segment_len == segment_len);
        }
    }

    /// Nothing on the interface and no order of packets brings it down or loses octets.
    #[test]
    fn survives_anything(header: [u8; virtio::LEN], mut packet in proptest::collection::vec(any::<u8>(), 0..300), version in 4u8..7) {
        if let Some(first) = packet.first_mut() {
            *first = version << 4 | 5;
        }
        if let Some(header) = Header::decode(&header) {
            let _ = segment(header, &mut packet.clone(), |_| {});
        }
        let written = join(&[packet.clone(), packet.clone()]);
        prop_assert_eq!(written.iter().map(|(_, packet)| packet.len()).sum::<usize>(), packet.len() * 2);
    }
}
