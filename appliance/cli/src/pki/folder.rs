use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tempfile::NamedTempFile;

use super::command::Made;
use super::file::wrong;
use crate::client::Error;

pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const KEY: &str = "key.pem";
pub(super) const CHAIN: &str = "chain.pem";
pub(super) const LIST: &str = "crl.pem";
const TRUST: &str = "trust.json";
/// For everybody to read, and for the owner alone.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

/// A folder that nothing of is in the way, or may be replaced; made if need be.
pub(super) struct Folder<'m> {
    path: &'m Path,
    replaces: bool,
}

impl<'m> Folder<'m> {
    /// Before anything is made: what is there already stays.
    pub(super) fn prepare(made: &'m Made) -> Result<Self, Error> {
        let path = made.out.as_path();
        if path.exists() && !path.is_dir() {
            return Err(wrong(path, "is no folder; name another one with --out"));
        }
        let there = [KEY, CERTIFICATE, CHAIN, TRUST].map(|name| path.join(name));
        if let Some(there) = there.iter().find(|file| file.exists() && !made.force) {
            let why = "is there already; name another folder with --out, or replace it with --force";
            return Err(wrong(there, why));
        }
        fs::create_dir_all(path).map_err(|cause| unwritten(path, cause))?;
        Ok(Self {
            path,
            replaces: made.force,
        })
    }

    /// Writes a certificate, its key, and its chain with the root last; what trusts the root has it first.
    pub(super) fn write(&self, chain: &[CertificateDer<'_>], key: &KeyPair) -> Result<(), Error> {
        let pems: Vec<String> = chain.iter().map(pem).collect();
        let Some(own) = pems.first() else {
            return Ok(());
        };
        let authorities = chain.get(usize::from(chain.len() > 1)..).unwrap_or_default();
        let trust: Vec<String> = authorities.iter().rev().map(|der| base64(der)).collect();
        let trust = format!("{:#}\n", json!({ "chain": trust }));
        // The key first: there is no certificate without it.
        self.put(KEY, &key.serialize_pem(), PRIVATE)?;
        self.put(CERTIFICATE, own, PUBLIC)?;
        self.put(CHAIN, &pems.concat(), PUBLIC)?;
        self.put(TRUST, &trust, PUBLIC)
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> Result<(), Error> {
        put(&self.path.join(name), text, mode, self.replaces)
    }
}

/// Writes the list of an authority, in place of the one of before.
pub(super) fn put_list(ca: &Path, text: &str) -> Result<PathBuf, Error> {
    let file = ca.join(LIST);
    put(&file, text, PUBLIC, true)?;
    Ok(file)
}

/// Whole or not at all, and nothing is replaced unasked, not even what came into being a moment ago.
fn put(file: &Path, text: &str, mode: u32, replaces: bool) -> Result<(), Error> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut beside = NamedTempFile::new_in(folder)?;
        beside.write_all(text.as_bytes())?;
        beside.as_file().set_permissions(Permissions::from_mode(mode))?;
        beside.as_file().sync_all()?;
        let kept = if replaces {
            beside.persist(file)
        } else {
            beside.persist_noclobber(file)
        };
        kept.map(drop).map_err(|error| error.error)
    };
    write().map_err(|cause| unwritten(file, cause))
}

fn unwritten(path: &Path, cause: io::Error) -> Error {
    Error::Unreadable {
        file: path.display().to_string(),
        cause,
    }
}

/// All certificates of a chain in a file.
pub(super) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let octets = super::file::read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| wrong(file, "no chain of certificates (PEM)"))
}

fn pem(der: &CertificateDer<'_>) -> String {
    let digits = base64(der);
    let lines: Vec<String> = digits
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

fn base64(der: &[u8]) -> String {
    Base64::encode_string(der)
}
