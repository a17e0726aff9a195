//! Bidirectional forwarding detection (RFC 5880), asynchronous mode, without authentication, demand mode of our own and
//! echo: finds out within a second or so that packets to a neighbour no longer arrive.

mod packet;
mod session;
#[cfg(test)]
mod tests;

pub use packet::{ControlPacket, Diagnostic, PacketError, SessionState};
pub use session::{BfdAction, BfdSession, BfdSettings, BfdSnapshot};
