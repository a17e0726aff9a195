//! Namespaces, links, processes and what is seen on the wire; all of it gone when its owner is.

pub mod alike;
pub mod capture;
pub mod conversation;
pub mod dhcp;
pub mod disk;
pub mod dns;
pub mod flood;
pub mod image;
mod kernel;
pub mod link;
pub mod namespace;
mod nbd;
pub mod ntp;
pub mod pki;
pub mod process;
pub mod random;
pub mod routes;
pub mod run;
pub mod sites;
pub mod traffic;
pub mod vm;
pub mod wait;
