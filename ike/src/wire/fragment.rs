use bytes::{Buf, BufMut};

use super::DecodeError;

/// SKF (RFC 7383 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPayload {
    /// The type of the first payload inside; 0 but in the first fragment.
    pub first: u8,
    /// 1, 2, 3 …
    pub number: u16,
    /// How many there are.
    pub total: u16,
    /// IV, ciphertext and ICV.
    pub bytes: Vec<u8>,
}

impl FragmentPayload {
    /// Reads the body of an SKF payload whose generic header names `first`. A fragment that is not one of
    /// its total is none (RFC 7383 §2.6).
    pub fn decode(first: u8, mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Encrypted Fragment");
        let number = body.try_get_u16().map_err(&truncated)?;
        let total = body.try_get_u16().map_err(&truncated)?;
        if number == 0 || number > total {
            return Err(DecodeError::Value {
                what: "Fragment Number",
            });
        }
        Ok(Self {
            first,
            number,
            total,
            bytes: body.to_vec(),
        })
    }

    /// Writes what stands before the IV of an SKF payload that follows the header: its generic header, number and
    /// total. `(first, number, total)` are as in the payload, `body` counts IV, ciphertext and ICV.
    pub fn encode_headers((first, number, total): (u8, u16, u16), body: usize, out: &mut Vec<u8>) {
        out.put_u8(first);
        out.put_u8(0);
        out.put_u16(u16::try_from(8 + body).unwrap_or(u16::MAX));
        out.put_u16(number);
        out.put_u16(total);
    }

    /// Writes the body of an SKF payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.number);
        out.put_u16(self.total);
        out.extend_from_slice(&self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_one_of_the_total() {
        for (number, total, sound) in [
            (0, 0, false),
            (0, 1, false),
            (1, 0, false),
            (1, 1, true),
            (2, 3, true),
            (4, 3, false),
        ] {
            let body = [0, number, 0, total, 7];
            assert_eq!(
                FragmentPayload::decode(33, &body).is_ok(),
                sound,
                "{number} of {total}"
            );
        }
        assert_eq!(
            FragmentPayload::decode(33, &[0, 1, 0]),
            Err(DecodeError::Truncated {
                what: "Encrypted Fragment"
            })
        );
    }
}
