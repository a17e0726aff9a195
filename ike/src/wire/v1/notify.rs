use bytes::{Buf, BufMut};

use super::proposal::IPSEC_DOI;
use crate::wire::DecodeError;
use crate::wire::chain::{count, split};

/// N (RFC 2408 §3.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyPayload {
    /// 1 ISAKMP, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPI that it is about; for ISAKMP both cookies, or nothing.
    pub spi: Vec<u8>,
    /// Below 16,384 an error, above a status.
    pub kind: u16,
    /// What the kind says.
    pub data: Vec<u8>,
}

impl NotifyPayload {
    /// Reads the body of a Notify payload, of whatever DOI.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Notify");
        let _doi = body.try_get_u32().map_err(&truncated)?;
        let protocol = body.try_get_u8().map_err(&truncated)?;
        let spi_length = usize::from(body.try_get_u8().map_err(&truncated)?);
        let kind = body.try_get_u16().map_err(&truncated)?;
        let (spi, data) = split(body, spi_length, "Notify")?;
        let (spi, data) = (spi.to_vec(), data.to_vec());
        Ok(Self {
            protocol,
            spi,
            kind,
            data,
        })
    }

    /// Writes the body of a Notify payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(IPSEC_DOI);
        out.put_u8(self.protocol);
        out.put_u8(count(self.spi.len()));
        out.put_u16(self.kind);
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
    }

    /// Whether it reports an error rather than a status (RFC 2408 §3.14.1).
    pub fn is_error(&self) -> bool {
        self.kind < 16_384
    }
}
