//! A test authority, certificates that it issues and revokes, and what is in a certificate.

mod authority;
mod command;
mod file;
mod folder;
mod make;
mod revoke;
mod show;

pub(crate) use command::{Command, run};
pub(crate) use file::ders;
