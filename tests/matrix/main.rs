//! The interop matrix: Causeway with strongSwan and with itself, in a set of combinations in which each value of every
//! dimension meets each value of every other.
//!
//! `matrix [--full] [--list] [--rows] [--threads=N] [WORD…]`: cells whose names contain every word, or all, and a table
//! at the end; with `--rows` a line for a program per cell instead, from which `cargo xtask test` makes the table.
#![allow(clippy::print_stdout, reason = "rows go to standard output")]
#![allow(
    clippy::indexing_slicing,
    reason = "what a status lacks is null, which no check accepts"
)]

mod cell;
mod course;
mod scene;
mod traffic;

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use system_tests::matrix::row::Row;
use system_tests::matrix::table::markdown;
use system_tests::peer::causeway::binary;
use system_tests::peer::tunnel::Datapath;

use cell::{Cell, cells};

/// What is asked of a run.
struct Arguments {
    full: bool,
    list: bool,
    rows: bool,
    threads: usize,
    words: Vec<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("matrix: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every cell was as it should be.
fn run() -> Result<bool> {
    let arguments = arguments(std::env::args().skip(1))?;
    let mut cells = cells(Datapath::of_this_run()?, arguments.full);
    cells.retain(|cell| {
        let name = cell.to_string();
        arguments.words.iter().all(|word| name.contains(word.as_str()))
    });
    if arguments.list {
        for cell in &cells {
            println!("{cell}");
        }
        return Ok(true);
    }
    let parties = parties()?;
    println!("{} cells: {parties}", cells.len());
    let rows = all(&cells, &parties, &arguments);
    if !arguments.rows {
        println!("\n{}", markdown(&rows, "of this folder"));
    }
    Ok(rows.iter().all(|row| row.failure.is_none()))
}

fn arguments(words: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut arguments = Arguments {
        full: false,
        list: false,
        rows: false,
        threads: 1,
        words: Vec::new(),
    };
    for word in words {
        match (word.as_str(), word.strip_prefix("--threads=")) {
            ("--full", _) => arguments.full = true,
            ("--list", _) => arguments.list = true,
            ("--rows", _) => arguments.rows = true,
            (_, Some(count)) => arguments.threads = count.parse().context("--threads")?,
            (_, None) => arguments.words.push(word),
        }
    }
    Ok(arguments)
}

/// Runs cells, several at a time, and tells of each as it ends.
fn all(cells: &[Cell], parties: &str, arguments: &Arguments) -> Vec<Row> {
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = course::run(cell, parties);
            tell(cell, &row, arguments.rows);
            rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(work);
        }
    });
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn tell(cell: &Cell, row: &Row, for_a_program: bool) {
    let seconds = row.milliseconds / 1000;
    match &row.failure {
        None => println!("{cell} ... ok, {seconds} s"),
        Some(failure) => println!("{cell} ... FAILED, {seconds} s: {failure}"),
    }
    if for_a_program {
        match row.line() {
            Ok(line) => println!("{line}"),
            Err(error) => println!("its row is lost: {error}"),
        }
    }
}

/// All who take part, with versions.
fn parties() -> Result<String> {
    let causeway = version(Command::new(binary("causewayd")?).arg("--version"), "causewayd")?;
    let strongswan = version(Command::new("swanctl").arg("--version"), "strongSwan")?;
    let kernel = nix::sys::utsname::uname()?;
    Ok(format!(
        "Causeway {causeway}, strongSwan {strongswan}, Linux {}",
        kernel.release().to_string_lossy()
    ))
}

/// What a program says of its version, after its name.
fn version(command: &mut Command, name: &str) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {name}"))?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    let mut words = said.split_whitespace().skip_while(|word| *word != name).skip(1);
    let version = words.next().with_context(|| format!("{name} says {said}"))?;
    Ok(version.to_owned())
}
