use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::split;

/// IDi or IDr (§3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentificationPayload {
    /// The type: 1 IPv4, 2 FQDN, 3 e-mail, 5 IPv6, 9 DN, 11 key id.
    pub kind: u8,
    /// Sent as zero and ignored, but proved as received (§2.15).
    pub reserved: [u8; 3],
    /// The value.
    pub data: Vec<u8>,
}

impl IdentificationPayload {
    /// Reads the body of an IDi or IDr payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let kind = body
            .try_get_u8()
            .map_err(DecodeError::truncated("Identification"))?;
        let (reserved, data) = split(body, 3, "Identification")?;
        Ok(Self {
            kind,
            reserved: reserved.try_into().unwrap_or_default(),
            data: data.to_vec(),
        })
    }

    /// Writes the body of an IDi or IDr payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.extend_from_slice(&self.reserved);
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ignored, but the peer's proof covers them as they came (RFC 7296 §2.15).
    #[test]
    fn reserved_octets_are_kept() {
        let body = [2, 7, 8, 9, b'x'];
        let mut again = Vec::new();
        IdentificationPayload::decode(&body).unwrap().encode(&mut again);
        assert_eq!(again, body);
    }

    #[test]
    fn body_shorter_than_its_fixed_part_is_refused() {
        for end in 0..4 {
            let refused = IdentificationPayload::decode(&[0; 4][..end]);
            assert_eq!(
                refused,
                Err(DecodeError::Truncated {
                    what: "Identification"
                })
            );
        }
        assert!(IdentificationPayload::decode(&[0; 4]).is_ok());
    }
}
