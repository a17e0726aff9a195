//! An IKE SA that moves to another path instead of ending with the one that it was made on (RFC 4555).

use std::net::IpAddr;
use std::time::Duration;

use ike::{Connection, Encapsulation, Extension, Input, Settings};

use crate::network::{Nat, Network};
use crate::{Pair, Site, connection, name, rekey};

const EAST: &str = "192.0.2.1";
const EAST_TOO: &str = "198.51.100.1";
const WEST: &str = "192.0.2.2";
const WEST_TOO: &str = "198.51.100.2";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Both have a second address and let the IKE SA move; `change` alters each side's connection before.
fn pair(change: impl Fn(&mut Connection, &mut Connection)) -> Pair {
    pair_with("10.0.0.0/8", change)
}

/// The same, where east knows that these addresses are behind west.
fn pair_with(inside: &str, change: impl Fn(&mut Connection, &mut Connection)) -> Pair {
    let mut pair = Pair::new();
    pair.east.others = vec![address(EAST_TOO)];
    pair.west.others = vec![address(WEST_TOO)];
    let (mut east, mut west) = (connection(EAST, WEST), connection(WEST, EAST));
    west.mode = ike::Mode::ResponderOnly;
    east.mobike = Some(vec![address(EAST_TOO)]);
    west.mobike = Some(vec![address(WEST_TOO)]);
    change(&mut east, &mut west);
    pair.configure_west([("to-east", west)]);
    pair.tell_east(Input::Settings(Box::new(Settings {
        connections: [(name("to-west"), east)].into(),
        inside: vec![inside.parse().unwrap()],
        ..Settings::default()
    })));
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

fn path(site: &Site) -> (String, String) {
    let child = site.child();
    let ike = site.standing().ike.unwrap();
    assert_eq!((child.local, child.remote), (ike.local, ike.remote));
    (child.local.to_string(), child.remote.to_string())
}

fn assert_between(pair: &Pair, east: &str, west: &str) {
    let (east, west) = (format!("{east}:4500"), format!("{west}:4500"));
    assert_eq!(path(&pair.east), (east.clone(), west.clone()));
    assert_eq!(path(&pair.west), (west, east));
    pair.assert_kept();
}

#[test]
fn both_say_so_and_go_to_the_port_that_nats_let_through() {
    let mut pair = pair(|_, _| ());
    rekey::child(&mut pair, false);
    pair.run_for(Duration::from_secs(1));
    assert_between(&pair, EAST, WEST);
    for site in [&pair.east, &pair.west] {
        let ike = site.standing().ike.unwrap();
        assert!(ike.extensions.contains(&Extension::Mobility), "{ike:?}");
        assert_eq!(site.child().encapsulation, Encapsulation::None);
    }
}

/// Either side's address may die: with the same IKE SA and the same children the tunnel lives on, on another path.
#[test]
fn a_dead_path_is_left() {
    for (dead, east, west) in [(WEST, EAST, WEST_TOO), (EAST, EAST_TOO, WEST)] {
        let mut pair = pair(|_, _| ());
        pair.network.dead = [address(dead)].into();
        pair.run_for(Duration::from_secs(60));
        assert_between(&pair, east, west);
        pair.run_for(Duration::from_secs(300));
        assert_between(&pair, east, west);
    }
}

/// A path that was left is a path to go to again.
#[test]
fn it_moves_back() {
    for (first, then) in [(WEST, WEST_TOO), (EAST, EAST_TOO)] {
        let mut pair = pair(|_, _| ());
        pair.network.dead = [address(first)].into();
        pair.run_for(Duration::from_secs(60));
        pair.network.dead = [address(then)].into();
        pair.run_for(Duration::from_secs(60));
        assert_between(&pair, EAST, WEST);
    }
}

/// An address behind the peer leads into the tunnel itself, and is no way to go.
#[test]
fn nobody_moves_into_the_tunnel() {
    let mut pair = pair_with("198.51.100.0/24", |_, _| ());
    pair.network.dead = [address(WEST)].into();
    pair.run_for(Duration::from_secs(60));
    assert!(!pair.east.is_up(), "{:?}", pair.east.standing());
}

#[test]
fn it_moves_on_a_bad_network_as_well() {
    for seed in 0..50 {
        let mut pair = pair(|_, _| ());
        pair.network = Network::bad(seed);
        pair.network.loss = 5;
        pair.network.dead = [address(WEST)].into();
        pair.run_for(Duration::from_secs(90));
        pair.network.loss = 0;
        pair.run_until_quiet();
        let (east, west) = path(&pair.east);
        assert!(west.starts_with(WEST_TOO), "seed {seed}: {east} {west}");
        assert_eq!(path(&pair.west), (west, east), "seed {seed}");
        pair.assert_kept();
    }
}

/// What replaces an IKE SA may move as it could.
#[test]
fn a_successor_moves_too() {
    let mut pair = pair(|_, _| ());
    rekey::ike(&mut pair, false);
    pair.run_until_quiet();
    pair.network.dead = [address(WEST)].into();
    pair.run_for(Duration::from_secs(60));
    assert_between(&pair, EAST, WEST_TOO);
}

/// If one side does not say so, the path stays the only one.
#[test]
fn nobody_moves_alone() {
    let mut pair = pair(|_, west| west.mobike = None);
    assert!(
        pair.east
            .standing()
            .ike
            .unwrap()
            .extensions
            .iter()
            .all(|one| *one != Extension::Mobility)
    );
    pair.network.dead = [address(WEST)].into();
    pair.run_for(Duration::from_secs(60));
    assert!(!pair.east.is_up(), "{:?}", pair.east.standing());
}

/// One lost message is no reason to move.
#[test]
fn it_stays_where_it_is_while_that_works() {
    let mut pair = pair(|_, _| ());
    pair.network.loses = Some(pair.network.history.len());
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.run_until_quiet();
    assert_between(&pair, EAST, WEST);
}

/// A NAT before the side that started forgets its mapping: that side finds out and tells, for the other may not follow by
/// itself (§3.8).
#[test]
fn a_new_mapping_is_told() {
    let mut pair = Pair::new();
    pair.east = Site::new("10.0.0.9", 1);
    pair.network.nat = Some(Nat::new("10.0.0.9", EAST));
    let (mut east, mut west) = (connection("10.0.0.9", WEST), connection(WEST, EAST));
    west.remote_identity = east.local_identity.clone().into();
    (east.mobike, west.mobike) = (Some(Vec::new()), Some(Vec::new()));
    (east.mode, west.mode) = (ike::Mode::InitiatorOnly, ike::Mode::ResponderOnly);
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", east)]);
    pair.run_for(Duration::from_secs(100));
    let before = pair.west.child().remote;
    pair.network.nat.as_mut().unwrap().rebind();
    pair.run_for(Duration::from_secs(60));
    assert_ne!(pair.west.child().remote, before);
    pair.assert_kept();
    pair.run_for(Duration::from_secs(300));
    pair.assert_kept();
}

/// A message of the peer that somebody sends again from elsewhere draws nobody there.
#[test]
fn copies_from_elsewhere_move_nothing() {
    let mut pair = pair(|_, _| ());
    pair.tell_east(Input::RekeyChild(name("to-west")));
    for mut packet in pair.network.seize() {
        packet.source = "203.0.113.9:4500".parse().unwrap();
        pair.network.send(packet, pair.now);
    }
    pair.run_until_quiet();
    assert_between(&pair, EAST, WEST);
}
