//! The owner of the configuration: where it comes from, what may become of it, and who is told.

mod act;
mod admission;
mod apply;
mod commit;
mod exchange;
mod files;
mod key;
mod order;
mod origin;
mod owner;
mod refusal;
mod running;
mod secret;
mod trial;
mod view;
mod weigh;

pub(crate) use files::{Files, Invalid};
pub(crate) use key::provider_word;
pub(crate) use order::{
    Act, Action, Commit, Condition, Confirm, Exported, Order, PeerAct, PeerAction, Proposal, Said,
    SecretReport, SetSecret,
};
pub(crate) use origin::{Beginning, Origin, Seed, SharedStore, begin};
pub(crate) use owner::{Channels, Control};
pub(crate) use refusal::{Refusal, Violation};
pub(crate) use running::Running;
pub(crate) use view::View;
pub(crate) use weigh::Report;
