//! Files of routes and messages of BGP (MRT, RFC 6396).

mod command;
mod file;
mod record;

pub(crate) use command::{Command, run};
