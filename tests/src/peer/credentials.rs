//! What the parties of a tunnel prove themselves by where that is not a pre-shared key on both sides, and how strongSwan
//! is told.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;

use crate::lab::pki::{Issued, Key, Revocations, Wanted};

/// As one gateway sees it. Schemes are in strongSwan's words, such as `pubkey`, `ike:rsa/pss-sha384` or `ecdsa-sha256`.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// What proves who we are; the pre-shared key where there is none.
    pub own: Option<Issued>,
    /// What the peer's certificate must go back to; where there are none the peer proves itself by the pre-shared key.
    pub roots: Vec<Issued>,
    /// Intermediates of the peer's that we have, whether it sends them or not.
    pub known: Vec<Issued>,
    /// What the peer's issuers have revoked.
    pub revoked: Vec<Revocations>,
    /// How strongSwan signs.
    pub signs: &'static str,
    /// What strongSwan takes from its peer.
    pub takes: &'static str,
    /// Whether strongSwan refuses whose issuer it has no list of: `strict`, or else `relaxed`.
    pub revocation: &'static str,
    /// Whether strongSwan agrees on hashes and uses method 14 (RFC 7427); without it methods 1 and 9 to 11.
    pub signature_authentication: bool,
    /// Whether `takes` is also about the proof itself, and not only about the certificates.
    pub signature_authentication_constraints: bool,
}

impl Credentials {
    /// A certificate of ours, and one of the peer's that goes back to this root.
    pub fn new(own: &Issued, root: &Issued) -> Self {
        Self {
            own: Some(own.clone()),
            roots: vec![root.clone()],
            known: Vec::new(),
            revoked: Vec::new(),
            signs: "pubkey",
            takes: "pubkey",
            revocation: "relaxed",
            signature_authentication: true,
            signature_authentication_constraints: true,
        }
    }

    /// Writes certificates, lists and key where `swanctl --load-all` finds them.
    pub(super) fn write(&self, swanctl: &Path) -> Result<()> {
        for folder in ["x509", "x509ca", "x509crl", "private"] {
            fs::create_dir_all(swanctl.join(folder))?;
        }
        if let Some(own) = &self.own {
            fs::write(swanctl.join("x509/own.pem"), own.pem())?;
            let mut options = File::options();
            let mut key = options
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(swanctl.join("private/own.pem"))?;
            key.write_all(own.key_pem().as_bytes())?;
            // Its root is not among what this gateway knows: both sides may go back to different ones.
            let below_root = own
                .above()
                .split_last()
                .map(|(_, below)| below)
                .unwrap_or_default();
            for (number, certificate) in below_root.iter().enumerate() {
                fs::write(
                    swanctl.join(format!("x509ca/own-{number}.pem")),
                    certificate.pem(),
                )?;
            }
        }
        for (number, root) in self.roots.iter().enumerate() {
            fs::write(swanctl.join("x509ca").join(root_file(number)), root.pem())?;
        }
        for (number, known) in self.known.iter().enumerate() {
            fs::write(swanctl.join(format!("x509ca/known-{number}.pem")), known.pem())?;
        }
        for (number, list) in self.revoked.iter().enumerate() {
            fs::write(swanctl.join(format!("x509crl/{number}.pem")), list.pem()?)?;
        }
        Ok(())
    }

    /// Lines for the daemon's own settings.
    pub(super) fn daemon_lines(&self) -> String {
        let word = |is| if is { "yes" } else { "no" };
        format!(
            "signature_authentication = {}\n  signature_authentication_constraints = {}",
            word(self.signature_authentication),
            word(self.signature_authentication_constraints)
        )
    }

    /// Lines of what we prove ourselves by.
    pub(super) fn local_lines(&self) -> String {
        match self.own {
            Some(_) => format!("auth = {}\n    certs = own.pem", self.signs),
            None => PRE_SHARED.to_owned(),
        }
    }

    /// Lines of what the peer is to prove itself by.
    pub(super) fn remote_lines(&self) -> String {
        if self.roots.is_empty() {
            return PRE_SHARED.to_owned();
        }
        let roots: Vec<_> = (0..self.roots.len()).map(root_file).collect();
        let Self {
            takes, revocation, ..
        } = self;
        format!(
            "auth = {takes}\n    cacerts = {}\n    revocation = {revocation}",
            roots.join(", ")
        )
    }
}

/// A root, an intermediate below it, and a certificate of each of two gateways.
#[derive(Clone, Debug)]
pub struct Issuers {
    /// What both go back to.
    pub root: Issued,
    /// What has issued both.
    pub middle: Issued,
    /// That of `gw-a`.
    pub near: Issued,
    /// That of `gw-b`.
    pub far: Issued,
}

impl Issuers {
    /// All of them with a key of this kind.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn with(key: Key) -> Result<Self> {
        let keyed = |wanted: Wanted| Wanted { key, ..wanted };
        let root = Issued::root(&keyed(Wanted::authority("Lab root", 1)))?;
        let middle = root.issue(&keyed(Wanted::authority("Lab middle", 0)))?;
        let near = middle.issue(&keyed(Wanted::leaf("gw-a")))?;
        let far = middle.issue(&keyed(Wanted::leaf("gw-b")))?;
        Ok(Self {
            root,
            middle,
            near,
            far,
        })
    }

    /// What either gateway has, the near one first.
    pub fn credentials(&self) -> [Credentials; 2] {
        [
            Credentials::new(&self.near, &self.root),
            Credentials::new(&self.far, &self.root),
        ]
    }
}

/// The line of a side that proves itself by the pre-shared key.
pub(super) const PRE_SHARED: &str = "auth = psk";

fn root_file(number: usize) -> String {
    format!("root-{number}.pem")
}
