//! The product as a whole: a lab of namespaces and machines, real peers, scenarios.

pub mod lab;
pub mod matrix;
pub mod peer;
pub mod power;
