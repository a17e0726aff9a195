use super::chain::{self, Payload};
use super::{DecodeError, Header};

/// A message in clear text, or the inside of an Encrypted payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payloads in order.
    pub payloads: Vec<Payload>,
}

impl Message {
    /// Reads a whole datagram (without the non-ESP marker). SK and SKF keep their bytes: what was
    /// authenticated with them is the datagram up to those bytes, which are its last.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::decode(datagram)?;
        if header.major_version() != 2 {
            return Err(DecodeError::MajorVersion {
                major: header.major_version(),
            });
        }
        let body = datagram.get(Header::LENGTH..).unwrap_or_default();
        let payloads = chain::decode(header.next_payload, body)?;
        Ok(Self { header, payloads })
    }

    /// Writes the message. The header's first payload and length follow from the payloads.
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
