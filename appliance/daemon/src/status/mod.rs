//! The status as the API shows it, built from published snapshots.

mod event;
mod interface;
mod report;
mod system;

pub(crate) use interface::InterfaceStatus;
pub(crate) use report::{ConnectionStatus, OutageStatus, STATES, Status, outage};
pub(crate) use system::{SystemStatus, drops, resident_bytes};
