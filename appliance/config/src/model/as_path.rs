use std::ops::RangeInclusive;

use crate::Reason;
use crate::reader::{Value, shown};

/// What an AS path must look like, from the neighbour to the origin; nothing may be left over at either end.
pub type AsPathPattern = Vec<AsPathToken>;

/// A part of an AS path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsPathToken {
    /// One of these autonomous systems.
    System(RangeInclusive<u32>),
    /// Any one autonomous system.
    Any,
    /// As many as there are, or none.
    AnyNumber,
}

/// The most parts of a pattern.
const TOKENS: usize = 64;

/// A pattern such as `65515 * 64512-65534`: numbers, ranges, `.` for any one, `*` for any number of them.
pub(super) fn read(value: &Value<'_>) -> Option<AsPathPattern> {
    let text = value.text()?;
    let tokens: Option<AsPathPattern> = text
        .split_ascii_whitespace()
        .take(TOKENS + 1)
        .map(token)
        .collect();
    let found = tokens.filter(|tokens| !tokens.is_empty() && tokens.len() <= TOKENS);
    if found.is_none() {
        let detail = format!(
            "\"{}\" is no pattern of an AS path: 1 to {TOKENS} of 65010, 64512-65534, . for any one and * for any number",
            shown(text)
        );
        value.problem(Reason::InvalidAsPath, detail);
    }
    found
}

fn token(text: &str) -> Option<AsPathToken> {
    match text {
        "." => return Some(AsPathToken::Any),
        "*" => return Some(AsPathToken::AnyNumber),
        _ => (),
    }
    let asn = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (asn(first)?, asn(last)?);
    (first <= last).then_some(AsPathToken::System(first..=last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbers_ranges_and_two_signs() {
        assert_eq!(token("65010"), Some(AsPathToken::System(65_010..=65_010)));
        assert_eq!(token("1-4294967295"), Some(AsPathToken::System(1..=u32::MAX)));
        assert_eq!(token("."), Some(AsPathToken::Any));
        assert_eq!(token("*"), Some(AsPathToken::AnyNumber));
        for text in [
            "",
            "-",
            "2-1",
            "+1",
            "4294967296",
            "1-",
            "65010*",
            "^65010$",
            "**",
        ] {
            assert_eq!(token(text), None, "{text}");
        }
    }
}
