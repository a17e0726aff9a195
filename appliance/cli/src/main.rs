//! The Causeway command line.

fn main() {}
