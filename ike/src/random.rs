/// The generator handed to the core, which draws no randomness of its own.
pub trait Random: Send {
    /// Fills `bytes` with cryptographically secure random octets. An owner whose generator fails must
    /// end the process: there is nothing safe to go on with.
    fn fill(&mut self, bytes: &mut [u8]);
}
