//! A table as a file (TABLE_DUMP_V2, RFC 6396 §4.3).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::record;
use super::registry::{kind, table};
use crate::wire::octets::{length_u16, set_u16};
use crate::wire::{nlri, writer};
use crate::{Family, NeighbourName, TableRow};

/// The neighbour's entry has an address of IPv6, and an AS number of four octets (RFC 6396 §4.3.1).
const IPV6: u8 = 1;
const FOUR_OCTETS: u8 = 2;

/// A neighbour as the first record of a table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNeighbour {
    /// Its name; nobody for ourselves.
    pub name: Option<NeighbourName>,
    /// Its BGP identifier, that of its last session; zero if it had none.
    pub identifier: Ipv4Addr,
    /// The far end of its session.
    pub address: IpAddr,
    /// Its autonomous system.
    pub asn: u32,
    /// Since when its routes may be there, in seconds since 1970.
    pub since: u32,
}

/// Writes a table record by record.
#[derive(Debug)]
pub struct TableWriter {
    at: u32,
    /// Its place in the first record, and since when its routes may be there.
    neighbours: BTreeMap<Option<NeighbourName>, (u16, u32)>,
    sequence: u32,
    left_out: u64,
}

impl TableWriter {
    /// Writes PEER_INDEX_TABLE, with the first one of these as who made it. `at` is the time of all records, in seconds since
    /// 1970.
    pub fn begin(neighbours: &[TableNeighbour], at: u32, out: &mut Vec<u8>) -> Self {
        let identifier = neighbours
            .first()
            .map_or(Ipv4Addr::UNSPECIFIED, |ours| ours.identifier);
        let most = neighbours.iter().take(usize::from(u16::MAX));
        record::write(at, (kind::TABLE_DUMP_V2, table::PEER_INDEX_TABLE), out, |out| {
            out.extend(identifier.octets());
            // The view has no name.
            out.extend([0, 0]);
            out.extend(length_u16(neighbours.len()).to_be_bytes());
            most.clone().for_each(|neighbour| neighbour.encode(out));
        });
        let numbered = (0..u16::MAX).zip(most);
        Self {
            at,
            neighbours: numbered
                .map(|(number, neighbour)| (neighbour.name.clone(), (number, neighbour.since)))
                .collect(),
            sequence: 0,
            left_out: 0,
        }
    }

    /// Writes the records of these routes, those to one prefix together. What is of a neighbour that the first record does
    /// not have, and attributes that are longer than an entry can say, is left out.
    pub fn write(&mut self, rows: &[TableRow], out: &mut Vec<u8>) {
        for rows in rows.chunk_by(|one, other| one.prefix == other.prefix) {
            for numbered in [false, true] {
                let mut entries = Vec::new();
                let mut count = 0;
                for row in rows.iter().filter(|row| (row.path != 0) == numbered) {
                    if count < u16::MAX && self.entry(row, &mut entries) {
                        count += 1;
                    } else {
                        self.left_out += 1;
                    }
                }
                if let (Some(first), 1..) = (rows.first(), count) {
                    self.record(first, numbered, (count, &entries), out);
                }
            }
        }
    }

    /// How many routes were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn record(&mut self, row: &TableRow, numbered: bool, (count, entries): (u16, &[u8]), out: &mut Vec<u8>) {
        let subtype = match (Family::of_prefix(&row.prefix), numbered) {
            (Family::Ipv4, false) => table::RIB_IPV4_UNICAST,
            (Family::Ipv6, false) => table::RIB_IPV6_UNICAST,
            (Family::Ipv4, true) => table::RIB_IPV4_UNICAST_ADDPATH,
            (Family::Ipv6, true) => table::RIB_IPV6_UNICAST_ADDPATH,
        };
        record::write(self.at, (kind::TABLE_DUMP_V2, subtype), out, |out| {
            out.extend(self.sequence.to_be_bytes());
            nlri::encode(&row.prefix, out);
            out.extend(count.to_be_bytes());
            out.extend_from_slice(entries);
        });
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Writes one entry (RFC 6396 §4.3.4, RFC 8050 §4.1); whether it could be written.
    fn entry(&self, row: &TableRow, out: &mut Vec<u8>) -> bool {
        let Some((number, since)) = self.neighbours.get(&row.from) else {
            return false;
        };
        let begin = out.len();
        out.extend(number.to_be_bytes());
        out.extend(since.to_be_bytes());
        if row.path != 0 {
            out.extend(row.path.to_be_bytes());
        }
        let place = out.len();
        out.extend([0, 0]);
        writer::of_entry(&row.attributes, Family::of_prefix(&row.prefix), out);
        let length = out.len().saturating_sub(place + 2);
        if u16::try_from(length).is_err() {
            out.truncate(begin);
            return false;
        }
        set_u16(out, place, length);
        true
    }
}

impl TableNeighbour {
    fn encode(&self, out: &mut Vec<u8>) {
        let address = match self.address {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => IPV6,
        };
        out.push(FOUR_OCTETS | address);
        out.extend(self.identifier.octets());
        match self.address {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
        out.extend(self.asn.to_be_bytes());
    }
}
