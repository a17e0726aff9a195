use std::fmt;
use std::str::FromStr;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::name::Name;

/// A distinguished name that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedName {
    text: String,
    der: Vec<u8>,
}

impl DistinguishedName {
    /// Its DER, as an ID payload carries it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for DistinguishedName {
    type Err = String;

    /// As RFC 4514 writes it, with spaces allowed before a part.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXAMPLE: &str = "expected a name such as CN=gw.example, O=Example, C=DE";
        let name = Name::from_str(&without_spaces(text)).map_err(|_| EXAMPLE.to_owned())?;
        if let Some(faulty) = name.iter().find(|attribute| !is_sound(attribute)) {
            return Err(format!(
                "{faulty} is empty or has characters that it may not have"
            ));
        }
        let der = name.to_der().map_err(|_| EXAMPLE.to_owned())?;
        let text = name.to_string();
        Ok(Self { text, der })
    }
}

/// Without spaces at the beginning of each part.
fn without_spaces(text: &str) -> String {
    let (mut kept, mut escaped, mut begins) = (String::new(), false, true);
    for character in text.chars() {
        if begins && character == ' ' {
            continue;
        }
        begins = !escaped && matches!(character, ',' | '+');
        escaped = !escaped && character == '\\';
        kept.push(character);
    }
    kept
}

/// It has a value, of the characters that its type allows.
fn is_sound(attribute: &AttributeTypeAndValue) -> bool {
    let value = &attribute.value;
    !value.value().is_empty()
        && match value.tag() {
            Tag::Utf8String => Utf8StringRef::try_from(value).is_ok(),
            Tag::PrintableString => PrintableStringRef::try_from(value).is_ok(),
            Tag::Ia5String => Ia5StringRef::try_from(value).is_ok(),
            _ => true,
        }
}
