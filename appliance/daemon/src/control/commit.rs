use std::time::Duration;

use tracing::info;

use super::order::{Commit, Confirm, Proposal, Said};
use super::origin::SharedStore;
use super::owner::Control;
use super::refusal::Refusal;
use super::running::Running;
use super::weigh::{Report, Weighed};
use crate::chronicle::News;
use crate::datapath::Request;
use crate::derive::Desired;
use crate::envelope::Secrets;
use crate::store::{Author, Boot, Generation, Head, New};

/// How a document becomes a generation.
struct Kept {
    author: Author,
    source: &'static str,
    comment: String,
    confirm_within: Option<Duration>,
    /// Those that come with it.
    secrets: Secrets,
}

impl Control {
    /// Checks, stores, applies; if it cannot be applied, everything is as it was.
    pub(super) async fn commit(&mut self, commit: Commit, secrets: Secrets) -> Result<Report, Refusal> {
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
            Proposal::Edit(..) if secrets.is_empty() => "api",
            Proposal::Edit(..) => "import",
        };
        let weighed = self
            .weigh(commit.proposal, commit.approach, secrets.clone())
            .await?;
        let desired = self.derive(&weighed.next.config, &weighed.secrets);
        if weighed.report.unchanged && secrets.is_empty() {
            return Ok(weighed.report);
        }
        let kept = Kept {
            author: commit.said.author,
            source,
            comment: commit.comment,
            confirm_within: self.confirm_within(commit.confirm, &weighed.report),
            secrets,
        };
        self.keep(&store, weighed, desired, kept).await
    }

    /// For how long a document is on trial, if it is.
    fn confirm_within(&self, confirm: Confirm, report: &Report) -> Option<Duration> {
        match confirm {
            Confirm::Within(within) => Some(within),
            Confirm::Never => None,
            Confirm::IfCutOff => {
                let caller = report.impact.caller.as_ref()?;
                let management = &self.running.config.system.management;
                caller.cut_off.then_some(management.confirm_within)
            }
        }
    }

    /// Stores what was weighed, and has it done.
    async fn keep(
        &mut self,
        store: &SharedStore,
        weighed: Weighed,
        desired: Desired,
        kept: Kept,
    ) -> Result<Report, Refusal> {
        // By the time that it is stored the table has been tried.
        let rules = Box::new(desired.network.translation.clone());
        let _stopping = self.network.send(Request::Translate(rules)).await;
        let before = self.standing();
        let document = weighed.next.written.to_string();
        let deadline = kept.confirm_within.map(|within| Boot::now().later(within));
        let (author, source) = (kept.author.clone(), kept.source);
        let brought = !kept.secrets.is_empty();
        let stored = store.with(move |store| {
            let new = New {
                author: &author,
                source,
                comment: &kept.comment,
                document: &document,
            };
            store.commit(new, &kept.secrets, deadline)
        });
        let number = stored.await?;
        if let Err(refusal) = self.apply(&weighed.next.config, desired).await {
            let withdrawn = store.with(move |store| store.withdraw(number, &before, &kept.author));
            withdrawn.await?;
            if brought {
                self.take_back().await?;
            }
            return Err(refusal);
        }
        self.running = Running {
            generation: number,
            ..weighed.next
        }
        .into();
        if kept.confirm_within.is_none() {
            self.forget_others().await;
        }
        let word = match kept.confirm_within {
            Some(_) => "on-trial",
            None => "committed",
        };
        let news = News::new(word).by(&kept.author.who).generation(number);
        self.teller.tell(news.detail(source));
        let confirm_within_s = kept.confirm_within.as_ref().map(Duration::as_secs);
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
        self.forget_others().await;
        let (generation, who) = (self.running.generation, &said.author.who);
        self.teller
            .tell(News::new("confirmed").by(who).generation(generation));
        info!(generation, "confirmed");
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
