use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often a request is made before its failure is told.
pub(crate) const ATTEMPTS: usize = 5;

/// Who is told to wait longer than this fails instead, as the tunnel that waits would.
const MOST_WAITING: Duration = Duration::from_secs(60);

/// How often delays double.
const MOST_DOUBLINGS: u32 = 4;

/// When a server may be asked again. All who ask it have this in common, so that many who are throttled do not ask all the
/// more.
#[derive(Debug)]
pub(crate) struct Pace {
    first_delay: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(first_delay: Duration) -> Self {
        Self {
            first_delay,
            state: Mutex::default(),
        }
    }

    /// Waits until the server may be asked; an error says how long that would be, where it is too long.
    pub(crate) async fn wait(&self) -> Result<(), Duration> {
        loop {
            let until = self.state().until;
            let Some(until) = until.filter(|until| *until > Instant::now()) else {
                return Ok(());
            };
            let rest = until.saturating_duration_since(Instant::now());
            if rest > MOST_WAITING {
                return Err(rest);
            }
            sleep_until(until).await;
        }
    }

    /// The server answered as it should.
    pub(crate) fn worked(&self) {
        *self.state() = State::default();
    }

    /// The server failed, or asks to wait for so long.
    pub(crate) fn failed(&self, at_least: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        // Requests that were under way together fail together: that is one failure.
        if state.until.is_none_or(|until| until <= now) {
            state.failures = state.failures.saturating_add(1);
        }
        let doublings = state.failures.saturating_sub(1).min(MOST_DOUBLINGS);
        let delay = self.first_delay.saturating_mul(1 << doublings);
        let until = now.checked_add(delay.max(at_least.unwrap_or_default()));
        state.until = state.until.max(until);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn waited(pace: &Pace) -> Duration {
        let before = Instant::now();
        pace.wait().await.unwrap();
        before.elapsed()
    }

    /// 1, 2, 4, 8, 16 and no more seconds (Key Vault's throttling guidance), and none after an answer.
    #[tokio::test(start_paused = true)]
    async fn delays_double() {
        let pace = Pace::new(SECOND);
        for seconds in [1, 2, 4, 8, 16, 16] {
            pace.failed(None);
            // Another request that was under way at the same time.
            pace.failed(None);
            let waited = waited(&pace).await;
            assert!(waited.abs_diff(SECOND * seconds) < SECOND / 10, "{waited:?}");
        }
        pace.worked();
        assert_eq!(waited(&pace).await, Duration::ZERO);
    }

    /// `Retry-After` (RFC 9110 §10.2.3) is heeded, and fails at once where it is too long to wait.
    #[tokio::test(start_paused = true)]
    async fn server_says_how_long() {
        let pace = Pace::new(SECOND);
        pace.failed(Some(SECOND * 30));
        let waited = waited(&pace).await;
        assert!(waited >= SECOND * 30 && waited < SECOND * 31, "{waited:?}");
        pace.failed(Some(SECOND * 3600));
        assert!(pace.wait().await.unwrap_err() > SECOND * 3500);
    }
}
