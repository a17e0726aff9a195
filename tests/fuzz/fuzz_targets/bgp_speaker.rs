#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run bgp_speaker`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::bgp_speaker);
