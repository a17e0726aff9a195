use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use crate::Drops;
use crate::coalesce::{Coalescer, Place};
use crate::packet::Ecn;
use crate::receive::Opening;

/// So many packets wait at most, whoever sent them.
const WAITING: usize = 64;
/// How long a packet waits for its SA.
const PATIENCE: Duration = Duration::from_secs(1);

/// ESP that came before the SA that opens it: whoever answers a new Child SA may send by it at once (RFC 7296 §2.8), while its
/// answer is still on the way to us or being read.
#[derive(Debug, Default)]
pub(crate) struct Early {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    spi: u32,
    since: Instant,
    ecn: Ecn,
    esp: Box<[u8]>,
}

impl Early {
    /// Keeps a packet, if there is room. How many are lost by now: this one, or those that have waited too long.
    pub(crate) fn keep(&mut self, spi: u32, esp: &[u8], ecn: Ecn, now: Instant) -> u64 {
        let given_up = self.give_up(now);
        if self.waiting.len() == WAITING {
            return given_up + 1;
        }
        self.waiting.push_back(Waiting {
            spi,
            since: now,
            ecn,
            esp: esp.into(),
        });
        given_up
    }

    /// Forgets those that have waited too long, and says how many.
    pub(crate) fn give_up(&mut self, now: Instant) -> u64 {
        let late = self
            .waiting
            .partition_point(|packet| now.duration_since(packet.since) > PATIENCE);
        self.waiting.drain(..late).fold(0, |count, _| count + 1)
    }

    /// Those of an SA, in order.
    fn take(&mut self, spi: u32) -> Vec<Waiting> {
        let all = std::mem::take(&mut self.waiting);
        let (taken, left) = all.into_iter().partition(|packet| packet.spi == spi);
        self.waiting = left;
        Vec::from(taken)
    }
}

/// Opens what has waited for an SA that is in the table by now, and hands it to its interface.
pub(crate) fn deliver(spi: u32, mut opening: Opening<'_>, write: impl FnMut(u64, &[IoSlice<'_>])) -> Drops {
    let (mut coalescer, mut buffers) = (Coalescer::default(), Vec::new());
    for mut packet in opening.early().take(spi) {
        let opened = opening.open(&mut packet.esp, packet.ecn);
        buffers.push(packet.esp);
        if let Some((interface, inner)) = opened {
            let place = Place {
                buffer: buffers.len() - 1,
                start: inner.start,
                len: inner.len(),
            };
            coalescer.push(interface, place, &buffers);
        }
    }
    coalescer.flush(&mut buffers, write);
    opening.drops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_take_bounded_room_and_are_counted() {
        let (mut early, start) = (Early::default(), Instant::now());
        let lost: u64 = (0..100)
            .map(|spi| early.keep(spi, &[0; 40], Ecn::of(0), start))
            .sum();
        assert_eq!(lost, 100 - WAITING as u64);
        assert_eq!(early.give_up(start + PATIENCE), 0);
        let later = start + PATIENCE + Duration::from_millis(1);
        assert_eq!(early.keep(7, &[1; 40], Ecn::of(0), later), WAITING as u64);
        assert_eq!(early.take(7).len(), 1);
        assert!(early.take(7).is_empty());
    }

    #[test]
    fn an_sa_has_its_own_in_order() {
        let (mut early, now) = (Early::default(), Instant::now());
        for (spi, octet) in [(1, 1), (2, 2), (1, 3)] {
            assert_eq!(early.keep(spi, &[octet], Ecn::of(0), now), 0);
        }
        let taken: Vec<_> = early.take(1).iter().map(|packet| packet.esp.to_vec()).collect();
        assert_eq!(taken, [[1], [3]]);
        assert_eq!(early.take(2).len(), 1);
    }
}
