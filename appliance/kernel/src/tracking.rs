//! Connection tracking: what is told of a flow that the kernel follows, and requests about flows by their mark.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{DefaultNla, NLM_F_DUMP};

use crate::netlink::{Incoming, Outgoing, attribute, attributes, netfilter_request};

/// Subsystem of connection tracking in the types of its messages (`NFNL_SUBSYS_CTNETLINK`).
const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const QUERY: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const STATISTICS: u16 = SUBSYSTEM | 4;
/// Both versions of IP (`AF_UNSPEC`).
const ANY_FAMILY: u8 = 0;

const REPLY: u16 = 2;
const MARK: u16 = 8;
const MARK_MASK: u16 = 21;
const ADDRESSES: u16 = 1;
const PROTOCOL: u16 = 2;
const V4_DESTINATION: u16 = 2;
const V6_DESTINATION: u16 = 4;
const NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
const ICMP_ID: u16 = 4;
const ICMPV6_ID: u16 = 7;
const INSERT_FAILED: u16 = 9;

/// A flow that the kernel follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Its mark (`ct mark`).
    pub mark: u32,
    /// The protocol of its packets, by IANA number.
    pub protocol: u8,
    /// The address that answers are sent to: that of the sender, as it was translated.
    pub answers_to: IpAddr,
    /// The port that answers are sent to, or the identifier of an ICMP query; 0 where there is neither.
    pub port: u16,
}

/// Which flows: those whose mark has this value in these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Marked {
    /// The value.
    pub(crate) value: u32,
    /// The bits.
    pub(crate) mask: u32,
}

impl Marked {
    /// Lets the kernel forget these flows.
    pub(crate) fn forget(self) -> Outgoing {
        let attribute = |kind, number: u32| DefaultNla::new(kind, number.to_be_bytes().to_vec());
        let attributes = [attribute(MARK, self.value), attribute(MARK_MASK, self.mask)];
        request(DELETE, 0, &attributes)
    }

    /// Whether it is one of these flows.
    pub(crate) fn holds(self, mark: u32) -> bool {
        mark & self.mask == self.value
    }
}

impl Flow {
    /// Asks for all flows.
    pub(crate) fn query() -> Outgoing {
        request(QUERY, NLM_F_DUMP, &[])
    }

    /// Reads one of the answers; `None` for flows without a mark, and what is no flow.
    pub(crate) fn from_message(message: &Incoming<'_>) -> Option<Self> {
        let attributes = (message.kind == NEW).then(|| attributes(message))??;
        let mark = word(attribute(attributes, MARK)?)?;
        let reply = attribute(attributes, REPLY)?;
        let (addresses, protocol) = (attribute(reply, ADDRESSES)?, attribute(reply, PROTOCOL)?);
        let port = [DESTINATION_PORT, ICMP_ID, ICMPV6_ID];
        let port = port.into_iter().find_map(|kind| attribute(protocol, kind));
        (mark != 0).then_some(())?;
        Some(Flow {
            mark,
            protocol: *attribute(protocol, NUMBER)?.first()?,
            answers_to: destination(addresses)?,
            port: port
                .and_then(|value| value.try_into().ok())
                .map_or(0, u16::from_be_bytes),
        })
    }
}

/// Asks each processor for its statistics.
pub(crate) fn statistics() -> Outgoing {
    request(STATISTICS, NLM_F_DUMP, &[])
}

/// How many flows a processor could not enter, since another one has the same addresses and ports.
pub(crate) fn insert_failed(message: &Incoming<'_>) -> Option<u64> {
    let attributes = (message.kind == STATISTICS).then(|| attributes(message))??;
    word(attribute(attributes, INSERT_FAILED)?).map(u64::from)
}

fn request(kind: u16, flags: u16, attributes: &[DefaultNla]) -> Outgoing {
    netfilter_request(kind, ANY_FAMILY, flags, attributes)
}

fn word(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn destination(addresses: &[u8]) -> Option<IpAddr> {
    let four = || {
        let octets: [u8; 4] = attribute(addresses, V4_DESTINATION)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets).into())
    };
    let six = || {
        let octets: [u8; 16] = attribute(addresses, V6_DESTINATION)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    four().or_else(six)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use proptest::prelude::*;

    use super::*;

    const HEADER: usize = 4;

    fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
        let mut value = vec![0; attributes.buffer_len()];
        attributes.emit(&mut value);
        DefaultNla::new(kind | 0x8000, value)
    }

    fn plain(kind: u16, value: &[u8]) -> DefaultNla {
        DefaultNla::new(kind, value.to_vec())
    }

    fn told(attributes: &[DefaultNla]) -> Vec<u8> {
        let mut body = vec![0; HEADER + attributes.buffer_len()];
        body[0] = 2;
        attributes.emit(&mut body[HEADER..]);
        body
    }

    fn read(body: &[u8]) -> Option<Flow> {
        Flow::from_message(&Incoming {
            kind: NEW,
            flags: 0,
            sequence: 1,
            port: 0,
            body,
        })
    }

    /// Where answers go is what the sender was translated to, for TCP and for the identifier of a ping.
    #[test]
    fn a_flow_is_known_by_what_its_answers_are_sent_to() {
        let addresses = [plain(1, &[10, 2, 0, 9]), plain(2, &[100, 64, 9, 1])];
        for (protocol, port) in [(6, 3), (1, 4)] {
            let reply = [
                nested(1, &addresses),
                nested(2, &[plain(1, &[protocol]), plain(port, &[0x12, 0x34])]),
            ];
            let body = told(&[nested(2, &reply), plain(8, &[0, 7, 0, 5])]);
            let flow = Flow {
                mark: 0x0007_0005,
                protocol,
                answers_to: [100, 64, 9, 1].into(),
                port: 0x1234,
            };
            assert_eq!(read(&body), Some(flow));
        }
        let unmarked = [nested(2, &[nested(1, &addresses)]), plain(8, &[0; 4])];
        assert_eq!(read(&told(&unmarked)), None);
    }

    /// What the kernel sends is taken as it is, whatever it is.
    #[test]
    fn hostile_bytes_are_no_flows() {
        proptest!(|(body in proptest::collection::vec(any::<u8>(), 0..160))| {
            let _ = read(&body);
            let told = Incoming { kind: STATISTICS, flags: 0, sequence: 1, port: 0, body: &body };
            let _ = insert_failed(&told);
        });
    }
}
