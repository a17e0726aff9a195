//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 2545, RFC 8950).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attribute::NextHop;
use super::error::{Flaw, Strength};
use super::octets::{cut, take, take_u8, take_u16};
use super::registry::{flag, update_error};
use super::update::Context;
use crate::Family;

/// MP_REACH_NLRI or MP_UNREACH_NLRI; its prefixes are not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Multiprotocol<'a, H> {
    pub(super) family: Family,
    /// That of MP_REACH_NLRI.
    pub(super) next_hop: H,
    pub(super) nlri: &'a [u8],
}

/// MP_REACH_NLRI.
pub(super) type Reach<'a> = Multiprotocol<'a, NextHop>;

/// MP_UNREACH_NLRI.
pub(super) type Unreach<'a> = Multiprotocol<'a, ()>;

/// Where prefixes cannot be read, their family is disabled, which is milder than a reset (RFC 7606 §3 j); without a
/// family it is the session that ends.
pub(super) fn unreadable(family: Option<Family>, subcode: u8, words: String) -> Flaw {
    Flaw {
        words,
        strength: family.map_or(Strength::Reset, Strength::Disable),
        subcode,
    }
}

/// Reads MP_REACH_NLRI (RFC 4760 §3, RFC 7606 §7.11).
pub(super) fn reach<'a>(flags: u8, mut value: &'a [u8], context: &Context) -> Result<Reach<'a>, Flaw> {
    let octets = &mut value;
    let family = family(flags, octets, "MP_REACH_NLRI", context)?;
    let faulty = |words: &str| {
        let words = format!("MP_REACH_NLRI of {family} {words}");
        unreadable(Some(family), update_error::OPTIONAL, words)
    };
    let length = take_u8(octets).ok_or_else(|| faulty("ends before its next hop"))?;
    let next_hop = cut(octets, usize::from(length)).ok_or_else(|| faulty("ends inside its next hop"))?;
    // Reserved: whatever it holds is ignored.
    take_u8(octets).ok_or_else(|| faulty("ends after its next hop"))?;
    let next_hop = read_next_hop(next_hop, family, context)
        .ok_or_else(|| faulty(&format!("has a next hop of {length} octets")))?;
    Ok(Reach {
        family,
        next_hop,
        nlri: value,
    })
}

/// Reads MP_UNREACH_NLRI (RFC 4760 §4, RFC 7606 §7.12).
pub(super) fn unreach<'a>(flags: u8, mut value: &'a [u8], context: &Context) -> Result<Unreach<'a>, Flaw> {
    let family = family(flags, &mut value, "MP_UNREACH_NLRI", context)?;
    Ok(Unreach {
        family,
        next_hop: (),
        nlri: value,
    })
}

/// The family that is agreed on and that the attribute is about; its flags have to be right, too (RFC 7606 §5.3).
fn family(flags: u8, octets: &mut &[u8], name: &str, context: &Context) -> Result<Family, Flaw> {
    let (Some(afi), Some(safi)) = (take_u16(octets), take_u8(octets)) else {
        let words = format!("{name} ends before its address family");
        return Err(unreadable(None, update_error::OPTIONAL, words));
    };
    let family = Family::of(afi, safi).filter(|family| context.families.contains(*family));
    let Some(family) = family else {
        return Err(Flaw::discard(format!(
            "{name} is of a family that is not agreed on (AFI {afi}, SAFI {safi})"
        )));
    };
    if flags & (flag::OPTIONAL | flag::TRANSITIVE) != flag::OPTIONAL {
        let words = format!("{name} of {family} has flags {flags:#04x}");
        return Err(unreadable(Some(family), update_error::FLAGS, words));
    }
    Ok(family)
}

/// An address of the family, for IPv6 with a link-local one if there is one (RFC 2545 §3), and for IPv4 one of IPv6 if
/// that was agreed on (RFC 8950 §3).
fn read_next_hop(mut octets: &[u8], family: Family, context: &Context) -> Option<NextHop> {
    let rest = &mut octets;
    let v4 = family == Family::Ipv4;
    match rest.len() {
        4 if v4 => Some(NextHop::Address(IpAddr::V4(Ipv4Addr::from(take::<4>(rest)?)))),
        16 | 32 if !v4 || context.ipv6_next_hops => {
            let global = Ipv6Addr::from(take::<16>(rest)?);
            let second = take::<16>(rest).map(Ipv6Addr::from);
            Some(match second {
                Some(local) if local.is_unicast_link_local() => NextHop::WithLinkLocal(global, local),
                Some(_) | None => NextHop::Address(IpAddr::V6(global)),
            })
        }
        _ => None,
    }
}

/// Whether it can be the address of a host (RFC 4271 §6.3).
pub(super) fn is_host(next_hop: NextHop) -> bool {
    match next_hop.address() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            // Neither this network, nor loopback, nor multicast and above.
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(address) => !(address.is_unspecified() || address.is_loopback() || address.is_multicast()),
    }
}
