use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::store::{Audit, Author};

/// So many refused requests are written at once, and then one in so long.
const BURST: u32 = 32;
const EVERY: Duration = Duration::from_secs(10);
/// So many kinds are counted apart until the next time that counts are written.
const KINDS: usize = 16;

/// What was refused, on its way to the audit log: the first of a kind is written at once, and the rest counted, so that
/// a flood neither fills the disk nor hides what else happens.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// How many may be written at once.
    left: u32,
    /// Since when this many.
    refilled: Instant,
    /// By what is written; how many since.
    counts: BTreeMap<(String, String, String, String), u64>,
    /// Of more kinds.
    rest: u64,
}

impl Refusals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            refilled: now,
            counts: BTreeMap::new(),
            rest: 0,
        }
    }

    /// Something was refused; what is to be written now.
    pub(super) fn note(&mut self, audit: Audit, now: Instant) -> Option<Audit> {
        while self.left < BURST && now.saturating_duration_since(self.refilled) >= EVERY {
            self.left += 1;
            self.refilled += EVERY;
        }
        let Author { who, source } = audit.author.clone();
        let kind = (who, source, audit.what.clone(), audit.result.clone());
        if let Some(count) = self.counts.get_mut(&kind) {
            *count += 1;
            return None;
        }
        let room = self.counts.len() < KINDS;
        if self.left == 0 {
            if room {
                self.counts.insert(kind, 1);
            } else {
                self.rest += 1;
            }
            return None;
        }
        if self.left == BURST {
            self.refilled = now;
        }
        self.left -= 1;
        if room {
            self.counts.insert(kind, 0);
        }
        Some(audit)
    }

    /// What was counted since the last time; to be written now.
    pub(super) fn counted(&mut self) -> Vec<Audit> {
        let counts = std::mem::take(&mut self.counts);
        let mut audits: Vec<Audit> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|((who, source, what, result), count)| Audit {
                author: Author { who, source },
                what: format!("{what}, {count} times more"),
                result,
            })
            .collect();
        let rest = std::mem::take(&mut self.rest);
        if rest > 0 {
            audits.push(Audit {
                author: Author {
                    who: "several".to_owned(),
                    source: "several".to_owned(),
                },
                what: format!("{rest} more requests"),
                result: "refused".to_owned(),
            });
        }
        audits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> Audit {
        Audit {
            author: Author {
                who: "nobody".to_owned(),
                source: source.to_owned(),
            },
            what: "PATCH /api/v1/config".to_owned(),
            result: "sign-in-needed".to_owned(),
        }
    }

    #[test]
    fn the_same_again_is_counted() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        assert_eq!(
            refusals.note(refused("192.0.2.1"), now),
            Some(refused("192.0.2.1"))
        );
        for _ in 0..1000 {
            assert_eq!(refusals.note(refused("192.0.2.1"), now), None);
        }
        let counted = refusals.counted();
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].what, "PATCH /api/v1/config, 1000 times more");
        assert_eq!(refusals.counted(), []);
    }

    #[test]
    fn a_flood_from_everywhere_is_written_in_few_lines_and_none_is_lost_count_of() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        let at_once = (0..5000).filter(|number| refusals.note(refused(&number.to_string()), now).is_some());
        assert_eq!(at_once.count(), 32);
        let counted = refusals.counted();
        assert!(counted.len() <= KINDS + 1);
        assert_eq!(counted.last().unwrap().what, "4968 more requests");
        assert_eq!(
            refusals.note(refused("later"), now + EVERY),
            Some(refused("later"))
        );
        assert_eq!(refusals.note(refused("at once"), now + EVERY), None);
    }
}
