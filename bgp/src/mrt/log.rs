//! Messages and changes of state as a file (BGP4MP_ET, RFC 6396 §3, §4.4; RFC 8050 §3).

use std::net::IpAddr;

use super::record;
use super::registry::{kind, log};
use crate::wire::framing::{Frame, MessageKind};
use crate::wire::octets::length_u16;
use crate::wire::registry::AS_TRANS;
use crate::wire::update;
use crate::{Families, Family, PeerState};

/// A time of the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970.
    pub seconds: u32,
    /// Microseconds of the second.
    pub microseconds: u32,
}

/// Both ends of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSession {
    /// Our autonomous system and address.
    pub ours: (u32, IpAddr),
    /// Those of the neighbour.
    pub theirs: (u32, IpAddr),
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The neighbour sent it.
    In,
    /// We did.
    Out,
}

/// What of a connection its messages cannot be read without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Families whose prefixes have path identifiers as the neighbour sends them (RFC 7911).
    pub add_path: Families,
}

impl Dialect {
    /// Before anything is agreed on.
    pub const FIRST: Self = Self {
        four_octet_asn: true,
        add_path: Families::NONE,
    };
}

/// Writes one message.
pub fn message(
    at: Moment,
    session: &LogSession,
    (way, dialect): (Way, Dialect),
    frame: Frame<'_>,
    out: &mut Vec<u8>,
) {
    // We never send path identifiers.
    let numbered = way == Way::In
        && frame.kind == MessageKind::Update
        && dialect.add_path.contains(update::family_of(frame.body));
    let subtype = match (way, dialect.four_octet_asn, numbered) {
        (Way::In, true, false) => log::MESSAGE_AS4,
        (Way::In, false, false) => log::MESSAGE,
        (Way::In, true, true) => log::MESSAGE_AS4_ADDPATH,
        (Way::In, false, true) => log::MESSAGE_ADDPATH,
        (Way::Out, true, _) => log::MESSAGE_AS4_LOCAL,
        (Way::Out, false, _) => log::MESSAGE_LOCAL,
    };
    with_time(at, subtype, out, |out| {
        session.encode(dialect.four_octet_asn, out);
        out.extend([0xff; 16]);
        out.extend(length_u16(crate::wire::framing::HEADER + frame.body.len()).to_be_bytes());
        out.push(frame.kind.number());
        out.extend_from_slice(frame.body);
    });
}

/// Writes that a session went from one state to another (RFC 6396 §4.4.4).
pub fn state_change(at: Moment, session: &LogSession, (old, new): (PeerState, PeerState), out: &mut Vec<u8>) {
    with_time(at, log::STATE_CHANGE_AS4, out, |out| {
        session.encode(true, out);
        out.extend(number(old).to_be_bytes());
        out.extend(number(new).to_be_bytes());
    });
}

/// Writes a record whose time has microseconds, which count as its body (RFC 6396 §3).
fn with_time(at: Moment, subtype: u16, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    record::write(at.seconds, (kind::BGP4MP_ET, subtype), out, |out| {
        out.extend(at.microseconds.to_be_bytes());
        body(out);
    });
}

impl LogSession {
    fn encode(&self, four_octet_asn: bool, out: &mut Vec<u8>) {
        for (asn, _) in [self.theirs, self.ours] {
            if four_octet_asn {
                out.extend(asn.to_be_bytes());
            } else {
                out.extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
            }
        }
        // The interface is not told.
        out.extend([0, 0]);
        let family = match self.theirs.1 {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        };
        out.extend(family.afi().to_be_bytes());
        for (_, address) in [self.theirs, self.ours] {
            match address {
                IpAddr::V4(address) => out.extend(address.octets()),
                IpAddr::V6(address) => out.extend(address.octets()),
            }
        }
    }
}

/// RFC 6396 §4.4.1.
fn number(state: PeerState) -> u16 {
    match state {
        PeerState::Idle => 1,
        PeerState::Connect => 2,
        PeerState::Active => 3,
        PeerState::OpenSent => 4,
        PeerState::OpenConfirm => 5,
        PeerState::Established => 6,
    }
}
