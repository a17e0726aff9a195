//! What passes a tunnel: several Child SAs in one IKE SA, and what the two sides make of each other's selectors
//! (RFC 7296 §1.3.1, §2.9).

use std::collections::BTreeSet;
use std::time::Duration;

use ike::{
    Connection, Event, Input, LineSnapshot, LineStanding, LineStart, Mode, Reason, ResponderSelectors,
    SelectorLine, Side, Stage, TrafficSelector,
};

use crate::network::Network;
use crate::rekey::{ike, spis};
use crate::site::assert_mirrored;
use crate::{Pair, Site, connection, name};

pub(crate) const MOMENT: Duration = Duration::from_millis(300);

pub(crate) fn networks(texts: &[&str]) -> Vec<TrafficSelector> {
    let network = |text: &&str| TrafficSelector::network(text.parse().unwrap());
    texts.iter().map(network).collect()
}

/// Networks number `east` and `west` of the two sides, as the east sees it.
pub(crate) fn line(east: u8, west: u8) -> SelectorLine {
    let (local, remote) = (format!("10.1.{east}.0/24"), format!("10.2.{west}.0/24"));
    SelectorLine::with_tunnel(networks(&[&local]), networks(&[&remote]))
}

/// So many networks on our side and the peer's, each with each.
fn policy(local: u8, remote: u8) -> Vec<SelectorLine> {
    (0..local)
        .flat_map(|ours| (0..remote).map(move |theirs| line(ours, theirs)))
        .collect()
}

/// The line as the other side has it.
pub(crate) fn mirrored(line: &SelectorLine) -> SelectorLine {
    SelectorLine {
        local: line.remote.clone(),
        remote: line.local.clone(),
        start: line.start,
    }
}

/// Both sides have these lines.
pub(crate) fn configured(lines: &[SelectorLine]) -> impl Fn(&mut Connection, &mut Connection) {
    move |east, west| {
        east.lines = lines.to_vec();
        west.lines = lines.iter().map(mirrored).collect();
    }
}

/// Both sides carry the same children, for different selectors, of so many lines.
pub(crate) fn assert_carried(pair: &Pair, lines: usize) {
    let children = |site: &Site| site.standing().children;
    let (east, west) = (children(&pair.east), children(&pair.west));
    let selectors: BTreeSet<_> = east
        .iter()
        .map(|child| (&child.local_selectors, &child.remote_selectors))
        .collect();
    assert_eq!(
        (east.len(), west.len(), selectors.len()),
        (lines, lines, lines),
        "{east:#?} {west:#?}"
    );
    for child in &east {
        let mut theirs = west.iter();
        let same = theirs
            .find(|other| other.inbound_spi == child.outbound_spi)
            .unwrap();
        let (ours, theirs) = (&pair.east.datapath[&child.id], &pair.west.datapath[&same.id]);
        assert_mirrored(ours, theirs);
        assert_mirrored(theirs, ours);
        assert!(ours.sends && theirs.sends);
    }
    assert!(pair.east.is_up() && pair.west.is_up());
}

pub(crate) fn lines(site: &Site) -> Vec<LineStanding> {
    let lines: Vec<LineSnapshot> = site.standing().lines;
    lines.into_iter().map(|line| line.standing).collect()
}

fn selectors(site: &Site, place: usize) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
    let child = site.standing().children.swap_remove(place);
    (child.local_selectors, child.remote_selectors)
}

/// Four messages for the first line, two more for each other.
#[test]
fn every_line_with_the_tunnel_gets_a_child() {
    let mut pair = Pair::with(configured(&policy(2, 2)));
    pair.run_until_quiet();
    assert_carried(&pair, 4);
    assert_eq!(pair.network.history.len(), 10);
    assert_eq!(lines(&pair.east), vec![LineStanding::Up; 4]);
    assert_eq!(lines(&pair.west), vec![LineStanding::Up; 4]);
    assert_eq!(pair.west.events, [Event::Up(name("to-east"))]);
    pair.run_for(Duration::from_secs(300));
    assert_carried(&pair, 4);
}

/// One round trip each: a hundred lines are there within little more than two seconds at 20 ms.
#[test]
fn a_hundred_lines_come_up_one_after_another() {
    let mut pair = Pair::with(configured(&policy(10, 10)));
    pair.run_for(Duration::from_millis(2_100));
    assert_carried(&pair, 100);
}

/// Whichever message is lost on the way up, every line comes, once.
#[test]
fn lines_come_up_whatever_message_is_lost() {
    for lost in 0..10 {
        let mut pair = Pair::with(configured(&policy(2, 2)));
        pair.network.loses = Some(lost);
        pair.run_until_quiet();
        pair.run_for(Duration::from_secs(15));
        assert_carried(&pair, 4);
        assert_eq!(pair.east.datapath.len(), 4);
    }
}

/// The side that did not start the IKE SA brings up the lines that only it wants.
#[test]
fn the_responder_brings_up_what_the_initiator_does_not() {
    let mut pair = Pair::with(|east, west| {
        configured(&policy(1, 3))(east, west);
        for line in &mut east.lines {
            line.start = LineStart::OnDemand;
        }
        west.mode = Mode::Default;
        east.mode = Mode::InitiatorOnly;
    });
    pair.run_for(Duration::from_secs(1));
    let initiator = pair.east.standing().ike.unwrap().initiator;
    assert!(initiator);
    pair.run_for(Duration::from_secs(12));
    assert_carried(&pair, 3);
}

/// RFC 7296 §2.9: the responder's policy, line by line, and the first selectors of the initiator.
#[test]
fn the_line_that_fits_best_is_chosen() {
    let mut pair = Pair::with(|east, west| {
        let specific = networks(&["10.1.7.9/32", "10.1.0.0/16"]);
        east.lines = vec![
            SelectorLine::with_tunnel(specific, networks(&["10.2.0.5/32", "10.2.0.0/16"])),
            line(3, 3),
        ];
        west.lines = [line(3, 3), line(7, 0), line(8, 0)]
            .iter()
            .map(mirrored)
            .collect();
    });
    pair.run_for(Duration::from_secs(1));
    assert_carried(&pair, 2);
    assert_eq!(
        selectors(&pair.east, 0),
        (networks(&["10.1.7.0/24"]), networks(&["10.2.0.0/24"]))
    );
    let expected = [LineStanding::Up, LineStanding::Up, LineStanding::Pending];
    assert_eq!(lines(&pair.west), expected);
}

/// What one side has more of is left out, in a line with several selectors, whichever role it has; a rekey from either
/// side keeps it so.
#[test]
fn lines_are_narrowed_to_what_both_have() {
    for narrower_east in [true, false] {
        let wide = SelectorLine::with_tunnel(
            networks(&["10.1.0.0/16", "10.5.0.0/24"]),
            networks(&["10.2.0.0/16", "10.6.0.0/16"]),
        );
        let narrow = SelectorLine::with_tunnel(
            networks(&["10.1.4.0/24", "10.7.0.0/24"]),
            networks(&["10.6.1.0/24", "10.2.0.0/17"]),
        );
        let (east_line, west_line) = if narrower_east {
            (&narrow, &wide)
        } else {
            (&wide, &narrow)
        };
        let mut pair = Pair::with(|east, west| {
            east.lines = vec![line(0, 0), east_line.clone()];
            west.lines = [line(0, 0), west_line.clone()].iter().map(mirrored).collect();
        });
        pair.run_until_quiet();
        let common = (
            networks(&["10.1.4.0/24"]).into_iter().collect::<BTreeSet<_>>(),
            networks(&["10.6.1.0/24", "10.2.0.0/17"])
                .into_iter()
                .collect::<BTreeSet<_>>(),
        );
        for rekeyed_by_east in [None, Some(true), Some(false)] {
            if let Some(east) = rekeyed_by_east {
                crate::rekey::child(&mut pair, east);
                pair.run_for(Duration::from_secs(8));
            }
            assert_carried(&pair, 2);
            let (local, remote) = selectors(&pair.east, 1);
            assert_eq!(
                (local.into_iter().collect(), remote.into_iter().collect()),
                common
            );
            pair.traffic.all_arrived();
        }
    }
}

/// As Azure VPN Gateway does; what is taken whole is kept over a rekey of either side.
#[test]
fn whatever_is_proposed_is_taken_when_the_connection_says_so() {
    let mut pair = Pair::with(|east, west| {
        east.lines = policy(2, 2);
        west.responder_selectors = ResponderSelectors::AsProposed;
    });
    pair.run_until_quiet();
    assert_carried(&pair, 4);
    assert_eq!(lines(&pair.west), [LineStanding::Up]);
    for east in [true, false] {
        crate::rekey::child(&mut pair, east);
        pair.run_for(Duration::from_secs(8));
        assert_carried(&pair, 4);
        ike(&mut pair, east);
        pair.run_for(Duration::from_secs(8));
        assert_carried(&pair, 4);
    }
    pair.traffic.all_arrived();
    assert_eq!(
        selectors(&pair.west, 3),
        (line(1, 1).remote, line(1, 1).local),
        "which none of its lines says"
    );
}

/// Without that, what fits no line is refused, and the peer says so.
#[test]
fn what_fits_no_line_is_refused() {
    let mut pair = Pair::with(|east, west| {
        east.lines = vec![line(0, 0)];
        west.lines = vec![mirrored(&line(1, 1))];
    });
    pair.run_for(Duration::from_secs(1));
    for (site, side, stage) in [
        (&pair.east, Side::Peer, Stage::IkeAuth),
        (&pair.west, Side::We, Stage::IkeAuth),
    ] {
        let outage = site.outage();
        assert_eq!(
            (outage.reason, outage.side, outage.stage),
            (Reason::SelectorMismatch, side, stage)
        );
        assert_eq!(
            outage.offered,
            if side == Side::We {
                "10.2.0.0/24 = 10.1.0.0/24"
            } else {
                "10.1.0.0/24 = 10.2.0.0/24"
            }
        );
    }
}

/// Both families in one Child SA, over an IPv4 path.
#[test]
fn a_child_carries_both_families() {
    let both = SelectorLine::with_tunnel(
        networks(&["10.1.0.0/16", "2001:db8:1::/48"]),
        networks(&["10.2.0.0/16", "2001:db8:2::/48"]),
    );
    let sixes = SelectorLine::with_tunnel(networks(&["2001:db8:3::/64"]), networks(&["::/0"]));
    let mut pair = Pair::with(configured(&[both.clone(), sixes.clone()]));
    pair.run_until_quiet();
    assert_carried(&pair, 2);
    assert_eq!(selectors(&pair.east, 0), (both.local, both.remote));
    assert_eq!(selectors(&pair.east, 1), (sixes.local, sixes.remote));
}

/// An offer of both families meets a policy of one.
#[test]
fn a_family_that_one_side_does_not_have_is_left_out() {
    let any = || vec![TrafficSelector::any_ipv4(), TrafficSelector::any_ipv6()];
    for east_has_both in [true, false] {
        let mut pair = Pair::with(|east, west| {
            let wider = if east_has_both { east } else { west };
            wider.lines = vec![SelectorLine::with_tunnel(any(), any())];
        });
        pair.run_until_quiet();
        pair.assert_up();
        let only = vec![TrafficSelector::any_ipv4()];
        assert_eq!(selectors(&pair.west, 0), (only.clone(), only));
    }
}

/// The same over an IPv6 path, with rekeys and a dead peer.
#[test]
fn outer_addresses_may_be_ipv6() {
    let (ours, theirs) = ("2001:db8::1", "2001:db8::2");
    let mut pair = Pair::new();
    (pair.east, pair.west) = (Site::new(ours, 1), Site::new(theirs, 2));
    let side = |local, remote, mode| Connection {
        mode,
        ..connection(local, remote)
    };
    let (mut east, mut west) = (
        side(ours, theirs, Mode::Default),
        side(theirs, ours, Mode::ResponderOnly),
    );
    configured(&policy(1, 2))(&mut east, &mut west);
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", east)]);
    pair.run_until_quiet();
    assert_carried(&pair, 2);
    assert!(pair.east.datapath.values().all(|child| child.remote.is_ipv6()));
    for east in [true, false] {
        crate::rekey::child(&mut pair, east);
        pair.run_for(Duration::from_secs(8));
        ike(&mut pair, east);
        pair.run_for(Duration::from_secs(8));
        assert_carried(&pair, 2);
    }
    pair.traffic.all_arrived();
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(120));
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(100));
    assert_carried(&pair, 2);
}

/// Each line is replaced for itself, and all of them move to the IKE SA that replaces theirs.
#[test]
fn lifetimes_replace_every_line_and_the_ike_sa() {
    let mut pair = Pair::with(|east, west| {
        configured(&policy(2, 2))(east, west);
        east.child_lifetime = Duration::from_secs(600);
        west.child_lifetime = Duration::from_secs(700);
        west.ike_lifetime = Duration::from_secs(1000);
    });
    pair.run_until_quiet();
    let inbound = |pair: &Pair| {
        let children = pair.east.standing().children.into_iter();
        children.map(|child| child.inbound_spi).collect::<BTreeSet<_>>()
    };
    for _ in 0..5 {
        let (before, sa) = (inbound(&pair), spis(&pair.east));
        pair.run_for(Duration::from_secs(1001));
        assert!(before.is_disjoint(&inbound(&pair)));
        assert_ne!(sa, spis(&pair.east));
        assert_carried_soon(&mut pair, 4);
    }
    pair.traffic.all_arrived();
}

/// At this moment, or when the rekey that is under way has finished.
pub(crate) fn assert_carried_soon(pair: &mut Pair, lines: usize) {
    for _ in 0..100 {
        if [&pair.east, &pair.west].map(|site| site.standing().children.len()) == [lines; 2] {
            break;
        }
        pair.run_for(MOMENT);
    }
    assert_carried(pair, lines);
}

/// Both sides rekey all lines at once: one child of each stays.
#[test]
fn simultaneous_rekeys_of_several_lines_leave_one_child_each() {
    for seed in 0..20 {
        let mut pair = reseeded(seed, &policy(2, 2));
        pair.network.jitter = Duration::from_millis(seed * 7);
        pair.tell_east(Input::RekeyChild(name("to-west")));
        pair.tell_west(Input::RekeyChild(name("to-east")));
        pair.tell_east(Input::Tick);
        pair.tell_west(Input::Tick);
        pair.run_for(Duration::from_secs(20));
        assert_carried_soon(&mut pair, 4);
        pair.traffic.all_arrived();
        pair.run_for(Duration::from_secs(120));
        assert_carried(&pair, 4);
        pair.traffic.all_arrived();
    }
}

/// An established pair whose nonces depend on the seed; both sides may start.
pub(crate) fn reseeded(seed: u64, lines: &[SelectorLine]) -> Pair {
    let mut pair = Pair::new();
    pair.east = Site::new("192.0.2.1", 1000 + seed);
    pair.west = Site::new("192.0.2.2", 2000 + seed);
    let (mut east, mut west) = (
        connection("192.0.2.1", "192.0.2.2"),
        connection("192.0.2.2", "192.0.2.1"),
    );
    configured(lines)(&mut east, &mut west);
    west.mode = Mode::Default;
    pair.configure_east([("to-west", east)]);
    pair.run_for(Duration::from_millis(1));
    pair.configure_west([("to-east", west)]);
    pair.run_for(Duration::from_secs(20));
    pair
}

/// A bad network delays lines and their rekeys, but does not confuse them.
#[test]
fn lines_survive_a_bad_network() {
    for seed in 0..30 {
        let mut pair = Pair::with(|east, west| {
            configured(&policy(2, 2))(east, west);
            (east.child_lifetime, west.child_lifetime) = (Duration::from_secs(90), Duration::from_secs(100));
            (east.ike_lifetime, west.ike_lifetime) = (Duration::from_secs(250), Duration::from_secs(240));
        });
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(600));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(150));
        assert_carried_soon(&mut pair, 4);
    }
}
