#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run configuration_document`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::configuration_document);
