//! The owner of kernel and datapath: links, addresses, routes, and the Child SAs that use them.

mod carrier;
mod kernel_children;
mod local;
mod network;
mod owner;
mod retry;
mod telling;
#[cfg(test)]
mod tests;
mod traffic;
mod user_children;
mod ways;

pub(crate) use carrier::Carrier;
pub(crate) use network::close;
pub(crate) use owner::KernelOwner;
