use std::collections::BTreeMap;

use ike::{ChildId, ConnectionName};

use crate::datapath::Counters;

/// What each connection carried since the start: Child SAs come and go, and the sum never goes back.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    children: BTreeMap<ChildId, (ConnectionName, Counters)>,
    connections: BTreeMap<ConnectionName, Counters>,
}

impl Traffic {
    /// A connection has this child from now on.
    pub(super) fn opened(&mut self, id: ChildId, connection: ConnectionName) {
        self.children.insert(id, (connection, Counters::default()));
    }

    /// The child has carried so much by now.
    pub(super) fn counted(&mut self, id: ChildId, now: Counters) {
        if let Some((connection, before)) = self.children.get_mut(&id) {
            let since = now.since(before);
            before.add(since);
            if let Some(sum) = self.connections.get_mut(connection) {
                sum.add(since);
            } else {
                self.connections.insert(connection.clone(), since);
            }
        }
    }

    /// The child is no more, and carried so much in the end.
    pub(super) fn closed(&mut self, id: ChildId, last: Option<Counters>) {
        if let Some(last) = last {
            self.counted(id, last);
        }
        self.children.remove(&id);
    }

    /// Forgets all connections but these.
    pub(super) fn keep(&mut self, kept: impl Fn(&ConnectionName) -> bool) {
        self.connections.retain(|name, _| kept(name));
    }

    /// The sum of each connection.
    pub(super) fn sums(&self) -> BTreeMap<ConnectionName, Counters> {
        self.connections.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(packets: u64) -> Counters {
        Counters {
            packets_in: packets,
            packets_out: 2 * packets,
            bytes_in: 3 * packets,
            bytes_out: 4 * packets,
            packets_lost: 5 * packets,
        }
    }

    #[test]
    fn a_sum_goes_on_over_a_rekey_and_is_gone_with_its_connection() {
        let (mut traffic, name) = (Traffic::default(), ConnectionName("to-b".into()));
        let sum = |traffic: &Traffic| traffic.sums().get(&ConnectionName("to-b".into())).copied();
        traffic.opened(ChildId(1), name.clone());
        traffic.counted(ChildId(1), carried(5));
        traffic.counted(ChildId(1), carried(7));
        traffic.opened(ChildId(2), name);
        traffic.counted(ChildId(2), carried(1));
        traffic.closed(ChildId(1), Some(carried(8)));
        traffic.counted(ChildId(2), carried(2));
        assert_eq!(sum(&traffic), Some(carried(10)));
        traffic.keep(|_| false);
        assert_eq!(sum(&traffic), None);
    }

    #[test]
    fn a_sum_does_not_fall_with_a_packet_that_comes_late_nor_counts_a_gap_twice() {
        let (mut traffic, name) = (Traffic::default(), ConnectionName("to-b".into()));
        traffic.opened(ChildId(1), name.clone());
        for (missing, sum) in [(3, 3), (1, 3), (3, 3), (4, 4)] {
            let now = Counters {
                packets_lost: missing,
                ..Counters::default()
            };
            traffic.counted(ChildId(1), now);
            assert_eq!(traffic.sums().get(&name).map(|of| of.packets_lost), Some(sum));
        }
    }
}
