//! What the boot loader is signed by, and what it believes in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// Key and certificate that UEFI checks the boot loader by, in the folder of the keys (PEM).
const KEY: &str = "secure-boot.key";
const CERTIFICATE: &str = "secure-boot.crt";
/// The pair that the boot loader checks what it reads by, as `gpg` exports it.
const LOADER: &str = "boot-loader.pgp";
/// When that pair is said to have been made: before every image.
const MADE: &str = "20200101T000000!";

/// Both pairs. The signatures are by RSA with PKCS #1 v1.5 and a time that is given, so the same octets have the same ones.
pub(crate) struct SecureBoot {
    keys: PathBuf,
    epoch: u64,
    /// What `gpg` keeps while the image is made.
    home: tempfile::TempDir,
}

impl SecureBoot {
    /// Those of a folder; they are made where there are none.
    pub(crate) fn open(keys: &Path, epoch: u64) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let keys = keys.to_owned();
        let opened = Self { keys, epoch, home };
        if !opened.keys.join(KEY).exists() {
            opened.make_certificate()?;
        }
        let loader = opened.keys.join(LOADER);
        if loader.exists() {
            tool::output(opened.gpg().arg("--import").arg(&loader))?;
        } else {
            let mut make = opened.gpg();
            make.args(["--faked-system-time", MADE, "--quick-generate-key"]);
            tool::output(make.args(["Causeway boot loader", "rsa3072", "sign", "never"]))?;
            let mut export = opened.gpg();
            tool::output(export.arg("--output").arg(&loader).arg("--export-secret-keys"))?;
        }
        tool::output(opened.gpg().arg("--output").arg(opened.public()).arg("--export"))?;
        Ok(opened)
    }

    fn make_certificate(&self) -> Result<()> {
        println!(
            "new keys for Secure Boot, in {}: for development only",
            self.keys.display()
        );
        let mut make = Command::new("openssl");
        make.args(["req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc", "-sha256"]);
        make.args(["-days", "7300", "-subj", "/CN=Causeway Secure Boot"]);
        make.arg("-keyout").arg(self.keys.join(KEY));
        tool::output(make.arg("-out").arg(self.keys.join(CERTIFICATE))).map(drop)
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home.path());
        gpg.args(["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"]);
        gpg.args(["--passphrase", ""]);
        gpg
    }

    /// The public half that the boot loader has in it.
    pub(crate) fn public(&self) -> PathBuf {
        self.home.path().join("boot-loader.pub")
    }

    /// Puts a signature beside a file, where the boot loader looks for it.
    pub(crate) fn sign(&self, file: &Path) -> Result<()> {
        let mut name = file.as_os_str().to_owned();
        name.push(".sig");
        let mut sign = self.gpg();
        sign.args(["--faked-system-time", &format!("{}!", self.epoch)]);
        sign.args(["--digest-algo", "SHA256", "--output"]).arg(name);
        tool::output(sign.arg("--detach-sign").arg(file)).map(drop)
    }

    /// Signs a program of UEFI, in place.
    pub(crate) fn sign_loader(&self, program: &Path) -> Result<()> {
        let time = format!("@{}", self.epoch);
        let time = tool::output(Command::new("date").args(["-u", "-d", &time, "+%F %T"]))?;
        let mut sign = Command::new("faketime");
        sign.args(["-f", time.trim(), "sbsign", "--key"]).env("TZ", "UTC");
        sign.arg(self.keys.join(KEY))
            .arg("--cert")
            .arg(self.keys.join(CERTIFICATE));
        tool::output(sign.arg("--output").arg(program).arg(program)).map(drop)
    }

    /// Writes the certificate as the setup of a box takes it (DER).
    pub(crate) fn certificate(&self, to: &Path) -> Result<()> {
        let mut convert = Command::new("openssl");
        convert
            .args(["x509", "-outform", "DER", "-in"])
            .arg(self.keys.join(CERTIFICATE));
        tool::output(convert.arg("-out").arg(to))?;
        fs::metadata(to).context("no certificate was written").map(drop)
    }
}

impl Drop for SecureBoot {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        end.arg("--homedir").arg(self.home.path()).args(["--kill", "all"]);
        let _gone = end.status();
    }
}
