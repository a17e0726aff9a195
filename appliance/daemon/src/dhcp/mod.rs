//! The clients of interfaces that get their IPv4 address by DHCP: sockets, clock and memory around `appliance-dhcp`.

mod memory;
mod owner;
mod socket;

pub(crate) use memory::Memory;
pub(crate) use owner::{ClientSnapshot, DhcpLink, DhcpOwner, Links};
