//! Updates of the machine: bundles are written to the idle slot while this one runs, and a new system has to show that it works.

mod fault;
mod naming;
mod notes;
mod owner;
mod progress;
mod reach;
mod reset;
mod schedule;
mod servers;
mod slots;
mod storage;
#[cfg(test)]
pub(crate) mod tests;
mod trial;
mod window;
mod writing;

pub(crate) use fault::FirmwareFault;
pub(crate) use naming::Naming;
pub(crate) use notes::Failure;
#[cfg(test)]
pub(crate) use owner::Wall;
pub(crate) use owner::{Firmware, Sources, restart_wanted};
pub(crate) use progress::Progress;
pub(crate) use schedule::{Hours, Scheduled};
pub(crate) use servers::{Servers, Source};
pub(crate) use storage::Storage;
pub(crate) use writing::Writing;
