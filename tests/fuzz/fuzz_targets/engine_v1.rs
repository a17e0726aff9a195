#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run engine_v1`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::engine_v1);
