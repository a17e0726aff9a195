//! The status as the API shows it, built from published snapshots.

mod event;
mod report;

pub(crate) use report::{ConnectionStatus, Status};
