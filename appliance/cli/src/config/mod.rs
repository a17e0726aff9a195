//! The subcommands that read and change the configuration.

mod change;
mod command;
mod draft;
mod edit;
mod history;
mod place;

pub(crate) use change::{Manner, does};
pub(crate) use command::{Command, base, read, run};
