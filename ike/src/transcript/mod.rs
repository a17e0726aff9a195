//! What was said for each connection, message by message, for whoever reads its log: names, algorithms, identities and selectors, and
//! nothing that keys are made of.

mod engine;
mod line;
mod notify;
mod version1;
mod version2;

pub use line::LogLine;
