//! What the API says of itself (OpenAPI 3.1): the table of operations, and the schemas of what goes in and comes out.

mod document;
mod operation;
mod parameters;
mod schemas;
mod table;
#[cfg(test)]
mod tests;

pub(super) use document::openapi;
