//! Lines that come and go: on demand, refused, deleted, and made by both sides at once.

use std::time::Duration;

use ike::{
    ChildId, Connection, ConnectionState, Event, Input, LineStanding, LineStart, Mode, Reason, SelectorLine,
    Side, Spent, Stage,
};

use crate::network::{Nat, Network};
use crate::rekey::{ike, spis};
use crate::selectors::{
    MOMENT, assert_carried, assert_carried_soon, configured, line, lines, mirrored, networks, reseeded,
};
use crate::situation::{EAST, WEST};
use crate::{Pair, Site, connection, name};

const SECOND: Duration = Duration::from_secs(1);

fn on_demand(east: u8, west: u8) -> SelectorLine {
    SelectorLine {
        start: LineStart::OnDemand,
        ..line(east, west)
    }
}

/// The first line comes with the tunnel, the second on demand from either side.
pub(crate) fn one_on_demand(east: &mut Connection, west: &mut Connection) {
    configured(&[line(0, 0), on_demand(1, 1)])(east, west);
    west.mode = Mode::Default;
}

pub(crate) fn wanted(pair: &mut Pair, east: bool, line: usize) {
    let connection = name(if east { "to-west" } else { "to-east" });
    pair.tell(east, Input::Wanted(connection, line));
}

/// The ids of the children that carry this network of the east.
fn children_of(site: &Site, network: &str) -> Vec<ChildId> {
    let network = networks(&[network]);
    let children = site.standing().children.into_iter();
    let of_line =
        children.filter(|child| child.local_selectors == network || child.remote_selectors == network);
    of_line.map(|child| child.id).collect()
}

/// The datapath of this side finds that a child is gone, and so the engine deletes it.
pub(crate) fn lose(pair: &mut Pair, east: bool, network: &str) {
    let site = pair.side(east);
    let [child] = children_of(site, network)[..] else {
        panic!("not one child")
    };
    let lost = Input::ChildRefused(child, "state vanished".into());
    pair.tell(east, lost);
}

fn refused(reason: Reason, side: Side) -> impl Fn(&LineStanding) -> bool {
    move |line| match line {
        LineStanding::Refused(outage) => (outage.reason, outage.side) == (reason, side),
        LineStanding::Up | LineStanding::Waiting | LineStanding::Pending => false,
    }
}

#[test]
fn a_line_on_demand_waits_for_its_first_packet() {
    let mut pair = Pair::with(one_on_demand);
    pair.run_until_quiet();
    assert_carried(&pair, 1);
    assert_eq!(lines(&pair.east), [LineStanding::Up, LineStanding::Waiting]);
    let [watched] = &pair.east.watched[&name("to-west")][..] else {
        panic!("not one line")
    };
    assert_eq!((watched.line, watched.local.ip()), (1, pair.east.address));
    assert_eq!(watched.local_selectors, line(1, 1).local);
    let sent = pair.network.history.len();
    for _ in 0..4 {
        wanted(&mut pair, true, 1);
        pair.run_for(Duration::from_millis(4));
    }
    pair.run_until_quiet();
    assert_carried(&pair, 2);
    assert_eq!(pair.network.history.len() - sent, 2, "asked for once");
    assert_eq!(lines(&pair.west), [LineStanding::Up, LineStanding::Up]);
    wanted(&mut pair, true, 1);
    wanted(&mut pair, false, 1);
    wanted(&mut pair, false, 7);
    pair.run_until_quiet();
    assert_eq!(pair.network.history.len() - sent, 2, "it is there");
}

/// What is watched follows the IKE SA, its addresses and its end.
#[test]
fn the_datapath_watches_as_long_as_there_is_an_ike_sa() {
    let mut pair = Pair::new();
    pair.east = Site::new("10.0.0.9", 1);
    pair.network.nat = Some(Nat::new("10.0.0.9", "192.0.2.1"));
    let (mut east, mut west) = (
        connection("10.0.0.9", "192.0.2.2"),
        connection("192.0.2.2", "192.0.2.1"),
    );
    one_on_demand(&mut east, &mut west);
    west.remote_identity = east.local_identity.clone().into();
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", east)]);
    pair.run_for(Duration::from_secs(2));
    let there = |site: &Site, name: &str| site.watched[&crate::name(name)].clone();
    let before = there(&pair.west, "to-east");
    assert_eq!(before[0].remote, pair.west.standing().ike.unwrap().remote);
    pair.network.nat.as_mut().unwrap().rebind();
    ike(&mut pair, true);
    pair.run_for(Duration::from_secs(2));
    let after = there(&pair.west, "to-east");
    assert_ne!(before[0].remote, after[0].remote);
    assert_eq!(after[0].remote, pair.west.standing().ike.unwrap().remote);
    wanted(&mut pair, false, 1);
    pair.run_for(MOMENT);
    assert_carried(&pair, 2);
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(120));
    assert!(there(&pair.east, "to-west").is_empty() && there(&pair.west, "to-east").is_empty());
    wanted(&mut pair, true, 1);
    assert!(pair.east.datapath.is_empty());
}

#[test]
fn nothing_is_watched_of_a_connection_that_is_gone() {
    let mut pair = Pair::with(one_on_demand);
    pair.run_until_quiet();
    assert_eq!(pair.east.watched[&name("to-west")].len(), 1);
    pair.configure_east([]);
    assert!(pair.east.watched[&name("to-west")].is_empty());
}

/// The middle one of three lines is none of the peer's.
fn one_refused() -> Pair {
    Pair::with(|east, west| {
        east.lines = vec![line(0, 0), line(1, 1), line(2, 2)];
        west.lines = [line(0, 0), line(2, 2)].iter().map(mirrored).collect();
    })
}

#[test]
fn a_refused_line_degrades_the_connection_and_harms_no_other() {
    let mut pair = one_refused();
    pair.run_for(Duration::from_secs(300));
    assert_carried(&pair, 2);
    pair.traffic.all_arrived();
    let standing = lines(&pair.east);
    assert_eq!(
        (&standing[0], &standing[2]),
        (&LineStanding::Up, &LineStanding::Up)
    );
    assert!(refused(Reason::SelectorMismatch, Side::Peer)(&standing[1]));
    let outage = pair.east.outage();
    assert_eq!(
        (outage.reason, outage.stage, outage.offered.as_str()),
        (
            Reason::SelectorMismatch,
            Stage::CreateChildSa,
            "10.1.1.0/24 = 10.2.1.0/24"
        )
    );
    let degraded = |event: &&Event| matches!(event, Event::Degraded(..));
    let told = pair.east.events.iter().filter(degraded).count();
    assert!((6..=10).contains(&told), "{told} attempts in five minutes");
    assert!(
        !pair
            .east
            .events
            .iter()
            .any(|event| matches!(event, Event::Down(..)))
    );
}

/// Once the peer allows the line it comes up by itself, and nothing is amiss any more.
#[test]
fn a_refused_line_comes_up_when_the_peer_allows_it() {
    let mut pair = one_refused();
    pair.run_for(Duration::from_secs(30));
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    west.lines = [line(0, 0), line(1, 1), line(2, 2)]
        .iter()
        .map(mirrored)
        .collect();
    pair.configure_west([("to-east", west)]);
    pair.run_for(Duration::from_secs(80));
    assert_carried(&pair, 3);
    assert_eq!(pair.east.standing().outage, None);
    assert_eq!(lines(&pair.east), vec![LineStanding::Up; 3]);
}

/// IKE_AUTH refuses the first line; the others come up in the IKE SA that stands.
#[test]
fn the_other_lines_come_up_without_the_first() {
    let mut pair = Pair::with(|east, west| {
        east.lines = vec![line(0, 0), line(1, 1), on_demand(2, 2)];
        west.lines = [line(1, 1), line(2, 2)].iter().map(mirrored).collect();
    });
    pair.run_for(Duration::from_secs(1));
    assert_carried(&pair, 1);
    wanted(&mut pair, true, 2);
    pair.run_for(Duration::from_secs(1));
    assert_carried(&pair, 2);
    assert!(refused(Reason::SelectorMismatch, Side::Peer)(
        &lines(&pair.east)[0]
    ));
    let told: Vec<_> = pair.east.events.iter().map(Event::word).collect();
    assert_eq!(told[..3], ["attempt-failed", "up", "degraded"]);
    let sa = spis(&pair.east);
    pair.run_for(Duration::from_secs(200));
    assert_carried(&pair, 2);
    assert_eq!(spis(&pair.east), sa);
    assert!(pair.east.is_up() && pair.east.outage().reason == Reason::SelectorMismatch);
}

/// No line finds a child: the connection is down with the reason, and starts again with a new IKE SA.
#[test]
fn without_any_line_the_connection_is_down_and_starts_again() {
    let mut pair = Pair::with(|east, west| {
        east.lines = vec![line(0, 0), line(1, 1)];
        west.lines = vec![mirrored(&line(2, 2))];
    });
    pair.run_for(Duration::from_secs(20));
    let sa = spis(&pair.east);
    for site in [&pair.east, &pair.west] {
        assert_eq!(site.standing().state, ConnectionState::Down);
        assert_eq!(site.outage().reason, Reason::SelectorMismatch);
    }
    pair.run_for(Duration::from_secs(20));
    assert_ne!(spis(&pair.east), sa);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
}

/// A line on demand that was refused is asked for again only when a packet wants through, and not at once.
#[test]
fn a_refused_line_on_demand_is_not_asked_for_without_traffic() {
    let mut pair = Pair::with(|east, west| {
        east.lines = vec![line(0, 0), on_demand(1, 1)];
        west.lines = vec![mirrored(&line(0, 0))];
    });
    pair.run_until_quiet();
    let attempts = |pair: &Pair| {
        let events = pair.east.events.iter();
        events
            .filter(|event| matches!(event, Event::Degraded(..)))
            .count()
    };
    wanted(&mut pair, true, 1);
    pair.run_for(Duration::from_secs(100));
    assert_eq!(attempts(&pair), 1);
    assert!(refused(Reason::SelectorMismatch, Side::Peer)(
        &lines(&pair.east)[1]
    ));
    for _ in 0..60 {
        wanted(&mut pair, true, 1);
        pair.run_for(SECOND);
    }
    let made = attempts(&pair);
    assert!((5..=7).contains(&made), "{made} attempts in a minute");
    assert_carried(&pair, 1);
}

/// The peer deletes one child: that line is made again, and neither the others nor the IKE SA notice.
#[test]
fn a_deleted_line_is_made_again_in_the_same_ike_sa() {
    for east in [true, false] {
        let mut pair = Pair::with(configured(&[line(0, 0), line(1, 1), line(2, 2)]));
        pair.run_until_quiet();
        let sa = spis(&pair.east);
        let others = children_of(&pair.east, "10.1.2.0/24");
        lose(&mut pair, east, "10.1.1.0/24");
        pair.run_for(MOMENT);
        assert_carried(&pair, 2);
        pair.run_for(Duration::from_secs(3));
        assert_carried(&pair, 3);
        assert_eq!((spis(&pair.east), spis(&pair.west)), (sa, sa));
        assert_eq!(children_of(&pair.east, "10.1.2.0/24"), others);
        assert_eq!(pair.east.standing().outage, None);
    }
}

#[test]
fn a_deleted_line_on_demand_waits_for_a_packet_again() {
    for east in [true, false] {
        let mut pair = Pair::with(one_on_demand);
        pair.run_until_quiet();
        wanted(&mut pair, true, 1);
        pair.run_for(Duration::from_secs(70));
        assert_carried(&pair, 2);
        lose(&mut pair, east, "10.1.1.0/24");
        pair.run_for(Duration::from_secs(20));
        assert_carried(&pair, 1);
        assert_eq!(lines(&pair.east), [LineStanding::Up, LineStanding::Waiting]);
        wanted(&mut pair, !east, 1);
        pair.run_for(SECOND * 2);
        assert_carried(&pair, 2);
    }
}

/// The only child goes: the connection is down and says why, and is up again in the same IKE SA.
#[test]
fn the_last_child_that_goes_leaves_the_ike_sa() {
    let mut pair = Pair::established();
    let sa = spis(&pair.east);
    lose(&mut pair, false, "0.0.0.0/0");
    pair.run_for(MOMENT);
    assert_eq!(pair.east.standing().state, ConnectionState::Down);
    assert_eq!(
        (pair.east.outage().reason, pair.west.outage().reason),
        (Reason::DeletedByPeer, Reason::DatapathRefused)
    );
    pair.run_for(Duration::from_secs(2));
    pair.assert_up();
    assert_eq!(spis(&pair.east), sa);
}

/// Somebody who deletes each child at once is asked less and less often.
#[test]
fn a_peer_that_deletes_at_once_is_not_pestered() {
    let mut pair = Pair::with(configured(&[line(0, 0), line(1, 1)]));
    pair.run_until_quiet();
    let mut deleted = 0;
    for _ in 0..300 {
        if !children_of(&pair.west, "10.1.1.0/24").is_empty() {
            lose(&mut pair, false, "10.1.1.0/24");
            deleted += 1;
        }
        pair.run_for(SECOND);
        assert!(pair.east.is_up());
    }
    assert!((7..=11).contains(&deleted), "{deleted} children in five minutes");
    pair.run_for(Duration::from_secs(90));
    assert_carried(&pair, 2);
}

/// What nothing replaced in time goes alone, and is made again.
#[test]
fn a_line_whose_lifetime_ends_leaves_the_others() {
    let mut pair = Pair::with(configured(&[line(0, 0), line(1, 1)]));
    pair.run_until_quiet();
    let sa = spis(&pair.east);
    let others = children_of(&pair.east, "10.1.0.0/24");
    let [child] = children_of(&pair.east, "10.1.1.0/24")[..] else {
        panic!("not one child")
    };
    pair.tell_east(Input::ChildSpent(child, Spent::Hard));
    pair.tell_east(Input::Tick);
    pair.run_for(Duration::from_secs(10));
    assert_carried(&pair, 2);
    assert!(!children_of(&pair.east, "10.1.1.0/24").contains(&child));
    assert_eq!(children_of(&pair.east, "10.1.0.0/24"), others);
    assert_eq!(spis(&pair.east), sa);
    assert!(pair.east.is_up() && pair.east.standing().outage.is_none());
}

/// What the datapath refuses is tried again; the other line does not notice.
#[test]
fn a_datapath_that_refuses_one_line_leaves_the_others() {
    for east in [true, false] {
        let mut pair = Pair::with(one_on_demand);
        pair.run_until_quiet();
        pair.side(east).refuses = Some("state: not now");
        wanted(&mut pair, true, 1);
        pair.run_for(Duration::from_secs(10));
        assert_carried(&pair, 1);
        (pair.east.refuses, pair.west.refuses) = (None, None);
        wanted(&mut pair, true, 1);
        pair.run_for(Duration::from_secs(10));
        assert_carried(&pair, 2);
        pair.traffic.all_arrived();
    }
}

/// Both sides ask for the same line at once; the nonces decide (§2.8.1), and one child is left.
#[test]
fn a_line_that_both_sides_make_at_once_has_one_child() {
    let asked = [line(0, 0), on_demand(1, 1)];
    for seed in 0..40 {
        let mut pair = reseeded(seed, &asked);
        pair.network.jitter = Duration::from_millis(seed % 5 * 10);
        wanted(&mut pair, seed % 2 == 0, 1);
        pair.run_for(Duration::from_millis(seed % 4 * 3));
        wanted(&mut pair, seed % 2 != 0, 1);
        pair.run_for(Duration::from_secs(3));
        assert_carried(&pair, 2);
        pair.run_for(Duration::from_secs(180));
        assert_carried(&pair, 2);
        assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
    }
}

/// The same while one side's messages are held back until the other's are through, and with any of them lost.
#[test]
fn late_and_lost_messages_about_the_same_line_leave_one_child() {
    let asked = [line(0, 0), on_demand(1, 1)];
    for seed in 0..10 {
        for held in [0, 5, 15, 25] {
            let mut pair = reseeded(seed, &asked);
            wanted(&mut pair, EAST, 1);
            wanted(&mut pair, WEST, 1);
            pair.run_for(Duration::from_millis(held));
            pair.hold(WEST);
            pair.run_for(MOMENT);
            pair.release(WEST);
            pair.run_for(Duration::from_secs(100));
            assert_carried(&pair, 2);
        }
    }
    for (seed, lost) in (0..6).flat_map(|seed| (0..6).map(move |lost| (seed, lost))) {
        let mut pair = reseeded(seed, &asked);
        pair.network.loses = Some(pair.network.history.len() + lost);
        wanted(&mut pair, true, 1);
        wanted(&mut pair, false, 1);
        pair.run_for(Duration::from_secs(100));
        assert_carried(&pair, 2);
    }
}

/// A line that is asked for while the peer rekeys the IKE SA, or another child, comes all the same.
#[test]
fn a_line_is_made_whatever_else_goes_on() {
    type Rekey = fn(&mut Pair, bool);
    let cases: [(Rekey, bool, bool); 3] = [
        (ike, true, true),
        (ike, false, true),
        (crate::rekey::child, true, false),
    ];
    for seed in 0..20 {
        for (rekey, east, of_ike) in cases {
            let mut pair = reseeded(seed, &[line(0, 0), on_demand(1, 1)]);
            let before = spis(&pair.east);
            rekey(&mut pair, east);
            pair.run_for(Duration::from_millis(seed * 2));
            wanted(&mut pair, !east, 1);
            pair.run_for(Duration::from_secs(20));
            assert_carried(&pair, 2);
            pair.traffic.all_arrived();
            assert_eq!(spis(&pair.east) != before, of_ike);
        }
    }
}

/// Lines wanted, lost, rekeyed and refused from both sides at random on a network that loses, repeats and reorders: once
/// it is calm every line that is wanted has one child, the same on both sides, and no SA is on one side alone.
#[test]
fn lines_at_random_on_a_bad_network_end_with_one_child_each() {
    let asked = [line(0, 0), line(1, 1), on_demand(2, 2), on_demand(3, 3)];
    for seed in 0..60_u64 {
        let mut pair = reseeded(seed, &asked);
        pair.network = Network::bad(seed);
        let mut fate = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..40 {
            fate = fate
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (what, wait, east) = ((fate >> 33) % 9, (fate >> 40) % 2000, fate >> 60 & 1 == 0);
            match what {
                0 | 1 => wanted(&mut pair, east, 2),
                2 => {
                    wanted(&mut pair, true, 3);
                    wanted(&mut pair, false, 3);
                }
                3 => crate::rekey::child(&mut pair, east),
                4 => ike(&mut pair, east),
                5 => pair.east.refuses = pair.east.refuses.is_none().then_some("not now"),
                6 => pair.west.refuses = pair.west.refuses.is_none().then_some("not now"),
                7 => {
                    if children_of(pair.side(east), "10.1.1.0/24").len() == 1 {
                        lose(&mut pair, east, "10.1.1.0/24");
                    }
                }
                _ => pair.tell_east(Input::Connect(name("to-west"))),
            }
            pair.run_for(Duration::from_millis(wait));
        }
        (pair.east.refuses, pair.west.refuses) = (None, None);
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(200));
        for line in [2, 3] {
            wanted(&mut pair, seed % 2 == 0, line);
        }
        pair.run_for(Duration::from_secs(80));
        assert_carried_soon(&mut pair, 4);
        assert_eq!(spis(&pair.east), spis(&pair.west), "seed {seed}");
    }
}
