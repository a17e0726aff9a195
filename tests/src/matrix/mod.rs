//! The interop matrix: which combinations are tried, and how their results are written down.

pub mod cover;
pub mod row;
pub mod table;
