//! BGP tables of a million prefixes, whoever holds them.

mod daemon;
mod feed;
mod figures;
mod host;
mod neighbour;
mod reader;
mod scene;

pub use daemon::Daemon;
pub use feed::{Announcer, Feed};
pub use figures::{Figures, Rounds};
pub use host::{ARGUMENT, host};
pub use neighbour::{Neighbour, Vias};
pub use scene::Scene;
