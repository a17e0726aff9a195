//! Every malformed attribute, capability and prefix by name, and the treatment that the RFCs prescribe.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod attributes;
mod communities;
mod messages;
mod multiprotocol;
mod open;
mod sample;
