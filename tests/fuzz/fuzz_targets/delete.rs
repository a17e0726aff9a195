#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run delete`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::delete);
