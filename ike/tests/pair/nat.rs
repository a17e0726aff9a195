//! NATs between the two, and encapsulation without one (RFC 7296 §2.23).

use std::time::Duration;

use ike::{Encapsulation, Mode};

use crate::network::Nat;
use crate::{Pair, Site, connection, rekey};

/// East is at 10.0.0.9 behind a NAT whose public address is 192.0.2.1.
fn behind_a_nat() -> Pair {
    let mut pair = Pair::new();
    pair.east = Site::new("10.0.0.9", 1);
    pair.network.nat = Some(Nat::new("10.0.0.9", "192.0.2.1"));
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = Mode::ResponderOnly;
    let mut east = connection("10.0.0.9", "192.0.2.2");
    west.remote_identity = east.local_identity.clone().into();
    east.mode = Mode::InitiatorOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", east)]);
    pair.run_until_quiet();
    pair
}

#[test]
fn behind_a_nat_everything_moves_to_port_4500() {
    let pair = behind_a_nat();
    pair.assert_up();
    let (east, west) = (pair.east.child(), pair.west.child());
    assert_eq!(east.encapsulation, Encapsulation::Udp);
    assert_eq!(
        (east.local.to_string(), east.remote.to_string()),
        ("10.0.0.9:4500".into(), "192.0.2.2:4500".into())
    );
    assert_eq!(west.local.to_string(), "192.0.2.2:4500");
    assert_eq!(west.remote.ip().to_string(), "192.0.2.1");
    let (seen_east, seen_west) = (
        pair.east.standing().ike.unwrap(),
        pair.west.standing().ike.unwrap(),
    );
    assert_eq!((seen_east.nat_local, seen_east.nat_remote), (true, false));
    assert_eq!((seen_west.nat_local, seen_west.nat_remote), (false, true));
}

/// Only the side behind the NAT keeps the mapping alive.
#[test]
fn keepalives_come_from_behind_the_nat() {
    let mut pair = behind_a_nat();
    pair.run_for(Duration::from_secs(205));
    assert_eq!((pair.east.keepalives, pair.west.keepalives), (10, 0));
    assert!(pair.west.snapshot().drops.is_empty());
}

/// The SA that replaces one stays on its path, follows the peer and keeps the mapping alive.
#[test]
fn rekeys_stay_behind_the_nat() {
    let mut pair = behind_a_nat();
    rekey::child(&mut pair, false);
    pair.run_for(Duration::from_secs(1));
    rekey::ike(&mut pair, false);
    pair.run_for(Duration::from_secs(100));
    pair.assert_kept();
    assert_eq!(pair.east.child().encapsulation, Encapsulation::Udp);
    assert!(
        (4..=6).contains(&pair.east.keepalives),
        "{}",
        pair.east.keepalives
    );
    let before = pair.west.child().remote;
    pair.network.nat.as_mut().unwrap().rebind();
    rekey::child(&mut pair, true);
    pair.run_for(Duration::from_secs(1));
    pair.assert_kept();
    assert_ne!(pair.west.child().remote, before);
}

/// The NAT restarts: the first authenticated message from the new mapping moves SA and child.
#[test]
fn a_new_mapping_is_followed_by_authenticated_messages_only() {
    let mut pair = behind_a_nat();
    let before = pair.west.child().remote;
    pair.network.nat.as_mut().unwrap().rebind();
    pair.run_for(Duration::from_secs(60));
    let after = pair.west.child().remote;
    assert_ne!(before, after);
    assert_eq!(pair.west.standing().ike.unwrap().remote, after);
    pair.assert_up();
    pair.run_for(Duration::from_secs(300));
    pair.assert_up();
}

#[test]
fn either_side_can_ask_for_encapsulation() {
    for east_asks in [true, false] {
        let mut pair = Pair::with(|east, west| {
            let side = if east_asks { east } else { west };
            side.force_encapsulation = true;
        });
        pair.run_until_quiet();
        pair.assert_up();
        for child in [pair.east.child(), pair.west.child()] {
            assert_eq!(
                (child.encapsulation, child.local.port()),
                (Encapsulation::Udp, 4500)
            );
            assert_eq!(child.remote.port(), 4500);
        }
    }
}
