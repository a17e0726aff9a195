//! Kernel objects over netlink, reconciled: links, addresses, routes, rules, ESP states, policies and three nftables
//! tables. See the folder's `README.md`.

mod address;
mod algorithm;
mod counter;
pub mod fake;
mod firewall;
mod kernel;
mod link;
pub mod mark;
mod netlink;
mod nft;
mod notice;
mod object;
mod order;
mod owned;
mod port;
mod probe;
mod reconciler;
mod refusal;
mod route;
mod rule;
mod ruleset;
pub mod sysctl;
mod tracking;
mod translation;
mod xfrm_policy;
mod xfrm_state;

pub use address::{Address, Connected};
pub use algorithm::{Algorithm, Authenticator, EspKeys};
pub use firewall::{DROPS, Firewall, Openings};
pub use kernel::{Kernel, Notices};
pub use link::{Device, InvalidLinkName, Link, LinkKind, LinkName};
pub use notice::{Event, Notice};
pub use object::{Key, Object};
pub use order::{Operation, rank};
pub use owned::{Op, Owned};
pub use probe::Missing;
pub use reconciler::{Reconciler, Removal, Request, Scope};
pub use refusal::{Refusal, RefusalKind};
pub use route::{Route, RouteKey, Target};
pub use rule::{Rule, Version};
pub use ruleset::{MaximumSegments, Ruleset};
pub use tracking::Flow;
pub use translation::Translation;
pub use xfrm_policy::{Direction, PolicyKey, PolicySelector, PortMask, XfrmPolicy};
pub use xfrm_state::{Counters, KeyMaterial, StateKey, UdpPorts, Volume, XfrmState};
