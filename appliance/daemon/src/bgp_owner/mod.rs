//! The owner of the BGP speaker: sockets and clock around it.

mod connection;
mod datagram;
mod detection;
mod listener;
mod options;
mod owner;
mod recorder;
mod reporting;
mod routes;
mod signing;
mod sockets;
mod start;
#[cfg(test)]
mod tests;

pub(crate) use owner::{BgpView, Command, Question, Recording};
pub(crate) use recorder::{Record, Recorded};
pub(crate) use reporting::side;
pub(crate) use start::{Speaking, speaker, start, stop};
