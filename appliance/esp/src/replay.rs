/// Words of the ring.
const WORDS: usize = 128;

/// How many sequence numbers back a packet is still taken: wide, because packets of one SA may be sealed and
/// opened on several cores.
pub(crate) const WINDOW: u64 = 127 * 64;

/// The anti-replay window of one inbound SA (RFC 4303 §3.4.3), a ring of bits of which one word is always being cleared
/// (RFC 6479).
#[derive(Debug)]
pub(crate) struct Window {
    highest: u64,
    accepted: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// Nothing was received yet.
    pub(crate) fn new() -> Window {
        Window {
            highest: 0,
            accepted: 0,
            bits: [0; WORDS],
        }
    }

    /// The whole sequence number of which a packet shows the low half (RFC 4303 Appendix A2.2); `None` when it
    /// would lie before the first.
    pub(crate) fn reconstruct(&self, low: u32) -> Option<u64> {
        let (high, top) = (self.highest >> 32, self.highest & 0xffff_ffff);
        let low = u64::from(low);
        let high = if top >= WINDOW - 1 {
            if low + WINDOW > top {
                high
            } else {
                high.checked_add(1)?
            }
        } else if low + WINDOW > top + (1 << 32) {
            high.checked_sub(1)?
        } else {
            high
        };
        (high <= u64::from(u32::MAX)).then_some((high << 32) | low)
    }

    /// Whether a packet of this number may still be taken; asked before it is authenticated.
    pub(crate) fn is_fresh(&self, sequence: u64) -> bool {
        if sequence == 0 {
            return false;
        }
        if sequence > self.highest {
            return true;
        }
        let (word, bit) = place(sequence);
        self.highest - sequence < WINDOW && self.bits.get(word).is_some_and(|bits| bits & bit == 0)
    }

    /// Remembers the number of an authenticated packet that was [fresh](Window::is_fresh).
    pub(crate) fn accept(&mut self, sequence: u64) {
        self.accepted += 1;
        if sequence > self.highest {
            let (from, to) = (self.highest / 64, sequence / 64);
            for word in (from + 1..=to).take(WORDS) {
                if let Some(bits) = self.bits.get_mut(place(word * 64).0) {
                    *bits = 0;
                }
            }
            self.highest = sequence;
        }
        let (word, bit) = place(sequence);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= bit;
        }
    }

    /// How many packets up to the newest did not come, or not yet: a sender numbers them from 1 by one
    /// (RFC 4303 §2.2).
    pub(crate) fn missing(&self) -> u64 {
        self.highest.saturating_sub(self.accepted)
    }
}

/// Where a number has its bit.
fn place(sequence: u64) -> (usize, u64) {
    let word = usize::try_from(sequence / 64 % (WINDOW / 64 + 1)).unwrap_or_default();
    (word, 1 << (sequence % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn take(window: &mut Window, sequence: u64) -> bool {
        let fresh = window.is_fresh(sequence);
        if fresh {
            window.accept(sequence);
        }
        fresh
    }

    #[test]
    fn each_number_is_taken_once() {
        let mut window = Window::new();
        assert!(!take(&mut window, 0));
        for sequence in [1, 2, 5, 4, 3, 9_000, 9_000 - WINDOW + 1, 8_999] {
            assert!(take(&mut window, sequence), "{sequence}");
            assert!(!take(&mut window, sequence), "{sequence} again");
        }
        assert!(!take(&mut window, 9_000 - WINDOW), "left of the window");
    }

    #[test]
    fn a_leap_forgets_nothing_it_should_keep() {
        let mut window = Window::new();
        assert!(take(&mut window, 1));
        assert!(take(&mut window, 1 << 40));
        assert!(!take(&mut window, 1));
        assert!(take(&mut window, (1 << 40) - WINDOW + 1));
        assert!(!take(&mut window, 1 << 40));
    }

    #[test]
    fn what_did_not_come_is_known_by_the_gaps() {
        let mut window = Window::new();
        let mut after = |sequence| {
            take(&mut window, sequence);
            window.missing()
        };
        assert_eq!((after(1), after(2), after(2)), (0, 0, 0));
        assert_eq!((after(6), after(4)), (3, 2), "3 and 5 are missing, 4 came late");
        assert_eq!(after(6 + 2 * WINDOW), 2 + 2 * WINDOW - 1);
        assert_eq!(after(3), 2 + 2 * WINDOW - 1, "too late to be taken");
    }

    /// RFC 4303 Appendix A2.2: both cases of the window, around the turn of the low half.
    #[test]
    fn high_half_is_found_again() {
        let mut window = Window::new();
        assert_eq!(window.reconstruct(1), Some(1));
        assert_eq!(window.reconstruct(u32::MAX), None, "before the first packet");
        window.accept(0xffff_fff0);
        assert_eq!(window.reconstruct(0xffff_fff5), Some(0xffff_fff5));
        assert_eq!(window.reconstruct(3), Some(0x1_0000_0003));
        window.accept(0x1_0000_0003);
        assert_eq!(window.reconstruct(0xffff_fff1), Some(0xffff_fff1));
        assert_eq!(window.reconstruct(4), Some(0x1_0000_0004));
        window.accept(0x1_8000_0000);
        assert_eq!(window.reconstruct(0x8000_0001), Some(0x1_8000_0001));
        assert_eq!(window.reconstruct(5), Some(0x2_0000_0005));
        window.accept(0xffff_ffff_ffff_fff0);
        assert_eq!(window.reconstruct(5), None, "past the last number");
    }

    proptest! {
        /// The ring behaves as a set of all numbers seen, cut off at the window.
        #[test]
        fn ring_agrees_with_a_set(steps in proptest::collection::vec((any::<bool>(), 0u64..20_000), 1..400)) {
            let (mut window, mut seen, mut highest) = (Window::new(), BTreeSet::new(), 0u64);
            for (ahead, distance) in steps {
                let sequence = if ahead { highest + distance % 700 } else { highest.saturating_sub(distance) };
                let fresh = sequence > 0 && !seen.contains(&sequence) && sequence + WINDOW > highest;
                prop_assert_eq!(window.is_fresh(sequence), fresh);
                if fresh {
                    window.accept(sequence);
                    seen.insert(sequence);
                    highest = highest.max(sequence);
                }
            }
        }

        /// Whatever is sent within half the number space of the highest is understood.
        #[test]
        fn reconstruction_returns_the_number_sent(highest in 1u64..u64::MAX >> 8, back in 0..WINDOW, ahead in 0u64..1 << 31) {
            let mut window = Window::new();
            window.accept(highest);
            let late = highest.saturating_sub(back).max(1);
            prop_assert_eq!(window.reconstruct((late & 0xffff_ffff) as u32), Some(late));
            let next = highest + ahead;
            prop_assert_eq!(window.reconstruct((next & 0xffff_ffff) as u32), Some(next));
        }
    }
}
