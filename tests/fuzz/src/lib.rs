//! The bodies of the fuzz targets, so that the stored corpus also runs under a stable compiler.

mod document;
mod engine;
mod esp;
mod script;
mod target;
mod wire;

pub use document::configuration_document;
pub use engine::engine;
pub use esp::esp;
pub use target::{TARGETS, Target, replay};
pub use wire::{chain, configuration, delete, message, notify, payload, security_association, selectors};
