use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::split;

/// IDi or IDr (§3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentificationPayload {
    /// The type: 1 IPv4, 2 FQDN, 3 e-mail, 5 IPv6, 9 DN, 11 key id.
    pub kind: u8,
    /// The value.
    pub data: Vec<u8>,
}

impl IdentificationPayload {
    /// Reads the body of an IDi or IDr payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let kind = body
            .try_get_u8()
            .map_err(DecodeError::truncated("Identification"))?;
        let (_reserved, data) = split(body, 3, "Identification")?;
        Ok(Self {
            kind,
            data: data.to_vec(),
        })
    }

    /// Writes the body of an IDi or IDr payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.extend_from_slice(&[0; 3]);
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
