use bytes::Buf;

use super::DecodeError;

/// EAP (§3.16): the message, checked for its length only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EapPayload {
    /// The EAP message.
    pub data: Vec<u8>,
}

impl EapPayload {
    /// Reads the body of an EAP payload: code, identifier, and a length that covers them all.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("EAP");
        let mut fields = body;
        let _code_and_identifier = fields.try_get_u16().map_err(&truncated)?;
        let length = fields.try_get_u16().map_err(&truncated)?;
        if usize::from(length) != body.len() {
            return Err(DecodeError::Length { what: "EAP" });
        }
        Ok(Self { data: body.to_vec() })
    }

    /// Writes the body of an EAP payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_covers_the_whole_message() {
        let cases: [(&[u8], Option<DecodeError>); 6] = [
            (&[], Some(DecodeError::Truncated { what: "EAP" })),
            (&[1, 2, 0], Some(DecodeError::Truncated { what: "EAP" })),
            (&[3, 2, 0, 4], None),
            (&[1, 2, 0, 5, 1], None),
            (&[1, 2, 0, 4, 1], Some(DecodeError::Length { what: "EAP" })),
            (&[1, 2, 0, 6, 1], Some(DecodeError::Length { what: "EAP" })),
        ];
        for (body, error) in cases {
            assert_eq!(EapPayload::decode(body).err(), error, "{body:?}");
        }
    }
}
