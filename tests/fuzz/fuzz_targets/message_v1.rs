#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run message_v1`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::message_v1);
