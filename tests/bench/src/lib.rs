//! What the measurements share; each measurement is a binary of its own in `bin/`.

mod figure;
pub mod handshake;
pub mod scale;

pub use figure::{median, print};
