//! Situations: what happens to an established pair, first on a sound network, then on bad ones, and what must be true
//! afterwards whatever became of the messages.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use ike::{ChildId, Connection, Event, Input};

use crate::network::{Fate, Network};
use crate::selectors::assert_carried;
use crate::{Pair, Site, connection, name};

pub(crate) const EAST: bool = true;
pub(crate) const WEST: bool = false;
/// On so many bad networks each situation is played.
const BAD_NETWORKS: usize = 50;
/// A message and its answer take twenty milliseconds on a sound network: all that belongs to a rekey is done.
pub(crate) const MOMENT: Duration = Duration::from_millis(300);
/// Late, but before it is sent again.
pub(crate) const LATE: Duration = Duration::from_millis(400);

/// Every place between the messages of an exchange and of its Delete, in milliseconds; at each, either side.
pub(crate) const MOMENTS: [(u64, bool); 10] = [
    (0, EAST),
    (5, EAST),
    (15, EAST),
    (25, EAST),
    (35, EAST),
    (0, WEST),
    (5, WEST),
    (15, WEST),
    (25, WEST),
    (35, WEST),
];

/// Replaces a child or an IKE SA, from east or from west.
pub(crate) type Rekey = fn(&mut Pair, bool);

/// Whose nonce is the lowest of the four.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Lowest {
    /// That of east's request.
    EastAsks,
    /// That of west's answer to it.
    WestAnswers,
    /// That of west's request.
    WestAsks,
    /// That of east's answer to it.
    EastAnswers,
}

pub(crate) const ORDERS: [Lowest; 4] = [
    Lowest::EastAsks,
    Lowest::WestAnswers,
    Lowest::WestAsks,
    Lowest::EastAnswers,
];

impl Lowest {
    /// The side whose SA stays: the other's exchange holds the lowest nonce.
    pub(crate) fn winner(self) -> bool {
        matches!(self, Self::WestAsks | Self::EastAnswers)
    }

    /// Both sides ask at once, for `east` and for `west`.
    pub(crate) fn collide(self, pair: &mut Pair, east: Rekey, west: Rekey) {
        let octet = |lowest| Some(if lowest { 1 } else { 99 });
        pair.east.draws(octet(self == Self::EastAsks));
        pair.west.draws(octet(self == Self::WestAsks));
        east(pair, EAST);
        west(pair, WEST);
        pair.east.draws(octet(self == Self::EastAnswers));
        pair.west.draws(octet(self == Self::WestAnswers));
    }
}

/// Plays a situation after which both sides are up as before.
pub(crate) fn situation(play: impl Fn(&mut Pair)) {
    situations([()], |pair, ()| play(pair));
}

/// The same for each of some variants: all of them on a sound network, one after the other on bad ones.
pub(crate) fn situations<T: Copy, const N: usize>(variants: [T; N], play: impl Fn(&mut Pair, T)) {
    situations_with(|_, _| (), variants, play);
}

/// The same between two sides with other settings than usual.
pub(crate) fn situations_with<T: Copy, const N: usize>(
    change: impl Fn(&mut Connection, &mut Connection),
    variants: [T; N],
    play: impl Fn(&mut Pair, T),
) {
    on_every_network(N, |seed, variant| {
        let mut pair = established((seed, seed < N), &change);
        play(&mut pair, variants[variant]);
        settle(&mut pair);
        assert_carried(&pair, pair.lines);
        assert_eq!(
            spis(&pair.east),
            spis(&pair.west),
            "each side has an IKE SA of its own"
        );
        let undisturbed = undisturbed(&pair.east) && undisturbed(&pair.west);
        assert!(undisturbed || pair.lossy || !pair.calm, "the connection was down");
        if undisturbed && !pair.lossy {
            assert_ne!(pair.traffic.all_arrived(), 0, "nothing was sent");
        }
        assert_nothing_else(&mut pair, seed);
    });
}

/// Plays situations after which the connection is down, or up again with another IKE SA.
pub(crate) fn situations_that_close<T: Copy, const N: usize>(variants: [T; N], play: impl Fn(&mut Pair, T)) {
    on_every_network(N, |seed, variant| {
        let mut pair = established((seed, seed < N), &|_, _| ());
        let before = spis(&pair.east);
        play(&mut pair, variants[variant]);
        settle(&mut pair);
        if !pair.east.datapath.is_empty() || !pair.west.datapath.is_empty() {
            pair.assert_up();
            assert_eq!(spis(&pair.east), spis(&pair.west));
            assert_ne!(spis(&pair.east), before);
            assert_nothing_else(&mut pair, seed);
        }
    });
}

/// Each variant once on a sound network, then one or another on bad ones. `SEED=7 cargo test …` plays only what failed
/// with that seed.
fn on_every_network(variants: usize, play: impl Fn(usize, usize)) {
    let chosen = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    let all = variants + BAD_NETWORKS;
    for seed in chosen.map_or(0..all, |seed| seed..seed + 1) {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| play(seed, seed % variants))) {
            eprintln!("this was SEED={seed}");
            resume_unwind(failure);
        }
    }
}

fn established((seed, calm): (usize, bool), change: &impl Fn(&mut Connection, &mut Connection)) -> Pair {
    let mut pair = Pair::new();
    let seed = seed as u64;
    pair.east = Site::new("192.0.2.1", 3000 + seed);
    pair.west = Site::new("192.0.2.2", 4000 + seed);
    let mut east = connection("192.0.2.1", "192.0.2.2");
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    change(&mut east, &mut west);
    pair.configure_east([("to-west", east)]);
    pair.run_for(Duration::from_millis(1));
    pair.configure_west([("to-east", west)]);
    pair.run_for(Duration::from_secs(20));
    assert_carried(&pair, 1);
    pair.east.events.clear();
    pair.west.events.clear();
    pair.calm = calm;
    if !pair.calm {
        pair.network = Network::bad(seed);
    }
    pair
}

/// The network is sound again, and there is time for everything.
fn settle(pair: &mut Pair) {
    pair.release(EAST);
    pair.release(WEST);
    pair.network.heal();
    for site in [&mut pair.east, &mut pair.west] {
        (site.refuses, site.hesitates) = (None, false);
        site.draws(None);
    }
    if !pair.settled {
        pair.run_for(Duration::from_secs(50));
        // Datapaths repeat that packets of the last line find no child.
        if pair.lines == 2 {
            pair.tell_east(Input::Wanted(name("to-west"), 1));
        }
        pair.run_for(Duration::from_secs(50));
    }
    let left = |pair: &Pair| pair.east.datapath.len().max(pair.west.datapath.len());
    for _ in 0..100 {
        if left(pair) <= pair.lines {
            return;
        }
        pair.run_for(MOMENT);
    }
}

/// Nothing was reported that a user would notice.
fn undisturbed(site: &Site) -> bool {
    !site.events.iter().any(|event| matches!(event, Event::Down(..)))
}

/// To close everything takes one Delete and its answer: there is nothing else to close.
fn assert_nothing_else(pair: &mut Pair, seed: usize) {
    let soon = pair.now + Duration::from_secs(1);
    let due = |site: &Site| site.engine.deadline().is_some_and(|due| due.at <= soon);
    if due(&pair.east) || due(&pair.west) {
        pair.run_for(Duration::from_secs(2));
    }
    let sent = pair.network.history.len();
    let first = seed.is_multiple_of(2);
    pair.tell(first, Input::Shutdown);
    pair.run_for(Duration::from_millis(50));
    pair.tell(!first, Input::Shutdown);
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.network.history.len() - sent, 2, "there was another IKE SA");
    assert!(pair.east.engine.is_idle() && pair.west.engine.is_idle());
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
}

pub(crate) fn spis(site: &Site) -> (u64, u64) {
    let ike = site.standing().ike.unwrap();
    (ike.initiator_spi, ike.responder_spi)
}

/// The id of the child that carries traffic, or will once another is deleted.
pub(crate) fn current(site: &Site) -> ChildId {
    site.standing().children[0].id
}

impl Pair {
    /// East or west.
    pub(crate) fn side(&mut self, east: bool) -> &mut Site {
        if east { &mut self.east } else { &mut self.west }
    }

    /// Tells one side something.
    pub(crate) fn tell(&mut self, east: bool, input: Input) {
        if east {
            self.tell_east(input);
        } else {
            self.tell_west(input);
        }
    }

    /// What happens to the next messages of one side, one after the other.
    pub(crate) fn fate<const N: usize>(&mut self, east: bool, fates: [Fate; N]) {
        let address = self.side(east).address;
        self.network.fate(address, fates);
    }

    /// The messages of one side are held back until they are released.
    pub(crate) fn hold(&mut self, east: bool) {
        let address = self.side(east).address;
        self.network.hold(address);
    }

    /// They go on their way.
    pub(crate) fn release(&mut self, east: bool) {
        let (address, now) = (self.side(east).address, self.now);
        self.network.release(address, now);
    }
}
