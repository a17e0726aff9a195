//! The interop matrix of a run, as people read it.

use std::fs;
use std::process::Command;

use anyhow::Result;
use system_tests::matrix::row::Row;
use system_tests::matrix::table::markdown;

use crate::step::root;

/// Where the matrix of the last run is kept, below the root of the workspace.
const PLACE: &str = "target/interop-matrix.md";

/// Prints the matrix of a tier, if it has one.
pub(crate) fn show(rows: &[Row]) {
    if !rows.is_empty() {
        println!("\n{}", markdown(rows, &revision()));
    }
}

/// Keeps the matrix of all tiers that had one in a file.
pub(crate) fn keep(rows: &[Row]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let place = root().join(PLACE);
    fs::create_dir_all(root().join("target"))?;
    fs::write(
        &place,
        format!("# Interop matrix\n\n{}", markdown(rows, &revision())),
    )?;
    println!("\nThe interop matrix is in {}.", place.display());
    Ok(())
}

/// What git calls the sources; those that differ from it are told.
fn revision() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(root())
        .output();
    let described = described.ok().filter(|output| output.status.success());
    described.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
