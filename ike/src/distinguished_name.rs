//! Distinguished names as they stand in an ID payload: in words, and compared.

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{
    Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::{Name, RelativeDistinguishedName};

/// id-at-commonName (X.520).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The name as RFC 4514 writes it, the last of its parts first; `None` if the octets are not a name.
pub(crate) fn words(der: &[u8]) -> Option<String> {
    Some(Name::from_der(der).ok()?.to_string())
}

/// Whether both are the same name: the same parts in the same order, texts without regard to case, to their encoding
/// and to how many spaces stand between words (RFC 5280 §7.1).
pub(crate) fn same(said: &[u8], expected: &[u8]) -> bool {
    if said == expected {
        return true;
    }
    let (Ok(said), Ok(expected)) = (Name::from_der(said), Name::from_der(expected)) else {
        return false;
    };
    let parts = |name: &Name| name.iter_rdn().map(part).collect::<Vec<_>>();
    parts(&said) == parts(&expected)
}

/// The attributes of one part, in an order that does not depend on how they are written.
fn part(part: &RelativeDistinguishedName) -> Vec<(String, Vec<u8>)> {
    let mut attributes: Vec<_> = part.iter().map(attribute).collect();
    attributes.sort_unstable();
    attributes
}

/// Whether it has exactly one common name, and that is this one, without regard to case.
pub(crate) fn has_common_name(der: &[u8], name: &str) -> bool {
    let Ok(read) = Name::from_der(der) else {
        return false;
    };
    let attributes = read.iter_rdn().flat_map(|part| part.iter());
    let names = attributes
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .map(text);
    let names: Vec<_> = names.collect();
    let folded = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    matches!(names.as_slice(), [Some(only)] if folded(only) == folded(name))
}

fn attribute(attribute: &AttributeTypeAndValue) -> (String, Vec<u8>) {
    let folded = text(attribute).map(|text| {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        words.join(" ").into_bytes()
    });
    let value = folded.unwrap_or_else(|| attribute.value.to_der().unwrap_or_default());
    (attribute.oid.to_string(), value)
}

fn text(attribute: &AttributeTypeAndValue) -> Option<&str> {
    let value = &attribute.value;
    match value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::PrintableString => PrintableStringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok().map(|text| text.as_str()),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok().map(|text| text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// O=Acme (UTF8String), CN=gw 1 (UTF8String).
    const UTF8: [u8; 32] = hex!("301e310d300b060355040a0c0441636d65310d300b06035504030c0467772031");
    /// The same with PrintableStrings and other letters: O=ACME, CN=Gw 1.
    const PRINTABLE: [u8; 32] = hex!("301e310d300b060355040a130441434d45310d300b0603550403130447772031");

    #[test]
    fn the_last_part_is_written_first() {
        assert_eq!(words(&UTF8).as_deref(), Some("CN=gw 1,O=Acme"));
        assert_eq!(words(&[0x30, 5, 1]), None);
    }

    #[test]
    fn encoding_and_case_of_texts_do_not_count_but_their_place_does() {
        assert!(same(&UTF8, &PRINTABLE));
        let mut other = UTF8;
        other[31] = b'2';
        assert!(!same(&UTF8, &other));
        // CN=gw 1 first, then O=Acme.
        let turned = hex!("301e310d300b06035504030c0467772031310d300b060355040a0c0441636d65");
        assert!(!same(&UTF8, &turned));
        assert!(!same(&UTF8, b""));
    }

    /// Octets that are no name are at most equal to themselves.
    #[test]
    fn what_is_no_name_names_nobody_else() {
        assert!(same(b"broken", b"broken"));
        assert!(!same(b"broken", b"Broken"));
        assert!(!same(b"broken", &UTF8));
    }
}
