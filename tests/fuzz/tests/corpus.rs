//! The stored inputs, seeds and once-found faults alike, run through the bodies of the fuzz targets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz_targets::{TARGETS, replay};

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| stem(entry.unwrap()))
        .collect()
}

/// A body that panics names the input by the panic's output; run it alone with
/// `cargo run -p fuzz-targets --bin TARGET -- FILE`.
#[test]
fn stored_inputs_break_no_invariant() {
    for target in TARGETS {
        let inputs = replay(target.body, &package().join("corpus").join(target.name)).unwrap();
        assert!(inputs > 0, "{} has no seeds", target.name);
    }
}

/// A program without a body here would never replay its corpus; a corpus without a program is never searched.
#[test]
fn every_target_has_program_and_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&package().join("fuzz_targets")), targets);
    assert_eq!(names(&package().join("corpus")), targets);
}
