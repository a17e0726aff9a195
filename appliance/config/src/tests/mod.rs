//! The whole document in, the problems or the checked configuration out.

mod accepted;
mod bgp;
mod certificates;
mod impact;
mod machine;
mod nat;
mod nat_clash;
mod notices;
mod policy;
mod properties;
mod refused;
mod route_policy;
mod sample;
mod schema;
mod spaces;
mod written;
