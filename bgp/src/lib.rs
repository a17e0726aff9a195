//! BGP-4 (RFC 4271) as one pure core: it takes one input at a time and returns all that follows from it.

mod action;
mod best_path;
pub mod bfd;
mod family;
mod input;
mod next_hop;
mod policy;
mod random;
#[allow(dead_code, unused_imports)]
mod rib;
mod settings;
mod snapshot;
pub mod wire;

pub use action::{Action, Event, Way};
pub use best_path::Step;
pub use family::{Families, Family};
pub use input::{ConnectionId, Input};
pub use policy::{
    Change, Community, Condition, NextHopChange, PathToken, Policy, PrefixRange, Term, Verdict,
};
pub use random::Random;
pub use rib::{
    Direction, Explanation, PathJudged, PrefixFilter, Refusal, RoutePage, RouteQuery, RouteRow, RouteView,
    Standing, Withheld,
};
pub use settings::{Limits, Neighbour, NeighbourName, Role, Settings, Timers};
pub use snapshot::{
    Advanced, FamilyCounts, LastError, Messages, Negotiated, PeerSnapshot, PeerState, Side, Snapshot,
};
