//! UPDATE (RFC 4271 §4.3, RFC 4760).

use std::sync::Arc;

use ipnet::IpNet;

use super::attribute::Attributes;
use super::block::{self, Block};
use super::error::{Fault, Flaw, Strength, Treatment};
use super::nlri;
use super::octets::{cut, take_u16};
use super::reach;
use super::recent::Recent;
use super::registry::update_error;
pub use super::writer::{TooLong, WriteContext, announce, end_of_rib, withdraw};
use crate::{Families, Family};

/// What of a session an UPDATE cannot be read without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Families of the session.
    pub families: Families,
    /// Families whose prefixes have path identifiers as the peer sends them (RFC 7911).
    pub add_path: Families,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950).
    pub ipv6_next_hops: bool,
    /// The peer is in our own autonomous system.
    pub internal: bool,
    /// The AS path has to begin with this one (RFC 4271 §6.3); route servers do not put theirs there (RFC 7947 §2.2.2).
    pub first_asn: Option<u32>,
    /// Paths with sets are taken, as they were before RFC 9774.
    pub as_sets: bool,
}

/// A prefix with its path identifier, zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The prefix, host bits zero.
    pub prefix: IpNet,
    /// The path identifier.
    pub path: u32,
}

/// What an UPDATE says, once its faults are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Routes that are there no more; those that a fault makes us withdraw, too.
    pub withdrawn: Vec<Destination>,
    /// Routes that are there, each family with its attributes, since their next hops differ.
    pub announced: Vec<(Arc<Attributes>, Vec<Destination>)>,
    /// All routes of this family were sent (RFC 4724 §2).
    pub end_of_rib: Option<Family>,
    /// What was wrong with it. If one resets the session, nothing else of the message counts.
    pub faults: Vec<Fault>,
}

/// Reads the UPDATE messages of one session.
#[derive(Debug)]
pub struct Decoder {
    context: Context,
    /// Families that are no longer used (RFC 7606 §2): what comes of them is ignored.
    disabled: Families,
    recent: Recent,
}

/// The three fields of an UPDATE (RFC 4271 §4.3).
#[derive(Clone, Copy)]
struct Fields<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Where the lengths contradict each other, nothing can be found (RFC 7606 §3 b).
    fn cut(mut body: &'a [u8]) -> Option<Self> {
        let octets = &mut body;
        let withdrawn = take_u16(octets).and_then(|length| cut(octets, usize::from(length)))?;
        let attributes = take_u16(octets).and_then(|length| cut(octets, usize::from(length)))?;
        Some(Self {
            withdrawn,
            attributes,
            nlri: body,
        })
    }

    fn are_empty(self) -> bool {
        self.withdrawn.is_empty() && self.attributes.is_empty() && self.nlri.is_empty()
    }
}

/// The prefixes of a message that are reachable, as far as they are of families that are used.
#[derive(Default)]
struct Reachable {
    plain: Vec<Destination>,
    multiprotocol: Vec<Destination>,
}

impl Decoder {
    /// For a session that is established.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            disabled: Families::NONE,
            recent: Recent::default(),
        }
    }

    /// Reads the body of an UPDATE.
    pub fn decode(&mut self, body: &[u8]) -> Update {
        self.read(body).unwrap_or_else(|faults| Update {
            faults,
            ..Update::default()
        })
    }

    /// Reads it, unless the session has to be reset.
    fn read(&mut self, body: &[u8]) -> Result<Update, Vec<Fault>> {
        let fields = Fields::cut(body).ok_or_else(|| {
            let words = "the lengths of the fields exceed the message";
            vec![Flaw::reset(update_error::ATTRIBUTE_LIST, words).treated(&[])]
        })?;
        let mut update = Update::default();
        if self.uses(Family::Ipv4) {
            update.end_of_rib = fields.are_empty().then_some(Family::Ipv4);
            self.prefixes(Family::Ipv4, fields.withdrawn, &mut update.withdrawn)
                .map_err(|words| vec![unreadable_field(words)])?;
        }
        if self.recall(fields, &mut update).is_none() {
            self.study(fields, &mut update)?;
        }
        Ok(update)
    }

    /// Whether a family was agreed on and is not disabled.
    fn uses(&self, family: Family) -> bool {
        self.context.families.contains(family) && !self.disabled.contains(family)
    }

    fn prefixes(&self, family: Family, field: &[u8], out: &mut Vec<Destination>) -> Result<(), String> {
        if field.is_empty() {
            return Ok(());
        }
        nlri::decode(field, family, self.context.add_path.contains(family), out)
    }

    /// Takes attributes that were sound a moment ago without reading them again; nothing if these are others.
    fn recall(&self, fields: Fields<'_>, update: &mut Update) -> Option<()> {
        if fields.attributes.is_empty() {
            return None;
        }
        let lead = block::leading(fields.attributes, &self.context);
        let (family, octets, field) = match &lead {
            Some((reach, rest)) if fields.nlri.is_empty() => (reach.family, *rest, reach.nlri),
            None if !fields.nlri.is_empty() => (Family::Ipv4, fields.attributes, fields.nlri),
            Some(_) | None => return None,
        };
        let next_hop = lead.map(|(reach, _)| reach.next_hop);
        let attributes = self.recent.find(octets, next_hop)?;
        if !self.uses(family) {
            return None;
        }
        let mut destinations = Vec::new();
        self.prefixes(family, field, &mut destinations).ok()?;
        if !destinations.is_empty() {
            update.announced.push((attributes, destinations));
        }
        Some(())
    }

    /// Reads the attributes one by one.
    fn study(&mut self, fields: Fields<'_>, update: &mut Update) -> Result<(), Vec<Fault>> {
        let plain = !fields.nlri.is_empty();
        let mut block = Block::decode(fields.attributes, plain, &self.context);
        let mut reachable = self.destinations(fields, &mut block, update);
        if !plain && block.reach.is_none() && !block.foreign && block.others {
            block.harden();
        }
        self.disable(&mut block, &mut reachable, update);
        let reset = block.strength() == Some(Strength::Reset);
        let faults = block.faults();
        if reset {
            return Err(faults);
        }
        // What is remembered has to say all that the message says.
        let simple = faults.is_empty() && block.unreach.is_none() && block.reach.is_some() != plain;
        let withdraw = |fault: &Fault| fault.treatment == Treatment::WithdrawRoutes;
        if faults.iter().any(withdraw) {
            update.withdrawn.append(&mut reachable.plain);
            update.withdrawn.append(&mut reachable.multiprotocol);
        }
        update.faults = faults;
        let attributes = announce_all(block, reachable, update);
        if let (Some(attributes), true) = (attributes, simple) {
            self.remember(fields, attributes);
        }
        Ok(())
    }

    /// Reads every prefix of the message but those in its first field; what is withdrawn is so at once.
    fn destinations(&self, fields: Fields<'_>, block: &mut Block<'_>, update: &mut Update) -> Reachable {
        let mut reachable = Reachable::default();
        if self.uses(Family::Ipv4) {
            if let Err(words) = self.prefixes(Family::Ipv4, fields.nlri, &mut reachable.plain) {
                block.flaw(Flaw::reset(update_error::NETWORK, words));
            }
        } else if !self.context.families.contains(Family::Ipv4)
            && (!fields.nlri.is_empty() || !fields.withdrawn.is_empty())
        {
            block.flaw(Flaw::discard("ipv4 prefixes were not agreed on"));
        }
        if let Some(reach) = block.reach.filter(|reach| self.uses(reach.family)) {
            let read = self.prefixes(reach.family, reach.nlri, &mut reachable.multiprotocol);
            if let Err(words) = read {
                let words = format!("MP_REACH_NLRI: {words}");
                block.flaw_of_reach(reach::unreadable(
                    Some(reach.family),
                    update_error::OPTIONAL,
                    words,
                ));
            }
        }
        if let Some(unreach) = block.unreach.filter(|unreach| self.uses(unreach.family)) {
            let read = self.prefixes(unreach.family, unreach.nlri, &mut update.withdrawn);
            if let Err(words) = read {
                let words = format!("MP_UNREACH_NLRI: {words}");
                block.flaw_of_unreach(reach::unreadable(
                    Some(unreach.family),
                    update_error::OPTIONAL,
                    words,
                ));
            }
            // RFC 4724 §2.
            let alone = fields.withdrawn.is_empty() && fields.nlri.is_empty() && !block.others;
            if alone && unreach.nlri.is_empty() {
                update.end_of_rib = Some(unreach.family);
            }
        }
        reachable
    }

    /// Stops using the families whose prefixes could not be read; where none would be left, the session is reset.
    fn disable(&mut self, block: &mut Block<'_>, reachable: &mut Reachable, update: &mut Update) {
        for family in block.unreadable().iter() {
            self.disabled = self.disabled.with(family);
            let other = |destination: &Destination| Family::of_prefix(&destination.prefix) != family;
            update.withdrawn.retain(other);
            reachable.plain.retain(other);
            reachable.multiprotocol.retain(other);
        }
        if self.context.families.common(self.disabled) == self.context.families {
            block.give_up();
        }
    }

    fn remember(&mut self, fields: Fields<'_>, attributes: Arc<Attributes>) {
        match block::leading(fields.attributes, &self.context) {
            Some((_, rest)) => self.recent.insert(rest, true, attributes),
            None => self.recent.insert(fields.attributes, false, attributes),
        }
    }
}

/// The family whose prefixes the body of an UPDATE has: that of RFC 4760, if it names one, and else IPv4.
pub(crate) fn family_of(body: &[u8]) -> Family {
    let fields = Fields::cut(body);
    let named = fields.and_then(|fields| block::family_of(fields.attributes));
    named.unwrap_or(Family::Ipv4)
}

/// The message has to be taken as a whole, or not at all.
fn unreadable_field(words: String) -> Fault {
    let words = format!("withdrawn routes: {words}");
    Flaw::reset(update_error::NETWORK, words).treated(&[])
}

/// Hands out what is reachable, with its attributes; those that were used last are returned.
fn announce_all(block: Block<'_>, reachable: Reachable, update: &mut Update) -> Option<Arc<Attributes>> {
    let next_hops = (block.next_hop, block.reach.map(|reach| reach.next_hop));
    let mut last = None;
    let mut announce = |attributes: Arc<Attributes>, destinations| {
        last = Some(Arc::clone(&attributes));
        update.announced.push((attributes, destinations));
    };
    let wanted = (!reachable.plain.is_empty(), !reachable.multiprotocol.is_empty());
    match (next_hops, wanted) {
        ((Some(next_hop), _), (true, false)) => {
            announce(Arc::new(block.attributes(next_hop)?), reachable.plain);
        }
        ((_, Some(next_hop)), (false, true)) => {
            announce(Arc::new(block.attributes(next_hop)?), reachable.multiprotocol);
        }
        ((Some(plain), Some(next_hop)), (true, true)) => {
            let attributes = block.attributes(plain)?;
            let other = Attributes {
                next_hop,
                ..attributes.clone()
            };
            announce(Arc::new(attributes), reachable.plain);
            announce(Arc::new(other), reachable.multiprotocol);
        }
        _ => {}
    }
    last
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use thin_vec::thin_vec;

    use super::super::as_path::{AsPath, Segment};
    use super::super::attribute::{NextHop, Origin, UnknownAttribute};
    use super::super::framing::{Framing, MessageKind};
    use super::*;

    fn context() -> Context {
        Context {
            four_octet_asn: true,
            families: Families::ALL,
            add_path: Families::NONE,
            ipv6_next_hops: true,
            internal: true,
            first_asn: None,
            as_sets: true,
        }
    }

    fn bodies(octets: &[u8]) -> Vec<Vec<u8>> {
        let (mut framing, mut bodies) = (Framing::new(), Vec::new());
        framing.push(octets);
        while let Some(frame) = framing.next(true).unwrap() {
            assert_eq!(frame.kind, MessageKind::Update);
            bodies.push(frame.body.to_vec());
        }
        assert_eq!(framing.waiting(), 0);
        bodies
    }

    fn segment() -> impl Strategy<Value = Segment> {
        let systems = || prop::collection::vec(1..=u32::MAX, 1..8);
        prop_oneof![
            systems().prop_map(Segment::Sequence),
            systems().prop_map(Segment::Set)
        ]
    }

    /// A path as a reader has it: no two sequences in a row.
    fn as_path() -> impl Strategy<Value = AsPath> {
        prop::collection::vec(segment(), 0..4).prop_map(|mut segments| {
            segments.dedup_by(|b, a| matches!((a, b), (Segment::Sequence(_), Segment::Sequence(_))));
            AsPath(segments)
        })
    }

    fn next_hop() -> impl Strategy<Value = NextHop> {
        let global = || (1..=u128::MAX >> 8).prop_map(|low| Ipv6Addr::from(0x20 << 120 | low));
        prop_oneof![
            (0x0100_0000_u32..0x7f00_0000).prop_map(|bits| NextHop::Address(IpAddr::V4(bits.into()))),
            global().prop_map(|address| NextHop::Address(IpAddr::V6(address))),
            (global(), any::<u64>()).prop_map(|(address, low)| NextHop::WithLinkLocal(
                address,
                Ipv6Addr::from(0xfe80 << 112 | u128::from(low))
            )),
        ]
    }

    fn unknown() -> impl Strategy<Value = Vec<UnknownAttribute>> {
        let one = (128_u8..=250, prop::collection::vec(any::<u8>(), 0..300));
        let one = one.prop_map(|(code, value)| UnknownAttribute { code, value });
        prop::collection::vec(one, 0..3).prop_map(|mut all| {
            all.sort_by_key(|attribute| attribute.code);
            all.dedup_by_key(|attribute| attribute.code);
            all
        })
    }

    prop_compose! {
        fn attributes()(
            (origin, as_path, next_hop) in (0_usize..3, as_path(), next_hop()),
            (med, local_preference) in (any::<Option<u32>>(), any::<u32>()),
            atomic_aggregate in any::<bool>(),
            aggregator in any::<Option<(u32, Ipv4Addr)>>(),
            communities in prop::collection::vec(any::<u32>(), 0..80),
            extended_communities in prop::collection::vec(any::<[u8; 8]>(), 0..4),
            large_communities in prop::collection::btree_set(any::<(u32, u32, u32)>(), 0..4),
            originator in any::<Option<Ipv4Addr>>(),
            clusters in prop::collection::vec(any::<Ipv4Addr>(), 0..4),
            only_to_customer in any::<Option<u32>>(),
            unknown in unknown(),
        ) -> Attributes {
            let origin = [Origin::Igp, Origin::Egp, Origin::Incomplete][origin];
            Attributes {
                origin, as_path, next_hop, med, atomic_aggregate,
                communities: communities.into(),
                extended_communities: extended_communities.into(),
                local_preference: Some(local_preference),
                aggregator: aggregator.filter(|(asn, _)| *asn != 0 && *asn != 23_456),
                large_communities: large_communities.into_iter().collect(),
                originator,
                clusters: clusters.into(),
                only_to_customer,
                unknown: unknown.into(),
            }
        }
    }

    fn prefix() -> impl Strategy<Value = IpNet> {
        let v4 = (0_u32..0x7f00_0000, 0_u8..=32);
        let v6 = (any::<u64>(), 3_u8..=128);
        prop_oneof![
            v4.prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from(bits).into(), length).unwrap().trunc()),
            v6.prop_map(|(bits, length)| {
                let address = Ipv6Addr::from(1 << 125 | u128::from(bits) << 32);
                IpNet::new(address.into(), length).unwrap().trunc()
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Both ways of writing AS numbers, messages of both lengths, all prefixes in their order.
        #[test]
        fn what_is_announced_is_read(
            attributes in attributes(),
            prefixes in prop::collection::vec(prefix(), 1..1500),
            four_octet_asn in any::<bool>(),
            extended_messages in any::<bool>(),
        ) {
            let context = Context { four_octet_asn, ..context() };
            let write = WriteContext { four_octet_asn, extended_messages };
            let mut out = Vec::new();
            announce(&attributes, &write, prefixes.iter().copied(), &mut out).unwrap();
            let mut decoder = Decoder::new(context);
            let mut read = Vec::new();
            for body in bodies(&out) {
                prop_assert!(extended_messages || body.len() <= 4096 - 19);
                let update = decoder.decode(&body);
                prop_assert_eq!(&update.faults, &[]);
                prop_assert!(update.withdrawn.is_empty());
                for (came, destinations) in update.announced {
                    let mut came = Attributes::clone(&came);
                    let v6 = destinations.iter().any(|to| Family::of_prefix(&to.prefix) == Family::Ipv6);
                    if let (true, IpAddr::V4(hop)) = (v6, attributes.next_hop.address()) {
                        prop_assert_eq!(came.next_hop.address(), IpAddr::V6(hop.to_ipv6_mapped()));
                        came.next_hop = attributes.next_hop;
                    }
                    prop_assert_eq!(&came, &attributes);
                    read.extend(destinations.into_iter().map(|to| to.prefix));
                }
            }
            prop_assert_eq!(read, prefixes);
        }

        #[test]
        fn what_is_withdrawn_is_read(
            prefixes in prop::collection::vec(prefix(), 1..1500),
            extended_messages in any::<bool>(),
        ) {
            let mut out = Vec::new();
            let write = WriteContext { four_octet_asn: true, extended_messages };
            withdraw(&write, prefixes.iter().copied(), &mut out);
            let mut decoder = Decoder::new(context());
            let mut read = Vec::new();
            for body in bodies(&out) {
                prop_assert!(extended_messages || body.len() <= 4096 - 19);
                let update = decoder.decode(&body);
                prop_assert!(update.faults.is_empty() && update.announced.is_empty());
                prop_assert_eq!(update.end_of_rib, None);
                read.extend(update.withdrawn.into_iter().map(|from| from.prefix));
            }
            prop_assert_eq!(read, prefixes);
        }

        /// Whether attributes were seen before makes no difference.
        #[test]
        fn remembering_changes_nothing(attributes in attributes(), prefixes in prop::collection::vec(prefix(), 1..20)) {
            let write = WriteContext { four_octet_asn: true, extended_messages: true };
            let mut out = Vec::new();
            announce(&attributes, &write, prefixes, &mut out).unwrap();
            let mut decoder = Decoder::new(context());
            for body in bodies(&out) {
                let fresh = Decoder::new(context()).decode(&body);
                prop_assert_eq!(&decoder.decode(&body), &fresh);
                prop_assert_eq!(&decoder.decode(&body), &fresh);
            }
        }

        #[test]
        fn any_octets_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
            Decoder::new(context()).decode(&body);
        }
    }

    fn one() -> Attributes {
        let as_path = AsPath(vec![Segment::Sequence(vec![64_512])]);
        let next_hop = NextHop::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        Attributes {
            local_preference: Some(100),
            ..Attributes::mandatory(Origin::Igp, as_path, next_hop)
        }
    }

    const USUAL: WriteContext = WriteContext {
        four_octet_asn: true,
        extended_messages: false,
    };

    #[test]
    fn equal_attributes_are_shared() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        announce(&one(), &USUAL, ["10.1.0.0/16".parse().unwrap()], &mut first).unwrap();
        announce(&one(), &USUAL, ["10.2.0.0/16".parse().unwrap()], &mut second).unwrap();
        let mut decoder = Decoder::new(context());
        let first = decoder.decode(&first[19..]);
        let second = decoder.decode(&second[19..]);
        assert!(Arc::ptr_eq(&first.announced[0].0, &second.announced[0].0));
    }

    /// RFC 4271 §9.2: what does not fit is not advertised.
    #[test]
    fn attributes_that_fill_a_message_are_refused() {
        let attributes = Attributes {
            communities: thin_vec![1; 1100],
            ..one()
        };
        let prefix: IpNet = "10.1.0.0/16".parse().unwrap();
        let mut out = vec![7];
        assert_eq!(announce(&attributes, &USUAL, [prefix], &mut out), Err(TooLong));
        assert_eq!(out, [7]);
        let long = WriteContext {
            extended_messages: true,
            ..USUAL
        };
        assert_eq!(announce(&attributes, &long, [prefix], &mut out), Ok(()));
    }

    #[test]
    fn an_end_is_read_as_one() {
        for family in Family::ALL {
            let mut out = Vec::new();
            end_of_rib(family, &USUAL, &mut out);
            let update = Decoder::new(context()).decode(&out[19..]);
            assert_eq!(update.end_of_rib, Some(family));
            assert!(update.withdrawn.is_empty() && update.announced.is_empty() && update.faults.is_empty());
        }
    }

    /// RFC 7911 §3.
    #[test]
    fn path_identifiers_are_told_apart_from_prefixes() {
        let context = Context {
            add_path: Families::ALL,
            ..context()
        };
        let body = [0, 11, 0, 0, 0, 7, 8, 10, 0, 0, 0, 8, 0, 0, 0];
        let update = Decoder::new(context).decode(&body);
        let expected = [("10.0.0.0/8", 7), ("0.0.0.0/0", 8)].map(|(prefix, path)| Destination {
            prefix: prefix.parse().unwrap(),
            path,
        });
        assert_eq!(update.withdrawn, expected);
    }
}
