//! The bill of materials (CycloneDX 1.5): every Debian package and every crate in the image.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::packages::Unpacked;
use crate::rootfs::source;
use crate::tool;

/// The document as JSON, the same for the same input.
pub(crate) fn write(packages: &Unpacked, version: &str) -> Result<String> {
    let debian = packages.versions.iter().map(|(name, version)| {
        let identifier = format!(
            "pkg:deb/debian/{name}@{}?arch=amd64&distro=bookworm",
            encoded(version)
        );
        json!({ "type": "library", "name": name, "version": version, "purl": identifier })
    });
    let crates = crates()?.into_iter().map(|(name, version)| {
        let identifier = format!("pkg:cargo/{name}@{}", encoded(&version));
        json!({ "type": "library", "name": name, "version": version, "purl": identifier })
    });
    let components: Vec<Value> = debian.chain(crates).collect();
    let product = json!({ "type": "firmware", "name": "causeway", "version": version });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": product },
        "components": components,
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// What our programs are made of, as cargo resolves it.
fn crates() -> Result<BTreeSet<(String, String)>> {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args([
        "tree",
        "--offline",
        "--locked",
        "-p",
        "causewayd",
        "-p",
        "causeway",
        "-p",
        "image-installer",
        "-p",
        "image-verifier",
    ]);
    tree.args(["-e", "normal", "--prefix", "none", "--format", "{p}"]);
    let said = tool::output(tree.current_dir(source()))?;
    let mut found = BTreeSet::new();
    for line in said.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next().context("a crate without a name")?;
        let version = words.next().and_then(|word| word.strip_prefix('v'));
        found.insert((
            name.to_owned(),
            version.context("a crate without a version")?.to_owned(),
        ));
    }
    Ok(found)
}

/// Characters that a package URL does not take as they are.
fn encoded(version: &str) -> String {
    version
        .replace('+', "%2B")
        .replace(':', "%3A")
        .replace('~', "%7E")
}
