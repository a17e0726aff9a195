//! The values of path attributes, one function for each kind (RFC 7606 §7).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use thin_vec::ThinVec;

use super::as_path::{AsPath, Form};
use super::attribute::Origin;
use super::error::Flaw;
use super::octets::{take_u16, take_u32};
use super::registry::{attribute, update_error};
use super::update::Context;

/// The value, which has this length (RFC 7606 §7).
pub(super) fn exactly<const N: usize>(code: u8, value: &[u8]) -> Result<[u8; N], Flaw> {
    value.try_into().map_err(|_| {
        let words = format!(
            "{} has {} octets instead of {N}",
            attribute::words(code),
            value.len()
        );
        Flaw::withdraw(update_error::LENGTH, words)
    })
}

/// The value as a list of things of one length; an empty one is malformed (RFC 7606 §4, §7.8, §7.10, §7.14, §7.15).
pub(super) fn each<const N: usize, T>(
    code: u8,
    value: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> Result<ThinVec<T>, Flaw> {
    let (items, remainder) = value.as_chunks::<N>();
    if items.is_empty() || !remainder.is_empty() {
        let words = format!(
            "{} has {} octets instead of a multiple of {N}",
            attribute::words(code),
            value.len()
        );
        return Err(Flaw::withdraw(update_error::LENGTH, words));
    }
    Ok(items.iter().map(|octets| read(*octets)).collect())
}

/// Its routes are not worse without it (RFC 7606 §7.6, §7.7; RFC 6793 §6).
pub(super) fn milder(flaw: Flaw) -> Flaw {
    Flaw::discard(flaw.words)
}

/// RFC 7606 §7.1.
pub(super) fn origin(value: &[u8]) -> Result<Origin, Flaw> {
    match exactly(attribute::ORIGIN, value)? {
        [0] => Ok(Origin::Igp),
        [1] => Ok(Origin::Egp),
        [2] => Ok(Origin::Incomplete),
        [other] => Err(Flaw::withdraw(update_error::ORIGIN, format!("ORIGIN is {other}"))),
    }
}

/// RFC 7606 §7.2.
pub(super) fn as_path(value: &[u8], context: &Context) -> Result<AsPath, Flaw> {
    let form = if context.four_octet_asn {
        Form::Long
    } else {
        Form::Short
    };
    let flaw = |words: String| Flaw::withdraw(update_error::AS_PATH, format!("AS_PATH: {words}"));
    let path = AsPath::decode(value, form).map_err(flaw)?;
    // RFC 9774 §3.
    if !context.as_sets && path.has_set() {
        return Err(flaw("it has a set, which is no longer allowed".to_owned()));
    }
    // RFC 4271 §6.3.
    match context.first_asn {
        Some(asn) if path.first() != Some(asn) => {
            Err(flaw(format!("{path} does not begin with the neighbour's {asn}")))
        }
        Some(_) | None => Ok(path),
    }
}

/// RFC 7606 §7.7; nobody is autonomous system 0 (RFC 7607 §2).
pub(super) fn aggregator(code: u8, mut value: &[u8], four_octets: bool) -> Result<(u32, Ipv4Addr), Flaw> {
    let octets = &mut value;
    let length = octets.len();
    let asn = if four_octets {
        take_u32(octets)
    } else {
        take_u16(octets).map(u32::from)
    };
    let address: Result<[u8; 4], _> = (*octets).try_into();
    match (asn, address) {
        (Some(0), Ok(_)) => Err(Flaw::discard(format!(
            "{} is autonomous system 0",
            attribute::words(code)
        ))),
        (Some(asn), Ok(address)) => Ok((asn, Ipv4Addr::from(address))),
        (Some(_) | None, _) => {
            let expected = if four_octets { 8 } else { 6 };
            let words = format!(
                "{} has {length} octets instead of {expected}",
                attribute::words(code)
            );
            Err(Flaw::discard(words))
        }
    }
}

/// From those who have numbers of four octets in AS_PATH it is of no meaning (RFC 6793 §4.1, §6).
pub(super) fn as4_path(value: &[u8], context: &Context) -> Result<Option<AsPath>, Flaw> {
    if context.four_octet_asn {
        return Err(Flaw::discard("AS4_PATH is of no meaning in this session"));
    }
    let path =
        AsPath::decode(value, Form::As4).map_err(|words| Flaw::discard(format!("AS4_PATH: {words}")))?;
    // RFC 6793 §6: fewer than six octets.
    if value.is_empty() {
        return Err(Flaw::discard("AS4_PATH is empty"));
    }
    if !context.as_sets && path.has_set() {
        let words = "AS4_PATH: it has a set, which is no longer allowed";
        return Err(Flaw::withdraw(update_error::AS_PATH, words));
    }
    Ok(Some(path))
}

/// As with AS4_PATH.
pub(super) fn as4_aggregator(value: &[u8], context: &Context) -> Result<Option<(u32, Ipv4Addr)>, Flaw> {
    if context.four_octet_asn {
        return Err(Flaw::discard("AS4_AGGREGATOR is of no meaning in this session"));
    }
    aggregator(attribute::AS4_AGGREGATOR, value, true).map(Some)
}

/// What is in it twice counts once (RFC 8092 §3).
pub(super) fn large_communities(value: &[u8]) -> Result<ThinVec<(u32, u32, u32)>, Flaw> {
    let read = |octets: [u8; 12]| {
        let octets = &mut octets.as_slice();
        let mut next = || take_u32(octets).unwrap_or_default();
        (next(), next(), next())
    };
    let all = each(attribute::LARGE_COMMUNITY, value, read)?;
    let mut seen = BTreeSet::new();
    Ok(all
        .into_iter()
        .filter(|community| seen.insert(*community))
        .collect())
}
