//! Communities (RFC 1997, RFC 4360, RFC 8092): their names and how they are written.

use std::fmt;

use crate::Community;

/// Not passed on to anybody (RFC 1997).
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// Not passed on to other autonomous systems (RFC 1997).
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// Not passed on to other autonomous systems, nor to others of a confederation (RFC 1997).
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
/// Not passed on to peers of the same rank (RFC 3765).
pub const NO_PEER: u32 = 0xffff_ff04;
/// Less wanted than others, as its sender is about to go away (RFC 8326).
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
/// Everything to it is to be dropped (RFC 7999).
pub const BLACKHOLE: u32 = 0xffff_029a;

/// The well-known ones by name.
const NAMES: [(u32, &str); 6] = [
    (NO_ADVERTISE, "no-advertise"),
    (NO_EXPORT, "no-export"),
    (NO_EXPORT_SUBCONFED, "no-export-subconfed"),
    (NO_PEER, "no-peer"),
    (GRACEFUL_SHUTDOWN, "graceful-shutdown"),
    (BLACKHOLE, "blackhole"),
];

impl Community {
    /// The well-known one with this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, known)| *known == name)?;
        Some(Self::Standard(found.0))
    }
}

/// `no-export`, `65515:20`, `65515:1:2` or, of the extended ones, `target:65515:7`, `origin:10.0.0.1:7` or
/// `0x0123456789abcdef`.
impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(number) => match NAMES.iter().find(|(known, _)| known == number) {
                Some((_, name)) => f.write_str(name),
                None => write!(f, "{}:{}", number >> 16, number & 0xffff),
            },
            Self::Large(global, first, second) => write!(f, "{global}:{first}:{second}"),
            Self::Extended(octets) => extended(*octets, f),
        }
    }
}

/// Route targets and route origins have three forms (RFC 4360 §4, §5; RFC 5668).
fn extended(octets: [u8; 8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [form, kind, a, b, c, d, e, g] = octets;
    let name = match kind {
        2 => "target",
        3 => "origin",
        _ => return write!(f, "{:#018x}", u64::from_be_bytes(octets)),
    };
    match form {
        0 => {
            let number = u32::from_be_bytes([c, d, e, g]);
            write!(f, "{name}:{}:{number}", u16::from_be_bytes([a, b]))
        }
        1 => write!(f, "{name}:{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([e, g])),
        2 => {
            let system = u32::from_be_bytes([a, b, c, d]);
            write!(f, "{name}:{system}:{}", u16::from_be_bytes([e, g]))
        }
        _ => write!(f, "{:#018x}", u64::from_be_bytes(octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_written_as_people_write_them() {
        let cases = [
            (Community::Standard(65_515 << 16 | 20), "65515:20"),
            (Community::Standard(NO_EXPORT), "no-export"),
            (Community::Large(4_200_000_000, 1, 2), "4200000000:1:2"),
            (
                Community::Extended([0, 2, 0xff, 0xeb, 0, 0, 0, 7]),
                "target:65515:7",
            ),
            (
                Community::Extended([1, 3, 10, 0, 0, 1, 0, 7]),
                "origin:10.0.0.1:7",
            ),
            (
                Community::Extended([2, 2, 0, 1, 0x11, 0x70, 0, 7]),
                "target:70000:7",
            ),
            (
                Community::Extended([3, 2, 0, 0, 0, 0, 0, 1]),
                "0x0302000000000001",
            ),
            (
                Community::Extended([0, 9, 0, 0, 0, 0, 0, 1]),
                "0x0009000000000001",
            ),
        ];
        for (community, words) in cases {
            assert_eq!(community.to_string(), words);
        }
    }

    #[test]
    fn well_known_names_lead_back_to_their_numbers() {
        for (number, name) in NAMES {
            assert_eq!(Community::named(name), Some(Community::Standard(number)));
            assert_eq!(Community::Standard(number).to_string(), name);
        }
        assert_eq!(Community::named("65515:20"), None);
    }
}
