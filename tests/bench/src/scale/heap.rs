//! What a process holds in memory, whoever asked for it: Rust, or C as AWS-LC does.
#![allow(unsafe_code)]

use std::fs;

use anyhow::{Context, Result};
use nix::libc;

/// Octets that are allocated from the C heap now, with the allocator's own overhead; Rust's allocator uses the same.
pub fn held() -> usize {
    // SAFETY: mallinfo2 takes no argument and only reads the allocator's counters under its own locks.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Octets of memory that a process occupies and shares with no file (`VmRSS` without `RssFile`).
///
/// # Errors
/// When the process is gone.
pub fn resident(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.with_context(|| format!("no RssAnon in {path}"))?.parse()?;
    Ok(kib * 1024)
}
