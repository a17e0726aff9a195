//! What names a certificate in a key vault.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::http::Origin;

/// How long a name in a vault may be, and a version at least as long.
const MOST_LETTERS: usize = 127;

/// A certificate in a key vault, with its key: `https://<vault>.vault.azure.net/certificates/<name>[/<version>]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultReference {
    pub(super) origin: Origin,
    pub(super) name: String,
    pub(super) version: Option<String>,
}

/// Why a text names no certificate in a key vault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Another kind of address.
    #[error("a certificate identifier begins with https:// and the name of a vault")]
    Origin,
    /// Of a secret or a key.
    #[error(
        "{0} is not what a certificate identifier has: /certificates/<name> or /certificates/<name>/<version>"
    )]
    Kind(String),
    /// Letters that no name has.
    #[error("names and versions have letters, digits and hyphens, at most {MOST_LETTERS}")]
    Name,
}

impl FromStr for VaultReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (origin, path) = Origin::of_uri(text).ok_or(ReferenceError::Origin)?;
        if !origin.is_secure() {
            return Err(ReferenceError::Origin);
        }
        let (name, version) = item(&path, "certificates").ok_or(ReferenceError::Kind(path.clone()))?;
        if ![Some(name), version].into_iter().flatten().all(is_name) {
            return Err(ReferenceError::Name);
        }
        Ok(Self {
            origin,
            name: name.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

impl VaultReference {
    /// For whom a token must be: the cloud of the vault, which is its name without that of the vault itself.
    pub fn audience(&self) -> String {
        let cloud = self
            .origin
            .host
            .split_once('.')
            .map_or("", |(_vault, cloud)| cloud);
        format!("https://{cloud}")
    }

    /// Whether it names a version, so that a renewed certificate is not taken.
    pub fn is_pinned(&self) -> bool {
        self.version.is_some()
    }

    /// Name and version of an item of the same vault that an answer names; none of another server, which must not get our
    /// token.
    pub(super) fn item<'a>(&self, uri: &'a str, kind: &str) -> Option<(String, &'a str)> {
        let (origin, path) = Origin::of_uri(uri)?;
        let (name, version) = item(&path, kind)?;
        let version = version.filter(|version| is_name(version) && is_name(name) && origin == self.origin)?;
        let tail = uri.len().checked_sub(version.len())?;
        Some((path.clone(), uri.get(tail..)?))
    }
}

impl fmt::Display for VaultReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "https://{}/certificates/{}",
            self.origin.authority(),
            self.name
        )?;
        match &self.version {
            Some(version) => write!(f, "/{version}"),
            None => Ok(()),
        }
    }
}

/// Name and version of `/<kind>/<name>[/<version>]`.
fn item<'a>(path: &'a str, kind: &str) -> Option<(&'a str, Option<&'a str>)> {
    let rest = path.strip_prefix('/')?.strip_prefix(kind)?.strip_prefix('/')?;
    let (name, version) = match rest.trim_end_matches('/').split_once('/') {
        Some((name, version)) => (name, Some(version)),
        None => (rest.trim_end_matches('/'), None),
    };
    Some((name, version))
}

fn is_name(text: &str) -> bool {
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    !text.is_empty() && text.len() <= MOST_LETTERS && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<VaultReference, ReferenceError> {
        text.parse()
    }

    #[test]
    fn certificate_identifiers_are_read() {
        let text = "https://Contoso.vault.azure.net/certificates/vpn-a/0123456789abcdef0123456789abcdef";
        let pinned = read(text).unwrap();
        assert_eq!(pinned.to_string(), text.replace("Contoso", "contoso"));
        assert!(pinned.is_pinned());
        let latest = read("https://contoso.vault.azure.cn/certificates/vpn-a/").unwrap();
        assert!(!latest.is_pinned());
        assert_eq!(latest.audience(), "https://vault.azure.cn");
    }

    #[test]
    fn other_addresses_are_refused() {
        for (text, error) in [
            ("http://a.vault.azure.net/certificates/b", ReferenceError::Origin),
            ("a.vault.azure.net/certificates/b", ReferenceError::Origin),
            ("https://a/certificates/b?c=d", ReferenceError::Name),
            ("https://a/certificates/b/c/d", ReferenceError::Name),
            ("https://a/certificates/", ReferenceError::Name),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert!(matches!(
            read("https://a/secrets/b/c"),
            Err(ReferenceError::Kind(_))
        ));
    }

    /// A vault that names a key of another server does not get our token sent there.
    #[test]
    fn items_are_of_the_same_vault() {
        let reference = read("https://a.vault.azure.net/certificates/b").unwrap();
        let item = |uri| reference.item(uri, "keys");
        assert_eq!(
            item("https://a.vault.azure.net/keys/b/1f"),
            Some(("/keys/b/1f".to_owned(), "1f"))
        );
        for uri in [
            "https://evil.example/keys/b/1f",
            "https://a.vault.azure.net:444/keys/b/1f",
            "http://a.vault.azure.net/keys/b/1f",
            "https://a.vault.azure.net@evil.example/keys/b/1f",
            "https://a.vault.azure.net/keys/b/..",
            "https://a.vault.azure.net/keys/b",
            "https://a.vault.azure.net/secrets/b/1f",
        ] {
            assert_eq!(item(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_judged(text in "(https://)?[a-z.:@]{0,9}(/certificates)?[/a-z0-9?-]{0,20}") {
            if let Ok(reference) = read(&text) {
                let _ = reference.item(&text, "certificates");
            }
        }
    }
}
