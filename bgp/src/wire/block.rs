//! The path attributes of one UPDATE, read and judged one by one (RFC 7606 §3, §4, §7).

use std::net::Ipv4Addr;

use thin_vec::ThinVec;

use super::as_path::AsPath;
use super::attribute::{Attributes, NextHop, Origin, UnknownAttribute};
use super::error::{Fault, Flaw, Strength};
use super::octets::{cut, take, take_u8, take_u16};
use super::reach::{self, Reach, Unreach};
use super::registry::{AS_TRANS, attribute, flag, update_error};
use super::update::Context;
use super::value::{
    aggregator, as_path, as4_aggregator, as4_path, each, exactly, large_communities, milder, origin,
};
use crate::{Families, Family};

/// All that the attributes of a message say, each as far as it was sound.
#[derive(Debug, Default)]
pub(super) struct Block<'a> {
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    /// NEXT_HOP.
    pub(super) next_hop: Option<NextHop>,
    /// MP_REACH_NLRI.
    pub(super) reach: Option<Reach<'a>>,
    /// MP_UNREACH_NLRI.
    pub(super) unreach: Option<Unreach<'a>>,
    /// All octets of these two.
    reach_octets: &'a [u8],
    unreach_octets: &'a [u8],
    /// There are others than MP_UNREACH_NLRI.
    pub(super) others: bool,
    /// There is MP_REACH_NLRI of a family that is not agreed on.
    pub(super) foreign: bool,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<(u32, Ipv4Addr)>,
    rest: Rest,
    seen: Codes,
    /// What is wrong, with the octets that it is about.
    flaws: Vec<(Flaw, &'a [u8])>,
}

/// Attributes that a route may lack.
#[derive(Debug, Default)]
struct Rest {
    med: Option<u32>,
    local_preference: Option<u32>,
    atomic_aggregate: bool,
    aggregator: Option<(u32, Ipv4Addr)>,
    communities: ThinVec<u32>,
    extended_communities: ThinVec<[u8; 8]>,
    large_communities: ThinVec<(u32, u32, u32)>,
    originator: Option<Ipv4Addr>,
    clusters: ThinVec<Ipv4Addr>,
    only_to_customer: Option<u32>,
    unknown: ThinVec<UnknownAttribute>,
}

/// A set of type codes.
#[derive(Debug, Default)]
struct Codes([u64; 4]);

impl Codes {
    /// Adds one; whether it is new.
    fn insert(&mut self, code: u8) -> bool {
        let bit = 1_u64 << (code & 63);
        let Some(word) = self.0.get_mut(usize::from(code >> 6)) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, code: u8) -> bool {
        let word = self.0.get(usize::from(code >> 6)).copied().unwrap_or_default();
        word & (1 << (code & 63)) != 0
    }
}

/// One attribute.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    /// All of it.
    octets: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The next one; nothing if it is longer than what there is (RFC 7606 §4).
    fn cut(octets: &mut &'a [u8]) -> Option<Self> {
        let begin = *octets;
        let [flags, code] = take(octets)?;
        let length = match flags & flag::EXTENDED_LENGTH {
            0 => usize::from(take_u8(octets)?),
            _ => usize::from(take_u16(octets)?),
        };
        let value = cut(octets, length)?;
        let all = begin.len().saturating_sub(octets.len());
        Some(Self {
            flags,
            code,
            value,
            octets: begin.get(..all)?,
        })
    }

    fn name(&self) -> String {
        attribute::words(self.code)
    }
}

impl<'a> Block<'a> {
    /// Reads the attributes of a message; `plain` says that it has prefixes in its NLRI field.
    pub(super) fn decode(mut octets: &'a [u8], plain: bool, context: &Context) -> Self {
        let mut block = Self::default();
        while !octets.is_empty() {
            let before = octets;
            let Some(attribute) = Attribute::cut(&mut octets) else {
                // The total length tells where the prefixes begin, so they can be withdrawn (RFC 7606 §4).
                block.others = true;
                let words = "the last attribute is longer than the attributes together";
                block
                    .flaws
                    .push((Flaw::withdraw(update_error::ATTRIBUTE_LIST, words), before));
                break;
            };
            block.others |= attribute.code != attribute::MP_UNREACH_NLRI;
            if let Err(flaw) = block.add(attribute, context) {
                block.flaws.push((flaw, attribute.octets));
            }
        }
        block.judge(plain, context);
        block
    }

    /// Takes one attribute in (RFC 7606 §3 c, §3 g).
    fn add(&mut self, attribute: Attribute<'a>, context: &Context) -> Result<(), Flaw> {
        let code = attribute.code;
        if !self.seen.insert(code) {
            let words = format!("{} is there more than once", attribute.name());
            return Err(match code {
                attribute::MP_REACH_NLRI | attribute::MP_UNREACH_NLRI => {
                    Flaw::reset(update_error::ATTRIBUTE_LIST, words)
                }
                _ => Flaw::discard(words),
            });
        }
        if !context.internal && is_internal(code) {
            let words = format!(
                "{} is of no meaning from another autonomous system",
                attribute.name()
            );
            return Err(Flaw::discard(words));
        }
        let kind = attribute.flags & (flag::OPTIONAL | flag::TRANSITIVE);
        match flags_of(code) {
            Some(flags) if flags != kind => {
                let words = format!("{} has flags {:#04x}", attribute.name(), attribute.flags);
                Err(Flaw::withdraw(update_error::FLAGS, words))
            }
            Some(_) => self.add_known(attribute, context),
            None => self.add_unknown(attribute, context),
        }
    }

    /// One that everybody must know ends the session; of the others, only those that are transitive are kept
    /// (RFC 4271 §5, §6.3).
    fn add_unknown(&mut self, attribute: Attribute<'a>, context: &Context) -> Result<(), Flaw> {
        match attribute.code {
            attribute::MP_REACH_NLRI => {
                self.reach_octets = attribute.octets;
                let reach = reach::reach(attribute.flags, attribute.value, context);
                self.foreign = reach.is_err();
                self.reach = Some(reach?);
            }
            attribute::MP_UNREACH_NLRI => {
                self.unreach_octets = attribute.octets;
                self.unreach = Some(reach::unreach(attribute.flags, attribute.value, context)?);
            }
            code if attribute.flags & flag::OPTIONAL == 0 => {
                let words = format!("attribute {code} is well-known, but not to us");
                return Err(Flaw::reset(update_error::UNRECOGNIZED, words));
            }
            code if attribute.flags & flag::TRANSITIVE != 0 => self.rest.unknown.push(UnknownAttribute {
                code,
                value: attribute.value.to_vec(),
            }),
            _ => {}
        }
        Ok(())
    }

    fn add_known(&mut self, attribute: Attribute<'a>, context: &Context) -> Result<(), Flaw> {
        let Attribute { code, value, .. } = attribute;
        let rest = &mut self.rest;
        match code {
            attribute::ORIGIN => self.origin = Some(origin(value)?),
            attribute::AS_PATH => self.as_path = Some(as_path(value, context)?),
            attribute::NEXT_HOP => {
                let address: [u8; 4] = exactly(code, value)?;
                self.next_hop = Some(NextHop::Address(Ipv4Addr::from(address).into()));
            }
            attribute::MULTI_EXIT_DISC => rest.med = Some(u32::from_be_bytes(exactly(code, value)?)),
            attribute::LOCAL_PREF => rest.local_preference = Some(u32::from_be_bytes(exactly(code, value)?)),
            attribute::ATOMIC_AGGREGATE => {
                // RFC 7606 §7.6.
                exactly::<0>(code, value).map_err(milder)?;
                rest.atomic_aggregate = true;
            }
            attribute::AGGREGATOR => rest.aggregator = Some(aggregator(code, value, context.four_octet_asn)?),
            attribute::COMMUNITIES => rest.communities = each(code, value, u32::from_be_bytes)?,
            attribute::ORIGINATOR_ID => rest.originator = Some(exactly::<4>(code, value)?.into()),
            attribute::CLUSTER_LIST => rest.clusters = each::<4, _>(code, value, Ipv4Addr::from)?,
            attribute::EXTENDED_COMMUNITIES => {
                rest.extended_communities = each(code, value, |octets| octets)?
            }
            attribute::AS4_PATH => self.as4_path = as4_path(value, context)?,
            attribute::AS4_AGGREGATOR => self.as4_aggregator = as4_aggregator(value, context)?,
            attribute::IPV6_EXTENDED_COMMUNITIES => {
                each::<20, _>(code, value, |octets| octets)?;
                rest.unknown.push(UnknownAttribute {
                    code,
                    value: value.to_vec(),
                });
            }
            attribute::LARGE_COMMUNITY => rest.large_communities = large_communities(value)?,
            attribute::ONLY_TO_CUSTOMER => {
                rest.only_to_customer = Some(u32::from_be_bytes(exactly(code, value)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// What only all attributes together show.
    fn judge(&mut self, plain: bool, context: &Context) {
        let reaches = self.reach.is_some();
        // NEXT_HOP beside MP_REACH_NLRI alone is ignored (RFC 4760 §3).
        if reaches && !plain {
            self.next_hop = None;
            let next_hop = |(flaw, octets): &(Flaw, &[u8])| {
                octets.get(1) == Some(&attribute::NEXT_HOP) && flaw.strength == Strength::Withdraw
            };
            self.flaws.retain(|flaw| !next_hop(flaw));
        }
        if plain || reaches {
            self.require(attribute::ORIGIN);
            self.require(attribute::AS_PATH);
        }
        if plain {
            self.require(attribute::NEXT_HOP);
        }
        if context.internal && (plain || reaches) {
            self.require(attribute::LOCAL_PREF);
        }
        let next_hops = [self.next_hop, self.reach.map(|reach| reach.next_hop)];
        for next_hop in next_hops.into_iter().flatten() {
            if !reach::is_host(next_hop) {
                let words = format!("the next hop {} is not the address of a host", next_hop.address());
                self.flaws
                    .push((Flaw::withdraw(update_error::NEXT_HOP, words), &[]));
            }
        }
    }

    /// A mandatory attribute is missing (RFC 7606 §3 d).
    fn require(&mut self, code: u8) {
        if !self.seen.contains(code) {
            let words = format!("{} is missing", attribute::words(code));
            self.flaws
                .push((Flaw::withdraw(update_error::MISSING, words), &[]));
        }
    }

    /// The attributes of a route by this next hop, once nothing that they need is missing.
    pub(super) fn attributes(self, next_hop: NextHop) -> Option<Attributes> {
        let mut as_path = self.as_path?;
        let mut rest = self.rest;
        // An AGGREGATOR of another number means that someone who knows only two octets aggregated after AS4_PATH was
        // made, and that neither counts (RFC 6793 §4.2.3).
        let passed = rest.aggregator.is_none_or(|(asn, _)| asn == u32::from(AS_TRANS));
        if passed || self.as4_aggregator.is_none() {
            if let Some(as4_path) = self.as4_path {
                as_path = as_path.merged(as4_path);
            }
            if rest.aggregator.is_some() && self.as4_aggregator.is_some() {
                rest.aggregator = self.as4_aggregator;
            }
        }
        Some(Attributes {
            origin: self.origin?,
            as_path,
            next_hop,
            med: rest.med,
            local_preference: rest.local_preference,
            atomic_aggregate: rest.atomic_aggregate,
            aggregator: rest.aggregator,
            communities: rest.communities,
            extended_communities: rest.extended_communities,
            large_communities: rest.large_communities,
            originator: rest.originator,
            clusters: rest.clusters,
            only_to_customer: rest.only_to_customer,
            unknown: rest.unknown,
        })
    }
}

impl Block<'_> {
    /// Something else is wrong with the message.
    pub(super) fn flaw(&mut self, flaw: Flaw) {
        self.flaws.push((flaw, &[]));
    }

    /// The prefixes of MP_REACH_NLRI cannot be read.
    pub(super) fn flaw_of_reach(&mut self, flaw: Flaw) {
        self.flaws.push((flaw, self.reach_octets));
    }

    /// The prefixes of MP_UNREACH_NLRI cannot be read.
    pub(super) fn flaw_of_unreach(&mut self, flaw: Flaw) {
        self.flaws.push((flaw, self.unreach_octets));
    }

    /// Nothing tells that all prefixes of the message were found, so withdrawing them is not enough (RFC 7606 §5.2).
    pub(super) fn harden(&mut self) {
        for (flaw, _) in &mut self.flaws {
            if flaw.strength == Strength::Withdraw {
                flaw.strength = Strength::Reset;
            }
        }
    }

    /// The families whose prefixes could not be read.
    pub(super) fn unreadable(&self) -> Families {
        let families = self.flaws.iter().filter_map(|(flaw, _)| match flaw.strength {
            Strength::Disable(family) => Some(family),
            Strength::Discard | Strength::Withdraw | Strength::Reset => None,
        });
        families.collect()
    }

    /// There is no family left to go on with.
    pub(super) fn give_up(&mut self) {
        for (flaw, _) in &mut self.flaws {
            if matches!(flaw.strength, Strength::Disable(_)) {
                flaw.strength = Strength::Reset;
            }
        }
    }

    /// How strongly the worst of its flaws is to be treated.
    pub(super) fn strength(&self) -> Option<Strength> {
        self.flaws.iter().map(|(flaw, _)| flaw.strength).max()
    }

    /// What is wrong and what becomes of it.
    pub(super) fn faults(&mut self) -> Vec<Fault> {
        let flaws = std::mem::take(&mut self.flaws);
        flaws
            .into_iter()
            .map(|(flaw, octets)| flaw.treated(octets))
            .collect()
    }
}

/// MP_REACH_NLRI where it comes first, as it should (RFC 7606 §5.1), and what follows it.
pub(super) fn leading<'a>(mut octets: &'a [u8], context: &Context) -> Option<(Reach<'a>, &'a [u8])> {
    let [_, attribute::MP_REACH_NLRI, ..] = octets else {
        return None;
    };
    let Attribute { flags, value, .. } = Attribute::cut(&mut octets)?;
    let reach = reach::reach(flags, value, context).ok()?;
    Some((reach, octets))
}

/// The family that MP_REACH_NLRI or MP_UNREACH_NLRI names, if there is one that we speak.
pub(super) fn family_of(mut octets: &[u8]) -> Option<Family> {
    while let Some(Attribute { code, mut value, .. }) = Attribute::cut(&mut octets) {
        if matches!(code, attribute::MP_REACH_NLRI | attribute::MP_UNREACH_NLRI) {
            return Family::of(take_u16(&mut value)?, take_u8(&mut value)?);
        }
    }
    None
}

/// Those that only mean something inside an autonomous system (RFC 7606 §7.5, §7.9, §7.10).
fn is_internal(code: u8) -> bool {
    matches!(
        code,
        attribute::LOCAL_PREF | attribute::ORIGINATOR_ID | attribute::CLUSTER_LIST
    )
}

/// Whether an attribute is optional and transitive; nothing for those that we do not know, and those of RFC 4760, which
/// are judged by their family.
pub(super) fn flags_of(code: u8) -> Option<u8> {
    match code {
        attribute::ORIGIN
        | attribute::AS_PATH
        | attribute::NEXT_HOP
        | attribute::LOCAL_PREF
        | attribute::ATOMIC_AGGREGATE => Some(flag::TRANSITIVE),
        attribute::MULTI_EXIT_DISC | attribute::ORIGINATOR_ID | attribute::CLUSTER_LIST => {
            Some(flag::OPTIONAL)
        }
        attribute::AGGREGATOR
        | attribute::COMMUNITIES
        | attribute::EXTENDED_COMMUNITIES
        | attribute::AS4_PATH
        | attribute::AS4_AGGREGATOR
        | attribute::IPV6_EXTENDED_COMMUNITIES
        | attribute::LARGE_COMMUNITY
        | attribute::ONLY_TO_CUSTOMER => Some(flag::OPTIONAL | flag::TRANSITIVE),
        _ => None,
    }
}
