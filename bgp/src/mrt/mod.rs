//! Files of routes and messages (MRT, RFC 6396 and RFC 8050), as octets.

mod log;
mod record;
mod registry;
mod table;
#[cfg(test)]
mod tests;

pub use log::{Dialect, LogSession, Moment, Way, message, state_change};
pub use table::{TableNeighbour, TableWriter};
