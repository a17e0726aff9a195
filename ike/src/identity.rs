//! Who a peer says it is, and which connections expect that.

use std::fmt;
use std::net::IpAddr;

use crate::wire::IdentificationPayload;
use crate::wire::registry::identity;
use crate::{ExpectedIdentity, Identity, distinguished_name};

impl Identity {
    /// The same for all ways to write one identity.
    pub(crate) fn folded(&self) -> Self {
        match self {
            Self::Fqdn(name) => Self::Fqdn(name.to_ascii_lowercase()),
            Self::Email(address) => Self::Email(address.to_ascii_lowercase()),
            Self::DistinguishedName(der) => {
                let words = distinguished_name::words(der).map(|words| words.to_lowercase().into_bytes());
                Self::DistinguishedName(words.unwrap_or_else(|| der.clone()))
            }
            Self::Address(_) | Self::KeyId(_) => self.clone(),
        }
    }
}

impl ExpectedIdentity {
    /// The same for all ways to write one.
    pub(crate) fn folded(&self) -> Identity {
        match self {
            Self::Exactly(identity) => identity.folded(),
            Self::CommonName(name) => {
                Identity::DistinguishedName(format!("cn={}", name.to_lowercase()).into())
            }
        }
    }
}

impl fmt::Display for ExpectedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(identity) => identity.fmt(f),
            Self::CommonName(name) => {
                f.write_str("a distinguished name with CN=")?;
                harmless(f, name)
            }
        }
    }
}

/// Whether a payload names who is expected.
pub(crate) fn is_expected(payload: &IdentificationPayload, expected: &ExpectedIdentity) -> bool {
    match expected {
        ExpectedIdentity::Exactly(expected) => matches(payload, expected),
        ExpectedIdentity::CommonName(name) => {
            payload.kind == identity::DER_ASN1_DN && distinguished_name::has_common_name(&payload.data, name)
        }
    }
}

/// What we say whom we expect, where it is one identity and no other.
pub(crate) fn to_say(expected: &ExpectedIdentity) -> Option<IdentificationPayload> {
    match expected {
        ExpectedIdentity::Exactly(identity) => Some(to_payload(identity)),
        ExpectedIdentity::CommonName(_) => None,
    }
}

/// An ID payload's identity; `None` for a type that cannot be configured.
pub(crate) fn from_payload(payload: &IdentificationPayload) -> Option<Identity> {
    let text = || String::from_utf8(payload.data.clone()).ok();
    match payload.kind {
        identity::IPV4_ADDR => {
            let octets: [u8; 4] = payload.data.as_slice().try_into().ok()?;
            Some(Identity::Address(octets.into()))
        }
        identity::IPV6_ADDR => {
            let octets: [u8; 16] = payload.data.as_slice().try_into().ok()?;
            Some(Identity::Address(octets.into()))
        }
        identity::FQDN => text().map(Identity::Fqdn),
        identity::RFC822_ADDR => text().map(Identity::Email),
        identity::DER_ASN1_DN => Some(Identity::DistinguishedName(payload.data.clone())),
        identity::KEY_ID => Some(Identity::KeyId(payload.data.clone())),
        _ => None,
    }
}

/// The identity as an ID payload.
pub(crate) fn to_payload(of: &Identity) -> IdentificationPayload {
    let (kind, data) = match of {
        Identity::Address(IpAddr::V4(address)) => (identity::IPV4_ADDR, address.octets().to_vec()),
        Identity::Address(IpAddr::V6(address)) => (identity::IPV6_ADDR, address.octets().to_vec()),
        Identity::Fqdn(name) => (identity::FQDN, name.clone().into_bytes()),
        Identity::Email(address) => (identity::RFC822_ADDR, address.clone().into_bytes()),
        Identity::DistinguishedName(der) => (identity::DER_ASN1_DN, der.clone()),
        Identity::KeyId(octets) => (identity::KEY_ID, octets.clone()),
    };
    IdentificationPayload {
        kind,
        reserved: [0; 3],
        data,
    }
}

/// Whether a payload names this identity; names are compared without regard to case (RFC 5280 §7.2).
pub(crate) fn matches(payload: &IdentificationPayload, expected: &Identity) -> bool {
    match (from_payload(payload), expected) {
        (Some(Identity::Fqdn(said)), Identity::Fqdn(expected))
        | (Some(Identity::Email(said)), Identity::Email(expected)) => said.eq_ignore_ascii_case(expected),
        (Some(Identity::DistinguishedName(said)), Identity::DistinguishedName(expected)) => {
            distinguished_name::same(&said, expected)
        }
        (said, expected) => said.as_ref() == Some(expected),
    }
}

/// What a payload says, in words.
pub(crate) fn words(payload: &IdentificationPayload) -> String {
    from_payload(payload).map_or_else(
        || format!("ID type {} ({} octets)", payload.kind, payload.data.len()),
        |identity| identity.to_string(),
    )
}

impl fmt::Display for Identity {
    /// As the configuration document writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(name) | Self::Email(name) => harmless(f, name),
            Self::DistinguishedName(der) => match distinguished_name::words(der) {
                Some(name) => harmless(f, &name),
                None => hexadecimal(f, "dn:#", der),
            },
            Self::KeyId(octets) => hexadecimal(f, "keyid:", octets),
        }
    }
}

/// Whoever has not proved anything yet may have sent this: nothing in it may act on a terminal.
fn harmless(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|character| match character {
        '\\' | '"' | '\'' => write!(f, "{character}"),
        _ => write!(f, "{}", character.escape_debug()),
    })
}

fn hexadecimal(f: &mut fmt::Formatter<'_>, prefix: &str, octets: &[u8]) -> fmt::Result {
    f.write_str(prefix)?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_round_trip() {
        let all = [
            Identity::Address("192.0.2.1".parse().unwrap()),
            Identity::Address("2001:db8::1".parse().unwrap()),
            Identity::Fqdn("gw.example".to_owned()),
            Identity::Email("gw@example".to_owned()),
            Identity::DistinguishedName(vec![0x30, 0]),
            Identity::KeyId(vec![0, 255]),
        ];
        for identity in all {
            assert!(matches(&to_payload(&identity), &identity));
            assert_eq!(from_payload(&to_payload(&identity)), Some(identity));
        }
    }

    #[test]
    fn what_a_stranger_says_of_itself_cannot_act_on_a_terminal() {
        let name = |text: &str| Identity::Fqdn(text.to_owned()).to_string();
        assert_eq!(name("a\u{1b}[2J\u{202e}"), "a\\u{1b}[2J\\u{202e}");
        assert_eq!(name("a\\,b"), "a\\,b");
        // CN=, then an escape sequence.
        let der = hex_literal::hex!("3010310e300c06035504030c051b5b326d61").to_vec();
        let words = Identity::DistinguishedName(der).to_string();
        assert_eq!(words, "CN=\\1b[2ma");
        assert_eq!(Identity::DistinguishedName(vec![7]).to_string(), "dn:#07");
        assert_eq!(Identity::KeyId(vec![0, 255]).to_string(), "keyid:00ff");
    }

    #[test]
    fn type_and_value_must_both_agree() {
        let said = to_payload(&Identity::Fqdn("GW.example".to_owned()));
        assert!(matches(&said, &Identity::Fqdn("gw.EXAMPLE".to_owned())));
        assert!(!matches(&said, &Identity::Email("GW.example".to_owned())));
        let odd = IdentificationPayload {
            kind: identity::IPV4_ADDR,
            reserved: [0; 3],
            data: vec![1, 2, 3],
        };
        assert_eq!(
            (from_payload(&odd), words(&odd).as_str()),
            (None, "ID type 1 (3 octets)")
        );
    }
}
