use bytes::{Buf, BufMut};

use super::registry::payload;
use crate::wire::DecodeError;

/// One fragment of a message (payload 132), as common implementations have it; no RFC says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPayload {
    /// Which message it is of.
    pub id: u16,
    /// Its number; the first one is 1.
    pub number: u8,
    /// Whether it is the last one.
    pub last: bool,
    /// A piece of the message, whose header is in the first one.
    pub data: Vec<u8>,
}

impl FragmentPayload {
    /// Octets of a packet that are neither its IKE header nor a piece of the message.
    pub const BESIDE: usize = 8;
    const LAST: u8 = 1;

    /// Reads the one payload of a packet, with its generic header.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("fragment");
        let whole = bytes.len();
        let next = bytes.try_get_u8().map_err(&truncated)?;
        let _reserved = bytes.try_get_u8().map_err(&truncated)?;
        let length = usize::from(bytes.try_get_u16().map_err(&truncated)?);
        if length != whole || next != payload::NONE {
            return Err(DecodeError::Length { what: "fragment" });
        }
        Ok(Self {
            id: bytes.try_get_u16().map_err(&truncated)?,
            number: bytes.try_get_u8().map_err(&truncated)?,
            last: bytes.try_get_u8().map_err(&truncated)? & Self::LAST != 0,
            data: bytes.to_vec(),
        })
    }

    /// Writes the payload with its generic header, as the only one of a packet.
    pub fn encode(&self) -> Vec<u8> {
        let length = Self::BESIDE + self.data.len();
        let mut out = Vec::with_capacity(length);
        out.put_u8(payload::NONE);
        out.put_u8(0);
        out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
        out.put_u16(self.id);
        out.put_u8(self.number);
        out.put_u8(if self.last { Self::LAST } else { 0 });
        out.extend_from_slice(&self.data);
        out
    }
}
