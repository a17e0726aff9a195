//! BGP-4 (RFC 4271) as one pure core: it takes one input at a time and returns all that follows from it.

mod action;
mod best_path;
pub mod bfd;
mod collision;
mod connection;
mod exchange;
mod family;
mod input;
pub mod mrt;
mod negotiation;
mod next_hop;
mod operator;
mod peer;
mod policy;
mod random;
mod reason;
mod restart;
mod rib;
mod session;
mod settings;
mod snapshot;
mod speaker;
mod status;
mod timers;
mod translation;
mod turn;
pub mod wire;

pub use action::{Action, Event, Way};
pub use best_path::Step;
pub use family::{Families, Family};
pub use input::{ConnectionId, Deadline, Input, SocketFault};
pub use policy::{
    Change, Community, Condition, NextHopChange, PathToken, Policy, PrefixRange, Term, Verdict,
};
pub use random::Random;
pub use reason::Reason;
pub use rib::{
    Compared, Comparison, ComparisonQuery, Decided, Direction, Explanation, Fate, Lies, LimitTried, Outcome,
    Partly, PathJudged, PrefixFilter, Refusal, RoutePage, RouteQuery, RouteRow, RouteTranslation, RouteView,
    Standing, TablePart, TableQuery, TableRow, TableView, TooMany, Translated, Trial, Withheld,
};
pub use settings::{Limits, Neighbour, NeighbourName, Role, Settings, Timers};
pub use snapshot::{
    Advanced, FamilyCounts, LastError, Messages, Negotiated, PeerSnapshot, PeerState, Side, Snapshot,
};
pub use speaker::Speaker;
pub use translation::{Mapping, MappingKind, Translation};
