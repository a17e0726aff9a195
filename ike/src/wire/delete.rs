use bytes::{Buf, BufMut};

use super::DecodeError;

const SPI_LENGTH: u8 = 4;

/// D (§3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePayload {
    /// 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPIs of the sender's inbound SAs; none for IKE.
    pub spis: Vec<u32>,
}

impl DeletePayload {
    /// Reads the body of a Delete payload: SPIs of four octets that fill it, or of none.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Delete");
        let protocol = body.try_get_u8().map_err(&truncated)?;
        let spi_length = body.try_get_u8().map_err(&truncated)?;
        let count = body.try_get_u16().map_err(&truncated)?;
        let is_known_length = spi_length == 0 || spi_length == SPI_LENGTH;
        if !is_known_length || usize::from(spi_length) * usize::from(count) != body.len() {
            return Err(DecodeError::Length { what: "Delete" });
        }
        let mut spis = Vec::with_capacity(body.len() / usize::from(SPI_LENGTH));
        while !body.is_empty() {
            spis.push(body.try_get_u32().map_err(&truncated)?);
        }
        Ok(Self { protocol, spis })
    }

    /// Writes the body of a Delete payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.protocol);
        out.put_u8(if self.spis.is_empty() { 0 } else { SPI_LENGTH });
        out.put_u16(u16::try_from(self.spis.len()).unwrap_or(u16::MAX));
        for spi in &self.spis {
            out.put_u32(*spi);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_and_size_must_fill_the_body() {
        let cases: [(&[u8], Option<Vec<u32>>); 9] = [
            (&[1, 0, 0], None),
            (&[1, 0, 0, 0], Some(vec![])),
            (&[1, 0, 0, 0, 9], None),
            (&[3, 4, 0, 1, 0, 0, 0, 9], Some(vec![9])),
            (&[3, 4, 0, 2, 0, 0, 0, 9, 0, 0, 0, 8], Some(vec![9, 8])),
            (&[3, 4, 0, 2, 0, 0, 0, 9], None),
            (&[3, 4, 0, 0, 0, 0, 0, 9], None),
            (&[3, 4, 0xff, 0xff, 0, 0, 0, 9], None),
            (&[1, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9], None),
        ];
        for (body, spis) in cases {
            assert_eq!(
                DeletePayload::decode(body).ok().map(|delete| delete.spis),
                spis,
                "{body:?}"
            );
        }
    }
}
