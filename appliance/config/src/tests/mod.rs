//! The whole document in, the problems or the checked configuration out.

mod accepted;
mod certificates;
mod impact;
mod machine;
mod notices;
mod policy;
mod properties;
mod refused;
mod sample;
mod schema;
mod written;
