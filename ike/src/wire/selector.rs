use std::net::IpAddr;

use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::{count, patch_length, split};
use super::registry::selector;
use crate::TrafficSelector;

/// TSi or TSr (§3.13). Selectors of unknown type are left out and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorsPayload {
    /// The selectors in order.
    pub selectors: Vec<TrafficSelector>,
    /// How many had a type that we do not know.
    pub unknown: usize,
}

impl SelectorsPayload {
    /// Reads the body of a TSi or TSr payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let promised = body
            .try_get_u8()
            .map_err(DecodeError::truncated("Traffic Selectors"))?;
        let (_reserved, mut rest) = split(body, 3, "Traffic Selectors")?;
        let mut payload = Self {
            selectors: Vec::new(),
            unknown: 0,
        };
        for _ in 0..promised {
            match decode_selector(&mut rest)? {
                Some(selector) => payload.selectors.push(selector),
                None => payload.unknown += 1,
            }
        }
        if rest.is_empty() {
            Ok(payload)
        } else {
            Err(DecodeError::Length {
                what: "Traffic Selectors",
            })
        }
    }

    /// Writes the body of a TSi or TSr payload, without the selectors of unknown type.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(count(self.selectors.len()));
        out.extend_from_slice(&[0; 3]);
        for selector in &self.selectors {
            encode_selector(selector, out);
        }
    }
}

/// Takes one selector off `bytes` (RFC 7296 §3.13.1); none if its type is unknown.
fn decode_selector(bytes: &mut &[u8]) -> Result<Option<TrafficSelector>, DecodeError> {
    const WHAT: &str = "traffic selector";
    let truncated = DecodeError::truncated(WHAT);
    let kind = bytes.try_get_u8().map_err(&truncated)?;
    let protocol = bytes.try_get_u8().map_err(&truncated)?;
    let length = usize::from(bytes.try_get_u16().map_err(&truncated)?);
    let wrong = DecodeError::Length { what: WHAT };
    let (mut inside, rest) = split(bytes, length.checked_sub(4).ok_or(wrong.clone())?, WHAT)?;
    *bytes = rest;
    if kind != selector::IPV4_ADDR_RANGE && kind != selector::IPV6_ADDR_RANGE {
        return Ok(None);
    }
    let start_port = inside.try_get_u16().map_err(|_| wrong.clone())?;
    let end_port = inside.try_get_u16().map_err(|_| wrong.clone())?;
    let (start, end) = if kind == selector::IPV4_ADDR_RANGE {
        addresses::<4>(inside).ok_or(wrong)?
    } else {
        addresses::<16>(inside).ok_or(wrong)?
    };
    Ok(Some(TrafficSelector {
        protocol,
        start_port,
        end_port,
        start,
        end,
    }))
}

/// First and last address, if `bytes` holds nothing but the two.
fn addresses<const N: usize>(bytes: &[u8]) -> Option<(IpAddr, IpAddr)>
where
    IpAddr: From<[u8; N]>,
{
    let (start, end) = bytes.split_first_chunk::<N>()?;
    Some(((*start).into(), <[u8; N]>::try_from(end).ok()?.into()))
}

fn encode_selector(selector: &TrafficSelector, out: &mut Vec<u8>) {
    let begin = out.len();
    out.put_u8(if selector.start.is_ipv4() {
        selector::IPV4_ADDR_RANGE
    } else {
        selector::IPV6_ADDR_RANGE
    });
    out.put_u8(selector.protocol);
    out.put_u16(0);
    out.put_u16(selector.start_port);
    out.put_u16(selector.end_port);
    for address in [selector.start, selector.end] {
        match address {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
    }
    patch_length(out, begin);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY4: &[u8] = &[7, 0, 0, 16, 0, 0, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255];

    fn body(promised: u8, selectors: &[&[u8]]) -> Vec<u8> {
        [&[promised, 0, 0, 0][..], &selectors.concat()].concat()
    }

    #[test]
    fn count_must_match_the_selectors() {
        for (promised, held, sound) in [
            (0, 0, true),
            (1, 1, true),
            (2, 2, true),
            (1, 2, false),
            (2, 1, false),
            (255, 1, false),
        ] {
            let bytes = body(promised, &vec![ANY4; held]);
            assert_eq!(
                SelectorsPayload::decode(&bytes).is_ok(),
                sound,
                "{held} held, {promised} promised"
            );
        }
        assert_eq!(
            SelectorsPayload::decode(&[0, 0, 0]),
            Err(DecodeError::Truncated {
                what: "Traffic Selectors"
            })
        );
    }

    #[test]
    fn length_must_be_that_of_the_family() {
        for (kind, length, sound) in [
            (7, 16, true),
            (7, 15, false),
            (7, 17, false),
            (7, 40, false),
            (8, 40, true),
            (8, 16, false),
        ] {
            let mut selector = vec![0; usize::from(length)];
            selector[0] = kind;
            selector[3] = length;
            assert_eq!(
                SelectorsPayload::decode(&body(1, &[&selector])).is_ok(),
                sound,
                "{kind}, {length}"
            );
        }
        for length in [0, 3, 17] {
            let selector = [&[7, 0, 0, length], &ANY4[4..]].concat();
            assert!(
                SelectorsPayload::decode(&body(1, &[&selector])).is_err(),
                "claims {length}"
            );
        }
    }

    #[test]
    fn unknown_type_is_counted_and_the_rest_kept() {
        let payload = SelectorsPayload::decode(&body(3, &[&[9, 0, 0, 5, 1], ANY4, &[10, 0, 0, 4]])).unwrap();
        assert_eq!((payload.selectors.len(), payload.unknown), (1, 2));
    }
}
