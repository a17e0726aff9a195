//! Private keys of files, which the caller has unsealed: PKCS#8 and PKCS#12.

use std::sync::Arc;
use std::thread;

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Decode, Tag, Tagged};

use crate::chain;
use crate::error::KeyError;
use crate::evp::{self, Bag, Evp, Unreadable};
use crate::outstanding::Outstanding;
use crate::pem;
use crate::provider::{Key, KeyKind, LEAST_RSA_BITS, MOST_RSA_BITS, Place, Scheme, Signing};

/// How large a file may be.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A private key in memory. It is wiped when the last holder lets it go.
pub struct FileKey {
    key: Arc<Evp>,
    kind: KeyKind,
    public: Vec<u8>,
    chain: Vec<Vec<u8>>,
    outstanding: Outstanding,
}

impl FileKey {
    /// Reads a file: PKCS#8 in DER or PEM, where certificates may follow the key, or PKCS#12. A password is asked for only
    /// by what is encrypted. Where a key is derived from it in many rounds this takes long: call it where one may block.
    pub fn open(octets: &SecretSlice<u8>, password: Option<&SecretString>) -> Result<Self, KeyError> {
        let octets = octets.expose_secret();
        let password = password.map(ExposeSecret::expose_secret);
        Self::of_octets(octets, password, "the file")
    }

    /// As [`open`](Self::open), of what is called this in errors.
    pub(crate) fn of_octets(octets: &[u8], password: Option<&str>, whose: &str) -> Result<Self, KeyError> {
        if octets.len() > MAX_FILE_BYTES {
            let size = format!(
                "{whose} has {} octets, and at most {MAX_FILE_BYTES} are read",
                octets.len()
            );
            return Err(KeyError::KeyWrongKind(size));
        }
        let Bag { key, certificates } = read(octets, password, whose)?;
        let missing = || KeyError::KeyMissing(format!("{whose} holds no private key"));
        let key = key.ok_or_else(missing)?;
        let kind = usable(&key, whose)?;
        let unwritable = || KeyError::KeyWrongKind(format!("the public key of {whose} cannot be written"));
        let public = key.public().ok_or_else(unwritable)?;
        let chain = chain::ordered(certificates, &public, whose)?;
        Ok(Self {
            key: Arc::new(key),
            kind,
            public,
            chain,
            outstanding: Outstanding::new(thread::available_parallelism().map_or(1, usize::from)),
        })
    }
}

impl Key for FileKey {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn place(&self) -> Place {
        Place::Memory
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn sign<'a>(&'a self, scheme: Scheme, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            scheme.check(self.kind)?;
            let turn = self.outstanding.turn().await?;
            let (key, message) = (Arc::clone(&self.key), message.to_vec());
            let signing = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                key.sign(scheme, &message)
            });
            let cannot =
                || KeyError::SchemeUnsupported(format!("{} in memory cannot do {scheme}", self.kind));
            signing.await.ok().flatten().ok_or_else(cannot)
        })
    }
}

/// What a password protected, without it.
pub struct Unlocked {
    /// The private key in PKCS#8, and its certificates: PEM that [`FileKey::open`] takes.
    pub pem: SecretSlice<u8>,
    /// The certificates in DER, that of the key first and each certified by the next.
    pub chain: Vec<Vec<u8>>,
}

/// Opens a file as [`FileKey::open`] does, once, so that it can be kept without its password. Takes long where a key is derived in
/// many rounds: call it where one may block.
///
/// # Errors
/// As of [`FileKey::open`]: `pin-wrong` for another password.
pub fn unlock(octets: &SecretSlice<u8>, password: &SecretString) -> Result<Unlocked, KeyError> {
    let whose = "the file";
    let key = FileKey::open(octets, Some(password))?;
    let unwritable = || KeyError::KeyWrongKind(format!("the private key of {whose} cannot be written"));
    let octets = key.key.to_pkcs8().ok_or_else(unwritable)?;
    let mut sections = vec![pem::written("PRIVATE KEY", &octets)];
    sections.extend(key.chain.iter().map(|der| pem::written("CERTIFICATE", der)));
    let length = sections.iter().map(|section| section.len()).sum();
    let mut whole = Vec::with_capacity(length);
    for section in &sections {
        whole.extend_from_slice(section.as_bytes());
    }
    Ok(Unlocked {
        pem: SecretSlice::from(whole),
        chain: key.chain,
    })
}

/// The certificates of octets that may have no key.
pub(crate) fn certificates_of(octets: &[u8], whose: &str) -> Result<Vec<Vec<u8>>, KeyError> {
    read(octets, None, whose).map(|bag| bag.certificates)
}

/// What kind of key it is, if it is one that we use.
pub(crate) fn usable(key: &Evp, whose: &str) -> Result<KeyKind, KeyError> {
    let wrong = |what: &str| KeyError::KeyWrongKind(format!("{whose} has {what}"));
    match key.kind() {
        Some(KeyKind::Rsa { bits }) if !(LEAST_RSA_BITS..=MOST_RSA_BITS).contains(&bits) => {
            Err(wrong(&format!("a key of RSA with {bits} bits")))
        }
        Some(kind) => Ok(kind),
        None => Err(wrong("a key for another algorithm, or on another curve")),
    }
}

/// The key and the certificates of what is told apart by its first octets.
fn read(octets: &[u8], password: Option<&str>, whose: &str) -> Result<Bag, KeyError> {
    if let Some(text) = text(octets) {
        return read_pem(text, password, whose);
    }
    if let Ok(key) = Evp::from_pkcs8(octets) {
        return Ok(alone(key));
    }
    if is_encrypted(octets) {
        let password = password.ok_or_else(|| no_password(whose))?;
        let key = Evp::from_encrypted(octets, password).map_err(|_| wrong_password(whose))?;
        return Ok(alone(key));
    }
    evp::from_pkcs12(octets, password.unwrap_or_default()).map_err(|error| match (error, password) {
        (Unreadable::Password, Some(_)) => wrong_password(whose),
        (Unreadable::Password, None) => no_password(whose),
        (Unreadable::Malformed, _) => unreadable(whose),
    })
}

/// Whether it has the form of EncryptedPrivateKeyInfo (RFC 5958 §3): an algorithm, and octets.
fn is_encrypted(octets: &[u8]) -> bool {
    let parts = Vec::<AnyRef<'_>>::from_der(octets).unwrap_or_default();
    let tags: Vec<Tag> = parts.iter().map(Tagged::tag).collect();
    tags == [Tag::Sequence, Tag::OctetString]
}

fn read_pem(text: &str, password: Option<&str>, whose: &str) -> Result<Bag, KeyError> {
    let sections = pem::sections(text).ok_or_else(|| unreadable(whose))?;
    let mut bag = Bag {
        key: None,
        certificates: Vec::new(),
    };
    for section in sections {
        let key = match section.label {
            "CERTIFICATE" => {
                bag.certificates.push(section.octets.to_vec());
                continue;
            }
            "PRIVATE KEY" => Evp::from_pkcs8(&section.octets).map_err(|_| unreadable(whose))?,
            "ENCRYPTED PRIVATE KEY" => {
                let password = password.ok_or_else(|| no_password(whose))?;
                Evp::from_encrypted(&section.octets, password).map_err(|_| wrong_password(whose))?
            }
            label if label.ends_with("PRIVATE KEY") => {
                let other =
                    format!("{whose} has {label}, which is not PKCS#8: openssl pkcs8 -topk8 makes it that");
                return Err(KeyError::KeyWrongKind(other));
            }
            _ => continue,
        };
        if bag.key.replace(key).is_some() {
            return Err(KeyError::KeyWrongKind(format!(
                "{whose} has more than one private key"
            )));
        }
    }
    Ok(bag)
}

fn alone(key: Evp) -> Bag {
    Bag {
        key: Some(key),
        certificates: Vec::new(),
    }
}

/// The text, if it is PEM.
fn text(octets: &[u8]) -> Option<&str> {
    let text = str::from_utf8(octets).ok()?;
    text.contains("-----BEGIN ").then_some(text)
}

fn unreadable(whose: &str) -> KeyError {
    KeyError::KeyWrongKind(format!("{whose} is neither PKCS#8 nor PKCS#12, or is damaged"))
}

fn wrong_password(whose: &str) -> KeyError {
    KeyError::PinWrong(format!("{whose} is encrypted with another password"))
}

fn no_password(whose: &str) -> KeyError {
    KeyError::PinWrong(format!("{whose} is encrypted, and no password was given"))
}

#[cfg(test)]
mod tests;
