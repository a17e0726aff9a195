use std::time::Duration;

use image_slots::Transition;
use tokio::time::{Instant, interval};
use tracing::error;

use super::fault::FirmwareFault;
use super::owner::Firmware;
use super::reach::Reach;

/// How often is looked whether what is on trial works.
const LOOK: Duration = Duration::from_secs(1);
/// How many times in a row all has to be well.
const IN_A_ROW: u32 = 5;
/// How long it may take. `/etc/trial` of the image waits longer, for a causewayd that does not come so far as to look.
pub(super) const LIMIT: Duration = Duration::from_secs(180);

impl Firmware {
    /// Tells what became of a trial, or sees one to its end.
    pub(super) async fn see_trial(&self) {
        if let Err(fault) = self.see_to_it().await {
            error!(%fault, "the trial of a system");
        }
    }

    pub(super) async fn see_to_it(&self) -> Result<(), FirmwareFault> {
        let table = self.slots.table()?;
        let other = self.runs().other();
        match (table.good == self.runs(), table.tries) {
            (true, None) => Ok(()),
            (true, Some(_)) => {
                let why = self.notes.failed().unwrap_or_else(|| {
                    let detail = "it did not come so far that it could say why: its slot may be damaged";
                    ("trial-not-started".to_owned(), detail.to_owned())
                });
                self.fell_back(table.content(other), why)?;
                self.slots.write(&table.after(Transition::Forgotten))?;
                Ok(self.notes.clear()?)
            }
            (false, Some(_)) => self.judge(Some(Instant::now() + LIMIT)).await,
            (false, None) => {
                let detail = "the boot loader could not load it, and started the system before";
                let why = ("slot-not-loaded".to_owned(), detail.to_owned());
                self.fell_back(table.content(other), why)?;
                self.judge(None).await
            }
        }
    }

    /// Until what runs is good, or its time is over.
    async fn judge(&self, limit: Option<Instant>) -> Result<(), FirmwareFault> {
        let before = self.notes.before().unwrap_or_default();
        let (mut looks, mut well) = (interval(LOOK), 0);
        loop {
            looks.tick().await;
            if self.slots.table()?.good == self.runs() {
                return Ok(());
            }
            let lacking = self.lacking(&before).await;
            self.set_waiting(lacking.clone());
            well = if lacking.is_empty() { well + 1 } else { 0 };
            if well == IN_A_ROW {
                return self.mark_good("system");
            }
            if limit.is_some_and(|limit| Instant::now() >= limit) && !lacking.is_empty() {
                self.notes
                    .keep_failed("trial-not-reachable", &lacking.join("; "))?;
                return self.ask_for_restart();
            }
        }
    }

    /// What is missing before what runs is good: it does what its configuration says, its state is whole and that of before,
    /// and it can be reached as before.
    async fn lacking(&self, before: &Reach) -> Vec<String> {
        let view = self.sources.configuration.borrow().clone();
        let mut lacking = before.lacking(&self.reach().await);
        if view.running.is_none() {
            lacking.push("no configuration runs yet".to_owned());
        }
        if let Some(damage) = &view.damage {
            lacking.push(format!("the store was damaged: {damage}"));
        }
        lacking
    }
}
