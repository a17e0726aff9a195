//! What measurements share; each measurement is a binary of its own in `bin/`.

mod figure;
pub mod handshake;
pub mod processor;
pub mod scale;
pub mod table;
pub mod translation;

pub use figure::{median, print};
