use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::{count, patch_length, split};
use super::registry::attribute;

const MAX_PROPOSALS: usize = 128;
const LAST: u8 = 0;
const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
/// Octets that every proposal and every transform has.
const FIXED_PART: usize = 8;
/// Set in an attribute's type when its value stands where others have their length (RFC 7296 §3.3.5).
const SHORT_FORM: u16 = 0x8000;

/// SA (RFC 7296 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityAssociationPayload {
    /// The proposals, most wanted first.
    pub proposals: Vec<Proposal>,
}

/// One proposal (§3.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// 1, 2, 3 …
    pub number: u8,
    /// 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// Empty, 4 or 8 octets.
    pub spi: Vec<u8>,
    /// The transforms in order.
    pub transforms: Vec<Transform>,
}

/// One transform (§3.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// 1 ENCR, 2 PRF, 3 INTEG, 4 KE, 5 ESN.
    pub kind: u8,
    /// Its number in the registry of that type.
    pub id: u16,
    /// The Key Length attribute (14), in bits.
    pub key_length: Option<u16>,
    /// It carries an attribute that we do not know, so it can never be chosen (§3.3.6).
    pub unknown_attribute: bool,
}

impl SecurityAssociationPayload {
    /// Reads the body of an SA payload: one proposal at least.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let mut proposals = Vec::new();
        loop {
            if proposals.len() == MAX_PROPOSALS {
                return Err(DecodeError::TooMany { what: "proposals" });
            }
            let (proposal, more) = cut(&mut body, MORE_PROPOSALS, "proposal")?;
            proposals.push(Proposal::decode(proposal)?);
            if !more {
                return Ok(Self { proposals });
            }
        }
    }

    /// Writes the body of an SA payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (index, proposal) in self.proposals.iter().enumerate() {
            let is_last = index + 1 == self.proposals.len();
            proposal.encode(is_last, out);
        }
    }
}

impl Proposal {
    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("proposal");
        let number = bytes.try_get_u8().map_err(&truncated)?;
        let protocol = bytes.try_get_u8().map_err(&truncated)?;
        let spi_length = usize::from(bytes.try_get_u8().map_err(&truncated)?);
        let promised = usize::from(bytes.try_get_u8().map_err(&truncated)?);
        let (spi, mut bytes) = split(bytes, spi_length, "proposal")?;
        let mut transforms = Vec::new();
        let mut more = !bytes.is_empty();
        while more {
            let transform;
            (transform, more) = cut(&mut bytes, MORE_TRANSFORMS, "transform")?;
            transforms.push(Transform::decode(transform)?);
        }
        if transforms.len() != promised {
            return Err(DecodeError::Length { what: "proposal" });
        }
        Ok(Self {
            number,
            protocol,
            spi: spi.to_vec(),
            transforms,
        })
    }

    fn encode(&self, is_last: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u8(if is_last { LAST } else { MORE_PROPOSALS });
        out.put_u8(0);
        out.put_u16(0);
        out.put_u8(self.number);
        out.put_u8(self.protocol);
        out.put_u8(count(self.spi.len()));
        out.put_u8(count(self.transforms.len()));
        out.extend_from_slice(&self.spi);
        for (index, transform) in self.transforms.iter().enumerate() {
            let is_last = index + 1 == self.transforms.len();
            transform.encode(is_last, out);
        }
        patch_length(out, start);
    }
}

impl Transform {
    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("transform");
        let kind = bytes.try_get_u8().map_err(&truncated)?;
        let _reserved = bytes.try_get_u8().map_err(&truncated)?;
        let id = bytes.try_get_u16().map_err(&truncated)?;
        let mut transform = Self {
            kind,
            id,
            key_length: None,
            unknown_attribute: false,
        };
        while !bytes.is_empty() {
            transform.decode_attribute(&mut bytes)?;
        }
        Ok(transform)
    }

    /// Key Length counts only in the short form and once; anything else is as good as unknown.
    fn decode_attribute(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        let truncated = DecodeError::truncated("transform attribute");
        let kind = bytes.try_get_u16().map_err(&truncated)?;
        let value = bytes.try_get_u16().map_err(&truncated)?;
        if kind & SHORT_FORM == 0 {
            (_, *bytes) = split(bytes, usize::from(value), "transform attribute")?;
        }
        if kind == SHORT_FORM | attribute::KEY_LENGTH && self.key_length.is_none() {
            self.key_length = Some(value);
        } else {
            self.unknown_attribute = true;
        }
        Ok(())
    }

    fn encode(&self, is_last: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.put_u8(if is_last { LAST } else { MORE_TRANSFORMS });
        out.put_u8(0);
        out.put_u16(0);
        out.put_u8(self.kind);
        out.put_u8(0);
        out.put_u16(self.id);
        if let Some(bits) = self.key_length {
            out.put_u16(SHORT_FORM | attribute::KEY_LENGTH);
            out.put_u16(bits);
        }
        patch_length(out, start);
    }
}

/// Takes one proposal or transform off `bytes`: what follows its length field, and whether another comes.
/// The mark of the last one must stand exactly where the bytes end (RFC 7296 §3.3.1, §3.3.2).
fn cut<'a>(bytes: &mut &'a [u8], more: u8, what: &'static str) -> Result<(&'a [u8], bool), DecodeError> {
    let truncated = DecodeError::truncated(what);
    let mark = bytes.try_get_u8().map_err(&truncated)?;
    let _reserved = bytes.try_get_u8().map_err(&truncated)?;
    let length = usize::from(bytes.try_get_u16().map_err(&truncated)?);
    if mark != LAST && mark != more {
        return Err(DecodeError::Value { what });
    }
    let wrong = DecodeError::Length { what };
    if length < FIXED_PART {
        return Err(wrong);
    }
    let (inside, rest) = split(bytes, length - 4, what)?;
    *bytes = rest;
    if (mark == LAST) != rest.is_empty() {
        return Err(wrong);
    }
    Ok((inside, mark == more))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// AES-GCM-16 with keys of 128 bits.
    const GCM: &[u8] = &hex!("03 00 000c 01 00 0014 800e 0080");
    const LAST_GCM: &[u8] = &hex!("00 00 000c 01 00 0014 800e 0080");

    fn proposal(mark: u8, promised: u8, transforms: &[&[u8]]) -> Vec<u8> {
        let inside = transforms.concat();
        let length = u8::try_from(inside.len() + 8).unwrap();
        [&[mark, 0, 0, length, 1, 1, 0, promised], &inside[..]].concat()
    }

    fn transform(attributes: &[u8]) -> Transform {
        let length = u8::try_from(attributes.len() + 8).unwrap();
        let transform = [&[0, 0, 0, length, 1, 0, 0, 20], attributes].concat();
        let payload = SecurityAssociationPayload::decode(&proposal(0, 1, &[&transform])).unwrap();
        payload.proposals[0].transforms[0].clone()
    }

    #[test]
    fn marks_and_counts_must_agree() {
        let one = proposal(0, 1, &[LAST_GCM]);
        let mut odd_mark = one.clone();
        odd_mark[0] = 3;
        let sound = [
            one.clone(),
            proposal(0, 0, &[]),
            proposal(0, 2, &[GCM, LAST_GCM]),
            [proposal(2, 1, &[LAST_GCM]), one.clone()].concat(),
        ];
        let broken = [
            vec![],
            odd_mark,
            proposal(2, 1, &[LAST_GCM]),
            proposal(0, 0, &[LAST_GCM]),
            proposal(0, 2, &[LAST_GCM]),
            proposal(0, 255, &[LAST_GCM]),
            proposal(0, 1, &[GCM]),
            proposal(0, 2, &[LAST_GCM, LAST_GCM]),
            [one.clone(), one.clone()].concat(),
            [&one[..], &[0]].concat(),
        ];
        for bytes in sound {
            assert!(SecurityAssociationPayload::decode(&bytes).is_ok(), "{bytes:02x?}");
        }
        for bytes in broken {
            assert!(
                SecurityAssociationPayload::decode(&bytes).is_err(),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn every_length_must_fit() {
        let sound = proposal(0, 1, &[LAST_GCM]);
        // Lengths of proposal and transform, length of the SPI.
        for (place, right) in [(3, 20), (11, 12), (6, 0)] {
            for claimed in (0..=255).filter(|claimed| *claimed != right) {
                let mut bytes = sound.clone();
                bytes[place] = claimed;
                assert!(
                    SecurityAssociationPayload::decode(&bytes).is_err(),
                    "octet {place} is {claimed}"
                );
            }
        }
        for end in 0..sound.len() {
            assert!(
                SecurityAssociationPayload::decode(&sound[..end]).is_err(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn proposals_are_bounded() {
        let more = proposal(2, 0, &[]);
        let body = [more.repeat(MAX_PROPOSALS), proposal(0, 0, &[])].concat();
        let refused = SecurityAssociationPayload::decode(&body);
        assert_eq!(refused, Err(DecodeError::TooMany { what: "proposals" }));
        assert!(SecurityAssociationPayload::decode(&body[8..]).is_ok());
    }

    /// RFC 7296 §3.3.6: a transform with an attribute that is not understood is never chosen.
    #[test]
    fn attributes_other_than_one_key_length_are_unknown() {
        let cases: [(&[u8], Option<u16>, bool); 6] = [
            (&[], None, false),
            (&hex!("800e 0100"), Some(256), false),
            (&hex!("800f 0100"), None, true),
            (&hex!("000e 0002 0100"), None, true),
            (&hex!("800e 0100 800e 0080"), Some(256), true),
            (&hex!("0042 0000 800e 0080"), Some(128), true),
        ];
        for (attributes, key_length, unknown_attribute) in cases {
            let expected = Transform {
                kind: 1,
                id: 20,
                key_length,
                unknown_attribute,
            };
            assert_eq!(transform(attributes), expected, "{attributes:02x?}");
        }
    }
}
