//! What the document says, once it is checked.

mod address;
pub(crate) mod authentication;
pub(crate) mod connection;
mod distinguished_name;
mod endpoint;
mod gateway;
mod identity;
mod name;
pub(crate) mod policy;
pub(crate) mod selectors;
mod site;

pub use authentication::{Authentication, PostQuantumPresharedKey};
pub(crate) use connection::References;
pub use connection::{Childless, Connection, Mode, Protocol, UdpEncapsulation};
pub use distinguished_name::DistinguishedName;
pub use endpoint::Endpoint;
pub use gateway::Gateway;
pub(crate) use gateway::GatewayDraft;
pub use identity::Identity;
pub use name::Name;
pub use policy::{Encryption, Group, Hash, IkeProposal, IpsecProposal, Policy};
pub use selectors::{Accept, SelectorLine, Selectors};
pub use site::Site;
