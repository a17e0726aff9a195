//! URIs of PKCS#11 (RFC 7512).

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// How long a URI may be.
const MOST_OCTETS: usize = 4096;

/// Which private key of which token, by which module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The library that speaks with the token.
    pub module_path: PathBuf,
    /// The label of the token.
    pub token: Option<String>,
    /// The serial number of the token.
    pub serial: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// What its maker calls such tokens.
    pub model: Option<String>,
    /// The number of the slot that it is in.
    pub slot: Option<u64>,
    /// The label of the key (`CKA_LABEL`).
    pub object: Option<String>,
    /// The octets by which key and certificate belong together (`CKA_ID`).
    pub id: Option<Vec<u8>>,
}

/// Why a text names no private key of a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UriError {
    /// It begins in another way, or is too long.
    #[error("a URI of a key begins with pkcs11: and has at most {MOST_OCTETS} characters")]
    Scheme,
    /// Not `name=value`.
    #[error("{0:?} is not name=value")]
    Attribute(String),
    /// `%` without two hexadecimal digits, or octets that are not UTF-8.
    #[error("the value of {0} is not percent-encoded as RFC 7512 has it")]
    Encoding(String),
    /// It stands there twice.
    #[error("{0} stands there twice")]
    Twice(String),
    /// No such attribute.
    #[error("there is no attribute {0}; token, serial, object, id and ?module-path say which key")]
    Unknown(String),
    /// The value is not one that makes sense.
    #[error("{name} cannot be {value:?}: {why}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        why: &'static str,
    },
    /// The PIN stands, or is said to stand, in the open.
    #[error("{0} would keep the PIN in the open: store it as a secret and name that")]
    Pin(String),
    /// No module.
    #[error("?module-path= is missing: the library that speaks with the token, as an absolute path")]
    NoModule,
    /// No token.
    #[error("token=, serial= or slot-id= is missing: which token has the key")]
    NoToken,
}

impl FromStr for Pkcs11Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let rest = text.strip_prefix("pkcs11:").filter(|_| text.len() <= MOST_OCTETS);
        let rest = rest.ok_or(UriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut read = Attributes::default();
        for attribute in path.split(';').filter(|attribute| !attribute.is_empty()) {
            read.take_path(attribute)?;
        }
        for attribute in query.split('&').filter(|attribute| !attribute.is_empty()) {
            read.take_query(attribute)?;
        }
        read.finish()
    }
}

/// What was read so far.
#[derive(Default)]
struct Attributes {
    module_path: Option<PathBuf>,
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    kind: Option<String>,
}

impl Attributes {
    /// Attributes of the path (RFC 7512 §2.3): each at most once.
    fn take_path(&mut self, attribute: &str) -> Result<(), UriError> {
        let (name, octets) = split(attribute)?;
        match name {
            "id" => return once(&mut self.id, name, octets),
            "token" => once(&mut self.token, name, utf8(name, octets)?)?,
            "serial" => once(&mut self.serial, name, utf8(name, octets)?)?,
            "manufacturer" => once(&mut self.manufacturer, name, utf8(name, octets)?)?,
            "model" => once(&mut self.model, name, utf8(name, octets)?)?,
            "object" => once(&mut self.object, name, utf8(name, octets)?)?,
            "slot-id" => once(&mut self.slot, name, slot(utf8(name, octets)?)?)?,
            "type" => once(&mut self.kind, name, private(utf8(name, octets)?)?)?,
            // They say more about what the rest says already, and cannot contradict a module that is named by its path.
            "library-manufacturer"
            | "library-description"
            | "library-version"
            | "slot-manufacturer"
            | "slot-description" => {
                utf8(name, octets)?;
            }
            _ => return Err(UriError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// Attributes of the query (RFC 7512 §2.4).
    fn take_query(&mut self, attribute: &str) -> Result<(), UriError> {
        let (name, octets) = split(attribute)?;
        match name {
            "module-path" => {
                let text = utf8(name, octets)?;
                let path = PathBuf::from(&text);
                let relative = || UriError::Value {
                    name: "module-path",
                    value: text,
                    why: "it is an absolute path",
                };
                let path = Some(path).filter(|path| path.is_absolute());
                once(&mut self.module_path, name, path.ok_or_else(relative)?)
            }
            "pin-value" | "pin-source" => Err(UriError::Pin(name.to_owned())),
            _ => Err(UriError::Unknown(name.to_owned())),
        }
    }

    fn finish(self) -> Result<Pkcs11Uri, UriError> {
        if self.token.is_none() && self.serial.is_none() && self.slot.is_none() {
            return Err(UriError::NoToken);
        }
        Ok(Pkcs11Uri {
            module_path: self.module_path.ok_or(UriError::NoModule)?,
            token: self.token,
            serial: self.serial,
            manufacturer: self.manufacturer,
            model: self.model,
            slot: self.slot,
            object: self.object,
            id: self.id,
        })
    }
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), UriError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice(name.to_owned())),
    }
}

fn split(attribute: &str) -> Result<(&str, Vec<u8>), UriError> {
    // An attribute that has no name could be a PIN that was pasted into the wrong place: it is not said again.
    let (name, value) = attribute
        .split_once('=')
        .ok_or_else(|| UriError::Attribute("…".to_owned()))?;
    let octets = decoded(value.as_bytes()).ok_or_else(|| UriError::Encoding(name.to_owned()))?;
    Ok((name, octets))
}

/// Octets of what is percent-encoded (RFC 3986 §2.1).
fn decoded(mut encoded: &[u8]) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(encoded.len());
    loop {
        match encoded {
            [] => return Some(octets),
            [b'%', high, low, rest @ ..] => {
                octets.push(digit(*high)? << 4 | digit(*low)?);
                encoded = rest;
            }
            [b'%', ..] => return None,
            [octet, rest @ ..] => {
                octets.push(*octet);
                encoded = rest;
            }
        }
    }
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

fn utf8(name: &str, octets: Vec<u8>) -> Result<String, UriError> {
    String::from_utf8(octets).map_err(|_| UriError::Encoding(name.to_owned()))
}

fn slot(value: String) -> Result<u64, UriError> {
    let why = "it is a decimal number";
    let name = "slot-id";
    value.parse().map_err(|_| UriError::Value { name, value, why })
}

fn private(value: String) -> Result<String, UriError> {
    if value == "private" {
        return Ok(value);
    }
    let why = "a signature is made by a private key: type=private, or no type";
    let name = "type";
    Err(UriError::Value { name, value, why })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Pkcs11Uri, UriError> {
        text.parse()
    }

    /// What `p11tool` and `pkcs11-tool` write is read, percent-decoded.
    #[test]
    fn attributes_are_decoded() {
        let text = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=1a2b;token=site%3bA%20%c3%a4;\
            id=%01%FF%3b;object=vpn;type=private?module-path=/usr/lib/a%20b.so";
        let uri = read(text).unwrap();
        assert_eq!(uri.token.as_deref(), Some("site;A ä"));
        assert_eq!(uri.id.as_deref(), Some([1, 255, b';'].as_slice()));
        assert_eq!(uri.module_path, PathBuf::from("/usr/lib/a b.so"));
        assert_eq!(uri.model.as_deref(), Some("SoftHSM v2"));
        assert_eq!(uri.object.as_deref(), Some("vpn"));
    }

    #[test]
    fn what_names_no_key_is_refused() {
        let with = |attributes: &str| read(&format!("pkcs11:{attributes}?module-path=/m.so"));
        assert_eq!(read("https://vault"), Err(UriError::Scheme));
        assert_eq!(with("object=a"), Err(UriError::NoToken));
        assert_eq!(read("pkcs11:token=a"), Err(UriError::NoModule));
        assert_eq!(with("token=a;token=b"), Err(UriError::Twice("token".into())));
        assert_eq!(with("token=%f"), Err(UriError::Encoding("token".into())));
        assert_eq!(with("token=%ff"), Err(UriError::Encoding("token".into())));
        assert_eq!(with("token=a;x=b"), Err(UriError::Unknown("x".into())));
        assert!(matches!(
            with("token=a;type=cert"),
            Err(UriError::Value { name: "type", .. })
        ));
        assert!(matches!(
            read("pkcs11:token=a?module-path=m.so"),
            Err(UriError::Value { .. })
        ));
    }

    /// A PIN in a URI would be in the document, and in its history, for all to read; nor is it said in the refusal.
    #[test]
    fn pin_in_the_open_is_refused() {
        let error = read("pkcs11:token=a?module-path=/m.so&pin-value=4711").unwrap_err();
        assert_eq!(error, UriError::Pin("pin-value".into()));
        assert!(!read("pkcs11:4711").unwrap_err().to_string().contains("4711"));
    }

    proptest! {
        #[test]
        fn anything_is_judged(text in "(pkcs11:)?([a-z-]{0,9}=[%0-9a-fé;?&=]{0,9}[;?&]){0,9}") {
            let _ = read(&text);
        }

        #[test]
        fn id_is_any_octets(id in prop::collection::vec(any::<u8>(), 0..40)) {
            let encoded: String = id.iter().map(|octet| format!("%{octet:02x}")).collect();
            let uri = read(&format!("pkcs11:token=a;id={encoded}?module-path=/m.so")).unwrap();
            prop_assert_eq!(uri.id, Some(id));
        }
    }
}
