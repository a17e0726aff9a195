use std::collections::BTreeSet;

use super::Family;
use crate::Reason;
use crate::reader::{Object, Value};

/// What we say of ourselves when a BGP session opens, as far as the document has a say in it (RFC 5492).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpCapabilities {
    /// What we are to the peer (RFC 9234); not told if `None`.
    pub role: Option<BgpRole>,
    /// Whose routes are exchanged (RFC 4760); never empty.
    pub families: BTreeSet<Family>,
    /// The peer may send several paths to one prefix (RFC 7911).
    pub add_path_receive: bool,
}

/// What we are to a peer (RFC 9234 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BgpRole {
    /// We provide for it.
    Provider,
    /// It provides for us.
    Customer,
    /// Neither.
    Peer,
    /// A route server.
    RouteServer,
    /// A client of a route server.
    RouteServerClient,
}

pub(crate) const ROLE: &[(&str, BgpRole)] = &[
    ("provider", BgpRole::Provider),
    ("customer", BgpRole::Customer),
    ("peer", BgpRole::Peer),
    ("route-server", BgpRole::RouteServer),
    ("route-server-client", BgpRole::RouteServerClient),
];
pub(crate) const FAMILY: &[(&str, Family)] = &[("ipv4", Family::V4), ("ipv6", Family::V6)];
/// What is done where the document leaves it open.
pub(crate) const ADD_PATH_RECEIVE: bool = true;

impl BgpCapabilities {
    /// `internal` if the peer is in our own autonomous system.
    pub(super) fn read(object: &mut Object<'_>, internal: bool) -> Option<Self> {
        let role = object.optional("role", None, |value| {
            let role = value.word(ROLE, &[])?;
            if internal {
                let detail = "the site is in our own autonomous system, where there are no roles (RFC 9234): leave it out";
                value.problem(Reason::AsnNotExternal, detail);
                return None;
            }
            Some(Some(role))
        });
        let families = object.optional("families", Family::BOTH.into(), families);
        let add_path_receive = object.optional("add_path_receive", ADD_PATH_RECEIVE, Value::boolean);
        Some(Self {
            role: role?,
            families: families?,
            add_path_receive: add_path_receive?,
        })
    }
}

fn families(value: &Value<'_>) -> Option<BTreeSet<Family>> {
    let listed = value.list(|element| element.word(FAMILY, &[]))?;
    let families: BTreeSet<Family> = listed.iter().copied().collect();
    if families.is_empty() {
        value.problem(
            Reason::OutOfRange,
            "is empty; a session is for ipv4, ipv6 or both",
        );
        return None;
    }
    if families.len() < listed.len() {
        value.problem(Reason::OutOfRange, "has a word twice; leave one out");
        return None;
    }
    Some(families)
}
