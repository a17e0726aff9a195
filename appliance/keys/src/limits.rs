use std::time::Duration;

/// How long a request waits, and how soon it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one request may take, with name, connection and answer.
    pub request: Duration,
    /// How long after the first failure it is made again; each further time twice as long, up to sixteen times this.
    pub first_delay: Duration,
}

impl Default for Limits {
    /// Ten seconds, and delays of 1, 2, 4, 8 and 16 s, as Azure Key Vault asks for.
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            first_delay: Duration::from_secs(1),
        }
    }
}
