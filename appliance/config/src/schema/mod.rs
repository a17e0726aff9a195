//! The document in the shape in which it is written: what its published schema describes, and what is shown of it when
//! every default is to be seen. The words and bounds are those that the reader goes by.

mod bgp;
mod certificate;
mod connection;
mod defaults;
mod document;
mod interface;
mod limits;
mod nat;
mod policy;
mod route_policy;
mod system;

pub use defaults::with_defaults;
pub use document::schema;
