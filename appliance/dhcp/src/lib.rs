//! A DHCPv4 client (RFC 2131) as a pure core: facts in, requests out. See the folder's `README.md`.

mod action;
mod client;
mod frame;
mod input;
mod lease;
mod message;
mod options;

pub use action::Action;
pub use client::{Client, Phase};
pub use frame::{CLIENT_PORT, SERVER_PORT, broadcast_packet, payload};
pub use input::{Input, Random};
pub use lease::{Held, Lease, Loss};
pub use message::{DecodeError, Message, Operation};
pub use options::{Kind, Options, code};
