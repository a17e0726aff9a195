use super::DecodeError;

/// Nonce (§3.9): 16 to 256 octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoncePayload {
    /// The nonce.
    pub data: Vec<u8>,
}

impl NoncePayload {
    /// Reads the body of a Nonce payload.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        if !(16..=256).contains(&body.len()) {
            return Err(DecodeError::Length { what: "Nonce" });
        }
        Ok(Self { data: body.to_vec() })
    }

    /// Writes the body of a Nonce payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonce_has_16_to_256_octets() {
        for (length, sound) in [(0, false), (15, false), (16, true), (256, true), (257, false)] {
            assert_eq!(
                NoncePayload::decode(&vec![7; length]).is_ok(),
                sound,
                "{length} octets"
            );
        }
    }
}
