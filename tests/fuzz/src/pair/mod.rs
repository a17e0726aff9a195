//! Two engines with several lines between them, time, a bad network and hesitant datapaths, driven by bytes; then calm,
//! after which both must agree.

mod end;
mod ledger;
mod world;

pub(crate) use end::{Datagram, End, name};
pub use world::pair;
