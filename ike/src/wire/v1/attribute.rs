use bytes::{Buf, BufMut};

use crate::wire::DecodeError;
use crate::wire::chain::split;

const BASIC: u16 = 0x8000;

/// One attribute of a transform (RFC 2408 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its type, below 32,768.
    pub kind: u16,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute, in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Two octets in the place of a length.
    Basic(u16),
    /// As many octets as a length says.
    Variable(Vec<u8>),
}

impl Attribute {
    /// A number, in as little room as it takes.
    pub fn number(kind: u16, value: u32) -> Self {
        let value = u16::try_from(value).map_or_else(
            |_| AttributeValue::Variable(value.to_be_bytes().to_vec()),
            AttributeValue::Basic,
        );
        Self { kind, value }
    }

    /// The number that the value is, in either form; `None` for no octets, and for more than 64 bits say.
    pub fn as_number(&self) -> Option<u64> {
        match &self.value {
            AttributeValue::Basic(value) => Some((*value).into()),
            AttributeValue::Variable(octets) => {
                let zeros = octets.iter().take_while(|octet| **octet == 0).count();
                let significant = octets.get(zeros..).filter(|_| !octets.is_empty())?;
                let number = |sum: u64, octet: &u8| sum << 8 | u64::from(*octet);
                (significant.len() <= 8).then(|| significant.iter().fold(0, number))
            }
        }
    }

    /// Reads the attributes that fill `bytes`.
    pub(super) fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let truncated = DecodeError::truncated("attribute");
        let mut attributes = Vec::new();
        while !bytes.is_empty() {
            let first = bytes.try_get_u16().map_err(&truncated)?;
            let second = bytes.try_get_u16().map_err(&truncated)?;
            let kind = first & !BASIC;
            let value = if first & BASIC != 0 {
                AttributeValue::Basic(second)
            } else {
                let (value, rest) = split(bytes, second.into(), "attribute")?;
                bytes = rest;
                AttributeValue::Variable(value.to_vec())
            };
            attributes.push(Self { kind, value });
        }
        Ok(attributes)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.value {
            AttributeValue::Basic(value) => {
                out.put_u16(self.kind | BASIC);
                out.put_u16(*value);
            }
            AttributeValue::Variable(octets) => {
                out.put_u16(self.kind & !BASIC);
                out.put_u16(u16::try_from(octets.len()).unwrap_or(u16::MAX));
                out.extend_from_slice(octets);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn both_forms_are_numbers() {
        let cases: [(&[u8], Option<u64>); 6] = [
            (&hex!("800b 0001"), Some(1)),
            (&hex!("000c 0004 00007080"), Some(28_800)),
            (&hex!("000c 0009 00ffffffffffffffff"), Some(u64::MAX)),
            (&hex!("000c 0009 01ffffffffffffffff"), None),
            (&hex!("000c 0002 0000"), Some(0)),
            (&hex!("000c 0000"), None),
        ];
        for (bytes, number) in cases {
            let decoded = Attribute::decode_all(bytes).unwrap();
            assert_eq!(decoded[0].as_number(), number, "{bytes:02x?}");
            let mut written = Vec::new();
            decoded[0].encode(&mut written);
            assert_eq!(written, bytes);
        }
        assert_eq!(Attribute::number(12, 3600).value, AttributeValue::Basic(3600));
        assert_eq!(
            Attribute::number(12, 102_400_000).as_number(),
            Some(102_400_000),
            "it takes four octets"
        );
    }

    /// A list that ends within an attribute, or says that it is longer than it is, is no list.
    #[test]
    fn malformed_lists_are_refused() {
        let broken: [&[u8]; 6] = [
            &hex!("80"),
            &hex!("800b 00"),
            &hex!("000c 0004 000070"),
            &hex!("000c ffff 00007080"),
            &hex!("800b 0001 000c"),
            &hex!("800b 0001 00"),
        ];
        for bytes in broken {
            assert!(Attribute::decode_all(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
