use bytes::{Buf, BufMut};

use super::DecodeError;

/// The IKE header (RFC 7296 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The initiator's SPI.
    pub initiator_spi: u64,
    /// The responder's SPI; 0 in the first message.
    pub responder_spi: u64,
    /// Type of the first payload.
    pub next_payload: u8,
    /// Major version in the high four bits, minor in the low four.
    pub version: u8,
    /// Exchange type: 34 IKE_SA_INIT, 35 IKE_AUTH, 36 CREATE_CHILD_SA, 37 INFORMATIONAL.
    pub exchange_type: u8,
    /// Bit 3 initiator, bit 4 version, bit 5 response.
    pub flags: u8,
    /// The message id.
    pub message_id: u32,
    /// Length of the whole message.
    pub length: u32,
}

impl Header {
    /// Octets that the header takes.
    pub const LENGTH: usize = 28;
    /// Version 2.0, as the version octet says it.
    pub const VERSION: u8 = 0x20;
    /// Flag: sent by the original initiator of the IKE SA.
    pub const INITIATOR: u8 = 0x08;
    /// Flag: the sender speaks a higher major version than this message's.
    pub const HIGHER_VERSION: u8 = 0x10;
    /// Flag: an answer to the request of the same message id.
    pub const RESPONSE: u8 = 0x20;

    /// A header of version 2.0. [`super::Message::encode`] fills in the first payload and the length.
    pub fn new(
        initiator_spi: u64,
        responder_spi: u64,
        exchange_type: u8,
        flags: u8,
        message_id: u32,
    ) -> Self {
        Self {
            initiator_spi,
            responder_spi,
            next_payload: 0,
            version: Self::VERSION,
            exchange_type,
            flags,
            message_id,
            length: 0,
        }
    }

    /// Reads the header of a whole datagram, of any version; its length field must be the datagram's length.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Header");
        let mut bytes = datagram;
        let header = Self {
            initiator_spi: bytes.try_get_u64().map_err(&truncated)?,
            responder_spi: bytes.try_get_u64().map_err(&truncated)?,
            next_payload: bytes.try_get_u8().map_err(&truncated)?,
            version: bytes.try_get_u8().map_err(&truncated)?,
            exchange_type: bytes.try_get_u8().map_err(&truncated)?,
            flags: bytes.try_get_u8().map_err(&truncated)?,
            message_id: bytes.try_get_u32().map_err(&truncated)?,
            length: bytes.try_get_u32().map_err(&truncated)?,
        };
        if u32::try_from(datagram.len()) != Ok(header.length) {
            return Err(DecodeError::Length { what: "Header" });
        }
        Ok(header)
    }

    /// The first of messages that stand one behind another, and the rest; the first is not looked into further.
    /// What is not so long as its length says counts as one message.
    pub fn split_first(messages: &[u8]) -> (&[u8], &[u8]) {
        let length = messages
            .get(24..28)
            .and_then(|octets| octets.first_chunk().copied());
        let length = length.and_then(|octets| usize::try_from(u32::from_be_bytes(octets)).ok());
        length
            .filter(|length| *length >= Self::LENGTH)
            .and_then(|length| messages.split_at_checked(length))
            .unwrap_or((messages, &[]))
    }

    /// Writes the header as it stands.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.initiator_spi);
        out.put_u64(self.responder_spi);
        out.put_u8(self.next_payload);
        out.put_u8(self.version);
        out.put_u8(self.exchange_type);
        out.put_u8(self.flags);
        out.put_u32(self.message_id);
        out.put_u32(self.length);
    }

    /// The major version: 2 is the one whose payloads [`super::Message::decode`] reads.
    pub fn major_version(&self) -> u8 {
        self.version >> 4
    }

    /// Whether it answers a request.
    pub fn is_response(&self) -> bool {
        self.flags & Self::RESPONSE != 0
    }

    /// Whether the original initiator of the IKE SA sent it.
    pub fn is_initiator(&self) -> bool {
        self.flags & Self::INITIATOR != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(header: &Header) -> Vec<u8> {
        let mut out = Vec::new();
        header.encode(&mut out);
        out
    }

    #[test]
    fn fields_stand_where_the_rfc_draws_them() {
        let flags = Header::INITIATOR | Header::RESPONSE;
        let header = Header {
            next_payload: 33,
            length: 28,
            ..Header::new(0x0102, 0x0304, 34, flags, 5)
        };
        let expected = hex_literal::hex!("0000000000000102 0000000000000304 21 20 22 28 00000005 0000001c");
        assert_eq!(bytes(&header), expected);
        assert_eq!(Header::decode(&expected), Ok(header));
        assert!(header.is_initiator() && header.is_response());
        assert_eq!(header.major_version(), 2);
    }

    #[test]
    fn length_must_be_the_datagrams() {
        let sound = bytes(&Header {
            length: 28,
            ..Header::new(1, 2, 37, 0, 0)
        });
        for end in 0..28 {
            assert_eq!(
                Header::decode(&sound[..end]),
                Err(DecodeError::Truncated { what: "Header" })
            );
        }
        for claimed in [0, 27, 29, u32::MAX] {
            let wrong = bytes(&Header {
                length: claimed,
                ..Header::new(1, 2, 37, 0, 0)
            });
            assert_eq!(
                Header::decode(&wrong),
                Err(DecodeError::Length { what: "Header" })
            );
        }
    }
}
