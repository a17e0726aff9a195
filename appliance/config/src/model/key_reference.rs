use super::identity::is_host_name;
use super::{KeyProvider, Name};

/// Which key of its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReference {
    /// A certificate in Azure Key Vault, with its key.
    KeyVault {
        /// The host of the vault, and perhaps its port.
        vault: String,
        /// The name of the certificate.
        name: String,
        /// Its version; the latest if there is none.
        version: Option<String>,
    },
    /// A `pkcs11:` URI (RFC 7512).
    Pkcs11(String),
    /// The name of a sealed file.
    File(Name),
}

const VAULT: &str = "expected the identifier of a certificate such as \
                     https://contoso.vault.azure.net/certificates/edge, with a version after it or without";
const URI: &str = "expected a URI of RFC 7512 with an object or id such as pkcs11:token=branch;object=edge";
/// The longest URI of a key.
const LONGEST_URI: usize = 1024;
/// What a URI can say of a key and of where it is (RFC 7512 §2.3).
const ATTRIBUTES: &[&str] = &[
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "object",
    "type",
    "id",
    "slot-manufacturer",
    "slot-description",
    "slot-id",
];

impl KeyReference {
    /// What this text means to a provider, or what is wrong with it; that never repeats it, for it may hold a PIN.
    pub(super) fn parse(text: &str, provider: &KeyProvider) -> Result<Self, &'static str> {
        match provider {
            KeyProvider::KeyVault { .. } => key_vault(text).ok_or(VAULT),
            KeyProvider::Pkcs11 { .. } => check_uri(text).map(|()| Self::Pkcs11(text.to_owned())),
            KeyProvider::File => {
                let name = text.parse().map_err(|_| "expected the name of a sealed key file");
                name.map(Self::File)
            }
        }
    }
}

fn key_vault(text: &str) -> Option<KeyReference> {
    let rest = text.strip_prefix("https://")?;
    let (vault, path) = rest.split_once('/')?;
    let (host, port) = vault.split_once(':').unwrap_or((vault, "443"));
    let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
    let name = |text: &&str| {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=127).contains(&text.len()) && text.bytes().all(sound)
    };
    let version = |text: &&str| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let mut parts = path.trim_end_matches('/').split('/');
    let (collection, found, which, more) = (parts.next()?, parts.next()?, parts.next(), parts.next());
    if collection != "certificates" || !is_host_name(host) || more.is_some() {
        return None;
    }
    Some(KeyReference::KeyVault {
        vault: match port {
            443 => host.to_ascii_lowercase(),
            _ => format!("{}:{port}", host.to_ascii_lowercase()),
        },
        name: Some(found).filter(name)?.to_owned(),
        version: match which {
            Some(which) => Some(Some(which).filter(version)?.to_ascii_lowercase()),
            None => None,
        },
    })
}

/// RFC 7512 §2.3, without a query: the provider says which module it is and what the PIN is.
fn check_uri(text: &str) -> Result<(), &'static str> {
    let path = text.strip_prefix("pkcs11:").ok_or(URI)?;
    if path.contains('?') {
        return Err(
            "the module and the PIN are said by the provider: leave out what follows the question mark",
        );
    }
    if text.len() > LONGEST_URI {
        return Err(URI);
    }
    let mut seen: Vec<&str> = Vec::new();
    for attribute in path.split(';') {
        let (name, value) = attribute.split_once('=').ok_or(URI)?;
        if !ATTRIBUTES.contains(&name) || seen.contains(&name) || !is_encoded(value) {
            return Err(URI);
        }
        seen.push(name);
    }
    let names_one = seen.iter().any(|name| matches!(*name, "object" | "id"));
    names_one.then_some(()).ok_or(URI)
}

/// Characters that may stand in a value, and `%` with two hexadecimal digits.
fn is_encoded(value: &str) -> bool {
    let mut parts = value.split('%');
    let plain = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=&".contains(&byte);
        text.bytes().all(allowed)
    };
    let escaped = |part: &str| {
        let digits = part.get(..2);
        digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    parts.next().is_some_and(plain) && parts.all(|part| escaped(part) && plain(part))
}
