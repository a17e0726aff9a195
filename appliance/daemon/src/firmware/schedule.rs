use std::sync::Arc;
use std::time::Duration;

use image_slots::{Slot, Table};
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::warn;

use super::fault::FirmwareFault;
use super::notes::Staged;
use super::owner::Firmware;
use super::window::{Window, zone};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(30);
/// Who installs what nobody asked for.
const BY_ITSELF: &str = "system";

/// The hours in which updates may happen, as they are known now.
#[derive(Debug)]
pub(crate) struct Hours {
    /// The zone that their beginning is told in.
    pub(crate) zone: &'static str,
    /// What is uploaded is installed then by itself.
    pub(crate) automatic_updates: bool,
    /// The window that is open or comes next; the reason word where nothing happens in any.
    pub(crate) window: Result<Window, &'static str>,
}

/// What is installed in the next window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// Its slot.
    pub(crate) slot: Slot,
    /// Its version.
    pub(crate) version: String,
    /// Who asked for it.
    pub(crate) by: String,
    allow_downgrade: bool,
}

impl Firmware {
    /// Tells what became of a trial, or sees one to its end; then installs in each window what is to be. Ends with the last who
    /// has these slots.
    pub(crate) async fn watch(self: Arc<Self>) {
        self.tell_found();
        self.see_trial().await;
        let firmware = Arc::downgrade(&self);
        drop(self);
        while let Some(firmware) = firmware.upgrade() {
            if let Err(fault) = firmware.look().await {
                warn!(%fault, "the update of this window");
            }
            drop(firmware);
            sleep(LOOK).await;
        }
    }

    async fn look(&self) -> Result<(), FirmwareFault> {
        let table = self.table()?;
        let (Some(scheduled), Some(now)) = (self.scheduled(&table), self.now()) else {
            return Ok(());
        };
        match self.hours().window {
            Ok(window) if window.is_open(now) => self.install(&scheduled.by, scheduled.allow_downgrade).await,
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What the clock shows, if that can be right.
    fn now(&self) -> Option<Timestamp> {
        let seconds = self.sources.unix_s()?;
        Timestamp::from_second(seconds.try_into().ok()?).ok()
    }

    /// When updates may happen.
    pub(crate) fn hours(&self) -> Hours {
        let view = self.sources.configuration.borrow().clone();
        let system = view
            .running
            .as_ref()
            .map(|running| running.config.system.clone())
            .unwrap_or_default();
        let next = |now| Window::next(&system.maintenance, &zone(system.time.zone), now);
        let window = match self.now() {
            // The next start would end the trial.
            Some(_) if view.trial.is_some() => Err("on-trial"),
            Some(now) => next(now).ok_or("clock"),
            None => Err("clock"),
        };
        Hours {
            zone: system.time.zone,
            automatic_updates: system.maintenance.automatic_updates,
            window,
        }
    }

    /// What is installed in the next window, if anything is.
    pub(crate) fn scheduled(&self, table: &Table) -> Option<Scheduled> {
        let (runs, slot) = (self.runs(), self.runs().other());
        let staged = self.notes.staged()?;
        let content = table.content(slot)?;
        let is_newer = table
            .content(runs)
            .is_some_and(|running| running.build < content.build);
        let settled = table.good == runs && table.tries.is_none();
        let automatic = is_newer && self.hours().automatic_updates;
        let by = staged.by.or(automatic.then(|| BY_ITSELF.to_owned()))?;
        let scheduled = Scheduled {
            slot,
            version: content.version.clone(),
            by,
            allow_downgrade: staged.allow_downgrade,
        };
        (settled && staged.root == content.root.to_string()).then_some(scheduled)
    }

    /// Has the system in the other slot tried in the next window.
    pub(crate) fn schedule(&self, author: &str, allow_downgrade: bool) -> Result<(), FirmwareFault> {
        let _held = self.hold()?;
        let table = self.settled()?;
        let (content, _) = self.admitted(&table, allow_downgrade)?;
        self.notes.keep_staged(&Staged {
            root: content.root.to_string(),
            by: Some(author.to_owned()),
            allow_downgrade,
        })?;
        let detail = match self.hours().window {
            Ok(window) => format!(
                "in the window from {} to {}",
                window.opens()[1],
                window.closes()[1]
            ),
            Err(reason) => format!("in no window yet: {reason}"),
        };
        self.tell("firmware-scheduled", Some(content), author, detail);
        Ok(())
    }

    /// Has it not.
    pub(crate) fn cancel(&self, author: &str) -> Result<(), FirmwareFault> {
        let table = self.slots.table()?;
        self.scheduled(&table).ok_or(FirmwareFault::NotScheduled)?;
        self.notes.forget_staged()?;
        let content = table.content(self.runs().other());
        self.tell("firmware-schedule-cancelled", content, author, String::new());
        Ok(())
    }
}
