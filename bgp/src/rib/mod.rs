//! All routes: what each neighbour sent, what is best, what each neighbour is sent.

mod attributes;
mod compare;
mod configure;
mod configured;
mod explain;
mod export;
mod import;
mod inbound;
mod index;
mod listing;
mod local;
mod net_set;
mod outbound;
mod peers;
#[cfg(test)]
pub(crate) mod sample;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod translate;
mod trial;
mod view;

pub(crate) use inbound::LimitExceeded;
pub(crate) use local::RouteChange;
pub(crate) use peers::{Outlet, PeerIndex};
pub(crate) use tables::Rib;
pub(crate) use translate::News;

pub use compare::{Compared, Comparison, ComparisonQuery, Fate};
pub use explain::{Direction, Explanation, PathJudged};
pub use export::Withheld;
pub use import::Refusal;
pub use listing::{TablePart, TableQuery, TableRow, TableView};
pub use translate::{Lies, Partly, RouteTranslation, Translated};
pub use trial::{Decided, LimitTried, Outcome, TooMany, Trial};
pub use view::{PrefixFilter, RoutePage, RouteQuery, RouteRow, RouteView, Standing};
