//! The owner of the BGP speaker: sockets and clock around it.

mod connection;
mod listener;
mod options;
mod owner;
mod reporting;
mod routes;
mod sockets;

pub(crate) use owner::{BgpOwner, BgpView, Command, Mailboxes, Question};
pub(crate) use reporting::side;
