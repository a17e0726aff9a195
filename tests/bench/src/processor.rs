//! What a process has spent.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use system_tests::lab::wait;

/// Kernel ticks per second in `/proc`, the same on every architecture that Linux runs on here.
const TICKS: u32 = 100;
/// Who spends no tick for so long is at rest.
const REST: Duration = Duration::from_millis(500);

/// Processor time of a process so far, all its threads, in user and kernel mode.
///
/// # Errors
/// When it is gone.
pub fn processor_time(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name of the program is in parentheses and may hold anything; utime and stime are fields 14 and 15.
    let (_, fields) = text.rsplit_once(") ").context("no program name")?;
    let times = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    let ticks = times.sum::<Result<u32, _>>().with_context(|| path)?;
    Ok(Duration::from_secs(1) * ticks / TICKS)
}

/// The processor time that a process has spent once it does nothing any more.
///
/// # Errors
/// When it is gone, or does not come to rest.
pub fn spent_at_rest(process: u32) -> Result<Duration> {
    let (mut spent, mut since) = (processor_time(process)?, Instant::now());
    wait::until("the process to come to rest", Duration::from_secs(60), || {
        let now = processor_time(process)?;
        if now != spent {
            (spent, since) = (now, Instant::now());
        }
        ensure!(since.elapsed() > REST, "it has spent {spent:?}");
        Ok(spent)
    })
}
