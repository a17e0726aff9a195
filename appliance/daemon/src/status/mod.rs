//! The status as the API shows it, built from published snapshots.

mod report;

pub(crate) use report::{ConnectionStatus, Status};
