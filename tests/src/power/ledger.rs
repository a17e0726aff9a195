//! What a daemon has acknowledged, and what it must therefore have after a power cut.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::told::{Change, Found, Told};

/// So many generations a store keeps at least.
const KEPT: u32 = 200;
/// What stands in the document that a new store begins with.
pub const SEED: u64 = 1024;

/// The acknowledged state of one store.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    generations: BTreeMap<u32, u64>,
    startup: u32,
    trial: Option<u32>,
    /// Asked for, and not answered.
    open: Option<Change>,
}

impl Ledger {
    /// Takes what a machine told; a start is compared with what was before.
    ///
    /// # Errors
    /// When something was lost, or is there that nobody asked for.
    pub fn take(&mut self, told: &Told) -> Result<()> {
        match told {
            Told::Mounted => Ok(()),
            Told::Found(found) => self.compare(found),
            Told::Asked(change) => {
                self.open = Some(*change);
                Ok(())
            }
            Told::Done(generation) => self.done(*generation),
        }
    }

    fn done(&mut self, generation: u32) -> Result<()> {
        let change = self.open.take().context("an answer that nobody asked for")?;
        match change {
            Change::Commit(value) => {
                self.generations.insert(generation, value);
                self.startup = generation;
            }
            Change::Trial(value) => {
                self.generations.insert(generation, value);
                self.trial = Some(generation);
            }
            Change::Confirm => {
                ensure!(
                    self.trial.take() == Some(generation),
                    "confirmed another: {generation}"
                );
                self.startup = generation;
            }
            Change::Return => {
                self.trial = None;
                ensure!(generation == self.startup, "returned to another: {generation}");
            }
        }
        Ok(())
    }

    /// Compares what a start of the machine found with what was acknowledged before; from then on what it found counts.
    fn compare(&mut self, found: &Found) -> Result<()> {
        let context = || format!("{found:?}\nafter {self:?}");
        self.nothing_is_lost(found).with_context(context)?;
        let new = self.nothing_is_made_up(found).with_context(context)?;
        self.the_right_one_runs(found, new).with_context(context)?;
        *self = Self {
            generations: found.generations.clone(),
            startup: found.startup,
            trial: None,
            open: None,
        };
        Ok(())
    }

    fn nothing_is_lost(&self, found: &Found) -> Result<()> {
        ensure!(found.damage.is_none(), "DAMAGED: {:?}", found.damage);
        let newest = found.generations.keys().next_back().copied().unwrap_or_default();
        let kept = self.generations.range(newest.saturating_sub(KEPT - 1)..);
        for (generation, value) in kept {
            let there = found.generations.get(generation);
            ensure!(
                there == Some(value),
                "LOST: generation {generation} was acknowledged with {value} and has {there:?}"
            );
        }
        Ok(())
    }

    /// The generation that was not acknowledged and is there all the same, for it was asked for.
    fn nothing_is_made_up(&self, found: &Found) -> Result<Option<u32>> {
        let last = self.generations.keys().next_back().copied();
        let mut new = found.generations.range(last.map_or(1, |last| last + 1)..);
        let Some((generation, value)) = new.next() else {
            return Ok(None);
        };
        let asked = match self.open {
            Some(Change::Commit(value) | Change::Trial(value)) => Some(value),
            Some(Change::Confirm | Change::Return) => None,
            None => (last.is_none()).then_some(SEED),
        };
        ensure!(
            asked == Some(*value) && new.next().is_none(),
            "MADE UP: generation {generation}"
        );
        Ok(Some(*generation))
    }

    fn the_right_one_runs(&self, found: &Found, new: Option<u32>) -> Result<()> {
        let expected = match (self.open, new) {
            (Some(Change::Commit(_)) | None, Some(new)) => vec![new],
            (Some(Change::Confirm), None) => self.trial.into_iter().chain([self.startup]).collect(),
            _ => vec![self.startup],
        };
        ensure!(
            expected.contains(&found.running),
            "LOST: {} runs, and not {expected:?}",
            found.running
        );
        ensure!(
            found.startup == found.running && found.trial.is_none(),
            "a trial goes on after a start of the machine"
        );
        ensure!(
            found.generations.get(&found.running) == Some(&found.value),
            "what runs is not the document of its generation"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: u64 = 2000;

    fn found(running: u32, generations: &[(u32, u64)]) -> Told {
        let generations = BTreeMap::from_iter(generations.iter().copied());
        Told::Found(Found {
            running,
            value: generations[&running],
            startup: running,
            generations,
            ..Found::default()
        })
    }

    /// A new store of which this was seen.
    fn after(seen: &[Told]) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.take(&found(1, &[(1, SEED)])).unwrap();
        for told in seen {
            ledger.take(told).unwrap();
        }
        ledger
    }

    fn complaint(ledger: &Ledger, told: &Told) -> String {
        format!("{:#}", ledger.clone().take(told).unwrap_err())
    }

    #[test]
    fn an_acknowledged_commit_must_be_there() {
        let ledger = after(&[Told::Asked(Change::Commit(NEXT)), Told::Done(2)]);
        let whole = found(2, &[(1, SEED), (2, NEXT)]);
        ledger.clone().take(&whole).unwrap();
        for bad in [
            found(1, &[(1, SEED)]),
            found(1, &[(1, SEED), (2, NEXT)]),
            found(2, &[(1, SEED), (2, NEXT + 1)]),
            found(2, &[(2, NEXT)]),
        ] {
            assert!(complaint(&ledger, &bad).contains("LOST"), "{bad:?}");
        }
        let more = found(2, &[(1, SEED), (2, NEXT), (3, 3000)]);
        assert!(complaint(&ledger, &more).contains("MADE UP"));
        let Told::Found(mut damaged) = whole else {
            unreachable!()
        };
        damaged.damage = Some("store-damaged".to_owned());
        assert!(complaint(&ledger, &Told::Found(damaged)).contains("DAMAGED"));
    }

    #[test]
    fn a_commit_without_an_answer_is_there_whole_or_not_at_all() {
        let ledger = after(&[Told::Asked(Change::Commit(NEXT))]);
        ledger.clone().take(&found(1, &[(1, SEED)])).unwrap();
        ledger.clone().take(&found(2, &[(1, SEED), (2, NEXT)])).unwrap();
        let half = found(1, &[(1, SEED), (2, NEXT)]);
        assert!(complaint(&ledger, &half).contains("LOST"));
    }

    #[test]
    fn a_trial_ends_with_a_start_of_the_machine_unless_it_was_confirmed() {
        let on_trial = after(&[Told::Asked(Change::Trial(NEXT)), Told::Done(2)]);
        let (kept, returned) = (
            found(2, &[(1, SEED), (2, NEXT)]),
            found(1, &[(1, SEED), (2, NEXT)]),
        );
        on_trial.clone().take(&returned).unwrap();
        assert!(complaint(&on_trial, &kept).contains("LOST"));
        let mut confirming = on_trial;
        confirming.take(&Told::Asked(Change::Confirm)).unwrap();
        confirming.clone().take(&returned).unwrap();
        confirming.clone().take(&kept).unwrap();
        confirming.take(&Told::Done(2)).unwrap();
        confirming.clone().take(&kept).unwrap();
        assert!(complaint(&confirming, &returned).contains("LOST"));
    }

    #[test]
    fn generations_beyond_those_that_are_kept_may_be_forgotten() {
        let mut ledger = after(&[]);
        for number in 2..=201 {
            ledger
                .take(&Told::Asked(Change::Commit(u64::from(number))))
                .unwrap();
            ledger.take(&Told::Done(number)).unwrap();
        }
        let all: Vec<_> = (2..=201).map(|number| (number, u64::from(number))).collect();
        ledger.clone().take(&found(201, &all)).unwrap();
        assert!(complaint(&ledger, &found(201, &all[1..])).contains("LOST"));
    }
}
