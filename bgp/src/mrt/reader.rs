//! Reading tables and logs, record by record (RFC 6396 §4.2 to §4.4, RFC 8050).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::registry::{kind, log, table};
use crate::Family;
use crate::wire::framing::{Framing, MessageKind};
use crate::wire::nlri;
use crate::wire::octets::{cut, length_u16, take, take_u8, take_u16, take_u32};
use crate::wire::registry::{attribute, flag};
use crate::wire::update::{Context, Decoder, Update};
use crate::{Families, wire};

/// The octets of a header (RFC 6396 §2).
pub const RECORD_HEADER: usize = 12;
/// A record that says that it is longer is taken for none.
pub const LONGEST_RECORD: usize = 1 << 20;

/// What a record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// When, in seconds since 1970.
    pub at: u32,
    kind: u16,
    subtype: u16,
    /// So many octets follow.
    pub length: usize,
}

/// What one neighbour of whoever made the file told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its address.
    pub from: IpAddr,
    /// What it told, as our own sessions would read it.
    pub update: Update,
}

/// Reads records in their order: a table begins with who its entries are of.
#[derive(Debug)]
pub struct RecordReader {
    context: Context,
    neighbours: Vec<IpAddr>,
}

impl RecordHeader {
    /// Reads a header; the error says what is wrong.
    pub fn decode(octets: [u8; RECORD_HEADER]) -> Result<Self, String> {
        let mut rest = octets.as_slice();
        let fields = (
            take_u32(&mut rest),
            take_u16(&mut rest),
            take_u16(&mut rest),
            take_u32(&mut rest),
        );
        let (Some(at), Some(kind), Some(subtype), Some(length)) = fields else {
            return Err("a header is cut off".to_owned());
        };
        let fits = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST_RECORD);
        let length =
            fits.ok_or_else(|| format!("a record has {length} octets; at most {LONGEST_RECORD} are read"))?;
        Ok(Self {
            at,
            kind,
            subtype,
            length,
        })
    }
}

impl RecordReader {
    /// Updates are judged as in a session that agreed on this; how long AS numbers are and whether paths are numbered the
    /// file says.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            neighbours: Vec::new(),
        }
    }

    /// What a record tells of routes, if it does; the error says what is wrong with it.
    pub fn read(&mut self, header: RecordHeader, body: &[u8]) -> Result<Vec<Told>, String> {
        let (mut octets, cut_off) = (body, || "a record ends before its fields do".to_owned());
        match (header.kind, header.subtype) {
            (kind::TABLE_DUMP, subtype) => {
                let family = Family::of(subtype, 1);
                family.map_or(Ok(Vec::new()), |family| self.old_table(family, octets))
            }
            (kind::TABLE_DUMP_V2, table::PEER_INDEX_TABLE) => {
                self.neighbours = neighbours(octets).ok_or_else(cut_off)?;
                Ok(Vec::new())
            }
            (kind::TABLE_DUMP_V2, subtype) => {
                let (family, numbered) = match subtype {
                    table::RIB_IPV4_UNICAST => (Family::Ipv4, false),
                    table::RIB_IPV6_UNICAST => (Family::Ipv6, false),
                    table::RIB_IPV4_UNICAST_ADDPATH => (Family::Ipv4, true),
                    table::RIB_IPV6_UNICAST_ADDPATH => (Family::Ipv6, true),
                    _ => return Ok(Vec::new()),
                };
                self.entries(family, numbered, octets)
            }
            (kind::BGP4MP_ET | kind::BGP4MP, subtype) => {
                if header.kind == kind::BGP4MP_ET {
                    take_u32(&mut octets).ok_or_else(cut_off)?;
                }
                let (four, numbered) = match subtype {
                    log::MESSAGE => (false, false),
                    log::MESSAGE_AS4 => (true, false),
                    log::MESSAGE_ADDPATH => (false, true),
                    log::MESSAGE_AS4_ADDPATH => (true, true),
                    _ => return Ok(Vec::new()),
                };
                self.message(four, numbered, octets)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// TABLE_DUMP (RFC 6396 §4.2).
    fn old_table(&self, family: Family, mut octets: &[u8]) -> Result<Vec<Told>, String> {
        let (rest, mut all) = (&mut octets, Vec::new());
        take_u32(rest).ok_or("a record ends before its view")?;
        while !rest.is_empty() {
            let route = old_route(family, rest).ok_or("a route is cut off")?;
            let (prefix, from, attributes) = route;
            let prefix = prefix.ok_or_else(|| format!("an {family} prefix is too long"))?;
            all.push(self.told(from, (prefix, 0), attributes, false)?);
        }
        Ok(all)
    }

    /// RIB_IPV4_UNICAST and its like (RFC 6396 §4.3.2, RFC 8050 §4).
    fn entries(&self, family: Family, numbered: bool, mut octets: &[u8]) -> Result<Vec<Told>, String> {
        let (rest, mut all) = (&mut octets, Vec::new());
        let cut_off = || "an entry is cut off".to_owned();
        take_u32(rest).ok_or_else(cut_off)?;
        let length = take_u8(rest).ok_or_else(cut_off)?;
        let address = cut(rest, usize::from(length.div_ceil(8))).ok_or_else(cut_off)?;
        let prefix = prefix(family, length, address);
        let prefix = prefix.ok_or_else(|| format!("an {family} prefix has a length of {length} bits"))?;
        for _ in 0..take_u16(rest).ok_or_else(cut_off)? {
            let number = take_u16(rest).ok_or_else(cut_off)?;
            take_u32(rest).ok_or_else(cut_off)?;
            let path = if numbered {
                take_u32(rest).ok_or_else(cut_off)?
            } else {
                0
            };
            let length = take_u16(rest).ok_or_else(cut_off)?;
            let attributes = cut(rest, usize::from(length)).ok_or_else(cut_off)?;
            let from = self.neighbours.get(usize::from(number));
            let from = from.ok_or_else(|| format!("no neighbour has the number {number}"))?;
            all.push(self.told(*from, (prefix, path), attributes, true)?);
        }
        Ok(all)
    }

    /// BGP4MP_MESSAGE and its like (RFC 6396 §4.4.2, RFC 8050 §3).
    fn message(&self, four: bool, numbered: bool, mut octets: &[u8]) -> Result<Vec<Told>, String> {
        let rest = &mut octets;
        let cut_off = || "a message is cut off".to_owned();
        cut(rest, if four { 10 } else { 6 }).ok_or_else(cut_off)?;
        let afi = take_u16(rest).ok_or_else(cut_off)?;
        let family = Family::of(afi, 1).ok_or_else(|| format!("addresses of family {afi} are not known"))?;
        let from = address(family, rest).ok_or_else(cut_off)?;
        address(family, rest).ok_or_else(cut_off)?;
        let mut framing = Framing::new();
        framing.push(rest);
        let frame = framing
            .next(true)
            .map_err(|_| "what should be a message of BGP is none".to_owned())?;
        let frame = frame.ok_or_else(cut_off)?;
        if frame.kind != MessageKind::Update {
            return Ok(Vec::new());
        }
        let add_path = if numbered { Families::ALL } else { Families::NONE };
        let update = Decoder::new(self.dialect(four, add_path)).decode(frame.body);
        Ok(vec![Told { from, update }])
    }

    /// One route of a table.
    fn told(
        &self,
        from: IpAddr,
        (prefix, path): (IpNet, u32),
        attributes: &[u8],
        four: bool,
    ) -> Result<Told, String> {
        let body = body(&prefix, attributes).ok_or("the attributes of a route are cut off")?;
        let mut update = Decoder::new(self.dialect(four, Families::NONE)).decode(&body);
        let announced = update.announced.iter_mut().flat_map(|(_, to)| to);
        // What is faulty counts as withdrawn.
        announced
            .chain(&mut update.withdrawn)
            .for_each(|destination| destination.path = path);
        Ok(Told { from, update })
    }

    fn dialect(&self, four_octet_asn: bool, add_path: Families) -> Context {
        Context {
            four_octet_asn,
            add_path,
            ..self.context
        }
    }
}

/// PEER_INDEX_TABLE (RFC 6396 §4.3.1).
fn neighbours(mut octets: &[u8]) -> Option<Vec<IpAddr>> {
    let rest = &mut octets;
    take_u32(rest)?;
    let length = take_u16(rest)?;
    cut(rest, usize::from(length))?;
    let count = take_u16(rest)?;
    let mut all = Vec::new();
    for _ in 0..count {
        let kind = take_u8(rest)?;
        take_u32(rest)?;
        let family = if kind & 1 == 0 { Family::Ipv4 } else { Family::Ipv6 };
        all.push(address(family, rest)?);
        cut(rest, if kind & 2 == 0 { 2 } else { 4 })?;
    }
    Some(all)
}

type OldRoute<'a> = (Option<IpNet>, IpAddr, &'a [u8]);

fn old_route<'a>(family: Family, rest: &mut &'a [u8]) -> Option<OldRoute<'a>> {
    let to = address(family, rest)?;
    let length = take_u8(rest)?;
    // Status, and when it came.
    cut(rest, 5)?;
    let from = address(family, rest)?;
    take_u16(rest)?;
    let attributes = take_u16(rest)?;
    let attributes = cut(rest, usize::from(attributes))?;
    Some((
        IpNet::new(to, length).ok().map(|prefix| prefix.trunc()),
        from,
        attributes,
    ))
}

fn address(family: Family, rest: &mut &[u8]) -> Option<IpAddr> {
    Some(match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::from(take::<4>(rest)?)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(take::<16>(rest)?)),
    })
}

fn prefix(family: Family, length: u8, octets: &[u8]) -> Option<IpNet> {
    let mut address = [0; 16];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    let address = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(address)),
    };
    Some(IpNet::new(address, length).ok()?.trunc())
}

/// The body of the UPDATE that this route could have come with.
fn body(prefix: &IpNet, attributes: &[u8]) -> Option<Vec<u8>> {
    let family = Family::of_prefix(prefix);
    let (mut others, mut next_hop, mut plain) = (Vec::new(), None, false);
    let mut rest = attributes;
    while !rest.is_empty() {
        let begin = rest;
        let [flags, code] = take(&mut rest)?;
        let length = match flags & flag::EXTENDED_LENGTH {
            0 => usize::from(take_u8(&mut rest)?),
            _ => usize::from(take_u16(&mut rest)?),
        };
        let value = cut(&mut rest, length)?;
        if code == attribute::MP_REACH_NLRI {
            next_hop = Some(reached_by(value)?);
        } else if code != attribute::MP_UNREACH_NLRI {
            plain |= code == attribute::NEXT_HOP;
            others.extend_from_slice(begin.get(..begin.len().saturating_sub(rest.len()))?);
        }
    }
    let mut nlri = Vec::new();
    nlri::encode(prefix, &mut nlri);
    let mut all = Vec::new();
    if let Some(next_hop) = next_hop.filter(|_| family == Family::Ipv6 || !plain) {
        let length = 5 + next_hop.len() + nlri.len();
        all.extend([flag::OPTIONAL | flag::EXTENDED_LENGTH, attribute::MP_REACH_NLRI]);
        all.extend(length_u16(length).to_be_bytes());
        all.extend(family.afi().to_be_bytes());
        all.extend([1, wire::octets::length_u8(next_hop.len())]);
        all.extend_from_slice(next_hop);
        all.push(0);
        all.append(&mut nlri);
    }
    all.append(&mut others);
    let mut body = vec![0, 0];
    body.extend(u16::try_from(all.len()).ok()?.to_be_bytes());
    body.append(&mut all);
    if family == Family::Ipv4 {
        body.append(&mut nlri);
    }
    Some(body)
}

/// The next hop of MP_REACH_NLRI, which tables abbreviate (RFC 6396 §4.3.4); some write all of it.
fn reached_by(mut value: &[u8]) -> Option<&[u8]> {
    if value.first() == Some(&0) {
        cut(&mut value, 3)?;
    }
    let length = take_u8(&mut value)?;
    cut(&mut value, usize::from(length))
}
