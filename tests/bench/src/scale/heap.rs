//! What a process holds in memory, whoever asked for it: Rust, or C as AWS-LC does.
#![allow(unsafe_code)]

use nix::libc;

/// Octets that are allocated from the C heap now, with the allocator's own overhead; Rust's allocator uses the same.
pub fn held() -> usize {
    // SAFETY: mallinfo2 takes no argument and only reads the allocator's counters under its own locks.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
