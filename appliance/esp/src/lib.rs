//! The user-space ESP datapath: ESP packets in and out of UDP and raw sockets, inner packets in and out of one
//! TUN interface per connection. The daemon tells it which interfaces and pairs of SAs there are.

mod checksum;
mod children;
mod cipher;
mod coalesce;
mod counters;
mod datapath;
mod des;
mod early;
mod ike_queue;
mod links;
mod mac;
mod meter;
mod notice;
mod packet;
mod pair;
mod receive;
mod replay;
mod sa;
mod segment;
mod selector;
mod table;
mod transmit;
mod tun;
mod udp;
mod virtio;
mod worker;

pub use counters::{Counters, Drops};
pub use datapath::{BindError, Datapath, InstallError, InterfaceError, Options, StartError};
pub use ike_queue::{IkeInbox, IkeMessage, IkeMessages, ike_messages};
pub use notice::{Limit, Notice, Notices};
pub use pair::{Encapsulation, Integrity, Keys, Pair, Sa, Selector, Volume, WatchedLine};
pub use sa::{OVERHEAD, OpenError, Opener, SealError, Sealer};
