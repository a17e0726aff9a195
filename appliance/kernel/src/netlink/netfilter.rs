//! How messages of netfilter are made, and their attributes found: the same for flows and for tables.

use netlink_packet_core::{DefaultNla, Emitable, NLA_TYPE_MASK};

use super::message::{Incoming, Outgoing};

/// Length of `struct nfgenmsg`, before the attributes.
const HEADER: usize = 4;
/// Length of what stands before the value of an attribute, and of what its length is filled up to.
const NLA_HEADER: usize = 4;

/// A message about what there is for a family of protocols.
pub(crate) fn netfilter_request(kind: u16, family: u8, flags: u16, attributes: &[DefaultNla]) -> Outgoing {
    // Version 0 of the protocol.
    let mut body = vec![0; HEADER + attributes.buffer_len()];
    if let Some(first) = body.first_mut() {
        *first = family;
    }
    if let Some(after) = body.get_mut(HEADER..) {
        attributes.emit(after);
    }
    Outgoing::netfilter(kind, body, flags)
}

/// The attributes of a message.
pub(crate) fn attributes<'a>(message: &Incoming<'a>) -> Option<&'a [u8]> {
    message.body.get(HEADER..)
}

/// The value of the first attribute of a kind.
pub(crate) fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let head: [u8; NLA_HEADER] = bytes.get(..NLA_HEADER)?.try_into().ok()?;
        let [length_low, length_high, kind_low, kind_high] = head;
        let length = usize::from(u16::from_ne_bytes([length_low, length_high]));
        let value = bytes.get(NLA_HEADER..length)?;
        if u16::from_ne_bytes([kind_low, kind_high]) & NLA_TYPE_MASK == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(NLA_HEADER)..)?;
    }
}
