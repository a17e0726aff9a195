use super::DecodeError;

/// V (§3.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorIdPayload {
    /// The id.
    pub data: Vec<u8>,
}

impl VendorIdPayload {
    /// Reads the body of a Vendor ID payload: any bytes.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { data: body.to_vec() })
    }

    /// Writes the body of a Vendor ID payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data);
    }
}
