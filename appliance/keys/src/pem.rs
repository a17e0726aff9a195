//! Textual encodings (RFC 7468).

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What stands between two lines of a label.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    /// The label.
    pub(crate) label: &'a str,
    /// The octets, which may be secret.
    pub(crate) octets: Zeroizing<Vec<u8>>,
}

/// All sections of a text, in order; `None` if one of them is damaged. What stands outside of them is passed over.
pub(crate) fn sections(text: &str) -> Option<Vec<Section<'_>>> {
    let mut sections = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line
            .strip_prefix(BEGIN)
            .and_then(|line| line.strip_suffix(DASHES))
        else {
            continue;
        };
        // As long as the text, so that it does not move and leave copies behind.
        let mut encoded = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            let line = lines.next()?;
            if let Some(end) = line.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return None;
                }
                break;
            }
            encoded.extend(line.split_ascii_whitespace());
        }
        let octets = Zeroizing::new(Base64::decode_vec(&encoded).ok()?);
        sections.push(Section { label, octets });
    }
    Some(sections)
}

/// A section, with 64 characters in a line.
pub(crate) fn written(label: &str, octets: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(Base64::encode_string(octets));
    // Large enough, so that it does not move and leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * encoded.len() + 4 * label.len() + 80));
    text.push_str(&format!("{BEGIN}{label}{DASHES}\n"));
    for (place, character) in encoded.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n{END}{label}{DASHES}\n"));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text around sections is passed over, and lines may end in either way (RFC 7468 §2).
    #[test]
    fn sections_are_found() {
        let text = "Bag Attributes\r\n-----BEGIN A-----\r\nAAEC\r\nAw==\r\n-----END A-----\r\nmore\n-----BEGIN B C-----\n/w==\n-----END B C-----";
        let found = sections(text).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|section| (section.label, section.octets.as_slice()))
                .collect::<Vec<_>>(),
            [("A", [0, 1, 2, 3].as_slice()), ("B C", [255].as_slice())]
        );
    }

    #[test]
    fn damage_is_seen() {
        for damaged in [
            "-----BEGIN A-----\nAAEC",
            "-----BEGIN A-----\nAAEC\n-----END B-----",
            "-----BEGIN A-----\nAA*C\n-----END A-----",
        ] {
            assert_eq!(sections(damaged), None, "{damaged}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_judged(text in "(-----BEGIN A-----\n|-----END A-----\n|[A-Za-z0-9+/=\n-]{0,9}){0,9}") {
            let _ = sections(&text);
        }
    }
}
