//! Prefixes (RFC 4271 §4.3, RFC 4760 §5, RFC 7911 §3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::octets::{cut, take_u8, take_u32};
use super::update::Destination;
use crate::Family;

/// Reads all prefixes of a field; the error says what is wrong (RFC 7606 §5.3). Those that no route may lead to are
/// left out (RFC 4271 §6.3).
pub(super) fn decode(
    mut field: &[u8],
    family: Family,
    add_path: bool,
    out: &mut Vec<Destination>,
) -> Result<(), String> {
    let rest = &mut field;
    out.reserve(rest.len() / 4 + 1);
    while !rest.is_empty() {
        let path = match add_path {
            true => take_u32(rest).ok_or("a path identifier is cut off")?,
            false => 0,
        };
        let length = take_u8(rest).ok_or("a prefix is cut off")?;
        let octets = cut(rest, usize::from(length.div_ceil(8))).ok_or("a prefix is longer than its field")?;
        let prefix = match family {
            Family::Ipv4 => prefix_v4(length, octets),
            Family::Ipv6 => prefix_v6(length, octets),
        };
        let prefix = prefix.ok_or_else(|| format!("an {family} prefix has a length of {length} bits"))?;
        if routable(&prefix) {
            out.push(Destination { prefix, path });
        }
    }
    Ok(())
}

/// Bits beyond the length have no meaning (RFC 4271 §4.3).
fn prefix_v4(length: u8, octets: &[u8]) -> Option<IpNet> {
    let mut address = [0; 4];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    let prefix = Ipv4Net::new(Ipv4Addr::from(address), length).ok()?;
    Some(IpNet::V4(prefix.trunc()))
}

fn prefix_v6(length: u8, octets: &[u8]) -> Option<IpNet> {
    let mut address = [0; 16];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    let prefix = Ipv6Net::new(Ipv6Addr::from(address), length).ok()?;
    Some(IpNet::V6(prefix.trunc()))
}

/// A route leads neither into multicast, nor to what never leaves a host or a link.
fn routable(prefix: &IpNet) -> bool {
    let length = prefix.prefix_len();
    let local = match prefix.network() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            (length >= 4 && first >> 4 == 14) || (length >= 8 && first == 127)
        }
        IpAddr::V6(address) => {
            (length >= 8 && address.is_multicast())
                || (length >= 10 && address.is_unicast_link_local())
                || address.is_loopback()
        }
    };
    !local
}

/// Writes one prefix.
pub(crate) fn encode(prefix: &IpNet, out: &mut Vec<u8>) {
    let length = prefix.prefix_len();
    out.push(length);
    let octets = usize::from(length.div_ceil(8));
    match prefix {
        IpNet::V4(prefix) => out.extend(prefix.network().octets().iter().take(octets)),
        IpNet::V6(prefix) => out.extend(prefix.network().octets().iter().take(octets)),
    }
}

/// How many octets it has there.
pub(super) fn encoded_length(prefix: &IpNet) -> usize {
    1 + usize::from(prefix.prefix_len().div_ceil(8))
}
