//! One command of ours, run in the open: its output goes straight to ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use system_tests::matrix::row::Row;

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A cargo command in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// As [`run`], but rows of the interop matrix in the output are kept back and added to `rows`.
pub(crate) fn run_for_rows(title: &str, command: &mut Command, rows: &mut Vec<Row>) -> Result<bool> {
    println!("\n--- {title}");
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let output = child.stdout.take().context("a command without output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        match Row::parse(&text) {
            Some(row) => rows.push(row),
            None => println!("{text}"),
        }
    }
    let status = child.wait()?;
    if !status.success() {
        println!("--- {title}: failed with {status}");
    }
    Ok(status.success())
}

/// Runs a command to its end and tells whether it succeeded.
pub(crate) fn run(title: &str, command: &mut Command) -> Result<bool> {
    println!("\n--- {title}");
    let status = command
        .status()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    if !status.success() {
        println!("--- {title}: failed with {status}");
    }
    Ok(status.success())
}
