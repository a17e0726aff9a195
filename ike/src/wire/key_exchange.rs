use bytes::{Buf, BufMut};

use super::DecodeError;

/// KE (§3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchangePayload {
    /// The group's number.
    pub group: u16,
    /// The public value.
    pub data: Vec<u8>,
}

impl KeyExchangePayload {
    /// Reads the body of a KE payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Key Exchange");
        let group = body.try_get_u16().map_err(&truncated)?;
        let _reserved = body.try_get_u16().map_err(&truncated)?;
        Ok(Self {
            group,
            data: body.to_vec(),
        })
    }

    /// Writes the body of a KE payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.group);
        out.put_u16(0);
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_without_group_and_reserved_octets_is_refused() {
        for end in 0..4 {
            let refused = KeyExchangePayload::decode(&[0, 31, 0, 0][..end]);
            assert_eq!(refused, Err(DecodeError::Truncated { what: "Key Exchange" }));
        }
        assert_eq!(
            KeyExchangePayload::decode(&[0, 31, 0xff, 0xff, 7]),
            Ok(KeyExchangePayload {
                group: 31,
                data: vec![7]
            })
        );
    }
}
