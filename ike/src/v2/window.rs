//! Message ids, retransmission and remembered answers, one request at a time each way (RFC 7296 §2.1–2.3).

use std::time::{Duration, Instant};

/// How long the first try waits for its answer; each further one waits 1.8 times as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a request is sent before the peer is taken for unreachable.
const TRIES: u32 = 5;

/// A request that is sent again until its answer arrives.
#[derive(Debug)]
pub(crate) struct Retransmission {
    pub(crate) bytes: Vec<u8>,
    tries: u32,
    due: Instant,
}

/// What to do about a request that was not answered yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing is due.
    Wait,
    /// Send it again.
    Again(Vec<u8>),
    /// It was sent often enough.
    GiveUp,
}

impl Retransmission {
    /// The request was just sent for the first time.
    pub(crate) fn new(bytes: Vec<u8>, now: Instant) -> Self {
        Self {
            bytes,
            tries: 1,
            due: now + FIRST_WAIT,
        }
    }

    /// How long it takes from the first try to giving up.
    pub(crate) fn longest() -> Duration {
        (1..=TRIES).map(wait).sum()
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Overdue {
        if now < self.due {
            return Overdue::Wait;
        }
        if self.tries == TRIES {
            return Overdue::GiveUp;
        }
        self.tries += 1;
        self.due = now + wait(self.tries);
        Overdue::Again(self.bytes.clone())
    }
}

fn wait(attempt: u32) -> Duration {
    (1..attempt)
        .fold(FIRST_WAIT, |wait, _| wait * 9 / 5)
        .min(LONGEST_WAIT)
}

/// The message ids of one IKE SA.
#[derive(Debug)]
pub(crate) struct Window {
    next_request: u32,
    pending: Option<Retransmission>,
    expected: u32,
    remembered: Option<Vec<u8>>,
}

/// What a message id says about a request of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one.
    Next,
    /// The one that was answered last.
    Repeated,
    /// Any other.
    Outside,
}

impl Window {
    /// `next_request` is the id of our next request, `expected` that of the peer's.
    pub(crate) fn new(next_request: u32, expected: u32) -> Self {
        Self {
            next_request,
            pending: None,
            expected,
            remembered: None,
        }
    }

    /// Judges the id of a request.
    pub(crate) fn judge_request(&self, id: u32) -> Arrival {
        if id == self.expected {
            Arrival::Next
        } else if id.checked_add(1) == Some(self.expected) {
            Arrival::Repeated
        } else {
            Arrival::Outside
        }
    }

    /// Whether an answer with this id is one that we wait for.
    pub(crate) fn awaits(&self, id: u32) -> bool {
        self.pending.is_some() && id.checked_add(1) == Some(self.next_request)
    }

    /// The expected request was answered with this.
    pub(crate) fn answered(&mut self, answer: Vec<u8>) {
        self.expected = self.expected.saturating_add(1);
        self.remembered = Some(answer);
    }

    /// The answer to the request before the expected one.
    pub(crate) fn remembered(&self) -> Option<&Vec<u8>> {
        self.remembered.as_ref()
    }

    /// The id of our next request, if one may be sent now.
    pub(crate) fn next_request(&self) -> Option<u32> {
        self.pending.is_none().then_some(self.next_request)
    }

    /// Our next request was sent.
    pub(crate) fn requested(&mut self, bytes: Vec<u8>, now: Instant) {
        self.next_request = self.next_request.saturating_add(1);
        self.pending = Some(Retransmission::new(bytes, now));
    }

    /// The answer to our request arrived.
    pub(crate) fn completed(&mut self) {
        self.pending = None;
    }

    /// When our request must be sent again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(Retransmission::due)
    }

    /// Time passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Overdue {
        self.pending
            .as_mut()
            .map_or(Overdue::Wait, |pending| pending.tick(now))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn tries_back_off_and_end() {
        let start = Instant::now();
        let mut request = Retransmission::new(vec![1], start);
        let mut sent = vec![];
        loop {
            let now = request.due();
            match request.tick(now) {
                Overdue::Wait => panic!("due and not due"),
                Overdue::Again(bytes) => sent.push((bytes[0], (now - start).as_millis())),
                Overdue::GiveUp => break assert_eq!(now - start, Retransmission::longest()),
            }
        }
        assert_eq!(sent, [(1, 500), (1, 1400), (1, 3020), (1, 5936)]);
    }

    #[test]
    fn only_the_next_request_and_the_last_repeat_count() {
        let mut window = Window::new(0, 7);
        assert_eq!(window.judge_request(6), Arrival::Repeated);
        window.answered(vec![7]);
        let judged = [6, 7, 8, 9].map(|id| window.judge_request(id));
        assert_eq!(
            judged,
            [
                Arrival::Outside,
                Arrival::Repeated,
                Arrival::Next,
                Arrival::Outside
            ]
        );
        assert_eq!(window.remembered(), Some(&vec![7]));
    }

    #[test]
    fn one_request_at_a_time() {
        let mut window = Window::new(2, 0);
        assert!(!window.awaits(1) && !window.awaits(2));
        window.requested(vec![], Instant::now());
        assert_eq!(window.next_request(), None);
        assert!(window.awaits(2) && !window.awaits(3));
        window.completed();
        assert!(!window.awaits(2));
        assert_eq!(window.next_request(), Some(3));
    }
}
