use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use image_slots::{Content, Slot, Table};
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::firmware::{Failure, Firmware, FirmwareFault, Hours, Progress, Scheduled, Storage};

/// The slots of the machine, and what becomes of an update.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FirmwareStatus {
    /// The slot that runs: `a` or `b`.
    running: &'static str,
    /// Both slots by their letters.
    slots: BTreeMap<&'static str, SlotStatus>,
    /// Nothing when what runs is known to work, and the next start begins with it.
    trial: Option<FirmwareTrialStatus>,
    /// The state partition, where configuration, keys and history are.
    storage: StorageStatus,
    /// When updates may happen by themselves: `system.maintenance` of the document.
    window: WindowStatus,
    /// What is installed in that window; nothing where nothing is.
    scheduled: Option<ScheduledStatus>,
    /// The last upload since the daemon started.
    upload: UploadStatus,
    /// The last system that did not become good, also of earlier starts.
    last_failure: Option<FailureStatus>,
}

/// What is in a slot.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SlotStatus {
    /// `good` is known to work, `trial` has to show that it does, `idle` can be installed, `failed` did not become good, `empty` has
    /// nothing that could be started.
    state: &'static str,
    /// Its octets.
    room_bytes: u64,
    #[serde(flatten)]
    system: Option<SystemInSlot>,
}

/// A system as its makers call it.
#[derive(Debug, Serialize, JsonSchema)]
struct SystemInSlot {
    version: String,
    /// Seconds since 1970 of its sources: what decides which of two is older.
    build: u64,
    /// The same in words.
    built: String,
    /// The root of its hash tree.
    root: String,
}

/// A system that has to show that it works.
#[derive(Debug, Serialize, JsonSchema)]
struct FirmwareTrialStatus {
    /// Its slot.
    slot: &'static str,
    /// Starts that it still has; 0 also during its last one.
    tries_left: u8,
    /// What is missing before it is good, in words.
    waits_for: Vec<String>,
}

/// How the state partition does.
#[derive(Debug, Serialize, JsonSchema)]
struct StorageStatus {
    size_bytes: u64,
    free_bytes: u64,
    /// What is amiss: `state-repaired` by the last start, `state-not-kept` where nothing outlives a start, or `state-full`.
    reason: Option<String>,
    detail: Option<String>,
}

/// The hours in which updates may happen.
#[derive(Debug, Serialize, JsonSchema)]
struct WindowStatus {
    /// What is uploaded is installed in the next window by itself.
    automatic_updates: bool,
    /// The zone of the local times, `system.time.zone` of the document.
    zone: &'static str,
    /// When the window opened that is open, or else the next one opens: RFC 3339, in UTC. What is scheduled is installed then, or
    /// within 30 seconds where it is open.
    opens: Option<String>,
    /// The same by the clock of the zone.
    opens_local: Option<String>,
    /// When it closes.
    closes: Option<String>,
    closes_local: Option<String>,
    /// Why nothing is installed in any window now: `clock` while the clock cannot be right, `on-trial` while a configuration is.
    reason: Option<&'static str>,
}

/// What is installed by itself.
#[derive(Debug, Serialize, JsonSchema)]
struct ScheduledStatus {
    /// The slot that it is in.
    slot: &'static str,
    version: String,
    /// Who asked for it; `system` where nobody did and `automatic_updates` are on.
    by: String,
}

/// How an upload stands.
#[derive(Debug, Serialize, JsonSchema)]
struct UploadStatus {
    /// `none`, `receiving`, `checking`, `ready` to be installed, or `failed`.
    state: &'static str,
    /// Octets of the system that are written.
    received_bytes: u64,
    /// Octets that it has; 0 before its manifest came.
    size_bytes: u64,
    #[serde(flatten)]
    system: Option<SystemInSlot>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Why a system did not become good.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FailureStatus {
    /// When it was found.
    at: String,
    version: String,
    build: u64,
    reason: String,
    detail: String,
}

impl FirmwareStatus {
    /// As it is now. May wait for the disk.
    pub(crate) fn of(firmware: &Firmware) -> Result<Self, FirmwareFault> {
        let (table, failure, runs) = (firmware.table()?, firmware.last_failure(), firmware.runs());
        let mut slots = BTreeMap::new();
        for slot in [Slot::A, Slot::B] {
            let content = table.content(slot);
            let status = SlotStatus {
                state: state(&table, slot, failure.as_ref()),
                room_bytes: firmware.room(slot)?,
                system: content.map(SystemInSlot::new),
            };
            slots.insert(slot.letter(), status);
        }
        let on_trial = table.tries.is_some() || table.good != runs;
        let trial = on_trial.then(|| FirmwareTrialStatus {
            slot: table.good.other().letter(),
            tries_left: table.tries.unwrap_or_default(),
            waits_for: firmware.waiting(),
        });
        Ok(Self {
            running: runs.letter(),
            slots,
            trial,
            storage: StorageStatus::new(firmware.storage()),
            window: WindowStatus::new(firmware.hours()),
            scheduled: firmware.scheduled(&table).map(ScheduledStatus::new),
            upload: UploadStatus::new(firmware.progress()),
            last_failure: failure.map(FailureStatus::new),
        })
    }

    /// Slot, version and state of each, for metrics.
    pub(crate) fn systems(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        self.slots.iter().map(|(letter, slot)| {
            let version = slot.system.as_ref().map_or("", |system| system.version.as_str());
            (*letter, version, slot.state)
        })
    }

    /// The reason word of the last failure.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.last_failure.as_ref().map(|failure| failure.reason.as_str())
    }
}

fn state(table: &Table, slot: Slot, failure: Option<&Failure>) -> &'static str {
    let failed = |content: &Content| {
        failure.is_some_and(|failure| (failure.build, &failure.version) == (content.build, &content.version))
    };
    match table.content(slot) {
        Some(_) if table.good == slot => "good",
        Some(_) if table.tries.is_some() => "trial",
        Some(content) if failed(content) => "failed",
        Some(_) => "idle",
        None => "empty",
    }
}

impl SystemInSlot {
    fn new(content: &Content) -> Self {
        let built = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(content.build));
        Self {
            version: content.version.clone(),
            build: content.build,
            built: clock::words(built.unwrap_or(SystemTime::UNIX_EPOCH)),
            root: content.root.to_string(),
        }
    }
}

impl StorageStatus {
    fn new(storage: Storage) -> Self {
        let (reason, detail) = storage.amiss.unzip();
        Self {
            size_bytes: storage.size,
            free_bytes: storage.free,
            reason,
            detail,
        }
    }
}

impl WindowStatus {
    fn new(hours: Hours) -> Self {
        let reason = hours.window.as_ref().err().copied();
        let window = hours.window.ok();
        let (opens, opens_local) = window.as_ref().map(|window| window.opens().into()).unzip();
        let (closes, closes_local) = window.as_ref().map(|window| window.closes().into()).unzip();
        Self {
            automatic_updates: hours.automatic_updates,
            zone: hours.zone,
            opens,
            opens_local,
            closes,
            closes_local,
            reason,
        }
    }
}

impl ScheduledStatus {
    fn new(scheduled: Scheduled) -> Self {
        Self {
            slot: scheduled.slot.letter(),
            version: scheduled.version,
            by: scheduled.by,
        }
    }
}

impl UploadStatus {
    fn new(progress: Progress) -> Self {
        let (reason, detail) = progress.fault.unzip();
        Self {
            state: progress.stage.word(),
            received_bytes: progress.received,
            size_bytes: progress.size,
            system: progress.content.as_ref().map(SystemInSlot::new),
            reason,
            detail,
        }
    }
}

impl FailureStatus {
    fn new(failure: Failure) -> Self {
        let Failure {
            at,
            version,
            build,
            reason,
            detail,
        } = failure;
        Self {
            at,
            version,
            build,
            reason,
            detail,
        }
    }
}
