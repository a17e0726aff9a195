//! What the kernel reports unasked, and what follows from it.

use crate::address::Connected;
use crate::link::{Device, Link, LinkName};
use crate::object::{Key, Object};
use crate::xfrm_policy::PolicyKey;
use crate::xfrm_state::StateKey;

/// A fact that the kernel reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A link is there, and looks like this.
    LinkPresent {
        /// The link as found.
        link: Link,
        /// Whether it is ours, by its number or its alias.
        ours: bool,
        /// Whether it bears our alias: not before it is set up for the first time.
        aliased: bool,
        /// The same link as any link is seen.
        device: Device,
    },
    /// A link is gone, and with it its addresses and routes.
    LinkGone(LinkName),
    /// An address, ours or not, connects this now, or no longer.
    Connected(Connected, bool),
    /// An object under our mark is there.
    Present(Object),
    /// An object under our mark is gone.
    Gone(Key),
    /// A state has come to a limit of its lifetime; at the hard one it is gone.
    Expired {
        /// Which state.
        key: StateKey,
        /// Whether it was the hard limit.
        hard: bool,
    },
    /// A packet met this policy and no state.
    Wanted(PolicyKey),
    /// Reports were lost: only a dump can tell what is there.
    Overrun,
}

impl Notice {
    /// Whether addresses may have come to this machine or gone.
    pub fn concerns_addresses(&self) -> bool {
        match self {
            Notice::LinkGone(_)
            | Notice::Connected(..)
            | Notice::Present(Object::Address(_))
            | Notice::Gone(Key::Address(_))
            | Notice::Overrun => true,
            Notice::LinkPresent { .. }
            | Notice::Present(_)
            | Notice::Gone(_)
            | Notice::Expired { .. }
            | Notice::Wanted(_) => false,
        }
    }
}

/// What the owner of the kernel tells others of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A state that we installed is gone. It is not made again: its child has to be negotiated anew.
    StateLost {
        /// Which state.
        key: StateKey,
        /// The connection that it belonged to.
        interface_id: u32,
    },
    /// A state that we installed has carried what it may; at the hard limit it is gone.
    StateSpent {
        /// Which state.
        key: StateKey,
        /// Whether it was the hard limit.
        hard: bool,
    },
    /// A packet met this policy and no state, and was dropped.
    Wanted(PolicyKey),
    /// A wanted object was gone; it has been made again unless [`crate::Kernel::refusals`] names it.
    Missing(Key),
}
