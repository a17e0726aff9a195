//! A typed walk through a document that reports every fault at its path and goes on.

mod collection;
mod hint;
mod object;
mod report;
mod value;

pub(crate) use collection::Collection;
pub(crate) use hint::{segment, shown};
pub(crate) use object::Object;
pub(crate) use report::Report;
pub(crate) use value::Value;
