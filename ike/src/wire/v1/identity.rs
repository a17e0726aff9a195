use bytes::{Buf, BufMut};

use crate::wire::DecodeError;

/// ID (RFC 2407 §4.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentificationPayload {
    /// The type: 1 IPv4, 2 FQDN, 3 e-mail, 4 IPv4 network, 5 IPv6, 6 IPv6 network, 7 and 8 ranges, 9 DN, 11 key id.
    pub kind: u8,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// Port; 0 is any.
    pub port: u16,
    /// The value.
    pub data: Vec<u8>,
}

impl IdentificationPayload {
    /// Reads the body of an ID payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Identification");
        Ok(Self {
            kind: body.try_get_u8().map_err(&truncated)?,
            protocol: body.try_get_u8().map_err(&truncated)?,
            port: body.try_get_u16().map_err(&truncated)?,
            data: body.to_vec(),
        })
    }

    /// Writes the body of an ID payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.put_u8(self.protocol);
        out.put_u16(self.port);
        out.extend_from_slice(&self.data);
    }
}
