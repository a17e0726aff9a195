//! Where the machine key is kept: sealed by a TPM where there is one, else in a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretSlice};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use super::durable;
use super::error::{StoreError, of_file};
use super::seal::{MachineKey, fresh_key, same};
use crate::tpm::{Tpm, TpmFault};

/// The key itself, where there is no TPM.
pub(super) const PLAIN: &str = "machine.key";
/// The key as the TPM sealed it.
pub(super) const SEALED: &str = "machine.tpm";
/// What no TPM of this machine opens any more.
const LOST: &str = "machine.tpm.lost";

/// Where the machine key is kept, and what became of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// Sealed by the TPM, and not in a file.
    pub(crate) by_tpm: bool,
    /// Why the TPM gives the key of before no more, if it does not.
    pub(crate) lost: Option<String>,
}

/// The machine key as it was found.
pub(super) struct Found {
    /// What seals.
    pub(super) key: MachineKey,
    /// What sealed before, and is to do so no more.
    pub(super) before: Option<MachineKey>,
    /// Where it is.
    pub(super) keeping: Keeping,
}

/// Finds the key in a state directory, or makes one. Whatever the TPM does, there is a key afterwards.
///
/// # Errors
/// When a file cannot be read or written, or is no key.
pub(super) fn find(directory: &Path, tpm: &Path) -> Result<Found, StoreError> {
    let folder = Folder(directory);
    let mut tpm = Tpm::open(tpm);
    let kept = folder.read(SEALED)?;
    let (sealed, lost) = match (kept, &mut tpm) {
        (None, _) => (None, None),
        (Some(octets), Ok(tpm)) => match tpm.unseal(&octets) {
            Ok(key) => (Some(key), None),
            Err(fault) => (None, Some(folder.lose(fault)?)),
        },
        (Some(_), Err(fault)) => (None, Some(words(fault))),
    };
    if let Some(detail) = &lost {
        error!(reason = "machine-key-lost", "{detail}");
    }
    let sealed = match (sealed, tpm) {
        (Some(key), _) => Some(key),
        // It may open again what it does not open now.
        (None, Ok(mut tpm)) if !folder.has(SEALED) => folder.sealed_anew(&mut tpm)?,
        (None, Ok(_) | Err(_)) => None,
    };
    let plain = folder.read(PLAIN)?.map(|octets| octets.to_vec().into());
    let by_tpm = sealed.is_some();
    let (key, before) = match (sealed, plain) {
        (Some(key), before) => (key, before),
        (None, Some(key)) => (key, None),
        (None, None) => (folder.plain_anew()?, None),
    };
    Ok(Found {
        key: folder.usable(&key)?,
        before: before.map(|before| folder.usable(&before)).transpose()?,
        keeping: Keeping { by_tpm, lost },
    })
}

fn words(fault: &TpmFault) -> String {
    format!("{fault}: secrets that the key of before sealed are to be set again")
}

struct Folder<'d>(&'d Path);

impl Folder<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match fs::read(self.path(name)) {
            Ok(octets) => Ok(Some(Zeroizing::new(octets))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of_file(&self.path(name))(error)),
        }
    }

    fn write(&self, name: &str, octets: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name);
        durable::replace(&path, octets).map_err(of_file(&path))
    }

    /// Sets aside what never opens again, and says why it does not.
    fn lose(&self, fault: TpmFault) -> Result<String, StoreError> {
        if fault.is_for_good() {
            let path = self.path(SEALED);
            fs::rename(&path, self.path(LOST)).map_err(of_file(&path))?;
        }
        Ok(words(&fault))
    }

    /// A new key that the TPM sealed, once it was seen to open it; `None` when it did not.
    fn sealed_anew(&self, tpm: &mut Tpm) -> Result<Option<SecretSlice<u8>>, StoreError> {
        let key = fresh_key()?;
        let sealed = tpm
            .seal(&key)
            .and_then(|octets| Ok((tpm.unseal(&octets)?, octets)));
        match sealed {
            Ok((opened, octets)) if same(&opened, &key) => match self.write(SEALED, &octets) {
                Ok(()) => {
                    info!("the machine key is sealed by the TPM");
                    return Ok(Some(key));
                }
                Err(error) => warn!("{error}: the machine key is kept in a file"),
            },
            Ok(_) => warn!("the TPM opens something else than it sealed: the machine key is kept in a file"),
            Err(fault) => warn!("{fault}: the machine key is kept in a file"),
        }
        Ok(None)
    }

    fn plain_anew(&self) -> Result<SecretSlice<u8>, StoreError> {
        let key = fresh_key()?;
        self.write(PLAIN, key.expose_secret())?;
        Ok(key)
    }

    fn usable(&self, key: &SecretSlice<u8>) -> Result<MachineKey, StoreError> {
        MachineKey::of(key).ok_or_else(|| StoreError::Key {
            path: self.path(PLAIN),
            detail: "is no machine key: put the one of before back",
        })
    }
}

/// Overwrites the file with the key and removes it: the TPM has another one, which sealed everything again.
pub(super) fn forget_plain(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(PLAIN);
    let overwrite = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        file.write_all(&vec![0; length])?;
        file.sync_all()?;
        fs::remove_file(&path)?;
        durable::sync_folder_of(&path)
    };
    overwrite().map_err(of_file(&path))
}
