//! What a bare Debian lacks for our commands, installed when missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::step::root;

/// What the lab's namespaces and peers need. Of strongSwan's plugins, those that read certificates and lists and judge chains
/// come with `strongswan-swanctl` (in `libstrongswan`), RSA with PSS and ECDSA (`openssl`) with the standard plugins, fetching
/// by HTTP (`curl`) and PKCS#11 with the extra ones; the command `openssl` judges what `causeway pki` makes.
pub(crate) const LAB: &[&str] = &[
    "bgpdump",
    "bird2",
    "busybox-static",
    "charon-systemd",
    "curl",
    "frr",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libcharon-extra-plugins",
    "libstrongswan-extra-plugins",
    "libstrongswan-standard-plugins",
    "nftables",
    "openssl",
    "strongswan-swanctl",
    "tcpdump",
    "util-linux",
];

/// What tests of private keys in tokens need: a module without hardware, and a TPM in software with its module.
pub(crate) const TOKENS: &[&str] = &[
    "libtpm2-pkcs11-1",
    "libtss2-tcti-swtpm0",
    "opensc",
    "opensc-pkcs11",
    "softhsm2",
    "swtpm",
];

/// What the virtual machine needs on top of [`LAB`].
pub(crate) const MACHINE: &[&str] = &["cpio", "e2fsprogs", "kmod", "qemu-system-x86", "xz-utils"];

/// What makes the firmware image on top of [`MACHINE`], the firmware and the TPM that it is booted with, and the clock beside it.
pub(crate) const IMAGE: &[&str] = &[
    "binutils",
    "busybox-static",
    "chrony",
    "dosfstools",
    "faketime",
    "gdisk",
    "gnupg",
    "grub-common",
    "grub-efi-amd64-bin",
    "grub-pc-bin",
    "mtools",
    "openssl",
    "ovmf",
    "sbsigntool",
    "squashfs-tools",
    "swtpm",
];

/// What the console is looked at with.
pub(crate) const BROWSER: &[&str] = &["chromium", "fonts-dejavu-core"];

/// What building the fuzz targets needs.
pub(crate) const FUZZ: &[&str] = &["clang", "g++"];

/// What the console is built and checked with, where the machine has no npm of its own.
const NODE: &[&str] = &["nodejs", "npm"];

/// What a Python environment of our own needs, and what is in it, each with its version: what tries the API against its description, and
/// what writes the memory of a UEFI without starting it.
const PYTHON: &[&str] = &["python3", "python3-venv"];
const IN_PYTHON: &[&str] = &[
    "openapi-spec-validator==0.9.0",
    "schemathesis==4.32.5",
    "virt-firmware==26.10",
];

/// While this file forbids it, a package being installed starts no service.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// A Python of our own with [`IN_PYTHON`].
pub(crate) fn python() -> Result<PathBuf> {
    install(PYTHON)?;
    let folder = root().join("target/python");
    let (python, has) = (folder.join("bin/python"), folder.join("has"));
    let wanted = IN_PYTHON.join("\n");
    if fs::read_to_string(&has).is_ok_and(|has| has == wanted) {
        return Ok(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .status()?
        .success();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    if !made
        || !Command::new(&python)
            .args(pip)
            .args(IN_PYTHON)
            .status()?
            .success()
    {
        bail!("could not install {} with pip", IN_PYTHON.join(" "));
    }
    fs::write(&has, wanted)?;
    Ok(python)
}

/// The packages of `web-ui`, as its lock file has them.
pub(crate) fn npm() -> Result<()> {
    let there = Command::new("npm").arg("--version").output();
    if !there.is_ok_and(|answer| answer.status.success()) {
        install(NODE)?;
    }
    let folder = root().join("web-ui");
    let (lock, has) = (folder.join("package-lock.json"), folder.join("node_modules/.has"));
    let wanted = fs::read_to_string(lock)?;
    if fs::read_to_string(&has).is_ok_and(|has| has == wanted) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
    if !npm.current_dir(&folder).status()?.success() {
        bail!("npm could not install what web-ui/package-lock.json names");
    }
    Ok(fs::write(has, wanted)?)
}

/// Installs those of the packages that are missing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("--- installing {}", missing.join(" "));
    let forbidden = forbid_services()?;
    let mut installed = apt_get("install", &missing)?;
    if !installed {
        installed = apt_get("update", &[])? && apt_get("install", &missing)?;
    }
    if forbidden {
        fs::remove_file(SERVICE_POLICY)?;
    }
    if !installed {
        bail!(
            "could not install {}; as root: apt-get install {0}",
            missing.join(" ")
        );
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .output();
    query.is_ok_and(|answer| answer.stdout.ends_with(b" installed"))
}

fn apt_get(action: &str, packages: &[&str]) -> Result<bool> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300", action])
        .env("DEBIAN_FRONTEND", "noninteractive");
    if !packages.is_empty() {
        command.args(["-y", "--no-install-recommends"]).args(packages);
    }
    let status = command
        .stdout(Stdio::null())
        .status()
        .context("this needs Debian's apt-get")?;
    Ok(status.success())
}

/// Writes the policy unless the machine has one of its own; whether it did.
fn forbid_services() -> Result<bool> {
    if Path::new(SERVICE_POLICY).exists() {
        return Ok(false);
    }
    fs::write(SERVICE_POLICY, "#!/bin/sh\nexit 101\n").context("installing packages needs root")?;
    fs::set_permissions(SERVICE_POLICY, fs::Permissions::from_mode(0o755))?;
    Ok(true)
}

/// Adds the parts of the Rust toolchain that the checks need.
pub(crate) fn toolchain() -> Result<()> {
    for (component, probe) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let present = crate::step::cargo(&[probe, "--version"])
            .output()
            .is_ok_and(|o| o.status.success());
        if !present {
            let added = Command::new("rustup")
                .args(["component", "add", component])
                .status();
            added
                .ok()
                .filter(|s| s.success())
                .with_context(|| format!("cargo {probe} is missing"))?;
        }
    }
    Ok(())
}
