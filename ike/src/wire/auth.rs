use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::split;

/// AUTH (§3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPayload {
    /// The method: 2 is shared key.
    pub method: u8,
    /// The proof.
    pub data: Vec<u8>,
}

impl AuthPayload {
    /// Reads the body of an AUTH payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let method = body
            .try_get_u8()
            .map_err(DecodeError::truncated("Authentication"))?;
        let (_reserved, data) = split(body, 3, "Authentication")?;
        Ok(Self {
            method,
            data: data.to_vec(),
        })
    }

    /// Writes the body of an AUTH payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.method);
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
            let refused = AuthPayload::decode(&[0; 4][..end]);
            assert_eq!(
                refused,
                Err(DecodeError::Truncated {
                    what: "Authentication"
                })
            );
        }
        assert!(AuthPayload::decode(&[0; 4]).is_ok());
    }
}
