//! NOTIFICATION (RFC 4271 §4.5, §6; RFC 4486; RFC 9003).

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data, by code and subcode.
    pub data: Vec<u8>,
}
