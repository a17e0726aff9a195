use std::io;

use image_slots::BundleError;
use thiserror::Error;

/// Why an update does not go on.
#[derive(Debug, Error)]
pub(crate) enum FirmwareFault {
    /// This machine has no slots.
    #[error("causewayd does not run from a firmware image here: whoever installed it updates and resets it")]
    NoSlots,
    /// The bundle is not taken.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// A bundle is being written.
    #[error("another update is being written: wait for its end, see GET /firmware")]
    UpdateRuns,
    /// What runs is itself on trial, and what would be overwritten is the only system that is known to work.
    #[error("what runs is on trial: wait until it is good, mark it good, or fall back first")]
    OnTrial,
    /// What runs is no longer on trial.
    #[error("nothing is on trial")]
    NotOnTrial,
    /// The other slot has nothing that could be started.
    #[error("the other slot has no system: upload a bundle first")]
    SlotEmpty,
    /// Nothing is to be installed in the next window.
    #[error("nothing is to be installed in the next window")]
    NotScheduled,
    /// Another box may have been meant.
    #[error("a factory reset wipes all that this box keeps: say its name, \"{expected}\", to have it")]
    OtherName {
        /// What this one is called.
        expected: String,
    },
    /// The disk has other octets than were written.
    #[error("what was read back from the slot is not what was written: the disk may be failing")]
    NotWritten,
    /// The disk, or what is kept beside the slots, cannot be used.
    #[error("{0}")]
    Storage(#[from] io::Error),
}

impl FirmwareFault {
    /// Status and reason word.
    pub(crate) fn words(&self) -> (u16, &'static str) {
        match self {
            Self::NoSlots => (404, "no-slots"),
            Self::Bundle(error @ BundleError::Older { .. }) => (409, error.reason()),
            Self::Bundle(error) => (422, error.reason()),
            Self::UpdateRuns => (409, "update-runs"),
            Self::OnTrial => (409, "firmware-on-trial"),
            Self::NotOnTrial => (409, "firmware-not-on-trial"),
            Self::SlotEmpty => (409, "slot-empty"),
            Self::NotScheduled => (409, "not-scheduled"),
            Self::OtherName { .. } => (422, "wrong-confirmation"),
            Self::NotWritten => (500, "slot-not-written"),
            Self::Storage(_) => (500, "slot-storage"),
        }
    }
}
