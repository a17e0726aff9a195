//! The bodies of the fuzz targets, so that the stored corpus also runs under a stable compiler. They panic where an
//! invariant breaks.
#![allow(clippy::panic)]

mod bgp_message;
mod bundle;
mod dhcp;
mod document;
mod engine;
mod esp;
mod insider;
mod mrt;
mod pair;
mod random;
mod script;
mod speaker;
mod target;
mod wire;

pub use bgp_message::bgp_message;
pub use bundle::bundle;
pub use dhcp::dhcp;
pub use document::configuration_document;
pub use engine::{engine, engine_v1};
pub use esp::esp;
pub use insider::insider;
pub use mrt::mrt_record;
pub use pair::pair;
pub use speaker::bgp_speaker;
pub use target::{TARGETS, Target, replay};
pub use wire::{
    chain, configuration, delete, message, message_v1, notify, payload, security_association, selectors,
};
