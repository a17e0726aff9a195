//! The Causeway gateway daemon.

fn main() {}
