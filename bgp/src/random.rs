/// The generator handed to the core, which draws no randomness of its own.
pub trait Random: Send {
    /// Fills `bytes` with random octets. They spread timers and keep no secret.
    fn fill(&mut self, bytes: &mut [u8]);
}
