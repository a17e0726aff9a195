#![cfg_attr(fuzzing, no_main)]
//! `cargo fuzz run mrt_record`; its body is in `src/lib.rs`.

fuzz_targets::target!(fuzz_targets::mrt_record);
