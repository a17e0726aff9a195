//! The user-space ESP datapath: ESP packets in and out of UDP and raw sockets, inner packets in and out of one
//! TUN interface per connection. The daemon tells it which interfaces and pairs of SAs there are.

mod counters;
mod datapath;
mod pair;
mod udp;

pub use counters::{Counters, Drops};
pub use datapath::{Datapath, InstallError, InterfaceError, Options, StartError};
pub use pair::{Encapsulation, Integrity, Keys, Pair, Sa, Selector};
pub use udp::{IkeMessage, IkeMessages};
