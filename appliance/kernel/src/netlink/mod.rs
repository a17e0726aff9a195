//! The kernel itself: the only I/O of this crate, but for `nft` and `/proc/sys`.

mod batch;
mod message;
mod netfilter;
mod perform;
mod socket;
mod subscription;
mod tracking;
mod translation;
mod way;

pub(crate) use batch::{is_batched, unwanted_link};
pub(crate) use message::{Incoming, Outgoing};
pub(crate) use netfilter::{attribute, attributes, netfilter_request};
pub(crate) use perform::Netlink;
pub(crate) use subscription::Subscription;
