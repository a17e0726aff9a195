//! Waiting for something to come true.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
///
/// # Errors
/// What was waited for, and the last word on it, when the time is over.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > limit => {
                bail!("waited {} s for {what}: {error:#}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn answer_ends_the_wait_and_silence_names_what_was_missing() {
        let mut asked = 0;
        let answer = until("three", Duration::from_secs(5), || {
            asked += 1;
            if asked == 3 {
                Ok(asked)
            } else {
                Err(anyhow!("not yet"))
            }
        });
        assert_eq!(answer.unwrap(), 3);
        let silence = until("nothing", Duration::ZERO, || Err::<(), _>(anyhow!("still not")));
        assert_eq!(
            silence.unwrap_err().to_string(),
            "waited 0 s for nothing: still not"
        );
    }
}
