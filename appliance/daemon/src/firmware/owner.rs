use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use image_slots::{BundleError, Content, Slot, Table, Transition};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tracing::{info, warn};

use super::fault::FirmwareFault;
use super::naming::Naming;
use super::notes::{Failure, Notes, Staged};
use super::progress::{Progress, Stage};
use super::reach::Reach;
use super::slots::Slots;
use crate::chronicle::{News, Teller};
use crate::clock::{self, Clock};
use crate::control::View;
use crate::derive::Addresses;
use crate::history::Moment;

/// The clock on the wall.
#[derive(Clone)]
pub(crate) struct Wall(pub(crate) Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Wall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wall")
    }
}

/// What is looked at, and who is told.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Who is told.
    pub(super) teller: Teller,
    /// Which configuration runs.
    pub(super) configuration: watch::Receiver<Arc<View>>,
    /// What addresses the interfaces have.
    pub(super) addresses: watch::Receiver<Arc<Addresses>>,
    wall: Wall,
}

impl Sources {
    /// These.
    pub(crate) fn new(
        teller: &Teller,
        configuration: &watch::Receiver<Arc<View>>,
        addresses: &watch::Receiver<Arc<Addresses>>,
    ) -> Self {
        Self {
            teller: teller.clone(),
            configuration: configuration.clone(),
            addresses: addresses.clone(),
            wall: Wall(Arc::new(SystemTime::now)),
        }
    }

    /// The same by another clock.
    #[cfg(test)]
    pub(crate) fn by(self, wall: Wall) -> Self {
        Self { wall, ..self }
    }

    /// What time it is in seconds of UNIX time; `None` while the clock cannot be right.
    pub(super) fn unix_s(&self) -> Option<u64> {
        let moment = Moment {
            wall: (self.wall.0)(),
            ..Moment::now()
        };
        Clock::new().unix_s(moment)
    }
}

/// The slots of this machine and what is done with them.
#[derive(Debug)]
pub(crate) struct Firmware {
    pub(super) slots: Slots,
    pub(super) notes: Notes,
    pub(super) sources: Sources,
    busy: Arc<Semaphore>,
    progress: Mutex<Progress>,
    waiting: Mutex<Vec<String>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    restart: Notify,
    pub(super) naming: watch::Sender<Naming>,
}

/// Nobody else changes the idle slot while this is there.
pub(super) type Held = OwnedSemaphorePermit;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the machine is to be started again; for ever where there are no slots.
pub(crate) async fn restart_wanted(firmware: Option<&Arc<Firmware>>) {
    match firmware {
        Some(firmware) => firmware.restart.notified().await,
        None => std::future::pending().await,
    }
}

impl Firmware {
    /// The slots in a folder; nothing where there are none, or they cannot be used.
    pub(crate) fn open(folder: &Path, sources: Sources) -> Option<Arc<Self>> {
        let slots = match Slots::open(folder) {
            Ok(slots) => slots?,
            Err(error) => {
                warn!(folder = %folder.display(), %error, "the slots cannot be used: there are no updates");
                return None;
            }
        };
        Some(Arc::new(Self {
            notes: Notes::new(slots.file("notes")),
            slots,
            sources,
            busy: Arc::new(Semaphore::new(1)),
            progress: Mutex::new(Progress::at(Stage::None)),
            waiting: Mutex::default(),
            refused: Mutex::default(),
            restart: Notify::new(),
            naming: watch::Sender::default(),
        }))
    }

    /// What the machine is called, and whom it asks.
    pub(crate) fn naming(&self) -> Naming {
        self.naming.borrow().clone()
    }

    /// The slot that runs.
    pub(crate) fn runs(&self) -> Slot {
        self.slots.runs
    }

    /// What is in the slots. May wait for the disk.
    pub(crate) fn table(&self) -> Result<Table, FirmwareFault> {
        Ok(self.slots.table()?)
    }

    /// Octets that a slot has room for.
    pub(crate) fn room(&self, slot: Slot) -> Result<u64, FirmwareFault> {
        Ok(self.slots.room(slot)?)
    }

    /// The last failure that was told.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.notes.last_failure()
    }

    /// How far the last upload is.
    pub(crate) fn progress(&self) -> Progress {
        locked(&self.progress).clone()
    }

    /// What is still missing before what runs is good.
    pub(crate) fn waiting(&self) -> Vec<String> {
        locked(&self.waiting).clone()
    }

    /// How many bundles were refused since the daemon started, by reason.
    pub(crate) fn refused(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.refused).clone()
    }

    pub(super) fn set(&self, progress: Progress) {
        *locked(&self.progress) = progress;
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut locked(&self.progress));
    }

    pub(super) fn set_waiting(&self, lacking: Vec<String>) {
        *locked(&self.waiting) = lacking;
    }

    pub(super) fn hold(&self) -> Result<Held, FirmwareFault> {
        let held = self.busy.clone().try_acquire_owned();
        held.map_err(|_| FirmwareFault::UpdateRuns)
    }

    /// What runs is known to work, and the other slot is free.
    pub(super) fn settled(&self) -> Result<Table, FirmwareFault> {
        let table = self.slots.table()?;
        if table.good != self.slots.runs || table.tries.is_some() {
            return Err(FirmwareFault::OnTrial);
        }
        Ok(table)
    }

    /// How the machine can be reached now.
    pub(super) async fn reach(&self) -> Reach {
        let view = self.sources.configuration.borrow().clone();
        let addresses = self.sources.addresses.borrow().clone();
        Reach::now(&view, &addresses).await
    }

    /// An upload came to this.
    pub(crate) fn conclude(&self, author: &str, done: Result<&Content, (&'static str, String)>) {
        match done {
            Ok(content) => {
                let staged = Staged {
                    root: content.root.to_string(),
                    by: None,
                    allow_downgrade: false,
                };
                if let Err(error) = self.notes.keep_staged(&staged) {
                    warn!(%error, "what was uploaded is not installed by itself");
                }
                self.tell("firmware-uploaded", Some(content), author, String::new());
            }
            Err((reason, detail)) => {
                warn!(reason, detail, "an update is refused");
                *locked(&self.refused).entry(reason).or_default() += 1;
                self.change(|progress| {
                    progress.stage = Stage::Failed;
                    progress.fault = Some((reason, detail.clone()));
                });
                let news = News::new("firmware-refused").by(author).object(reason);
                self.sources.teller.tell(news.detail(detail));
            }
        }
    }

    /// What is in the other slot, and whether it is older than what runs, if it may be installed.
    pub(super) fn admitted<'a>(
        &self,
        table: &'a Table,
        allow_downgrade: bool,
    ) -> Result<(&'a Content, bool), FirmwareFault> {
        let other = table
            .content(self.runs().other())
            .ok_or(FirmwareFault::SlotEmpty)?;
        let running = table.content(self.runs()).ok_or(FirmwareFault::OnTrial)?;
        let is_older = other.build < running.build;
        if is_older && !allow_downgrade {
            let running = running.version.clone();
            return Err(BundleError::Older { running }.into());
        }
        Ok((other, is_older))
    }

    /// Has the system in the other slot tried by the next start, which is now.
    pub(crate) async fn install(&self, author: &str, allow_downgrade: bool) -> Result<(), FirmwareFault> {
        let _held = self.hold()?;
        let table = self.settled()?;
        let (other, is_older) = self.admitted(&table, allow_downgrade)?;
        // An older system goes on with the state that it left, which may ask for other addresses.
        let reach = if is_older {
            Reach::default()
        } else {
            self.reach().await
        };
        self.notes.keep_before(&reach)?;
        self.slots.write(&table.after(Transition::Try))?;
        self.notes.forget_staged()?;
        self.tell("firmware-switching", Some(other), author, String::new());
        self.ask_for_restart()
    }

    /// What runs works, says whoever asks.
    pub(crate) fn mark_good(&self, author: &str) -> Result<(), FirmwareFault> {
        let table = self.slots.table()?;
        if table.good == self.runs() {
            return Err(FirmwareFault::NotOnTrial);
        }
        self.slots.write(&table.after(Transition::Good(self.runs())))?;
        self.set_waiting(Vec::new());
        self.notes.clear()?;
        self.tell("firmware-good", table.content(self.runs()), author, String::new());
        Ok(())
    }

    /// Has the system before run again: at once where this one is on trial, else as any other that is tried.
    pub(crate) async fn fall_back(&self, author: &str) -> Result<(), FirmwareFault> {
        let table = self.slots.table()?;
        if table.good == self.runs() {
            return self.install(author, true).await;
        }
        self.notes
            .keep_failed("fallback-asked", &format!("{author} asked for it"))?;
        self.slots.write(&table.after(Transition::GivenUp))?;
        self.ask_for_restart()
    }

    /// What was on trial is not, and this is why.
    pub(super) fn fell_back(
        &self,
        content: Option<&Content>,
        (reason, detail): (String, String),
    ) -> Result<(), FirmwareFault> {
        let failure = Failure {
            at: clock::words(SystemTime::now()),
            version: content.map(|content| content.version.clone()).unwrap_or_default(),
            build: content.map(|content| content.build).unwrap_or_default(),
            reason,
            detail,
        };
        warn!(
            version = failure.version,
            reason = failure.reason,
            detail = failure.detail,
            "firmware-fell-back"
        );
        self.notes.keep_last_failure(&failure)?;
        let words = format!("{}: {}", failure.reason, failure.detail);
        self.tell("firmware-fell-back", content, "system", words);
        Ok(())
    }

    pub(super) fn tell(&self, word: &'static str, content: Option<&Content>, author: &str, detail: String) {
        let version = content.map(|content| content.version.clone()).unwrap_or_default();
        info!(version, author, "{word}");
        let news = News::new(word).by(author).object(version);
        self.sources.teller.tell(if detail.is_empty() {
            news
        } else {
            news.detail(detail)
        });
    }

    /// `/etc/gateway` of the image starts the machine again once causewayd has ended and left this.
    pub(super) fn ask_for_restart(&self) -> Result<(), FirmwareFault> {
        fs::write(self.slots.file("restart"), [])?;
        self.restart.notify_one();
        Ok(())
    }
}
