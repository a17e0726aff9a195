//! What outlives the process: generations of the configuration, sealed secrets, the audit log.

mod audit;
mod audit_log;
mod boot;
mod copy;
mod durable;
mod error;
mod exchange;
mod generation;
mod hexadecimal;
mod keeping;
mod open;
mod password;
mod schema;
mod seal;
mod secret;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use audit::{Audit, Author};
pub(crate) use audit_log::{AuditLine, AuditPage, AuditQuery};
pub(crate) use boot::Boot;
pub(crate) use durable::replace;
pub(crate) use error::StoreError;
pub(crate) use generation::{Generation, Head, New, seconds_now};
pub(crate) use keeping::Keeping;
pub(crate) use open::Store;
pub(crate) use password::Password;
pub(crate) use schema::{Standing, Trial};
pub(crate) use seal::{fresh_secret, from_hex, hex};
pub(crate) use secret::SecretHead;
pub(crate) use token::Token;
