/// A payload of a type that we do not know (RFC 7296 §2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPayload {
    /// Its type.
    pub kind: u8,
    /// Whether the message must be refused for it.
    pub critical: bool,
    /// Its body.
    pub data: Vec<u8>,
}
