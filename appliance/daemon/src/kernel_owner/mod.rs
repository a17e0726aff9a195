//! The owner of kernel and datapath: links, addresses, routes, and the Child SAs that use them.

mod carrier;
mod firewall;
mod foresight;
mod heard;
mod interfaces;
mod kernel_children;
mod learnt;
mod local;
mod machine;
mod network;
mod owner;
mod publish;
mod retry;
mod telling;
#[cfg(test)]
mod tests;
mod traffic;
mod translation;
mod usage;
mod user_children;
mod ways;

pub(crate) use carrier::Carrier;
pub(crate) use interfaces::Interfaces;
pub(crate) use network::close;
pub(crate) use owner::KernelOwner;
