use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ike::{ChildId, ConnectionSnapshot, ConnectionState, Input, Mode, Spent};

use super::end::{Datagram, End, name};
use crate::random::Sequence;
use crate::script::Script;

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const MOST_EVENTS: usize = 64;
/// Longer than a half-open SA, a dead-peer time, a back-off and an attempt together.
const CALM: Duration = Duration::from_secs(300);

/// Two engines under all that may happen to them, driven by bytes; see [`super`].
pub fn pair(script: &[u8]) {
    let mut world = World::new();
    world.play(script);
    world.calm();
    world.agree();
}

/// What happens to datagrams.
struct Network {
    under_way: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    fate: Sequence,
    /// Of 256 so many are lost.
    loss: u8,
    /// Of 256 so many come twice.
    twice: u8,
    /// One takes up to so many milliseconds longer than the fastest.
    jitter: u64,
    cut: bool,
}

struct World {
    now: Instant,
    ends: [End; 2],
    network: Network,
}

impl Network {
    fn perfect() -> Self {
        Self {
            under_way: BTreeMap::new(),
            sent: 0,
            fate: Sequence(7),
            loss: 0,
            twice: 0,
            jitter: 0,
            cut: false,
        }
    }

    fn send(&mut self, datagram: &Datagram, now: Instant) {
        let copies = 1 + u32::from(self.octet() < self.twice);
        for _ in 0..copies {
            if self.cut || self.octet() < self.loss {
                continue;
            }
            let late = self.fate.draw() % (self.jitter + 1);
            self.sent += 1;
            let arrives = now + Duration::from_millis(10 + late);
            let Datagram { from, to, bytes } = datagram;
            let (from, to, bytes) = (*from, *to, bytes.clone());
            self.under_way
                .insert((arrives, self.sent), Datagram { from, to, bytes });
        }
    }

    fn octet(&mut self) -> u8 {
        let [octet, ..] = self.fate.draw().to_le_bytes();
        octet
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }
}

impl World {
    fn new() -> Self {
        let [east, west] = ADDRESSES;
        let mut world = Self {
            now: Instant::now(),
            ends: [End::new(east, west), End::new(west, east)],
            network: Network::perfect(),
        };
        for side in [0, 1] {
            world.configure(side);
        }
        world
    }

    fn play(&mut self, script: &[u8]) {
        let mut script = Script::new(script);
        for _ in 0..MOST_EVENTS {
            let (Some(event), Some(value)) = (script.octet(), script.octet()) else {
                return;
            };
            self.event(event, value);
        }
    }

    /// The lowest four bits choose the event, the fifth the end that it happens to.
    fn event(&mut self, event: u8, value: u8) {
        let side = event >> 4 & 1;
        match event & 15 {
            0 => self.pass(Duration::from_millis(u64::from(value) * 4)),
            1 => self.pass(Duration::from_secs(value.into())),
            2 => self.pass(Duration::from_secs(u64::from(value) * 4)),
            3 => self.network.loss = value / 2,
            4 => self.network.jitter = u64::from(value) * 8,
            5 => self.network.twice = value,
            6 => self.network.cut = value & 1 == 1,
            7 => self.tell(side, Input::RekeyChild(name())),
            8 if value & 1 == 0 => self.tell(side, Input::RekeyIke(name())),
            8 => self.tell(side, Input::Reauthenticate(name())),
            9 => self.restart(side),
            10 => self.reconfigure(side, value),
            11 => self.tell(side, Input::Connect(name())),
            12 => self.hesitate(side, value),
            13 => self.spend(side, value),
            14 => self.want(side),
            _ => self.lose_child(side, value),
        }
    }

    fn end(&mut self, side: u8) -> &mut End {
        let [east, west] = &mut self.ends;
        if side == 0 { east } else { west }
    }

    fn configure(&mut self, side: u8) {
        let settings = self.end(side).settings.clone();
        self.tell(side, Input::Settings(Box::new(settings)));
    }

    fn restart(&mut self, side: u8) {
        self.end(side).restart();
        self.configure(side);
    }

    fn reconfigure(&mut self, side: u8, value: u8) {
        let mut settings = self.end(side).settings.clone();
        let connections = settings.connections.values_mut();
        match value % 6 {
            0 => settings.connections.clear(),
            1 => connections.for_each(|connection| connection.mode = Mode::ResponderOnly),
            2 => connections.for_each(|connection| connection.mode = Mode::InitiatorOnly),
            3 => connections.for_each(|connection| connection.lines.truncate(1)),
            4 => connections.for_each(|connection| connection.child_lifetime = Duration::from_secs(200)),
            _ => {}
        }
        self.tell(side, Input::Settings(Box::new(settings)));
    }

    fn hesitate(&mut self, side: u8, value: u8) {
        let now = self.now;
        let sent = self.end(side).hesitate(value, now);
        self.send(sent);
    }

    /// One of the children that the datapath carries.
    fn carried(&mut self, side: u8, value: u8) -> Option<ChildId> {
        let end = self.end(side);
        let carried = end.children.keys().filter(|child| !end.waiting.contains(child));
        let carried: Vec<_> = carried.copied().collect();
        let place = usize::from(value) % carried.len().max(1);
        carried.get(place).copied()
    }

    fn spend(&mut self, side: u8, value: u8) {
        if let Some(child) = self.carried(side, value / 2) {
            let spent = if value & 1 == 0 { Spent::Soft } else { Spent::Hard };
            self.tell(side, Input::ChildSpent(child, spent));
        }
    }

    fn want(&mut self, side: u8) {
        if let Some(line) = self.end(side).watched.first().copied() {
            self.tell(side, Input::Wanted(name(), line));
        }
    }

    /// The kernel lost it.
    fn lose_child(&mut self, side: u8, value: u8) {
        if let Some(child) = self.carried(side, value) {
            let now = self.now;
            let sent = self.end(side).lose(child, now);
            self.send(sent);
        }
    }

    /// Nothing bad happens any more.
    fn calm(&mut self) {
        let sent = self.network.sent;
        self.network = Network {
            under_way: std::mem::take(&mut self.network.under_way),
            sent,
            ..Network::perfect()
        };
        for side in [0, 1] {
            self.hesitate(side, 0);
            self.configure(side);
        }
        self.pass(CALM);
        for _ in 0..30 {
            if self.is_quiet() {
                return;
            }
            self.pass(Duration::from_secs(2));
        }
    }

    /// Nothing is under way, and no child that was replaced still receives.
    fn is_quiet(&mut self) -> bool {
        let known = |end: &End| {
            let connections = end.engine.snapshot().connections.into_values();
            connections.map(|standing| standing.children.len()).sum::<usize>()
        };
        self.network.under_way.is_empty() && self.ends.iter().all(|end| known(end) == end.children.len())
    }

    /// Time passes: what is under way arrives, and both ends do what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            while let Some(entry) = self.network.under_way.first_entry()
                && entry.key().0 <= self.now
            {
                let Datagram { from, to, bytes } = entry.remove();
                let side = u8::from(to.ip() != ADDRESSES[0]);
                let (local, remote) = (to, from);
                self.tell(side, Input::Datagram { local, remote, bytes });
            }
            for side in [0, 1] {
                let now = self.now;
                let sent = self.end(side).tick(now);
                self.send(sent);
            }
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let deadlines = self.ends.iter().filter_map(|end| end.engine.deadline());
        deadlines
            .map(|deadline| deadline.at)
            .chain(self.network.next())
            .min()
    }

    /// Tells one end something.
    fn tell(&mut self, side: u8, input: Input) {
        let now = self.now;
        let sent = self.end(side).tell(input, now);
        self.send(sent);
    }

    fn send(&mut self, datagrams: Vec<Datagram>) {
        for datagram in datagrams {
            self.network.send(&datagram, self.now);
        }
    }

    /// One IKE SA, the same at both ends; for each line one Child SA, and what one sends by the other receives by.
    fn agree(&mut self) {
        let (east, west) = (self.standing(0), self.standing(1));
        assert_eq!(
            (east.state, west.state),
            (ConnectionState::Up, ConnectionState::Up),
            "{east:?} {west:?}"
        );
        let spis = |standing: &ConnectionSnapshot| {
            let ike = standing.ike.as_ref();
            ike.map(|ike| (ike.initiator_spi, ike.responder_spi))
        };
        assert!(spis(&east).is_some(), "up without an IKE SA");
        assert_eq!(spis(&east), spis(&west), "an IKE SA is on one side alone");
        let seen = |standing: &ConnectionSnapshot, mirrored: bool| -> BTreeSet<_> {
            let children = standing.children.iter().map(|child| {
                let (ours, theirs) = (&child.local_selectors, &child.remote_selectors);
                let (inbound, outbound) = (child.inbound_spi, child.outbound_spi);
                if mirrored {
                    (theirs.clone(), ours.clone(), outbound, inbound)
                } else {
                    (ours.clone(), theirs.clone(), inbound, outbound)
                }
            });
            children.map(|child| format!("{child:?}")).collect()
        };
        assert_eq!(
            seen(&east, false),
            seen(&west, true),
            "a Child SA is on one side alone"
        );
        for (side, standing) in [(0, &east), (1, &west)] {
            self.settled(side, standing);
        }
    }

    /// One end alone: its datapath carries what its engine knows, one child for each line, and nothing hurries.
    fn settled(&mut self, side: u8, standing: &ConnectionSnapshot) {
        let lines: BTreeSet<_> = standing
            .children
            .iter()
            .map(|child| format!("{:?}", child.local_selectors))
            .collect();
        assert_eq!(
            lines.len(),
            standing.children.len(),
            "two Child SAs for one line: {standing:?}"
        );
        assert!(
            (2..=3).contains(&lines.len()),
            "of three lines two come with the tunnel: {standing:?}"
        );
        let known: BTreeSet<_> = standing.children.iter().map(|child| child.id).collect();
        let (now, end) = (self.now, self.end(side));
        let carried: BTreeSet<_> = end.children.keys().copied().collect();
        assert_eq!(
            carried, known,
            "the datapath carries something else than the engine knows"
        );
        assert_eq!(end.engine.snapshot().half_open, 0);
        let deadline = end.engine.deadline().map(|deadline| deadline.at);
        assert!(
            deadline.is_some_and(|at| at > now),
            "an established SA waits for nothing"
        );
    }

    fn standing(&mut self, side: u8) -> ConnectionSnapshot {
        let snapshot = self.end(side).engine.snapshot();
        let Some(standing) = snapshot.connections.into_values().next() else {
            panic!("the connection is gone")
        };
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a search would learn nothing if the calm alone brought everything up: what is asserted is asserted of much.
    #[test]
    fn seeds_make_and_replace_children() {
        let mut world = World::new();
        world.pass(Duration::from_secs(40));
        world.agree();
        let before = world.standing(0).children[0].inbound_spi;
        world.play(&[7, 0, 24, 0, 1, 2, 14, 0, 1, 40]);
        world.agree();
        let standing = world.standing(0);
        assert_eq!(standing.children.len(), 3, "the line on demand was wanted");
        assert!(standing.children.iter().all(|child| child.inbound_spi != before));
    }
}
