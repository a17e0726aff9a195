use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::chronicle::{News, Teller};

/// The wait before the first new attempt; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// After a wait of so long nothing but the audits tries again.
const LAST: Duration = Duration::from_secs(32);

/// When what was refused is tried again: soon, then later each time, since most of what is in the way goes at once or
/// stays.
#[derive(Debug, Default)]
pub(super) struct Retry {
    refused: BTreeSet<String>,
    wait: Duration,
    due: Option<Instant>,
}

/// What is refused that was not, and the other way round.
#[derive(Debug, Default)]
pub(super) struct Turned {
    new: Vec<String>,
    gone: Vec<String>,
}

impl Turned {
    /// As events.
    pub(super) fn tell(self, teller: &Teller) {
        for object in self.new {
            teller.tell(News::new("kernel-refused").object(object));
        }
        for object in self.gone {
            teller.tell(News::new("kernel-refused-no-more").object(object));
        }
    }
}

impl Retry {
    /// This is refused now, by object. Returns what changed.
    pub(super) fn look(&mut self, refused: BTreeSet<String>, now: Instant) -> Turned {
        if refused == self.refused && !refused.is_empty() {
            return Turned::default();
        }
        let new = refused.difference(&self.refused).cloned().collect();
        let gone = self.refused.difference(&refused).cloned().collect();
        if refused.is_empty() {
            self.due = None;
        } else if !refused.is_subset(&self.refused) {
            (self.wait, self.due) = (FIRST, Some(now + FIRST));
        }
        self.refused = refused;
        Turned { new, gone }
    }

    /// All of it was tried again.
    pub(super) fn tried(&mut self, now: Instant) {
        self.wait *= 2;
        self.due = (self.wait <= LAST).then(|| now + self.wait);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(objects: &[&str]) -> BTreeSet<String> {
        objects.iter().map(|object| (*object).to_owned()).collect()
    }

    #[tokio::test]
    async fn what_stays_refused_is_tried_less_and_less_and_then_left_to_the_audits() {
        let start = Instant::now();
        let mut retry = Retry::default();
        retry.look(of(&[]), start);
        assert_eq!(retry.due(), None);
        retry.look(of(&["a"]), start);
        let mut waits = Vec::new();
        let mut now = start;
        while let Some(due) = retry.due() {
            waits.push((due - now).as_secs());
            now = due;
            retry.tried(now);
            retry.look(of(&["a"]), now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
        retry.look(of(&["a", "b"]), now);
        assert_eq!(retry.due(), Some(now + FIRST), "something else");
        retry.look(of(&[]), now);
        assert_eq!(retry.due(), None);
    }
}
