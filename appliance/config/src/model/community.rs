use std::net::Ipv4Addr;

use crate::Reason;
use crate::reader::{Value, shown};

/// What a route is marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Community {
    /// RFC 1997: four octets.
    Standard(u32),
    /// RFC 8092: three numbers of four octets.
    Large(u32, u32, u32),
    /// RFC 4360: eight octets.
    Extended([u8; 8]),
}

/// Communities that have a name (RFC 1997, RFC 7999, RFC 8326).
const WELL_KNOWN: &[(&str, u32)] = &[
    ("no-export", 0xFFFF_FF01),
    ("no-advertise", 0xFFFF_FF02),
    ("no-export-subconfed", 0xFFFF_FF03),
    ("blackhole", 0xFFFF_029A),
    ("graceful-shutdown", 0xFFFF_0000),
];

impl Community {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let found = Self::parse(text);
        if found.is_none() {
            let detail = format!(
                "\"{}\" is no community: expected 65010:7, 65010:1:2, rt:65010:7, ro:192.0.2.1:7, no-export, \
                 no-advertise, no-export-subconfed, blackhole or graceful-shutdown",
                shown(text)
            );
            value.problem(Reason::InvalidCommunity, detail);
        }
        found
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some((_, number)) = WELL_KNOWN.iter().find(|(word, _)| *word == text) {
            return Some(Self::Standard(*number));
        }
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["rt", administrator, number] => extended(2, administrator, number),
            ["ro", administrator, number] => extended(3, administrator, number),
            [high, low] => {
                let (high, low): (u16, u16) = (number(high)?, number(low)?);
                Some(Self::Standard(u32::from(high) << 16 | u32::from(low)))
            }
            [global, first, second] => Some(Self::Large(number(global)?, number(first)?, number(second)?)),
            _ => None,
        }
    }
}

/// A route target (2) or a route origin (3): of an address (RFC 4360 §3.2), a short number of an autonomous system (§3.1),
/// or a long one (RFC 5668).
fn extended(subtype: u8, administrator: &str, local: &str) -> Option<Community> {
    let octets = |kind: u8, high: [u8; 4]| {
        let [a, b, c, d] = high;
        let [e, f]: [u8; 2] = number::<u16>(local)?.to_be_bytes();
        Some(Community::Extended([kind, subtype, a, b, c, d, e, f]))
    };
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return octets(1, address.octets());
    }
    let asn: u32 = number(administrator)?;
    match u16::try_from(asn) {
        Ok(short) => {
            let ([a, b], [c, d, e, f]) = (short.to_be_bytes(), number::<u32>(local)?.to_be_bytes());
            Some(Community::Extended([0, subtype, a, b, c, d, e, f]))
        }
        Err(_) => octets(2, asn.to_be_bytes()),
    }
}

/// A decimal number, written with digits alone.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_how_it_is_written() {
        for (text, expected) in [
            ("65010:7", Community::Standard(65_010 << 16 | 7)),
            ("no-export", Community::Standard(0xFFFF_FF01)),
            ("blackhole", Community::Standard(0xFFFF_029A)),
            ("4200000000:1:2", Community::Large(4_200_000_000, 1, 2)),
            (
                "rt:65010:70000",
                Community::Extended([0, 2, 0xFD, 0xF2, 0, 1, 0x11, 0x70]),
            ),
            ("ro:70000:7", Community::Extended([2, 3, 0, 1, 0x11, 0x70, 0, 7])),
            ("rt:192.0.2.1:7", Community::Extended([1, 2, 192, 0, 2, 1, 0, 7])),
        ] {
            assert_eq!(Community::parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "7",
            "65536:1",
            "1:65536",
            "1:2:3:4",
            "+1:2",
            "1: 2",
            "rt:70000:70000",
            "rt:1",
            "no_export",
            "x:1:2",
        ] {
            assert_eq!(Community::parse(text), None, "{text}");
        }
    }
}
