//! A DHCPv4 client (RFC 2131) as a pure core: facts in, requests out. See the folder's `README.md`.

mod client;
mod frame;
mod lease;
mod message;
mod options;

pub use client::{Action, Client, Input, Phase, Random};
pub use frame::{CLIENT_PORT, SERVER_PORT, broadcast_packet, payload};
pub use lease::{Held, Lease, Loss};
pub use message::{DecodeError, Message, Operation};
pub use options::{Kind, Options, code};
