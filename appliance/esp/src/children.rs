//! Which of the pairs on one interface a packet leaves by.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::WatchedLine;
use crate::notice::Notice;
use crate::selector::Selectors;
use crate::table::Child;

/// Between two notices about the same line at least this long passes.
const BETWEEN_NOTICES: Duration = Duration::from_secs(1);

/// The pairs of one interface, the one last to be used first.
#[derive(Debug, Default)]
pub(crate) struct Children(Vec<Arc<Child>>);

/// A line whose packets are told about while no pair carries them.
#[derive(Debug)]
pub(crate) struct Watched {
    line: usize,
    selectors: Selectors,
    told: Mutex<Option<Instant>>,
}

impl Children {
    /// Takes a pair in: `sends` before all others, else after them, so that it is used only when nothing else fits.
    pub(crate) fn install(&mut self, child: Arc<Child>, sends: bool) {
        let place = if sends { self.0.len() } else { 0 };
        self.0.insert(place, child);
    }

    /// Uses this pair before all others.
    pub(crate) fn prefer(&mut self, id: u64) {
        if let Some(place) = self.0.iter().position(|child| child.id == id) {
            let child = self.0.remove(place);
            self.0.push(child);
        }
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.0.retain(|child| child.id != id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Child>> {
        self.0.iter()
    }

    /// The pair that a packet leaves by: of those whose selectors admit it that with the narrowest ones, of equals
    /// the preferred one.
    pub(crate) fn outbound(&self, packet: &[u8]) -> Option<&Arc<Child>> {
        narrowest(self.0.iter().rev(), |child| &child.selectors, packet)
    }
}

impl Watched {
    pub(crate) fn new(line: &WatchedLine) -> Watched {
        Watched {
            line: line.line,
            selectors: Selectors::new(&line.local_selectors, &line.remote_selectors),
            told: Mutex::new(None),
        }
    }
}

/// Tells that a packet of a watched line found no pair, if it is of one; false if not.
pub(crate) fn wanted(
    watched: &[Watched],
    packet: &[u8],
    interface: &str,
    notices: &mpsc::Sender<Notice>,
) -> bool {
    let Some(line) = narrowest(watched.iter(), |line| &line.selectors, packet) else {
        return false;
    };
    let mut told = line.told.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if told.is_none_or(|told| now.saturating_duration_since(told) >= BETWEEN_NOTICES) {
        let notice = Notice::Wanted {
            interface: interface.to_owned(),
            line: line.line,
        };
        // Without room, the next packet tells it.
        if notices.try_send(notice).is_ok() {
            *told = Some(now);
        }
    }
    true
}

/// The first of those that admit a packet by the narrowest selectors.
fn narrowest<'a, T>(
    candidates: impl Iterator<Item = &'a T>,
    selectors: impl Fn(&T) -> &Selectors,
    packet: &[u8],
) -> Option<&'a T> {
    let mut best = None;
    for candidate in candidates {
        if let Some(narrowness) = selectors(candidate).outbound(packet)
            && best.is_none_or(|(known, _)| narrowness > known)
        {
            best = Some((narrowness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::notice::notices;
    use crate::{Encapsulation, Keys, Pair, Sa, Selector, Volume};

    fn any() -> Selector {
        range([0; 4], [255; 4])
    }

    fn range(start: [u8; 4], end: [u8; 4]) -> Selector {
        Selector {
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
            start: start.into(),
            end: end.into(),
        }
    }

    /// The network of this third octet.
    fn network(site: u8) -> Selector {
        range([10, 2, site, 0], [10, 2, site, 255])
    }

    fn child(id: u64, remote: Selector) -> Arc<Child> {
        let sa = || Sa {
            spi: 1,
            keys: Keys::AesGcm16 {
                key_and_salt: vec![3; 20].into(),
            },
            extended_sequence_numbers: true,
        };
        let nobody = SocketAddr::from(([127, 0, 0, 1], 4500));
        let pair = Pair {
            local: nobody,
            remote: nobody,
            encapsulation: Encapsulation::Udp,
            inbound: sa(),
            outbound: sa(),
            local_selectors: vec![any()],
            remote_selectors: vec![remote],
            sends: true,
            volume: Volume::UNLIMITED,
        };
        Arc::new(Child::new(id, 1, &pair, notices().0).unwrap())
    }

    fn packet(destination: [u8; 4]) -> Vec<u8> {
        let header = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 1];
        [header.as_slice(), &destination].concat()
    }

    fn chosen(children: &Children, destination: [u8; 4]) -> Option<u64> {
        children.outbound(&packet(destination)).map(|child| child.id)
    }

    #[test]
    fn the_narrowest_selectors_take_a_packet_whichever_pair_is_newer() {
        let mut children = Children::default();
        for (id, remote) in [
            (1, network(0)),
            (2, network(1)),
            (3, range([10, 2, 0, 0], [10, 2, 255, 255])),
        ] {
            children.install(child(id, remote), true);
        }
        let choices = [[10, 2, 0, 9], [10, 2, 1, 9], [10, 2, 2, 9], [10, 3, 0, 9]];
        assert_eq!(
            choices.map(|destination| chosen(&children, destination)),
            [Some(1), Some(2), Some(3), None]
        );
    }

    /// As at a rekey: the responder's new pair receives at once and sends when the peer shows that it has it.
    #[test]
    fn a_staged_pair_sends_when_told_to() {
        let mut children = Children::default();
        children.install(child(1, any()), true);
        children.install(child(2, any()), false);
        assert_eq!(chosen(&children, [10, 2, 0, 9]), Some(1));
        children.prefer(2);
        assert_eq!(chosen(&children, [10, 2, 0, 9]), Some(2));
        children.install(child(3, any()), true);
        assert_eq!(chosen(&children, [10, 2, 0, 9]), Some(3));
    }

    #[test]
    fn a_staged_pair_takes_over_from_one_that_is_gone() {
        let mut children = Children::default();
        children.install(child(1, any()), true);
        children.install(child(2, any()), false);
        children.remove(1);
        assert_eq!(chosen(&children, [10, 2, 0, 9]), Some(2));
        children.remove(2);
        assert!(children.is_empty());
    }

    #[test]
    fn a_watched_line_is_told_of_once_a_second_and_others_never() {
        let (sender, mut heard) = notices();
        let watched: Vec<_> = [(1, network(1)), (2, network(2))]
            .map(|(line, remote)| {
                Watched::new(&WatchedLine {
                    line,
                    local_selectors: vec![any()],
                    remote_selectors: vec![remote],
                })
            })
            .into();
        let tell = |site| wanted(&watched, &packet([10, 2, site, 9]), "cw-b", &sender);
        assert!(tell(2) && tell(2) && tell(1) && !tell(3));
        let mut lines = vec![];
        while let Some(Notice::Wanted { interface, line }) = heard.try_next() {
            assert_eq!(interface, "cw-b");
            lines.push(line);
        }
        assert_eq!(lines, [2, 1]);
        *watched[1].told.lock().unwrap() = Instant::now().checked_sub(BETWEEN_NOTICES);
        assert!(tell(2) && heard.try_next().is_some());
    }
}
