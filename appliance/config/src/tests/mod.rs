//! The whole document in, the problems or the checked configuration out.

mod accepted;
mod policy;
mod properties;
mod refused;
mod sample;
mod schema;
mod written;
