#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run bundle`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::bundle);
