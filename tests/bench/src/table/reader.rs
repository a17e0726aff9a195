//! What a neighbour reads: messages cut out of a stream, and what UPDATEs say of prefixes.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

/// Messages of a stream.
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Read, and not yet given out.
    start: usize,
    end: usize,
}

/// A prefix, as the number that all prefixes up to 24 bits have, and the second autonomous system of its path, which is
/// whom the speaker learnt it from; zero if it is withdrawn.
pub(super) type Told<'t> = &'t mut dyn FnMut(usize, u32);

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; 512 << 10],
            start: 0,
            end: 0,
        }
    }

    /// Reads once; whether the stream goes on.
    pub(super) fn fill(&mut self, stream: &mut impl Read) -> std::io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let length = stream.read(room)?;
        self.end += length;
        Ok(length > 0)
    }

    /// The next whole message: its type and body.
    pub(super) fn message(&mut self) -> Result<Option<(u8, &[u8])>> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(header) = waiting.first_chunk::<19>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        ensure!(length >= 19, "a message of {length} octets");
        let Some(message) = waiting.get(..length) else {
            return Ok(None);
        };
        self.start += length;
        Ok(Some((header[18], message.get(19..).unwrap_or_default())))
    }
}

/// Tells each prefix of an UPDATE.
pub(super) fn update(body: &[u8], told: Told<'_>) -> Result<()> {
    let (withdrawn, rest) = block(body)?;
    prefixes(withdrawn, 0, told)?;
    let (attributes, announced) = block(rest)?;
    if !announced.is_empty() {
        prefixes(announced, via(attributes)?, told)?;
    }
    Ok(())
}

/// What its length stands before, and what comes after.
fn block(octets: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>().context("no length")?;
    let length = usize::from(u16::from_be_bytes(*length));
    rest.split_at_checked(length).context("an UPDATE that is cut off")
}

/// The second autonomous system of the path.
fn via(mut attributes: &[u8]) -> Result<u32> {
    loop {
        let ([flags, code], rest) = attributes.split_first_chunk::<2>().context("no AS_PATH")?;
        let (value, rest) = if flags & 0x10 == 0 {
            let (length, rest) = rest.split_first().context("no length")?;
            rest.split_at_checked(usize::from(*length))
                .context("an attribute that is cut off")?
        } else {
            block(rest)?
        };
        if *code == 2 {
            let second = value.get(6..10).and_then(|octets| octets.first_chunk::<4>());
            return second
                .map(|octets| u32::from_be_bytes(*octets))
                .context("a path of one");
        }
        attributes = rest;
    }
}

fn prefixes(mut octets: &[u8], via: u32, told: Told<'_>) -> Result<()> {
    while let Some((length, rest)) = octets.split_first() {
        let count = usize::from(length.div_ceil(8));
        let (prefix, rest) = rest.split_at_checked(count).context("a prefix that is cut off")?;
        let number = prefix
            .iter()
            .fold(0_u32, |sum, octet| (sum << 8) | u32::from(*octet));
        if *length > 24 {
            bail!("a prefix of {length} bits");
        }
        let unused = u32::try_from(count)? * 8 - u32::from(*length);
        let place = (1 << length) | (number >> unused);
        told(usize::try_from(place)?, via);
        octets = rest;
    }
    Ok(())
}
