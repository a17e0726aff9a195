//! What IKE_INTERMEDIATE messages add to the proofs of both sides (RFC 9242 §3.3.2).

use super::keys::SideKeys;
use crate::wire::Header;
use crate::wire::registry::payload;

/// A chain over the messages of each side so far.
#[derive(Default)]
pub(crate) struct IntAuth {
    initiator: Vec<u8>,
    responder: Vec<u8>,
    last: u32,
}

impl IntAuth {
    /// One more message, sent by the side that has these keys; `first` and `inside` are what its SK payload holds.
    pub(crate) fn add(&mut self, keys: &SideKeys, header: &Header, (first, inside): (u8, &[u8])) {
        let chain = if header.is_initiator() {
            &mut self.initiator
        } else {
            &mut self.responder
        };
        *chain = keys.link(chain, &covered(header, first, inside));
        self.last = header.message_id;
    }

    /// IntAuth_iN | IntAuth_rN | IKE_AUTH_MID; the message id of IKE_AUTH follows that of the last message.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let id = self.last.saturating_add(1).to_be_bytes();
        [self.initiator.as_slice(), &self.responder, &id].concat()
    }
}

/// IntAuth_A | IntAuth_P: the message as if it had not been cut into fragments, without IV, padding and ICV, its
/// lengths adjusted to that.
fn covered(header: &Header, first: u8, inside: &[u8]) -> Vec<u8> {
    let payload_length = inside.len().saturating_add(4);
    let length = payload_length.saturating_add(Header::LENGTH);
    let mut octets = Vec::with_capacity(length);
    Header {
        next_payload: payload::SK,
        length: u32::try_from(length).unwrap_or(u32::MAX),
        ..*header
    }
    .encode(&mut octets);
    octets.extend([first, 0]);
    octets.extend(u16::try_from(payload_length).unwrap_or(u16::MAX).to_be_bytes());
    octets.extend_from_slice(inside);
    octets
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::wire::registry::exchange;

    /// The layout of RFC 9242 §3.3.2, written out by hand.
    #[test]
    fn what_is_covered_depends_on_neither_cipher_nor_fragments() {
        let mut header = Header::new(0x0102, 0x0304, exchange::IKE_INTERMEDIATE, Header::INITIATOR, 1);
        header.length = 999;
        header.next_payload = payload::SKF;
        let expected = hex!(
            "0000000000000102 0000000000000304 2e 20 2b 08 00000001 00000023"
            "22 00 0007 aabbcc"
        );
        assert_eq!(covered(&header, payload::KE, &[0xaa, 0xbb, 0xcc]), expected);
    }
}
