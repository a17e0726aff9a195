use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;

/// IP protocol numbers that are looked into.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// The length of the shortest IPv4 header, and of the IPv6 header.
pub(crate) const IPV4_HEADER: usize = 20;
pub(crate) const IPV6_HEADER: usize = 40;

/// Extension headers that are walked over; more make the ports opaque.
const EXTENSIONS: usize = 8;

/// What selectors look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    /// Source and destination port, or ICMP type and code in both; `None` where they cannot be seen, as in
    /// fragments after the first.
    pub(crate) ports: Option<(u16, u16)>,
}

/// The length of the IP packet at the start of these octets, if all of it is there.
pub(crate) fn total_len(octets: &[u8]) -> Option<usize> {
    let len = match octets {
        [first, _, a, b, ..] if first >> 4 == 4 => {
            let header = usize::from(first & 0xf) * 4;
            let len = usize::from(u16::from_be_bytes([*a, *b]));
            (header >= IPV4_HEADER && len >= header).then_some(len)?
        }
        [first, _, _, _, a, b, ..] if first >> 4 == 6 => {
            IPV6_HEADER + usize::from(u16::from_be_bytes([*a, *b]))
        }
        _ => return None,
    };
    (len <= octets.len()).then_some(len)
}

/// The traffic class: DSCP and ECN.
pub(crate) fn traffic_class(packet: &[u8]) -> u8 {
    match packet {
        [first, class, ..] if first >> 4 == 4 => *class,
        [first, second, ..] => (first << 4) | (second >> 4),
        [] | [_] => 0,
    }
}

/// The ECN field of an IP header (RFC 3168 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ecn {
    NotEct = 0,
    Ect1 = 1,
    Ect0 = 2,
    Ce = 3,
}

impl Ecn {
    /// That of a traffic class.
    pub(crate) fn of(class: u8) -> Self {
        match (class & 2 != 0, class & 1 != 0) {
            (false, false) => Self::NotEct,
            (false, true) => Self::Ect1,
            (true, false) => Self::Ect0,
            (true, true) => Self::Ce,
        }
    }

    /// What becomes of that of an inner header that arrives under this outer one; `None` when the packet is to be
    /// dropped, since its sender cannot be told of congestion (RFC 6040 §4.2).
    fn inner(self, inner: Self) -> Option<Self> {
        match (inner, self) {
            (Self::NotEct, Self::Ce) => None,
            (Self::Ect0 | Self::Ect1, Self::Ce) => Some(Self::Ce),
            (Self::Ect0, Self::Ect1) => Some(Self::Ect1),
            (inner, Self::NotEct | Self::Ect0 | Self::Ect1 | Self::Ce) => Some(inner),
        }
    }
}

/// Carries the ECN field of the outer header over to an IPv4 or IPv6 packet (RFC 6040 §4.2); false when it is to be
/// dropped.
pub(crate) fn carry_ecn(packet: &mut [u8], outer: Ecn) -> bool {
    let before = Ecn::of(traffic_class(packet));
    let Some(ecn) = outer.inner(before) else {
        return false;
    };
    match packet {
        _ if ecn == before => {}
        [first, class, ..] if *first >> 4 == 4 => {
            *class = *class & !3 | ecn as u8;
            set_ipv4_checksum(packet);
        }
        [_, second, ..] => *second = *second & !0x30 | (ecn as u8) << 4,
        [] | [_] => {}
    }
    true
}

/// Computes the checksum of an IPv4 header anew.
pub(crate) fn set_ipv4_checksum(packet: &mut [u8]) {
    let len = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    if let Some(header) = packet.get_mut(..len) {
        if let Some(field) = header.get_mut(10..12) {
            field.fill(0);
        }
        let checksum = Sum::default().add(header).complement();
        if let Some(field) = header.get_mut(10..12) {
            field.copy_from_slice(&checksum);
        }
    }
}

/// The addresses of a packet as octets, source and destination in one.
pub(crate) fn addresses(packet: &[u8]) -> Option<&[u8]> {
    match packet.first()? >> 4 {
        4 => packet.get(12..IPV4_HEADER),
        6 => packet.get(8..IPV6_HEADER),
        _ => None,
    }
}

/// The sum over addresses, protocol and length that TCP and UDP checksums begin with (RFC 9293 §3.1).
pub(crate) fn pseudo_header(addresses: &[u8], protocol: u8, len: usize) -> Sum {
    Sum::default()
        .add(addresses)
        .add_u16(u16::from(protocol))
        .add_u16(u16::try_from(len).unwrap_or(u16::MAX))
}

/// What selectors need to know of a packet; `None` when it is not one.
pub(crate) fn describe(packet: &[u8]) -> Option<Described> {
    match packet.first()? >> 4 {
        4 => describe_v4(packet),
        6 => describe_v6(packet),
        _ => None,
    }
}

fn describe_v4(packet: &[u8]) -> Option<Described> {
    let (header, _) = packet.split_first_chunk::<IPV4_HEADER>()?;
    let &[
        first,
        _,
        _,
        _,
        _,
        _,
        flags,
        offset,
        _,
        protocol,
        _,
        _,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ] = header;
    let later_fragment = flags & 0x1f != 0 || offset != 0;
    let transport = packet.get(usize::from(first & 0xf) * 4..);
    Some(Described {
        source: Ipv4Addr::new(a, b, c, d).into(),
        destination: Ipv4Addr::new(e, f, g, h).into(),
        protocol,
        ports: transport
            .filter(|_| !later_fragment)
            .and_then(|transport| ports(protocol, transport)),
    })
}

fn describe_v6(packet: &[u8]) -> Option<Described> {
    let (header, mut rest) = packet.split_first_chunk::<IPV6_HEADER>()?;
    let &[_, _, _, _, _, _, mut protocol, _, addresses @ ..] = header;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let destination = destination.first_chunk::<16>()?;
    let mut visible = true;
    for _ in 0..EXTENSIONS {
        // Hop-by-hop, routing and destination options; fragment (RFC 8200 §4).
        let len = match (protocol, rest) {
            (0 | 43 | 60, [_, units, ..]) => usize::from(*units) * 8 + 8,
            (44, [_, _, high, low, ..]) => {
                visible &= *high == 0 && low & 0xf8 == 0;
                8
            }
            _ => break,
        };
        protocol = *rest.first()?;
        rest = rest.get(len..).unwrap_or_default();
    }
    Some(Described {
        source: Ipv6Addr::from(*source).into(),
        destination: Ipv6Addr::from(*destination).into(),
        protocol,
        ports: if visible { ports(protocol, rest) } else { None },
    })
}

fn ports(protocol: u8, transport: &[u8]) -> Option<(u16, u16)> {
    match (protocol, transport) {
        (TCP | UDP | SCTP, [a, b, c, d, ..]) => {
            Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
        }
        (ICMP | ICMPV6, [kind, code, ..]) => {
            let both = u16::from_be_bytes([*kind, *code]);
            Some((both, both))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    /// The table of RFC 6040 §4.2, inner ECN by outer ECN (0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE); 4 is dropped.
    const DECAPSULATED: [[u8; 4]; 4] = [[0, 0, 0, 4], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]];

    /// The DSCP stays, and the header checksum is right.
    #[test]
    fn ecn_is_carried_over_as_the_standard_has_it() {
        for (inner, outer, expected) in
            (0..16).map(|case| (case / 4, case % 4, DECAPSULATED[case / 4][case % 4]))
        {
            let (inner, outer) = (
                u8::try_from(inner).unwrap(),
                Ecn::of(u8::try_from(outer).unwrap()),
            );
            let mut v4 = hex!("4500001c000040003f11000a0a01000a0a02000a").to_vec();
            v4[1] = 0xb8 | inner;
            set_ipv4_checksum(&mut v4);
            let mut v6 = hex!("6b80000000003b40").to_vec();
            v6[1] |= inner << 4;
            assert_eq!(traffic_class(&v6), 0xb8 | inner);
            for packet in [&mut v4, &mut v6] {
                assert_eq!(carry_ecn(packet, outer), expected != 4, "{inner} in {outer:?}");
                if expected != 4 {
                    assert_eq!(traffic_class(packet), 0xb8 | expected, "{inner} in {outer:?}");
                }
            }
            assert!(Sum::default().add(&v4).is_intact());
        }
    }

    #[test]
    fn ports_are_found_behind_extension_headers() {
        let mut packet = hex!("60000000001c003f").to_vec();
        packet.extend([0xfd; 32]);
        packet.extend(hex!("2c00010400000000 1100000000000007 9c40003500080000"));
        let described = describe(&packet).unwrap();
        assert_eq!((described.protocol, described.ports), (UDP, Some((40_000, 53))));
        packet[50..52].copy_from_slice(&[0x00, 0x08]);
        assert_eq!(describe(&packet).unwrap().ports, None, "not in a later fragment");
    }

    proptest! {
        #[test]
        fn describes_anything(mut octets in proptest::collection::vec(any::<u8>(), 0..120), version in 4u8..7, outer in 0u8..4) {
            if let Some(first) = octets.first_mut() {
                *first = version << 4 | (*first & 0xf);
            }
            let _ = describe(&octets);
            prop_assert!(total_len(&octets).is_none_or(|len| len <= octets.len()));
            carry_ecn(&mut octets, Ecn::of(outer));
        }
    }
}
