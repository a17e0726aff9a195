//! ROUTE-REFRESH (RFC 2918, RFC 7313).

use crate::Family;

/// A request for routes, or an end of the answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// Of which family.
    pub family: Family,
    /// What it means.
    pub kind: RefreshKind,
}

/// What a ROUTE-REFRESH means (RFC 7313 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send all routes again.
    Request,
    /// The answer begins.
    Begin,
    /// The answer is complete.
    End,
}
