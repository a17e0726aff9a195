use super::Name;
use crate::Reason;
use crate::reader::{Object, Value};

/// Who holds private keys and signs with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProvider {
    /// Azure Key Vault.
    KeyVault {
        /// As whom it is asked.
        identity: ManagedIdentity,
    },
    /// A module of a token (PKCS#11).
    Pkcs11 {
        /// The path of the library.
        module: String,
        /// The name of the secret that is the PIN, if the token has one.
        pin: Option<Name>,
    },
    /// Files that are sealed here.
    File,
}

/// Who this machine is in Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagedIdentity {
    /// That of the machine itself.
    SystemAssigned,
    /// One that it was given.
    UserAssigned {
        /// Its client id, a UUID in lower case (RFC 9562).
        client_id: String,
    },
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    KeyVault,
    Pkcs11,
    File,
}

#[derive(Clone, Copy)]
pub(crate) enum Managed {
    System,
    User,
}

pub(crate) const KIND: &[(&str, Kind)] = &[
    ("key-vault", Kind::KeyVault),
    ("pkcs11", Kind::Pkcs11),
    ("file", Kind::File),
];
pub(crate) const MANAGED: &[(&str, Managed)] = &[
    ("system-assigned", Managed::System),
    ("user-assigned", Managed::User),
];
/// The longest path of a module.
const LONGEST_PATH: usize = 255;

impl KeyProvider {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let kind = object.required("kind", |value| value.word(KIND, &[]));
        match kind {
            Some(Kind::KeyVault) => {
                let identity = object.required("identity", ManagedIdentity::read)?;
                Some(Self::KeyVault { identity })
            }
            Some(Kind::Pkcs11) => pkcs11(&mut object),
            Some(Kind::File) => Some(Self::File),
            None => {
                object.ignore(&["identity", "module", "pin"]);
                None
            }
        }
    }
}

fn pkcs11(object: &mut Object<'_>) -> Option<KeyProvider> {
    let module = object.required("module", module);
    let pin = object.optional("pin", None, |value| value.name().map(Some));
    Some(KeyProvider::Pkcs11 {
        module: module?,
        pin: pin?,
    })
}

/// An absolute path that leads nowhere else than it says.
fn module(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let straight = text
        .split('/')
        .skip(1)
        .all(|part| !matches!(part, "" | "." | ".."));
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with('/') && straight && plain && text.len() <= LONGEST_PATH {
        return Some(text.to_owned());
    }
    let detail = "expected an absolute path such as /usr/lib/softhsm/libsofthsm2.so";
    value.wrong(Reason::InvalidPath, text, detail)
}

impl ManagedIdentity {
    /// Its client id, if it is one that the machine was given.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::SystemAssigned => None,
            Self::UserAssigned { client_id } => Some(client_id),
        }
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let managed = object.required("managed", |value| value.word(MANAGED, &[]));
        match managed {
            Some(Managed::System) => Some(Self::SystemAssigned),
            Some(Managed::User) => {
                let client_id = object.required("client_id", uuid)?;
                Some(Self::UserAssigned { client_id })
            }
            None => {
                object.ignore(&["client_id"]);
                None
            }
        }
    }
}

/// In the form 8-4-4-4-12.
fn uuid(value: &Value<'_>) -> Option<String> {
    const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
    let text = value.text()?;
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let digits = |group: &&str| group.bytes().all(|digit| digit.is_ascii_hexdigit());
    if lengths == LENGTHS && groups.iter().all(digits) {
        return Some(text.to_ascii_lowercase());
    }
    let detail = "expected a UUID such as 00000000-0000-0000-0000-000000000000";
    value.wrong(Reason::InvalidUuid, text, detail)
}
