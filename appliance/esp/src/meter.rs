//! Counting what an SA carries against what it may carry.

use tokio::sync::mpsc;

use crate::Volume;
use crate::notice::{Limit, Notice};

/// What one direction has carried beside what it may.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Where the next limit lies.
    next_packets: u64,
    next_bytes: u64,
    volume: Volume,
    reached: Option<Limit>,
}

impl Meter {
    pub(crate) fn new(volume: Volume) -> Meter {
        Meter {
            packets: 0,
            bytes: 0,
            next_packets: volume.soft_packets.min(volume.hard_packets),
            next_bytes: volume.soft_octets.min(volume.hard_octets),
            volume,
            reached: None,
        }
    }

    /// Counts an inner packet; true when a limit was reached that is to be told.
    pub(crate) fn count(&mut self, bytes: usize) -> bool {
        self.packets += 1;
        self.bytes += u64::try_from(bytes).unwrap_or_default();
        self.packets >= self.next_packets || self.bytes >= self.next_bytes
    }

    /// Whether nothing may pass any more.
    pub(crate) fn is_used_up(&self) -> bool {
        self.packets >= self.volume.hard_packets || self.bytes >= self.volume.hard_octets
    }

    /// Tells which limit was reached, once for each.
    pub(crate) fn tell(&mut self, id: u64, notices: &mpsc::Sender<Notice>) {
        let limit = if self.is_used_up() {
            Limit::Hard
        } else {
            Limit::Soft
        };
        // Without room, the next packet tells it.
        if self.reached != Some(limit) && notices.try_send(Notice::Spent { id, limit }).is_err() {
            return;
        }
        self.reached = Some(limit);
        (self.next_packets, self.next_bytes) = match limit {
            Limit::Soft => (self.volume.hard_packets, self.volume.hard_octets),
            Limit::Hard => (u64::MAX, u64::MAX),
        };
    }
}
