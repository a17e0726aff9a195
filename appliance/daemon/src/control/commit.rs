use std::time::Duration;

use tracing::info;

use super::order::{Commit, Proposal, Said};
use super::owner::Control;
use super::refusal::Refusal;
use super::running::Running;
use super::weigh::Report;
use crate::store::{Boot, Generation, Head, New};

impl Control {
    /// Checks, stores, applies; if it cannot be applied, everything is as it was.
    pub(super) async fn commit(&mut self, commit: Commit) -> Result<Report, Refusal> {
        let store = self.writable()?;
        commit.said.condition.holds(self.running.generation)?;
        let before = self.standing();
        if let Some(trial) = &before.trial {
            return match commit.proposal {
                Proposal::Generation(number) if number == before.startup => {
                    self.return_early(&commit.said).await
                }
                Proposal::Generation(_) | Proposal::Edit(..) => {
                    Err(Refusal::OnTrial(trial.generation, before.startup))
                }
            };
        }
        let source = match commit.proposal {
            Proposal::Generation(_) => "rollback",
            Proposal::Edit(..) => "api",
        };
        let weighed = self.weigh(commit.proposal).await?;
        let desired = self.derive(&weighed.next.config, &weighed.secrets);
        if weighed.report.unchanged {
            return Ok(weighed.report);
        }
        let (author, document) = (commit.said.author.clone(), weighed.next.written.to_string());
        let deadline = commit.confirm_within.map(|within| Boot::now().later(within));
        let stored = store.with(move |store| {
            let new = New {
                author: &author,
                source,
                comment: &commit.comment,
                document: &document,
            };
            store.commit(new, deadline)
        });
        let number = stored.await?;
        if let Err(refusal) = self.apply(&weighed.next.config, desired).await {
            let who = commit.said.author;
            let withdrawn = store.with(move |store| store.withdraw(number, &before, &who));
            withdrawn.await?;
            return Err(refusal);
        }
        self.running = Running {
            generation: number,
            ..weighed.next
        }
        .into();
        let confirm_within_s = commit.confirm_within.as_ref().map(Duration::as_secs);
        info!(
            generation = number,
            confirm_within_s, "the configuration is committed"
        );
        Ok(Report {
            generation: number,
            confirm_within_s,
            ..weighed.report
        })
    }

    /// Keeps what is on trial.
    pub(super) async fn confirm(&mut self, said: &Said) -> Result<u32, Refusal> {
        let store = self.writable()?;
        said.condition.holds(self.running.generation)?;
        if self.standing().trial.is_none() {
            return Err(Refusal::NothingOnTrial);
        }
        let author = said.author.clone();
        store.with(move |store| store.confirm(&author)).await?;
        info!(generation = self.running.generation, "confirmed");
        Ok(self.running.generation)
    }

    pub(super) async fn generations(&self) -> Result<Vec<Head>, Refusal> {
        self.store()?.with(|store| store.generations()).await
    }

    pub(super) async fn generation(&self, number: u32) -> Result<Generation, Refusal> {
        let found = self.store()?.with(move |store| store.generation(number)).await?;
        found.ok_or(Refusal::UnknownGeneration(number))
    }
}
