//! What is wrong with octets, and what RFC 7606 has us do about it.

use super::notification::Notification;
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
