//! Child and IKE SAs that are replaced, and what is lost on the way.

use std::time::Duration;

use ike::crypto::Group;
use ike::{Connection, Event, Input, Reason, Side, Stage};

use crate::network::Network;
use crate::{Pair, Site, name};

pub(crate) const MOMENT: Duration = Duration::from_millis(200);

pub(crate) fn child(pair: &mut Pair, east: bool) {
    if east {
        pair.tell_east(Input::RekeyChild(name("to-west")));
    } else {
        pair.tell_west(Input::RekeyChild(name("to-east")));
    }
    tick(pair);
}

pub(crate) fn ike(pair: &mut Pair, east: bool) {
    if east {
        pair.tell_east(Input::RekeyIke(name("to-west")));
    } else {
        pair.tell_west(Input::RekeyIke(name("to-east")));
    }
    tick(pair);
}

fn tick(pair: &mut Pair) {
    pair.tell_east(Input::Tick);
    pair.tell_west(Input::Tick);
}

pub(crate) fn spis(site: &Site) -> (u64, u64) {
    let ike = site.standing().ike.unwrap();
    (ike.initiator_spi, ike.responder_spi)
}

pub(crate) fn inbound(site: &Site) -> u32 {
    site.child().inbound.spi
}

fn with_groups(east: &[Group], west: &[Group]) -> Pair {
    let change = |side: &mut Connection, groups: &[Group]| side.esp_proposals[0].groups = groups.to_vec();
    let mut pair = Pair::with(|first, second| {
        change(first, east);
        change(second, west);
    });
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

/// Request, answer, Delete, answer: and either side may start, whoever started the IKE SA.
#[test]
fn either_side_replaces_the_child() {
    for east in [true, false] {
        let mut pair = Pair::established();
        let (before, sent) = (inbound(&pair.east), pair.network.history.len());
        let sa = spis(&pair.east);
        child(&mut pair, east);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
        assert_eq!(pair.network.history.len() - sent, 4);
        assert_eq!(spis(&pair.east), sa);
        let told = [Event::Up(name("to-west")), Event::ChildRekeyed(name("to-west"))];
        assert_eq!(pair.east.events, told, "nobody noticed");
    }
}

/// The new SA speaks with new keys about the same child, which the datapath need not hear of.
#[test]
fn either_side_replaces_the_ike_sa() {
    for east in [true, false] {
        let mut pair = Pair::established();
        let (sa, children) = (
            spis(&pair.east),
            pair.east.datapath.keys().copied().collect::<Vec<_>>(),
        );
        ike(&mut pair, east);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_ne!(spis(&pair.east), sa);
        assert_eq!(pair.east.standing().ike.unwrap().initiator, east);
        assert_eq!(pair.east.datapath.keys().copied().collect::<Vec<_>>(), children);
        child(&mut pair, !east);
        ike(&mut pair, !east);
        pair.run_for(Duration::from_secs(300));
        pair.assert_kept();
    }
}

#[test]
fn lifetimes_replace_both_for_ever() {
    let mut pair = Pair::with(|east, west| {
        east.child_lifetime = Duration::from_secs(600);
        west.ike_lifetime = Duration::from_secs(1000);
    });
    pair.run_until_quiet();
    let mut seen = (vec![], vec![]);
    for _ in 0..100 {
        pair.run_for(Duration::from_secs(100));
        pair.assert_kept();
        seen.0.push(inbound(&pair.west));
        seen.1.push(spis(&pair.west));
    }
    seen.0.dedup();
    seen.1.dedup();
    assert!((16..=22).contains(&seen.0.len()), "{} children", seen.0.len());
    assert!((10..=14).contains(&seen.1.len()), "{} IKE SAs", seen.1.len());
}

#[test]
fn the_answer_to_a_rekey_is_owed_until_the_datapath_carries_the_child() {
    let mut pair = Pair::established();
    pair.west.hesitates = true;
    child(&mut pair, true);
    pair.run_for(Duration::from_secs(3));
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (1, 2));
    let made = pair.west.waiting.pop().unwrap();
    assert!(
        pair.west.waiting.is_empty(),
        "a repeated request asks for nothing more"
    );
    pair.tell_west(Input::ChildInstalled(made));
    pair.run_until_quiet();
    pair.assert_kept();
}

#[test]
fn the_old_child_stays_until_the_datapath_carries_the_new_one() {
    let mut pair = Pair::established();
    pair.east.hesitates = true;
    child(&mut pair, true);
    pair.run_for(Duration::from_secs(3));
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
    let made = pair.east.waiting.pop().unwrap();
    pair.tell_east(Input::ChildInstalled(made));
    pair.run_until_quiet();
    pair.assert_kept();
}

/// A child that is being made when the IKE SA is replaced goes on on the new one.
#[test]
fn a_child_in_the_making_moves_to_the_new_ike_sa() {
    let mut pair = Pair::established();
    pair.east.hesitates = true;
    child(&mut pair, true);
    pair.run_for(MOMENT);
    ike(&mut pair, false);
    pair.run_for(MOMENT);
    let made = pair.east.waiting.pop().unwrap();
    pair.tell_east(Input::ChildInstalled(made));
    pair.run_until_quiet();
    pair.assert_kept();
}

#[test]
fn what_a_datapath_refuses_is_tried_again_while_the_old_child_stays() {
    for responder in [true, false] {
        let mut pair = Pair::established();
        let before = inbound(&pair.east);
        let side = if responder { &mut pair.west } else { &mut pair.east };
        side.refuses = Some("state: not now");
        child(&mut pair, true);
        pair.run_for(MOMENT);
        pair.assert_kept();
        assert_eq!(inbound(&pair.east), before);
        (pair.east.refuses, pair.west.refuses) = (None, None);
        pair.run_for(Duration::from_secs(13));
        pair.assert_kept();
        assert_ne!(inbound(&pair.east), before);
    }
}

/// With groups of its own the child's keys do not follow from those of the IKE SA (§1.3.3).
#[test]
fn a_rekey_has_its_own_key_exchange_when_configured() {
    for (groups, east) in [
        (Group::Ecp256, true),
        (Group::X25519, false),
        (Group::Modp2048, true),
    ] {
        let mut pair = with_groups(&[groups], &[groups]);
        child(&mut pair, east);
        pair.run_for(MOMENT);
        pair.assert_kept();
        let algorithms = pair.east.standing().children[0].algorithms.clone();
        assert_eq!(algorithms, format!("AES_GCM_16_128/ESN/{groups}"));
    }
}

/// Without a common group nothing new can be made: the child lives out its time, and status says why it went.
#[test]
fn a_rekey_that_never_succeeds_ends_with_the_lifetime() {
    let mut pair = Pair::with(|east, west| {
        east.child_lifetime = Duration::from_secs(600);
        east.esp_proposals[0].groups = vec![Group::Ecp256];
        west.esp_proposals[0].groups = vec![Group::X25519];
    });
    pair.run_until_quiet();
    pair.run_for(Duration::from_secs(580));
    pair.assert_kept();
    pair.run_for(Duration::from_secs(120));
    pair.assert_up();
    let why = |event: &Event| match event {
        Event::Down(_, outage) => Some((outage.reason, outage.side, outage.stage)),
        _ => None,
    };
    let downs: Vec<_> = pair.east.events.iter().filter_map(why).collect();
    assert_eq!(downs, [(Reason::LifetimeEnded, Side::We, Stage::Established)]);
}

/// A bad network delays rekeys but does not confuse them. A request that is lost five times ends the SA; a new one is
/// there soon after.
#[test]
fn rekeys_survive_a_bad_network() {
    for seed in 0..60 {
        let mut pair = Pair::with(|east, west| {
            (east.child_lifetime, west.child_lifetime) = (Duration::from_secs(90), Duration::from_secs(100));
            (east.ike_lifetime, west.ike_lifetime) = (Duration::from_secs(250), Duration::from_secs(240));
        });
        pair.run_until_quiet();
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(600));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(120));
        settle(&mut pair);
        pair.assert_up();
    }
}

/// Until no rekey is under way.
pub(crate) fn settle(pair: &mut Pair) {
    for _ in 0..100 {
        if pair.east.datapath.len() == 1 && pair.west.datapath.len() == 1 {
            return;
        }
        pair.run_for(MOMENT);
    }
}

#[test]
fn what_replaced_an_ike_sa_finds_a_dead_peer_too() {
    let mut pair = Pair::established();
    ike(&mut pair, true);
    pair.run_for(Duration::from_secs(120));
    pair.assert_kept();
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(120));
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(100));
    pair.assert_up();
}

/// Status says when that is: between four fifths and nine tenths of a lifetime (§2.8 has no number), and for the new SAs anew.
#[test]
fn both_know_when_they_replace_their_sas() {
    let mut pair = Pair::established();
    let due = |pair: &Pair| {
        let standing = pair.east.standing();
        (standing.ike.unwrap().rekey.unwrap(), standing.children[0].rekey)
    };
    let (ike, child) = due(&pair);
    for (at, lifetime) in [
        (ike, Connection::IKE_LIFETIME),
        (child, Connection::CHILD_LIFETIME),
    ] {
        let ahead = at - pair.now;
        assert!(
            ahead > lifetime * 7 / 10 && ahead <= lifetime * 9 / 10,
            "{ahead:?}"
        );
    }
    let before = inbound(&pair.east);
    pair.run_for(child - pair.now + Duration::from_secs(1));
    assert_ne!(inbound(&pair.east), before);
    assert!(due(&pair).1 > child);
}
