use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

/// How much of the log is kept, in octets.
const MOST: usize = 512 * 1024;
/// What a line may have of that; the rest of it is left out.
const LONGEST: usize = 2048;

/// What this process logged last: as tracing's subscriber, there is one of it.
pub(crate) static LOGBOOK: Logbook = Logbook::new();

/// The end of a log, in memory and bounded. It has what standard error has: no secret is ever logged.
#[derive(Debug)]
pub(crate) struct Logbook(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    lines: VecDeque<String>,
    octets: usize,
    dropped: u64,
}

/// The end of the log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Log {
    /// Oldest first.
    lines: Vec<String>,
    /// So many older ones are not kept any more.
    dropped: u64,
}

impl Logbook {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Kept {
            lines: VecDeque::new(),
            octets: 0,
            dropped: 0,
        }))
    }

    /// What is kept.
    pub(crate) fn told(&self) -> Log {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Log {
            lines: kept.lines.iter().cloned().collect(),
            dropped: kept.dropped,
        }
    }
}

impl Kept {
    fn keep(&mut self, line: String) {
        self.octets += line.len();
        self.lines.push_back(line);
        while self.octets > MOST {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.octets -= oldest.len();
            self.dropped += 1;
        }
    }
}

/// Each write is a line, as tracing's formatter has it.
impl io::Write for &Logbook {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let some = octets.get(..LONGEST).unwrap_or(octets);
        let line = String::from_utf8_lossy(some).trim_end().to_owned();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(line);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Oldest lines make room for new ones, and how many did is told; a line that is too long is cut.
    #[test]
    fn only_the_end_of_the_log_is_kept() {
        let logbook = Logbook::new();
        for number in 0..1000 {
            let line = format!("{number} {}\n", "x".repeat(4 * LONGEST));
            (&logbook).write_all(line.as_bytes()).unwrap();
        }
        let told = logbook.told();
        assert_eq!(told.lines.len(), MOST / LONGEST);
        assert_eq!(told.lines.len() as u64 + told.dropped, 1000);
        assert!(told.lines.iter().all(|line| line.len() == LONGEST));
        assert!(told.lines.last().unwrap().starts_with("999 x"));
    }
}
