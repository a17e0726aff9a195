//! Debian packages: downloaded, kept and unpacked, never installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// Depends on the newest kernel of the line we ship.
const KERNEL: &str = "linux-image-6.12-amd64";
/// Packages downloaded before.
const CACHE: &str = "/var/cache/causeway/packages";
/// What is in the image beside the kernel.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "chrony",
    "dmsetup",
    "e2fsprogs",
    "fdisk",
    "libblkid1",
    "libbsd0",
    "libc6",
    "libcap2",
    "libcom-err2",
    "libdevmapper1.02.1",
    "libedit2",
    "libext2fs2",
    "libfdisk1",
    "libffi8",
    "libgcc-s1",
    "libgmp10",
    "libgnutls30",
    "libhogweed6",
    "libidn2-0",
    "libjansson4",
    "libmd0",
    "libmnl0",
    "libnettle8",
    "libnftables1",
    "libnftnl11",
    "libp11-kit0",
    "libpcre2-8-0",
    "libreadline8",
    "libseccomp2",
    "libselinux1",
    "libsmartcols1",
    "libtasn1-6",
    "libtinfo6",
    "libudev1",
    "libunistring2",
    "libuuid1",
    "libxtables12",
    "nftables",
    "util-linux",
];

/// Unpacked packages.
pub(crate) struct Unpacked {
    /// All of them in one tree.
    pub(crate) folder: PathBuf,
    /// Versions by name.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Downloads those that are not there yet, and unpacks all into one folder.
pub(crate) fn unpack(folder: &Path) -> Result<Unpacked> {
    fs::create_dir_all(folder)?;
    fs::create_dir_all(CACHE)?;
    let mut versions = BTreeMap::new();
    for package in PACKAGES.iter().map(|name| (*name).to_owned()).chain([kernel()?]) {
        let version = candidate(&package)?;
        let archive = archive(&package, &version)?;
        tool::output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(folder))?;
        versions.insert(package, version);
    }
    Ok(Unpacked {
        folder: folder.to_owned(),
        versions,
    })
}

/// The package that [`KERNEL`] depends on at present.
fn kernel() -> Result<String> {
    let said = tool::output(Command::new("apt-cache").args(["depends", KERNEL]))?;
    let name = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    name.map(|name| format!("linux-image-{name}"))
        .with_context(|| format!("{KERNEL} is unknown: {said}"))
}

/// The version that Debian has at present.
fn candidate(package: &str) -> Result<String> {
    let said = tool::output(Command::new("apt-cache").args(["policy", package]))?;
    let version = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "));
    version
        .map(str::to_owned)
        .with_context(|| format!("{package} is unknown"))
}

fn archive(package: &str, version: &str) -> Result<PathBuf> {
    let folder = Path::new(CACHE);
    let begin = format!("{package}_{}_", version.replace(':', "%3a"));
    let kept = || -> Result<Option<PathBuf>> {
        let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let name = names.into_iter().find(|name| name.starts_with(&begin));
        Ok(name.map(|name| folder.join(name)))
    };
    if let Some(path) = kept()? {
        return Ok(path);
    }
    println!("downloading {package} {version}");
    let mut download = Command::new("apt-get");
    download.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]);
    download.arg(format!("{package}={version}")).current_dir(folder);
    tool::output(&mut download)?;
    kept()?.with_context(|| format!("{package} did not come"))
}
