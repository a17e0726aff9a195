//! Writing UPDATE messages: prefixes that share attributes go into as few as fit (RFC 4271 §4.3, RFC 7606 §5.1).

use std::iter::Peekable;
use std::net::IpAddr;

use ipnet::IpNet;

use super::attribute::{Attributes, NextHop, Origin};
use super::block::flags_of;
use super::framing::{self, EXTENDED_LENGTH, MessageKind, USUAL_LENGTH};
use super::nlri;
use super::octets::{length_u8, length_u16, set_u16};
use super::registry::{AS_TRANS, attribute, flag};
use crate::Family;

/// What of a session an UPDATE cannot be written without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteContext {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// A message may have 65,535 octets (RFC 8654).
    pub extended_messages: bool,
}

/// The attributes leave no room for a prefix, so their routes cannot be advertised (RFC 4271 §9.2, RFC 8654 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the attributes do not fit a message")]
pub struct TooLong;

/// Writes the messages that announce these prefixes with these attributes. Those whose next hop is of IPv6, and all of
/// IPv6, go into MP_REACH_NLRI; the caller knows that the neighbour takes IPv4 prefixes so (RFC 8950). Nothing is
/// written if not everything can be.
pub fn announce(
    attributes: &Attributes,
    context: &WriteContext,
    destinations: impl IntoIterator<Item = IpNet>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    let begin = out.len();
    let mut destinations = destinations.into_iter().peekable();
    let mut shared = Vec::with_capacity(128);
    let mut shared_is_plain = None;
    while let Some(family) = destinations.peek().map(Family::of_prefix) {
        let plain = family == Family::Ipv4 && attributes.next_hop.address().is_ipv4();
        if shared_is_plain != Some(plain) {
            shared.clear();
            encode(attributes, *context, plain, &mut shared);
            shared_is_plain = Some(plain);
        }
        let mut message = Message::begin(*context, out);
        let written = if plain {
            message.plain(&shared, &mut destinations)
        } else {
            message.reach(family, attributes.next_hop, &shared, &mut destinations)
        };
        if written == 0 {
            out.truncate(begin);
            return Err(TooLong);
        }
    }
    Ok(())
}

/// Writes the messages that withdraw these prefixes.
pub fn withdraw(context: &WriteContext, destinations: impl IntoIterator<Item = IpNet>, out: &mut Vec<u8>) {
    let mut destinations = destinations.into_iter().peekable();
    while let Some(family) = destinations.peek().map(Family::of_prefix) {
        let mut message = Message::begin(*context, out);
        match family {
            Family::Ipv4 => message.withdrawn(&mut destinations),
            Family::Ipv6 => message.unreach(family, &mut destinations),
        }
    }
}

/// Writes the message that says that all routes of the family were sent (RFC 4724 §2).
pub fn end_of_rib(family: Family, context: &WriteContext, out: &mut Vec<u8>) {
    let mut message = Message::begin(*context, out);
    match family {
        Family::Ipv4 => message.withdrawn(&mut std::iter::empty().peekable()),
        Family::Ipv6 => message.unreach(family, &mut std::iter::empty().peekable()),
    }
}

/// Writes the attributes of a route to one prefix of the family as an entry of a table has them: AS numbers have four
/// octets, and of MP_REACH_NLRI there is only the next hop (RFC 6396 §4.3.4).
pub(crate) fn of_entry(attributes: &Attributes, family: Family, out: &mut Vec<u8>) {
    let context = WriteContext {
        four_octet_asn: true,
        extended_messages: true,
    };
    let plain = family == Family::Ipv4 && attributes.next_hop.address().is_ipv4();
    if !plain {
        put_with(out, flag::OPTIONAL, attribute::MP_REACH_NLRI, |out| {
            encode_next_hop(attributes.next_hop, out);
        });
    }
    encode(attributes, context, plain, out);
}

/// One message, being written behind others.
struct Message<'a> {
    start: usize,
    longest: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Message<'a> {
    fn begin(context: WriteContext, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        framing::begin_in(MessageKind::Update, out);
        Self {
            start,
            longest: if context.extended_messages {
                EXTENDED_LENGTH
            } else {
                USUAL_LENGTH
            },
            out,
        }
    }

    /// No routes withdrawn, these attributes, prefixes in the NLRI field; how many.
    fn plain(&mut self, shared: &[u8], destinations: &mut Peekable<impl Iterator<Item = IpNet>>) -> usize {
        self.out.extend([0, 0]);
        self.out.extend(length_u16(shared.len()).to_be_bytes());
        self.out.extend_from_slice(shared);
        let written = self.fill(Family::Ipv4, 0, destinations);
        framing::finish(self.out, self.start);
        written
    }

    /// No routes withdrawn, MP_REACH_NLRI with the prefixes, then the other attributes; how many.
    fn reach(
        &mut self,
        family: Family,
        next_hop: NextHop,
        shared: &[u8],
        destinations: &mut Peekable<impl Iterator<Item = IpNet>>,
    ) -> usize {
        let begin = self.begin_attribute(attribute::MP_REACH_NLRI, family);
        encode_next_hop(next_hop, self.out);
        self.out.push(0);
        let written = self.fill(family, shared.len(), destinations);
        self.finish_attribute(begin);
        self.out.extend_from_slice(shared);
        self.finish_attributes();
        written
    }

    /// Routes withdrawn, and nothing else.
    fn withdrawn(&mut self, destinations: &mut Peekable<impl Iterator<Item = IpNet>>) {
        let place = self.out.len();
        self.out.extend([0, 0]);
        self.fill(Family::Ipv4, 2, destinations);
        let length = self.out.len().saturating_sub(place + 2);
        set_u16(self.out, place, length);
        self.out.extend([0, 0]);
        framing::finish(self.out, self.start);
    }

    /// MP_UNREACH_NLRI, and nothing else.
    fn unreach(&mut self, family: Family, destinations: &mut Peekable<impl Iterator<Item = IpNet>>) {
        let begin = self.begin_attribute(attribute::MP_UNREACH_NLRI, family);
        self.fill(family, 0, destinations);
        self.finish_attribute(begin);
        self.finish_attributes();
    }

    /// Prefixes of the family as long as they come and fit, with so many octets after them; how many.
    fn fill(
        &mut self,
        family: Family,
        after: usize,
        destinations: &mut Peekable<impl Iterator<Item = IpNet>>,
    ) -> usize {
        let mut written = 0;
        let mut used = self.out.len().saturating_sub(self.start).saturating_add(after);
        while let Some(prefix) = destinations.next_if(|prefix| {
            Family::of_prefix(prefix) == family && used + nlri::encoded_length(prefix) <= self.longest
        }) {
            used += nlri::encoded_length(&prefix);
            nlri::encode(&prefix, self.out);
            written += 1;
        }
        written
    }

    /// No routes withdrawn, the first attribute up to its family; where its value begins.
    fn begin_attribute(&mut self, code: u8, family: Family) -> usize {
        self.out.extend([0, 0, 0, 0]);
        self.out
            .extend([flag::OPTIONAL | flag::EXTENDED_LENGTH, code, 0, 0]);
        let begin = self.out.len();
        self.out.extend(family.afi().to_be_bytes());
        self.out.push(1);
        begin
    }

    fn finish_attribute(&mut self, begin: usize) {
        let length = self.out.len().saturating_sub(begin);
        set_u16(self.out, begin.saturating_sub(2), length);
    }

    fn finish_attributes(&mut self) {
        let place = self.start + framing::HEADER + 2;
        let length = self.out.len().saturating_sub(place + 2);
        set_u16(self.out, place, length);
        framing::finish(self.out, self.start);
    }
}

/// Its length and itself (RFC 4760 §3, RFC 2545 §3). IPv6 prefixes by an IPv4 address have it mapped (RFC 4291 §2.5.5.2).
fn encode_next_hop(next_hop: NextHop, out: &mut Vec<u8>) {
    match next_hop {
        NextHop::Address(address) => {
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            out.push(16);
            out.extend(address.octets());
        }
        NextHop::WithLinkLocal(global, local) => {
            out.push(32);
            out.extend(global.octets());
            out.extend(local.octets());
        }
    }
}

/// Writes attributes in the order of their codes, NEXT_HOP only for prefixes of the NLRI field.
fn encode(attributes: &Attributes, context: WriteContext, plain: bool, out: &mut Vec<u8>) {
    let origin = match attributes.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    put(out, attribute::ORIGIN, |out| out.push(origin));
    put(out, attribute::AS_PATH, |out| {
        attributes.as_path.encode(context.four_octet_asn, out);
    });
    if let (true, IpAddr::V4(address)) = (plain, attributes.next_hop.address()) {
        put(out, attribute::NEXT_HOP, |out| out.extend(address.octets()));
    }
    if let Some(med) = attributes.med {
        put(out, attribute::MULTI_EXIT_DISC, |out| {
            out.extend(med.to_be_bytes())
        });
    }
    if let Some(preference) = attributes.local_preference {
        put(out, attribute::LOCAL_PREF, |out| {
            out.extend(preference.to_be_bytes())
        });
    }
    if attributes.atomic_aggregate {
        put(out, attribute::ATOMIC_AGGREGATE, |_| {});
    }
    if let Some((asn, address)) = attributes.aggregator {
        put(out, attribute::AGGREGATOR, |out| {
            if context.four_octet_asn {
                out.extend(asn.to_be_bytes());
            } else {
                out.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
            }
            out.extend(address.octets());
        });
    }
    encode_lists(attributes, out);
    if !context.four_octet_asn {
        encode_four_octets(attributes, out);
    }
    if !attributes.large_communities.is_empty() {
        put(out, attribute::LARGE_COMMUNITY, |out| {
            for (global, first, second) in &attributes.large_communities {
                out.extend([*global, *first, *second].map(u32::to_be_bytes).as_flattened());
            }
        });
    }
    if let Some(asn) = attributes.only_to_customer {
        put(out, attribute::ONLY_TO_CUSTOMER, |out| {
            out.extend(asn.to_be_bytes())
        });
    }
    for unknown in &attributes.unknown {
        // Nobody here knew it (RFC 4271 §5).
        let flags = flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL;
        put_with(out, flags, unknown.code, |out| {
            out.extend_from_slice(&unknown.value)
        });
    }
}

/// Those with codes from 8 to 16.
fn encode_lists(attributes: &Attributes, out: &mut Vec<u8>) {
    if !attributes.communities.is_empty() {
        put(out, attribute::COMMUNITIES, |out| {
            for community in &attributes.communities {
                out.extend(community.to_be_bytes());
            }
        });
    }
    if let Some(originator) = attributes.originator {
        put(out, attribute::ORIGINATOR_ID, |out| {
            out.extend(originator.octets())
        });
    }
    if !attributes.clusters.is_empty() {
        put(out, attribute::CLUSTER_LIST, |out| {
            for cluster in &attributes.clusters {
                out.extend(cluster.octets());
            }
        });
    }
    if !attributes.extended_communities.is_empty() {
        put(out, attribute::EXTENDED_COMMUNITIES, |out| {
            out.extend_from_slice(attributes.extended_communities.as_flattened());
        });
    }
}

/// What does not fit into two octets, once more (RFC 6793 §4.2.2).
fn encode_four_octets(attributes: &Attributes, out: &mut Vec<u8>) {
    if attributes.as_path.needs_four_octets() {
        put(out, attribute::AS4_PATH, |out| {
            attributes.as_path.encode(true, out)
        });
    }
    if let Some((asn, address)) = attributes.aggregator
        && u16::try_from(asn).is_err()
    {
        put(out, attribute::AS4_AGGREGATOR, |out| {
            out.extend(asn.to_be_bytes());
            out.extend(address.octets());
        });
    }
}

/// Writes an attribute that we know.
fn put(out: &mut Vec<u8>, code: u8, value: impl FnOnce(&mut Vec<u8>)) {
    put_with(out, flags_of(code).unwrap_or(flag::OPTIONAL), code, value);
}

/// Writes flags, code, length and value.
fn put_with(out: &mut Vec<u8>, flags: u8, code: u8, value: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([flags, code, 0]);
    let begin = out.len();
    value(out);
    let length = out.len().saturating_sub(begin);
    if length <= usize::from(u8::MAX) {
        if let Some(field) = out.get_mut(begin.saturating_sub(1)) {
            *field = length_u8(length);
        }
        return;
    }
    out.insert(begin, 0);
    if let Some(field) = out.get_mut(start) {
        *field |= flag::EXTENDED_LENGTH;
    }
    set_u16(out, begin.saturating_sub(1), length);
}
