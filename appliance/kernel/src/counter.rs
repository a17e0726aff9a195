//! Counters of the tables that have some, as the kernel tells of them.

use appliance_nat::Counted;
use netlink_packet_core::{DefaultNla, NLM_F_DUMP};

use crate::netlink::{Incoming, Outgoing, attribute, attributes, netfilter_request};

/// Subsystem of tables in the types of netfilter's messages (`NFNL_SUBSYS_NFTABLES`).
const SUBSYSTEM: u16 = 10 << 8;
const NEW: u16 = SUBSYSTEM | 18;
const QUERY: u16 = SUBSYSTEM | 19;
/// Both versions of IP, as `nft` calls them (`NFPROTO_INET`).
const INET: u8 = 1;
/// The kind of object (`NFT_OBJECT_COUNTER`).
const COUNTER: u32 = 1;

const TABLE: u16 = 1;
const NAME: u16 = 2;
const KIND: u16 = 3;
const DATA: u16 = 4;
const BYTES: u16 = 1;
const PACKETS: u16 = 2;

/// Asks for all counters of a table.
pub(crate) fn query(table: &str) -> Outgoing {
    let mut table = table.as_bytes().to_vec();
    table.push(0);
    let attributes = [
        DefaultNla::new(TABLE, table),
        DefaultNla::new(KIND, COUNTER.to_be_bytes().to_vec()),
    ];
    netfilter_request(QUERY, INET, NLM_F_DUMP, &attributes)
}

/// Reads one of the answers about a table: the counter's name, and what it has counted.
pub(crate) fn read(message: &Incoming<'_>, table: &str) -> Option<(String, Counted)> {
    let attributes = (message.kind == NEW).then(|| attributes(message))??;
    let of_ours = text(attribute(attributes, TABLE)?)? == table;
    let kind = attribute(attributes, KIND)?.try_into().ok();
    (of_ours && kind.map(u32::from_be_bytes) == Some(COUNTER)).then_some(())?;
    let data = attribute(attributes, DATA)?;
    let counted = Counted {
        packets: number(attribute(data, PACKETS)?)?,
        bytes: number(attribute(data, BYTES)?)?,
    };
    Some((text(attribute(attributes, NAME)?)?.to_owned(), counted))
}

/// The kernel ends it with a zero.
fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.strip_suffix(&[0])?).ok()
}

fn number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mark;

    /// As Linux told it of `counter web.1a2b { packets 3 bytes 252 }`.
    const TOLD: &[u8] = b"\x01\x00\x00\x02\x11\x00\x01\x00causeway_nat\x00\x00\x00\x00\x0d\x00\x02\x00web.1\
        a2b\x00\x00\x00\x00\x08\x00\x03\x00\x00\x00\x00\x01\x0c\x00\x06\x00\x00\x00\x00\x00\
        \x00\x00\x00\x01\x08\x00\x05\x00\x00\x00\x00\x00\x1c\x00\x04\x00\x0c\x00\x01\x00\x00\
        \x00\x00\x00\x00\x00\x00\xfc\x0c\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x03";

    fn told(body: &[u8]) -> Option<(String, Counted)> {
        let message = Incoming {
            kind: NEW,
            flags: 2,
            sequence: 1,
            port: 0,
            body,
        };
        read(&message, mark::TRANSLATION_TABLE)
    }

    #[test]
    fn counters_are_read() {
        let counted = Counted {
            packets: 3,
            bytes: 252,
        };
        assert_eq!(told(TOLD), Some(("web.1a2b".to_owned(), counted)));
        for length in 0..TOLD.len() {
            let _ = told(&TOLD[..length]);
        }
    }

    /// What the kernel sends is taken as it is, whatever it is.
    #[test]
    fn hostile_bytes_are_no_counters() {
        proptest!(|(place in 0..TOLD.len(), value: u8, body in proptest::collection::vec(any::<u8>(), 0..160))| {
            let mut changed = TOLD.to_vec();
            changed[place] = value;
            let _ = told(&changed);
            let _ = told(&body);
        });
    }
}
