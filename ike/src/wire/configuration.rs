use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::split;

const MAX_ATTRIBUTES: usize = 256;
/// The highest bit of an attribute's type is reserved (RFC 7296 §3.15.1).
const TYPE_BITS: u16 = 0x7fff;

/// CP (§3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationPayload {
    /// 1 request, 2 reply, 3 set, 4 ack.
    pub kind: u8,
    /// Type and value of each attribute.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

impl ConfigurationPayload {
    /// Reads the body of a CP payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Configuration");
        let kind = body.try_get_u8().map_err(&truncated)?;
        let (_reserved, mut rest) = split(body, 3, "Configuration")?;
        let mut attributes = Vec::new();
        while !rest.is_empty() {
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(DecodeError::TooMany {
                    what: "configuration attributes",
                });
            }
            let attribute = rest.try_get_u16().map_err(&truncated)? & TYPE_BITS;
            let length = usize::from(rest.try_get_u16().map_err(&truncated)?);
            let value;
            (value, rest) = split(rest, length, "Configuration")?;
            attributes.push((attribute, value.to_vec()));
        }
        Ok(Self { kind, attributes })
    }

    /// Writes the body of a CP payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind);
        out.extend_from_slice(&[0; 3]);
        for (attribute, value) in &self.attributes {
            out.put_u16(attribute & TYPE_BITS);
            out.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
            out.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_must_fill_the_body() {
        let cases: [(&[u8], bool); 7] = [
            (&[1, 0, 0], false),
            (&[1, 0, 0, 0], true),
            (&[1, 0, 0, 0, 0, 1, 0], false),
            (&[1, 0, 0, 0, 0, 1, 0, 0], true),
            (&[2, 0, 0, 0, 0, 1, 0, 4, 10, 0, 0, 1], true),
            (&[2, 0, 0, 0, 0, 1, 0, 4, 10, 0, 0], false),
            (&[2, 0, 0, 0, 0, 1, 0xff, 0xff, 10], false),
        ];
        for (body, sound) in cases {
            assert_eq!(ConfigurationPayload::decode(body).is_ok(), sound, "{body:?}");
        }
    }

    #[test]
    fn attributes_are_bounded() {
        let body = vec![0; 4 + 4 * (MAX_ATTRIBUTES + 1)];
        let refused = ConfigurationPayload::decode(&body);
        assert_eq!(
            refused,
            Err(DecodeError::TooMany {
                what: "configuration attributes"
            })
        );
    }
}
