use std::fmt;
use std::net::IpAddr;

use super::DistinguishedName;
use crate::Reason;
use crate::reader::{Value, shown};

/// Who one side says it is (RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN, as written.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_DER_ASN1_DN.
    DistinguishedName(DistinguishedName),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// The longest name or key id, in octets.
const LONGEST: usize = 255;

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Fqdn(text) | Self::Email(text) => f.write_str(text),
            Self::DistinguishedName(name) => name.fmt(f),
            Self::KeyId(octets) => {
                f.write_str("keyid:")?;
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl Identity {
    /// The number of ID_DER_ASN1_DN.
    pub(crate) const DISTINGUISHED_NAME: u8 = 9;

    /// An address, `user@host`, a distinguished name or a host name; a word and a colon before it say which it is.
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let parsed = parse(text);
        if let Err(fault) = &parsed {
            let detail = format!("\"{}\": {fault}", shown(text));
            value.problem(Reason::InvalidIdentity, detail);
        }
        parsed.ok()
    }

    /// The same for two identities that a peer's proof could not tell apart: case does not count in names.
    pub(crate) fn folded(&self) -> (u8, String) {
        let kind = match self {
            Self::Address(_) => 1,
            Self::Fqdn(_) => 2,
            Self::Email(_) => 3,
            Self::DistinguishedName(_) => Self::DISTINGUISHED_NAME,
            Self::KeyId(_) => 11,
        };
        (kind, self.to_string().to_lowercase())
    }
}

fn parse(text: &str) -> Result<Identity, String> {
    match text.split_once(':') {
        Some(("address", rest)) => {
            let address = rest.parse().map_err(|_| "expected an IP address".to_owned());
            address.map(Identity::Address)
        }
        Some(("fqdn", rest)) => printable(rest).map(Identity::Fqdn),
        Some(("email", rest)) => printable(rest).map(Identity::Email),
        Some(("dn", rest)) => rest.parse().map(Identity::DistinguishedName),
        Some(("keyid", rest)) => key_id(rest).map(Identity::KeyId),
        Some(_) | None => guess(text),
    }
}

fn guess(text: &str) -> Result<Identity, String> {
    if let Ok(address) = text.parse() {
        return Ok(Identity::Address(address));
    }
    if text.contains('=') {
        return text.parse().map(Identity::DistinguishedName);
    }
    match text.split_once('@') {
        Some((user, host)) if is_email(user, host) => Ok(Identity::Email(text.to_owned())),
        None if is_host_name(text) => Ok(Identity::Fqdn(text.to_owned())),
        Some(_) | None => Err(
            "neither an address nor a host name nor user@host nor a distinguished name; \
             address:, fqdn:, email:, dn: or keyid: before it says which it is"
                .to_owned(),
        ),
    }
}

/// Whatever a peer may say, as long as it can be read.
fn printable(text: &str) -> Result<String, String> {
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let fault = || format!("expected 1 to {LONGEST} printable ASCII characters without spaces");
    fits.then(|| text.to_owned()).ok_or_else(fault)
}

fn key_id(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2) && !digits.is_empty());
    let Some(digits) = digits.filter(|digits| digits.len() <= 2 * LONGEST) else {
        let meant = text.bytes().take(LONGEST).map(|octet| format!("{octet:02x}"));
        let meant = shown(&meant.collect::<String>());
        return Err(format!(
            "expected octets in hexadecimal; the text itself would be keyid:{meant}"
        ));
    };
    Ok(digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
        .collect())
}

fn is_email(user: &str, host: &str) -> bool {
    let user_fits = (1..=64).contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_graphic());
    user_fits && is_host_name(host)
}

/// RFC 1123 §2.1, with underscores; a name that ends in a number is a mistyped address.
pub(super) fn is_host_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number)
}
