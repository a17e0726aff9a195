use crate::wire::DecodeError;

/// NAT-D (RFC 3947 §3.2), in either numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatDetectionPayload {
    /// Numbered as in the drafts before RFC 3947.
    pub draft: bool,
    /// The hash of cookies, address and port.
    pub hash: Vec<u8>,
}

impl NatDetectionPayload {
    pub(super) fn decode(draft: bool, body: &[u8]) -> Result<Self, DecodeError> {
        let hash = body.to_vec();
        Ok(Self { draft, hash })
    }
}
