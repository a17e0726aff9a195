use bytes::{Buf, BufMut};

use super::DecodeError;
use super::chain::{count, split};

/// N (§3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyPayload {
    /// 0 none, 1 IKE, 2 AH, 3 ESP.
    pub protocol: u8,
    /// The SPI that it is about; empty for the IKE SA itself.
    pub spi: Vec<u8>,
    /// Below 16,384 an error, above a status.
    pub kind: u16,
    /// What the kind says.
    pub data: Vec<u8>,
}

impl NotifyPayload {
    /// One about the IKE SA or the message itself: no protocol, no SPI.
    pub fn new(kind: u16, data: Vec<u8>) -> Self {
        Self {
            protocol: 0,
            spi: Vec::new(),
            kind,
            data,
        }
    }

    /// Reads the body of a Notify payload.
    pub fn decode(mut body: &[u8]) -> Result<Self, DecodeError> {
        let truncated = DecodeError::truncated("Notify");
        let protocol = body.try_get_u8().map_err(&truncated)?;
        let spi_length = usize::from(body.try_get_u8().map_err(&truncated)?);
        let kind = body.try_get_u16().map_err(&truncated)?;
        let (spi, data) = split(body, spi_length, "Notify")?;
        Ok(Self {
            protocol,
            spi: spi.to_vec(),
            kind,
            data: data.to_vec(),
        })
    }

    /// Writes the body of a Notify payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.protocol);
        out.put_u8(count(self.spi.len()));
        out.put_u16(self.kind);
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
    }

    /// Whether it reports an error rather than a status (§3.10.1).
    pub fn is_error(&self) -> bool {
        self.kind < 16_384
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spi_must_fit_the_body() {
        let cases: [(&[u8], bool); 6] = [
            (&[], false),
            (&[0, 0, 64], false),
            (&[0, 0, 64, 6], true),
            (&[3, 4, 0, 11, 1, 2, 3, 4], true),
            (&[3, 4, 0, 11, 1, 2, 3], false),
            (&[3, 255, 0, 11, 1, 2, 3, 4], false),
        ];
        for (body, sound) in cases {
            assert_eq!(NotifyPayload::decode(body).is_ok(), sound, "{body:?}");
        }
    }

    #[test]
    fn spi_and_data_are_told_apart() {
        let notify = NotifyPayload::decode(&[3, 4, 0x40, 9, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(
            (notify.spi, notify.kind, notify.data),
            (vec![1, 2, 3, 4], 16_393, vec![5])
        );
    }

    #[test]
    fn statuses_begin_at_16384() {
        assert!(NotifyPayload::new(16_383, Vec::new()).is_error());
        assert!(!NotifyPayload::new(16_384, Vec::new()).is_error());
    }
}
