use std::fmt;
use std::ops::Range;

use crate::cipher::{Authenticated, Failed, HEADER, ICV, OpeningCipher, SealingCipher, TRAILER};
use crate::packet;
use crate::replay::Window;
use crate::{InstallError, Sa};

/// How much longer than its inner packet an ESP packet can be: header, IV, trailer, ICV.
pub const OVERHEAD: usize = HEADER + 16 + TRAILER + ICV;

/// Next header of an IPv4 packet, an IPv6 packet, and a dummy (RFC 4303 §2.6).
const IPV4: u8 = 4;
const IPV6: u8 = 41;
const DUMMY: u8 = 59;
/// The sending direction of an SA: numbers, pads and seals.
pub struct Sealer {
    spi: u32,
    cipher: SealingCipher,
    extended: bool,
    last: u64,
}

/// Why a packet could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Every sequence number was used once; the SA must be replaced (RFC 4303 §3.3.3).
    #[error("the sequence numbers are used up")]
    Exhausted,
    /// No IP packet, or no room for [`OVERHEAD`] more octets.
    #[error("not a packet, or no room to seal it")]
    Length,
}

/// The receiving direction of an SA: checks, opens and remembers.
pub struct Opener {
    spi: u32,
    cipher: OpeningCipher,
    extended: bool,
    window: Window,
}

/// Why a packet was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Seen before, or too old.
    #[error("replayed")]
    Replay,
    /// Wrong ICV.
    #[error("not authentic")]
    Integrity,
    /// Too short, wrongly padded, or no IP packet inside.
    #[error("malformed")]
    Malformed,
}

impl Sealer {
    /// An SA that has sent nothing yet.
    ///
    /// # Errors
    /// [`InstallError::KeyLength`].
    pub fn new(sa: &Sa) -> Result<Sealer, InstallError> {
        let cipher = SealingCipher::new(&sa.keys).map_err(|Failed| InstallError::KeyLength)?;
        Ok(Sealer {
            spi: sa.spi,
            cipher,
            extended: sa.extended_sequence_numbers,
            last: 0,
        })
    }

    /// How long the ESP packet around an inner packet of this length is.
    pub fn sealed_len(&self, inner: usize) -> usize {
        let (iv, block, icv) = self.cipher.shape();
        HEADER + iv + (inner + 2).next_multiple_of(block) + icv
    }

    /// Seals one IP packet into `out` and returns how many octets of it are the ESP packet (RFC 4303 §3.3).
    ///
    /// # Errors
    /// See [`SealError`]; nothing may be sent then.
    pub fn seal(&mut self, inner: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        let next_header = match inner.first().map(|octet| octet >> 4) {
            Some(4) => IPV4,
            Some(6) => IPV6,
            _ => return Err(SealError::Length),
        };
        let limit = if self.extended {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        if self.last >= limit {
            return Err(SealError::Exhausted);
        }
        let (iv, _, icv) = self.cipher.shape();
        let total = self.sealed_len(inner.len());
        let padding = total - (HEADER + iv + inner.len() + 2 + icv);
        let mut trailer = [0; TRAILER];
        let trailer = trailer.get_mut(..padding + 2).ok_or(SealError::Length)?;
        for (octet, value) in trailer.iter_mut().zip(1..=u8::MAX) {
            *octet = value;
        }
        if let Some(end) = trailer.last_chunk_mut::<2>() {
            *end = [u8::try_from(padding).map_err(|_| SealError::Length)?, next_header];
        }
        let out = out.get_mut(..total).ok_or(SealError::Length)?;
        self.last += 1;
        let head = Authenticated::new(self.spi, self.last, self.extended);
        self.cipher
            .seal(&head, inner, trailer, out)
            .map_err(|Failed| SealError::Length)?;
        Ok(total)
    }
}

impl Opener {
    /// An SA that has received nothing yet.
    ///
    /// # Errors
    /// [`InstallError::KeyLength`].
    pub fn new(sa: &Sa) -> Result<Opener, InstallError> {
        let cipher = OpeningCipher::new(&sa.keys).map_err(|Failed| InstallError::KeyLength)?;
        Ok(Opener {
            spi: sa.spi,
            cipher,
            extended: sa.extended_sequence_numbers,
            window: Window::new(),
        })
    }

    /// How many packets the peer has sent before the newest that was accepted, and that did not arrive.
    pub fn missing(&self) -> u64 {
        self.window.missing()
    }

    /// Checks and decrypts one ESP packet in place (RFC 4303 §3.4) and says where in it the inner IP packet lies;
    /// `None` for a dummy packet, which carries nothing.
    ///
    /// # Errors
    /// See [`OpenError`]; what the octets are then is not told.
    pub fn open(&mut self, esp: &mut [u8]) -> Result<Option<Range<usize>>, OpenError> {
        let (iv, block, icv) = self.cipher.shape();
        let text = esp
            .len()
            .checked_sub(HEADER + iv + icv)
            .ok_or(OpenError::Malformed)?;
        if text < 2 || text % block != 0 {
            return Err(OpenError::Malformed);
        }
        let (header, body) = esp
            .split_first_chunk_mut::<HEADER>()
            .ok_or(OpenError::Malformed)?;
        let [.., a, b, c, d] = *header;
        let low = u32::from_be_bytes([a, b, c, d]);
        let sequence = if self.extended {
            self.window.reconstruct(low)
        } else {
            Some(u64::from(low))
        };
        let sequence = sequence
            .filter(|&sequence| self.window.is_fresh(sequence))
            .ok_or(OpenError::Replay)?;
        let head = Authenticated::new(self.spi, sequence, self.extended);
        self.cipher
            .open(&head, body)
            .map_err(|Failed| OpenError::Integrity)?;
        self.window.accept(sequence);
        let text = body.get(iv..iv + text).ok_or(OpenError::Malformed)?;
        let Some(len) = inner_len(text)? else {
            return Ok(None);
        };
        Ok(Some(HEADER + iv..HEADER + iv + len))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("spi", &self.spi)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("spi", &self.spi)
            .finish_non_exhaustive()
    }
}

/// Takes padding, pad length and next header off; the length of the IP packet before them.
fn inner_len(text: &[u8]) -> Result<Option<usize>, OpenError> {
    let (rest, &[padding, next_header]) = text.split_last_chunk::<2>().ok_or(OpenError::Malformed)?;
    let cut = rest
        .len()
        .checked_sub(usize::from(padding))
        .ok_or(OpenError::Malformed)?;
    let (inner, padding) = rest.split_at_checked(cut).ok_or(OpenError::Malformed)?;
    // Padding octets count up from one (RFC 4303 §2.4).
    if padding
        .iter()
        .zip(1..=u8::MAX)
        .any(|(octet, value)| *octet != value)
    {
        return Err(OpenError::Malformed);
    }
    match (next_header, inner.first().map(|octet| octet >> 4)) {
        (DUMMY, _) => Ok(None),
        // What follows the IP packet hides its length (RFC 4303 §2.7).
        (IPV4, Some(4)) | (IPV6, Some(6)) => packet::total_len(inner).map(Some).ok_or(OpenError::Malformed),
        _ => Err(OpenError::Malformed),
    }
}

#[cfg(test)]
mod tests;
