//! Message ids, retransmission and remembered answers, one request at a time each way (RFC 7296 §2.1–2.3).

use std::time::{Duration, Instant};

/// How long the first try waits for its answer; each further one waits 1.8 times as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a request is sent before the peer is taken for unreachable.
pub(crate) const TRIES: u32 = 5;
/// From this message id on, on either side, the IKE SA is to be replaced: as many are left for that.
const WORN: u64 = 1 << 31;
/// From this one on it must be closed, for ids must not come again (RFC 7296 §2.2). It is left for the Delete.
const SPENT: u64 = u32::MAX as u64 - 1;

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

    /// How often it was sent.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
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
    next_request: u64,
    pending: Option<Retransmission>,
    expected: u64,
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
            next_request: next_request.into(),
            pending: None,
            expected: expected.into(),
            remembered: None,
        }
    }

    /// Whether so many messages were exchanged that the IKE SA is to be replaced; true as the mark is passed.
    pub(crate) fn wears(&self) -> bool {
        [self.next_request, self.expected].contains(&WORN)
    }

    /// Whether the IKE SA must be closed because there are no message ids left.
    pub(crate) fn is_spent(&self) -> bool {
        self.next_request.max(self.expected) >= SPENT
    }

    /// Judges the id of a request.
    pub(crate) fn judge_request(&self, id: u32) -> Arrival {
        let id = u64::from(id);
        if id == self.expected {
            Arrival::Next
        } else if id + 1 == self.expected {
            Arrival::Repeated
        } else {
            Arrival::Outside
        }
    }

    /// Whether an answer with this id is one that we wait for.
    pub(crate) fn awaits(&self, id: u32) -> bool {
        self.pending.is_some() && u64::from(id) + 1 == self.next_request
    }

    /// The id of the peer's next request.
    pub(crate) fn expected(&self) -> u32 {
        u32::try_from(self.expected).unwrap_or(u32::MAX)
    }

    /// The expected request was answered with this.
    pub(crate) fn answered(&mut self, answer: Vec<u8>) {
        self.expected += 1;
        self.remembered = Some(answer);
    }

    /// The answer to the request before the expected one.
    pub(crate) fn remembered(&self) -> Option<&Vec<u8>> {
        self.remembered.as_ref()
    }

    /// The id of our next request, if one may be sent now.
    pub(crate) fn next_request(&self) -> Option<u32> {
        let id = u32::try_from(self.next_request).ok();
        id.filter(|_| self.pending.is_none())
    }

    /// Our next request was sent.
    pub(crate) fn requested(&mut self, bytes: Vec<u8>, now: Instant) {
        self.next_request += 1;
        self.pending = Some(Retransmission::new(bytes, now));
    }

    /// The answer to our request arrived.
    pub(crate) fn completed(&mut self) {
        self.pending = None;
    }

    /// How often our request was sent.
    pub(crate) fn tries(&self) -> u32 {
        self.pending.as_ref().map_or(0, Retransmission::tries)
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

    /// No id comes twice, not even the last one; whoever runs towards it is told in time (§2.2).
    #[test]
    fn ids_end_and_are_not_used_again() {
        let last = u32::MAX - 1;
        let mut window = Window::new(last, last);
        assert!(window.is_spent() && !window.wears());
        for _ in 0..2 {
            assert!(window.next_request().is_some());
            window.requested(vec![], Instant::now());
            window.completed();
            window.answered(vec![]);
        }
        assert_eq!(window.next_request(), None);
        assert_eq!(window.judge_request(u32::MAX), Arrival::Repeated);
        assert_eq!(window.judge_request(0), Arrival::Outside);
        assert!(Window::new(1 << 31, 0).wears() && Window::new(0, 1 << 31).wears());
        assert!(!Window::new(1 << 31, 0).is_spent() && !Window::new(last - 1, 0).is_spent());
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
