use bytes::{Buf, BufMut};

use super::attribute::Attribute;
use super::registry::payload;
use crate::wire::DecodeError;
use crate::wire::chain::{count, patch_length, split};

/// The IPsec DOI (RFC 2407 §6.1).
pub(super) const IPSEC_DOI: u32 = 1;
/// SIT_IDENTITY_ONLY (RFC 2407 §4.2.1).
const IDENTITY_ONLY: u32 = 1;
const GENERIC_HEADER: usize = 4;
const MOST: usize = 255;

/// SA (RFC 2408 §3.4, RFC 2407 §4.6.1) of the IPsec DOI, where identities are all that the situation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityAssociationPayload {
    /// The proposals in order; those with the same number belong together.
    pub proposals: Vec<Proposal>,
}

/// P (RFC 2408 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its number.
    pub number: u8,
    /// 1 ISAKMP, 2 AH, 3 ESP, 4 IPCOMP.
    pub protocol: u8,
    /// The sender's SPI; empty, or a cookie, for ISAKMP.
    pub spi: Vec<u8>,
    /// The transforms, most wanted first.
    pub transforms: Vec<Transform>,
}

/// T (RFC 2408 §3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// Its number.
    pub number: u8,
    /// What it is, by its protocol.
    pub id: u8,
    /// All that is said of it.
    pub attributes: Vec<Attribute>,
}

impl SecurityAssociationPayload {
    /// Reads the body of an SA payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Security Association");
        if body.try_get_u32().map_err(&truncated)? != IPSEC_DOI {
            return Err(DecodeError::Value { what: "DOI" });
        }
        if body.try_get_u32().map_err(&truncated)? != IDENTITY_ONLY {
            return Err(DecodeError::Value { what: "situation" });
        }
        let proposals = list(body, payload::PROPOSAL, "proposals")?;
        let proposals: Result<Vec<_>, _> = proposals.into_iter().map(Proposal::decode).collect();
        Ok(Self {
            proposals: proposals?,
        })
    }

    /// Writes the body of an SA payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u32(IPSEC_DOI);
        out.put_u32(IDENTITY_ONLY);
        for (index, proposal) in self.proposals.iter().enumerate() {
            let start = out.len();
            let last = index + 1 == self.proposals.len();
            out.put_u8(if last { payload::NONE } else { payload::PROPOSAL });
            out.put_u8(0);
            out.put_u16(0);
            proposal.encode(out);
            patch_length(out, start);
        }
    }
}

impl Proposal {
    fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("proposal");
        let number = body.try_get_u8().map_err(&truncated)?;
        let protocol = body.try_get_u8().map_err(&truncated)?;
        let spi_length = usize::from(body.try_get_u8().map_err(&truncated)?);
        let promised = body.try_get_u8().map_err(&truncated)?;
        let (spi, rest) = split(body, spi_length, "proposal")?;
        let transforms = list(rest, payload::TRANSFORM, "transforms")?;
        if transforms.len() != usize::from(promised) {
            return Err(DecodeError::Length { what: "proposal" });
        }
        let transforms: Result<Vec<_>, _> = transforms.into_iter().map(Transform::decode).collect();
        Ok(Self {
            number,
            protocol,
            spi: spi.to_vec(),
            transforms: transforms?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.number);
        out.put_u8(self.protocol);
        out.put_u8(count(self.spi.len()));
        out.put_u8(count(self.transforms.len()));
        out.extend_from_slice(&self.spi);
        for (index, transform) in self.transforms.iter().enumerate() {
            let start = out.len();
            let last = index + 1 == self.transforms.len();
            out.put_u8(if last { payload::NONE } else { payload::TRANSFORM });
            out.put_u8(0);
            out.put_u16(0);
            transform.encode(out);
            patch_length(out, start);
        }
    }
}

impl Transform {
    fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("transform");
        let number = body.try_get_u8().map_err(&truncated)?;
        let id = body.try_get_u8().map_err(&truncated)?;
        let _reserved = body.try_get_u16().map_err(&truncated)?;
        let attributes = Attribute::decode_all(body)?;
        Ok(Self {
            number,
            id,
            attributes,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.number);
        out.put_u8(self.id);
        out.put_u16(0);
        for attribute in &self.attributes {
            attribute.encode(out);
        }
    }

    /// The number that an attribute says; `None` if it is not there, or is no number.
    pub fn number_of(&self, kind: u16) -> Option<u64> {
        let mut found = self.attributes.iter().filter(|attribute| attribute.kind == kind);
        found.next()?.as_number()
    }
}

/// The bodies of proposals or transforms that fill `bytes`: each names the same type as what follows it, the last none.
fn list<'a>(mut bytes: &'a [u8], kind: u8, what: &'static str) -> Result<Vec<&'a [u8]>, DecodeError> {
    let truncated = DecodeError::truncated(what);
    let mut bodies = Vec::new();
    loop {
        let next = bytes.try_get_u8().map_err(&truncated)?;
        let _reserved = bytes.try_get_u8().map_err(&truncated)?;
        let length = usize::from(bytes.try_get_u16().map_err(&truncated)?);
        let length = length
            .checked_sub(GENERIC_HEADER)
            .ok_or(DecodeError::Length { what })?;
        let (body, rest) = split(bytes, length, what)?;
        bodies.push(body);
        bytes = rest;
        match next {
            payload::NONE if bytes.is_empty() => return Ok(bodies),
            next if next == kind && bodies.len() < MOST => {}
            next if next == kind => return Err(DecodeError::TooMany { what }),
            _ => return Err(DecodeError::Length { what }),
        }
    }
}
