//! Every kind of kernel object under one roof, so that one table can hold them all.

use std::fmt;

use crate::address::Address;
use crate::firewall::Firewall;
use crate::link::{Link, LinkKind, LinkName};
use crate::order::Operation;
use crate::owned::Op;
use crate::route::{Route, RouteKey, Target};
use crate::rule::Rule;
use crate::ruleset::Ruleset;
use crate::translation::Translation;
use crate::xfrm_policy::{Direction, PolicyKey, XfrmPolicy};
use crate::xfrm_state::{KeyMaterial, StateKey, XfrmState};

/// A kernel object of ours.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A network link.
    Link(Link),
    /// An address on a link.
    Address(Address),
    /// A route.
    Route(Route),
    /// A rule that says which table of routes is asked.
    Rule(Rule),
    /// An ESP state.
    State(XfrmState),
    /// A policy.
    Policy(XfrmPolicy),
    /// The nftables table.
    Ruleset(Ruleset),
    /// The nftables table that translates.
    Translation(Translation),
    /// The nftables table that closes the machine's own interfaces.
    Firewall(Firewall),
}

/// Finds an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A network link.
    Link(LinkName),
    /// An address on a link.
    Address(Address),
    /// A route.
    Route(RouteKey),
    /// A rule that says which table of routes is asked.
    Rule(Rule),
    /// An ESP state.
    State(StateKey),
    /// A policy.
    Policy(PolicyKey),
    /// The nftables table.
    Ruleset,
    /// The nftables table that translates.
    Translation,
    /// The nftables table that closes the machine's own interfaces.
    Firewall,
}

impl Object {
    /// How it is found again.
    pub fn key(&self) -> Key {
        match self {
            Object::Link(link) => Key::Link(link.name.clone()),
            Object::Address(address) => Key::Address(address.clone()),
            Object::Route(route) => Key::Route(route.key()),
            Object::Rule(rule) => Key::Rule(rule.clone()),
            Object::State(state) => Key::State(state.key()),
            Object::Policy(policy) => Key::Policy(policy.key()),
            Object::Ruleset(_) => Key::Ruleset,
            Object::Translation(_) => Key::Translation,
            Object::Firewall(_) => Key::Firewall,
        }
    }

    /// The links that have to be there first.
    pub fn needs(&self) -> &[LinkName] {
        match self {
            Object::Address(address) => std::slice::from_ref(&address.link),
            Object::Route(route) => route.links(),
            Object::Link(_)
            | Object::Rule(_)
            | Object::State(_)
            | Object::Policy(_)
            | Object::Ruleset(_)
            | Object::Translation(_)
            | Object::Firewall(_) => &[],
        }
    }

    /// Whether it keeps sites or this machine closed, and so comes first and stays when all else goes: an unreachable route, or a
    /// table.
    pub fn is_last_resort(&self) -> bool {
        match self {
            Object::Route(route) => route.target == Target::Unreachable,
            Object::Ruleset(ruleset) => !ruleset.closed.is_empty(),
            Object::Firewall(_) => true,
            Object::Link(_)
            | Object::Address(_)
            | Object::Rule(_)
            | Object::State(_)
            | Object::Policy(_)
            | Object::Translation(_) => false,
        }
    }

    /// Whether the table that translates relies on it: by these rules and routes leaves what is translated on its way to a
    /// site, whose addresses may be ours as well.
    pub(crate) fn is_for_translation(&self) -> bool {
        match self {
            Object::Rule(rule) => rule.is_marked(),
            Object::Route(route) => route.key().mark.is_some(),
            Object::Link(_)
            | Object::Address(_)
            | Object::State(_)
            | Object::Policy(_)
            | Object::Ruleset(_)
            | Object::Translation(_)
            | Object::Firewall(_) => false,
        }
    }

    /// The same object once it is in the kernel: a state's keys are forgotten here.
    pub(crate) fn installed(mut self) -> Self {
        if let Object::State(state) = &mut self {
            state.keys = KeyMaterial::Installed;
        }
        self
    }

    /// What was found, seen by one who knows what was there before: a state is still the one we installed,
    /// and a table that is there still holds what we put there.
    pub(crate) fn recognised(mut self, before: Option<&Object>) -> Self {
        match (&mut self, before) {
            (Object::State(now), Some(Object::State(before))) => now.keys = before.keys.clone(),
            (Object::Ruleset(now), Some(Object::Ruleset(before))) => *now = before.clone(),
            (Object::Translation(now), Some(Object::Translation(before))) if now == before => {
                *now = before.clone();
            }
            (Object::Firewall(now), Some(Object::Firewall(before))) if now == before => *now = before.clone(),
            _ => (),
        }
        self
    }
}

impl From<Link> for Object {
    fn from(link: Link) -> Self {
        Object::Link(link)
    }
}

impl From<Address> for Object {
    fn from(address: Address) -> Self {
        Object::Address(address)
    }
}

impl From<Route> for Object {
    fn from(route: Route) -> Self {
        Object::Route(route)
    }
}

impl From<Rule> for Object {
    fn from(rule: Rule) -> Self {
        Object::Rule(rule)
    }
}

impl From<XfrmState> for Object {
    fn from(state: XfrmState) -> Self {
        Object::State(state)
    }
}

impl From<XfrmPolicy> for Object {
    fn from(policy: XfrmPolicy) -> Self {
        Object::Policy(policy)
    }
}

impl From<Ruleset> for Object {
    fn from(ruleset: Ruleset) -> Self {
        Object::Ruleset(ruleset)
    }
}

impl From<Translation> for Object {
    fn from(translation: Translation) -> Self {
        Object::Translation(translation)
    }
}

impl From<Firewall> for Object {
    fn from(firewall: Firewall) -> Self {
        Object::Firewall(firewall)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Link(name) => write!(f, "link {name}"),
            Key::Address(address) => write!(f, "address {} on {}", address.network, address.link),
            Key::Route(key) => {
                write!(f, "route {} metric {}", key.prefix, key.metric)?;
                match key.mark {
                    Some(mark) => write!(f, " table {mark}"),
                    None => Ok(()),
                }
            }
            Key::Rule(rule) => write!(f, "{rule}"),
            Key::State(key) => write!(f, "ESP state {key}"),
            Key::Policy(key) => {
                let direction = match key.direction {
                    Direction::In => "in",
                    Direction::Out => "out",
                    Direction::Forward => "fwd",
                };
                let (source, destination) = (key.selector.source, key.selector.destination);
                write!(
                    f,
                    "policy {direction} {source} > {destination} of interface id 0x{:08x}",
                    key.interface_id
                )
            }
            Key::Ruleset => write!(f, "nftables table inet {}", crate::mark::NFT_TABLE),
            Key::Translation => write!(f, "nftables table inet {}", crate::mark::TRANSLATION_TABLE),
            Key::Firewall => write!(f, "nftables table inet {}", crate::mark::FIREWALL_TABLE),
        }
    }
}

/// The links that have to be there before a step is taken.
pub(crate) fn step_needs(step: &Operation) -> &[LinkName] {
    match step {
        Op::Create(
            _,
            Object::Link(Link {
                kind: LinkKind::External | LinkKind::Device,
                name,
                ..
            }),
        ) => std::slice::from_ref(name),
        Op::Create(
            _,
            Object::Link(Link {
                kind: LinkKind::Vlan { parent, .. },
                ..
            }),
        ) => std::slice::from_ref(parent),
        Op::Create(
            _,
            Object::Link(Link {
                kind: LinkKind::Xfrm { underlying, .. },
                ..
            }),
        ) => underlying.as_slice(),
        Op::Create(_, object) | Op::Replace { to: object, .. } => object.needs(),
        Op::Delete(..) => &[],
    }
}
