use bytes::{Buf, BufMut};

use super::DecodeError;

/// CERT or CERTREQ (§3.6, §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePayload {
    /// The encoding: 4 is X.509 signature.
    pub encoding: u8,
    /// A certificate, or concatenated hashes of trust anchors' keys.
    pub data: Vec<u8>,
}

impl CertificatePayload {
    /// Reads the body of a CERT or CERTREQ payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let encoding = body.try_get_u8().map_err(DecodeError::truncated("Certificate"))?;
        Ok(Self {
            encoding,
            data: body.to_vec(),
        })
    }

    /// Writes the body of a CERT or CERTREQ payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.encoding);
        out.extend_from_slice(&self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_shorter_than_its_fixed_part_is_refused() {
        for end in 0..1 {
            let refused = CertificatePayload::decode(&[0; 1][..end]);
            assert_eq!(refused, Err(DecodeError::Truncated { what: "Certificate" }));
        }
        assert!(CertificatePayload::decode(&[0; 1]).is_ok());
    }
}
