use std::time::Duration;

use tracing::{error, warn};

use super::files::Invalid;
use super::order::Said;
use super::owner::Control;
use super::refusal::Refusal;
use super::running::Running;
use super::weigh::Report;
use crate::chronicle::News;
use crate::store::{Author, Boot, Trial};

/// How long after the store failed it is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Control {
    /// Comes back when the time of a trial is over.
    pub(super) async fn end_of(trial: Option<&Trial>) {
        let Some(trial) = trial else {
            return std::future::pending().await;
        };
        loop {
            let remaining = trial.deadline.remaining(&Boot::now());
            if remaining.is_zero() {
                return;
            }
            tokio::time::sleep(remaining).await;
        }
    }

    /// Nobody confirmed in time: the start-up generation runs again.
    pub(super) async fn return_to_startup(&mut self) {
        let (generation, startup) = (self.running.generation, self.standing().startup);
        match self.return_for(&Author::system(), "not confirmed in time").await {
            Ok(()) => warn!(
                generation,
                startup, "trial-over: not confirmed in time: the start-up generation is back"
            ),
            Err(refusal) => {
                error!(
                    generation,
                    startup, "trial-over: not confirmed in time, and tried again: {refusal}"
                );
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Somebody does not want to wait for the end of the trial.
    pub(super) async fn return_early(&mut self, said: &Said) -> Result<Report, Refusal> {
        let before = self.running.clone();
        self.return_for(&said.author, "rolled back").await?;
        Ok(Report::between(&before, &self.running, None))
    }

    async fn return_for(&mut self, who: &Author, why: &'static str) -> Result<(), Refusal> {
        let (store, author) = (self.writable()?, who.clone());
        let running = match self.standing().startup {
            0 => Running::nothing(),
            number => {
                let kept = self.generation(number).await?;
                let parsed = Running::parse(number, kept.document.as_bytes());
                parsed.map_err(|Invalid(problems)| Refusal::NotApplied(problems))?
            }
        };
        // On the disk first: a start in the middle of this begins where it ends. A disk that fails holds nothing up.
        let stored = store
            .with(move |store| store.return_to_startup(&author, why))
            .await;
        if self.running.generation != running.generation {
            let generation = running.generation;
            self.run_again(running).await?;
            let news = News::new("trial-over").by(&who.who).generation(generation);
            self.teller.tell(news.detail(why));
        }
        stored
    }
}
