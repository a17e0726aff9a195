use bytes::{Buf, BufMut};

use super::proposal::IPSEC_DOI;
use crate::wire::DecodeError;
use crate::wire::chain::count;

/// D (RFC 2408 §3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePayload {
    /// 1 ISAKMP, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPIs, all of one length: those that the sender receives on, or both cookies.
    pub spis: Vec<Vec<u8>>,
}

impl DeletePayload {
    /// Reads the body of a Delete payload, of whatever DOI: SPIs that fill it.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Delete");
        let _doi = body.try_get_u32().map_err(&truncated)?;
        let protocol = body.try_get_u8().map_err(&truncated)?;
        let length = usize::from(body.try_get_u8().map_err(&truncated)?);
        let promised = usize::from(body.try_get_u16().map_err(&truncated)?);
        if length == 0 || length * promised != body.len() {
            return Err(DecodeError::Length { what: "Delete" });
        }
        let spis = body.chunks_exact(length).map(<[u8]>::to_vec).collect();
        Ok(Self { protocol, spis })
    }

    /// Writes the body of a Delete payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(IPSEC_DOI);
        out.put_u8(self.protocol);
        out.put_u8(count(self.spis.first().map_or(4, Vec::len)));
        out.put_u16(u16::try_from(self.spis.len()).unwrap_or(u16::MAX));
        self.spis.iter().for_each(|spi| out.extend_from_slice(spi));
    }
}
