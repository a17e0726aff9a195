//! What is wrong with octets, and what RFC 7606 has us do about it.

use super::notification::Notification;
use super::registry::update_error;
use crate::Family;

/// What becomes of a malformed UPDATE, mildest first (RFC 7606 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// The attribute is left out, and the rest of the message counts.
    DiscardAttribute,
    /// All routes of the message are taken as withdrawn.
    WithdrawRoutes,
    /// The family is no longer used in this session.
    DisableFamily(Family),
    /// The session ends with this.
    ResetSession(Notification),
}

/// One fault of an UPDATE: what it is, in words, and its treatment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with the name of the attribute or field.
    pub words: String,
    /// What is done about it.
    pub treatment: Treatment,
}

/// A fault while it is found: how strongly it is to be treated, and what a NOTIFICATION would say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) words: String,
    pub(super) strength: Strength,
    pub(super) subcode: u8,
}

/// A treatment without its NOTIFICATION, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    Discard,
    Withdraw,
    Disable(Family),
    Reset,
}

impl Flaw {
    /// The attribute is left out.
    pub(super) fn discard(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            strength: Strength::Discard,
            subcode: update_error::ATTRIBUTE_LIST,
        }
    }

    /// All routes of the message are withdrawn.
    pub(super) fn withdraw(subcode: u8, words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            strength: Strength::Withdraw,
            subcode,
        }
    }

    /// The session ends.
    pub(super) fn reset(subcode: u8, words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            strength: Strength::Reset,
            subcode,
        }
    }

    /// What becomes of it, with the octets that it is about.
    pub(super) fn treated(self, octets: &[u8]) -> Fault {
        let treatment = match self.strength {
            Strength::Discard => Treatment::DiscardAttribute,
            Strength::Withdraw => Treatment::WithdrawRoutes,
            Strength::Disable(family) => Treatment::DisableFamily(family),
            Strength::Reset => {
                // Those that are about an attribute as a whole show it (RFC 4271 §6.3).
                let data = match self.subcode {
                    update_error::ATTRIBUTE_LIST | update_error::AS_PATH | update_error::NETWORK => &[],
                    _ => octets,
                };
                Treatment::ResetSession(Notification::update(self.subcode, data.to_vec()))
            }
        };
        Fault {
            words: self.words,
            treatment,
        }
    }
}
