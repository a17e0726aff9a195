//! Files of routes and messages (MRT, RFC 6396 and RFC 8050), as octets.

mod log;
mod reader;
mod record;
mod registry;
mod table;
#[cfg(test)]
mod tests;

pub use log::{Dialect, LogSession, Moment, Way, message, state_change};
pub use reader::{LONGEST_RECORD, RECORD_HEADER, RecordHeader, RecordReader, Told};
pub use table::{TableNeighbour, TableWriter};
