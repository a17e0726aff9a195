//! Files of routes and messages of BGP (MRT, RFC 6396).

mod borne;
mod command;
mod packed;
mod record;
mod show;
mod trial;

pub(crate) use command::{Command, run};
