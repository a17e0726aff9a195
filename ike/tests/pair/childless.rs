//! IKE SAs that begin without a Child SA (RFC 6023).

use std::time::Duration;

use ike::crypto::Group;
use ike::wire::registry::exchange;
use ike::{Childless, Extension, Input, Reason};

use crate::network::Network;
use crate::{Pair, name};

fn with(east: Childless, west: Childless) -> Pair {
    Pair::with(|first, second| {
        (first.childless, second.childless) = (east, west);
        for side in [first, second] {
            side.esp_proposals[0].groups = vec![Group::X25519];
        }
    })
}

fn uses(pair: &Pair) -> [bool; 2] {
    [&pair.east, &pair.west].map(|site| {
        let extensions = site.standing().ike.unwrap().extensions;
        extensions.contains(&Extension::Childless)
    })
}

/// The initiator decides, and the first child then has a key exchange of its own.
#[test]
fn the_initiator_decides() {
    for (east, west, alone) in [
        (Childless::Allow, Childless::Allow, false),
        (Childless::Allow, Childless::Force, false),
        (Childless::Allow, Childless::Never, false),
        (Childless::Never, Childless::Allow, false),
        (Childless::Force, Childless::Allow, true),
        (Childless::Force, Childless::Force, true),
    ] {
        let mut pair = with(east, west);
        pair.run_until_quiet();
        pair.assert_up();
        assert_eq!(uses(&pair), [alone; 2], "{east:?} {west:?}");
        let sent = pair.network.history.iter();
        let created = sent.filter(|packet| packet.bytes[18] == exchange::CREATE_CHILD_SA);
        assert_eq!(created.count(), if alone { 2 } else { 0 });
        let algorithms = &pair.west.standing().children[0].algorithms;
        assert_eq!(algorithms.ends_with("X25519"), alone, "{algorithms}");
        pair.run_for(Duration::from_secs(120));
        for rekey in [
            Input::RekeyChild(name("to-west")),
            Input::RekeyIke(name("to-west")),
        ] {
            pair.tell_east(rekey);
            pair.run_until_quiet();
            pair.assert_kept();
        }
    }
}

#[test]
fn a_peer_that_does_not_take_it_is_told_of() {
    let mut pair = with(Childless::Force, Childless::Never);
    pair.run_for(Duration::from_secs(20));
    let outage = pair.east.outage();
    assert_eq!(outage.reason, Reason::ProtocolError);
    assert_eq!(outage.expected, "CHILDLESS_IKEV2_SUPPORTED");
    assert!(!pair.east.is_up() && !pair.west.is_up());
}

#[test]
fn any_one_packet_may_be_lost() {
    let mut lost = 1;
    loop {
        let mut pair = with(Childless::Force, Childless::Allow);
        pair.network.loses = Some(lost);
        pair.run_until_quiet();
        pair.assert_up();
        if lost >= pair.network.history.len() {
            break;
        }
        lost += 1;
    }
    assert!(lost >= 6);
}

#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    for seed in 0..30 {
        let mut pair = with(Childless::Force, Childless::Allow);
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(60));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(120));
        pair.assert_up();
    }
}

/// The initiator dies before it asks for a child: its IKE SA does not stay for ever.
#[test]
fn an_ike_sa_that_stays_alone_is_closed() {
    let mut pair = with(Childless::Force, Childless::Allow);
    pair.run_for(Duration::from_millis(35));
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(40));
    assert!(pair.west.standing().ike.is_none());
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(120));
    pair.assert_up();
}
