/// Bytes read as a sequence of choices.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn octet(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    /// Two octets; what is missing is 0.
    pub(crate) fn word(&mut self) -> usize {
        let high = usize::from(self.octet().unwrap_or(0));
        high << 8 | usize::from(self.octet().unwrap_or(0))
    }

    /// The next `most` octets, or what is left.
    pub(crate) fn octets(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
