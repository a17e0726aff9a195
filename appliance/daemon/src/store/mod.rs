//! What outlives the process: generations of the configuration, sealed secrets, the audit log.

mod audit;
mod audit_log;
mod boot;
mod copy;
mod durable;
mod error;
mod generation;
mod open;
mod schema;
mod seal;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use audit::Audit;
pub(crate) use audit_log::{AuditLine, AuditPage, AuditQuery};
pub(crate) use boot::Boot;
pub(crate) use error::StoreError;
pub(crate) use generation::{Generation, Head, New};
pub(crate) use open::Store;
pub(crate) use schema::{Standing, Trial};
pub(crate) use seal::fresh_secret;
pub(crate) use secret::SecretHead;
