use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use appliance_config::Notice;
use ike::Snapshot;
use schemars::JsonSchema;
use serde::Serialize;

use super::clock::{ClockStatus, ServersStatus};
use crate::control::View;
use crate::datapath::{DatapathSnapshot, FirewallSnapshot, Refused};
use crate::firmware::Naming;
use crate::journal::Pages;
use crate::store::Boot;
use crate::timekeeping::Timekeeping;

/// What concerns all connections.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SystemStatus {
    version: &'static str,
    /// How long causewayd has run.
    uptime_s: u64,
    datapath: DatapathStatus,
    configuration: ConfigurationStatus,
    clock: ClockStatus,
    /// Whom the firmware image asks for names; another host has servers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_servers: Option<ServersStatus>,
    memory: MemoryStatus,
    /// IKE messages that changed nothing, by cause.
    drops: BTreeMap<&'static str, u64>,
    half_open: usize,
    kernel: KernelStatus,
    /// What is closed on the interfaces of the document, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    firewall: Option<FirewallStatus>,
}

/// What is closed, and what was dropped for it.
#[derive(Debug, Serialize, JsonSchema)]
struct FirewallStatus {
    /// Whether the kernel has it; if not, `kernel.refused` says why.
    in_place: bool,
    /// By reason: `closed` (for this machine, and not open), `not-forwarded` (through it, and not between networks that it joins), `leak`
    /// (to private addresses by an interface of role wan), `spoofed` (from an address that is not behind the interface that it came by).
    dropped: BTreeMap<String, DroppedStatus>,
}

/// How much was dropped.
#[derive(Debug, Serialize, JsonSchema)]
struct DroppedStatus {
    packets: u64,
    bytes: u64,
}

impl FirewallStatus {
    fn of(firewall: &FirewallSnapshot) -> Self {
        let dropped = firewall.dropped.iter().map(|(reason, counted)| {
            let dropped = DroppedStatus {
                packets: counted.packets,
                bytes: counted.bytes,
            };
            (reason.clone(), dropped)
        });
        Self {
            in_place: firewall.in_place,
            dropped: dropped.collect(),
        }
    }
}

/// What causewayd takes.
#[derive(Debug, Serialize, JsonSchema)]
struct MemoryStatus {
    /// Not told where the system does not say.
    resident_bytes: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ConfigurationStatus {
    generation: u32,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    startup: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreStatus>,
    /// What the secrets that are kept are sealed by; absent where a file is the only source.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_key: Option<MachineKeyStatus>,
    /// What this version keeps and does not act on.
    notices: Vec<Notice>,
}

/// What returns to the start-up generation by itself.
#[derive(Debug, Serialize, JsonSchema)]
struct TrialStatus {
    generation: u32,
    remaining_s: u64,
}

/// What is wrong with the store.
#[derive(Debug, Serialize, JsonSchema)]
struct StoreStatus {
    reason: &'static str,
    detail: String,
}

/// Where the key is that seals secrets.
#[derive(Debug, Serialize, JsonSchema)]
struct MachineKeyStatus {
    /// `tpm`: sealed by the TPM of this machine; `file`: in a file beside what it seals.
    kept: &'static str,
    /// `machine-key-lost`, if the TPM gave the key of before no more at this start.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DatapathStatus {
    kind: &'static str,
    why: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct KernelStatus {
    refused: Vec<Refused>,
}

impl SystemStatus {
    /// Puts together what the owners published.
    pub(crate) fn new(
        (ike, datapath): (&Snapshot, &DatapathSnapshot),
        (pages, timekeeping, naming): (&Pages, &Timekeeping, Option<&Naming>),
        configuration: &View,
        uptime: Duration,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: uptime.as_secs(),
            datapath: DatapathStatus {
                kind: datapath.kind.word(),
                why: datapath.why.clone(),
            },
            configuration: ConfigurationStatus::new(configuration),
            clock: ClockStatus::new(pages.clock.as_ref(), timekeeping, naming),
            name_servers: naming.map(|naming| ServersStatus::new(&naming.name_servers)),
            memory: MemoryStatus {
                resident_bytes: resident_bytes(),
            },
            drops: drops(ike, pages),
            half_open: ike.half_open,
            kernel: KernelStatus {
                refused: datapath.refused.clone(),
            },
            firewall: datapath.firewall.as_ref().map(FirewallStatus::of),
        }
    }
}

/// What of this process is in memory (`VmRSS` in proc_pid_status(5)).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl ConfigurationStatus {
    fn new(view: &View) -> Self {
        let trial = view.trial.as_ref().map(|trial| TrialStatus {
            generation: trial.generation,
            remaining_s: trial.deadline.remaining(&Boot::now()).as_secs(),
        });
        Self {
            generation: view.generation,
            source: if view.startup.is_some() { "store" } else { "file" },
            startup: view.startup,
            trial,
            store: view.damage.as_ref().map(|detail| StoreStatus {
                reason: "store-damaged",
                detail: detail.clone(),
            }),
            machine_key: view.keeping.as_ref().map(|keeping| MachineKeyStatus {
                kept: if keeping.by_tpm { "tpm" } else { "file" },
                reason: keeping.lost.is_some().then_some("machine-key-lost"),
                detail: keeping.lost.clone(),
            }),
            notices: view.idle.iter().flat_map(|idle| idle.notices.clone()).collect(),
        }
    }
}

/// By cause; `overload` are messages that came faster than they could be read.
pub(crate) fn drops(ike: &Snapshot, pages: &Pages) -> BTreeMap<&'static str, u64> {
    let judged = ike.drops.iter().map(|(cause, count)| (cause.word(), *count));
    let unread = Some(("overload", pages.unread)).filter(|(_, count)| *count > 0);
    judged.chain(unread).collect()
}
