//! All that a client can be told.

/// Where transaction ids and waits come from.
pub trait Random: Send {
    /// A number that nobody can foresee.
    fn number(&mut self) -> u32;
}

/// A fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The link carries packets.
    LinkUp,
    /// It does no longer; leases hold all the same.
    LinkDown,
    /// The payload of a datagram to the client's port.
    Received(&'a [u8]),
    /// The deadline has come.
    Tick,
}
