#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run security_association`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::security_association);
