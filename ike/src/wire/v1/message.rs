use super::chain::{self, Payload};
use crate::wire::{DecodeError, Header};

/// A message in clear text, or one that was decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payloads in order.
    pub payloads: Vec<Payload>,
}

impl Message {
    /// Version 1.0, as the version octet says it.
    pub const VERSION: u8 = 0x10;
    /// Flag of the header: what follows it is encrypted (RFC 2408 §3.1).
    pub const ENCRYPTED: u8 = 0x01;
    /// Flag of the header: the commit bit, which nothing protects and we therefore do not heed.
    pub const COMMIT: u8 = 0x02;

    /// A header of version 1.0 for a message in clear text.
    pub fn header((initiator, responder): (u64, u64), exchange_type: u8, message_id: u32) -> Header {
        Header {
            version: Self::VERSION,
            ..Header::new(initiator, responder, exchange_type, 0, message_id)
        }
    }

    /// Whether what follows a header is encrypted.
    pub fn is_encrypted(header: &Header) -> bool {
        header.flags & Self::ENCRYPTED != 0
    }

    /// Reads a whole datagram (without the non-ESP marker) that is in clear text.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::decode(datagram)?;
        if header.major_version() != 1 {
            return Err(DecodeError::MajorVersion {
                major: header.major_version(),
            });
        }
        if Self::is_encrypted(&header) {
            return Err(DecodeError::Value { what: "flags" });
        }
        let body = datagram.get(Header::LENGTH..).unwrap_or_default();
        let (payloads, octets) = chain::decode(header.next_payload, body)?;
        if octets != body.len() {
            return Err(DecodeError::Length {
                what: "payload chain",
            });
        }
        Ok(Self { header, payloads })
    }

    /// Writes the message in clear text. The header's first payload and length follow from the payloads.
    pub fn encode(&self) -> Vec<u8> {
        let (next_payload, body) = chain::encode(&self.payloads);
        let length = u32::try_from(Header::LENGTH + body.len()).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(Header::LENGTH + body.len());
        Header {
            next_payload,
            length,
            ..self.header
        }
        .encode(&mut out);
        out.extend_from_slice(&body);
        out
    }
}
