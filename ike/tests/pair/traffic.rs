//! Packets between the two datapaths: each must find, where it arrives, the Child SA by which it was sent.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::Site;

/// How long packets are under way: some overtake the messages about them, some are much slower.
const WAYS: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(250),
    Duration::from_secs(2),
];

/// What both sides send all the time, as soon as both can.
#[derive(Default)]
pub(crate) struct Traffic {
    /// What was sent when, whether to east, and by which SPI; the same packets take each of the ways.
    under_way: [VecDeque<(Instant, bool, u32)>; WAYS.len()],
    sent: u64,
    /// The selectors by which packets arrived on both sides at some time.
    flows: BTreeSet<String>,
    /// What did not arrive, and why.
    lost: Vec<String>,
}

impl Traffic {
    /// What has arrived by now is received, and each side sends a packet of each flow.
    pub(crate) fn flow(&mut self, sites: [&Site; 2], now: Instant) {
        for (queue, way) in self.under_way.iter_mut().zip(WAYS) {
            while let Some((_, to_east, spi)) = queue.pop_front_if(|(sent, ..)| *sent + way < now) {
                if !sites[usize::from(!to_east)].receives(spi) {
                    let to = if to_east { "east" } else { "west" };
                    self.lost.push(format!("{to} does not receive on {spi:08x}"));
                }
            }
        }
        for (place, site) in sites.into_iter().enumerate() {
            for flow in &self.flows {
                let Some(spi) = site.sends(flow) else {
                    self.lost.push(format!("{} cannot send {flow}", site.address));
                    continue;
                };
                let packet = (now, place == 1, spi);
                for queue in &mut self.under_way {
                    self.sent += 1;
                    queue.push_back(packet);
                }
            }
        }
        let [east, west] = sites;
        if self.flows.len() < east.senders.len().min(west.senders.len()) {
            let arrives =
                |from: &Site, to: &Site, flow: &str| from.sends(flow).is_some_and(|spi| to.receives(spi));
            let both = |flow: &&String| arrives(east, west, flow) && arrives(west, east, flow);
            self.flows.extend(east.senders.keys().filter(both).cloned());
        }
    }

    /// How many packets were sent, if all that should have arrived did.
    pub(crate) fn all_arrived(&self) -> u64 {
        let first = &self.lost[..self.lost.len().min(5)];
        assert!(
            self.lost.is_empty(),
            "{} packets were lost: {first:#?}",
            self.lost.len()
        );
        self.sent
    }
}
