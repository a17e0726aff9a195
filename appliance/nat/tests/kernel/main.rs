//! Programs in the kernel: nftables in a network namespace. Needs root, and a kernel with nftables and veth.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

mod agreement;
mod change;
mod flows;
mod lab;
mod packet;
#[path = "../meaning/world.rs"]
mod world;
