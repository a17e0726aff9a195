//! Either side starts again, stops, or is configured anew.

use std::collections::BTreeSet;
use std::time::Duration;

use ike::{Authentication, Connection, ConnectionState, Event, Identity, Input, Reason, Settings, Side};

use crate::{Pair, connection};

/// The restarted initiator says INITIAL_CONTACT, and the peer lets go of the old SA without a word (§2.4).
#[test]
fn a_restarted_initiator_replaces_its_old_sa() {
    let mut pair = Pair::established();
    let old = pair.west.child().inbound.spi;
    let sent = pair.network.history.len();
    pair.east.restart();
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    assert_ne!(pair.west.child().inbound.spi, old);
    assert_eq!(
        pair.network.history.len() - sent,
        4,
        "no Delete for an SA that the peer has forgotten"
    );
    assert!(
        !pair
            .west
            .events
            .iter()
            .any(|event| matches!(event, Event::Down(..))),
        "traffic never stopped"
    );
}

/// What the datapath of a side that starts again still has is of use until both have what comes after it: no packet is lost,
/// whichever side it was.
#[test]
fn packets_go_on_while_a_side_starts_again() {
    for east in [true, false] {
        let mut pair = Pair::established();
        pair.run_for(Duration::from_secs(1));
        let old = pair.west.child().inbound.spi;
        if east {
            pair.east.restart_alone();
            pair.tell_east(carrying_on(("to-west", connection("192.0.2.1", "192.0.2.2"))));
        } else {
            pair.west.restart_alone();
            pair.tell_west(carrying_on(("to-east", connection("192.0.2.2", "192.0.2.1"))));
        }
        pair.run_for(Duration::from_millis(400));
        assert_eq!(
            (pair.east.datapath.len(), pair.west.datapath.len()),
            if east { (1, 2) } else { (2, 1) }
        );
        pair.run_for(Duration::from_secs(20));
        pair.assert_up();
        assert_ne!(pair.west.child().inbound.spi, old);
        assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (1, 1));
        assert_ne!(pair.traffic.all_arrived(), 0);
    }
}

/// The settings of a side whose datapath carries on without it.
fn carrying_on(connection: (&str, Connection)) -> Input {
    let settings = Settings {
        carries_on: true,
        ..crate::pair::settings([connection])
    };
    Input::Settings(Box::new(settings))
}

/// A peer that begins anew over and over leaves no more behind than what its last IKE SA had.
#[test]
fn who_starts_again_and_again_leaves_nothing_behind() {
    let mut pair = Pair::established();
    for _ in 0..20 {
        pair.east.restart_alone();
        pair.tell_east(carrying_on(("to-west", connection("192.0.2.1", "192.0.2.2"))));
        pair.run_for(Duration::from_millis(100));
        assert!(pair.west.datapath.len() <= 2, "{}", pair.west.datapath.len());
    }
    pair.run_for(Duration::from_secs(20));
    pair.assert_up();
    assert_eq!(pair.west.datapath.len(), 1);
}

/// Where the datapath died as well, the peer keeps nothing of what was, and sends by the new child at once.
#[test]
fn who_lost_all_is_sent_to_by_what_is_new() {
    let mut pair = Pair::established();
    pair.east.restart();
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_millis(200));
    pair.assert_up();
    assert_eq!(pair.west.datapath.len(), 1);
    assert!(pair.west.child().sends);
}

/// A peer that gave us up while the path was broken says that it forgot the IKE SA before our datapath carries the new child:
/// that one is sent by as soon as it is there, and not only when a packet has come by it.
#[test]
fn who_gave_us_up_is_sent_to_by_what_is_new() {
    let mut pair = Pair::with(|east, west| {
        (east.dpd_timeout, west.dpd_timeout) = (Duration::from_secs(9), Duration::from_secs(3600));
        west.mode = ike::Mode::ResponderOnly;
    });
    pair.run_for(Duration::from_secs(1));
    let old = pair.west.child().inbound.spi;
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(12));
    assert!(!pair.east.is_up() && pair.west.is_up());
    (pair.network.cut, pair.west.hesitates) = (false, true);
    let mut seconds = 0..60;
    let begun = seconds.any(|_| {
        pair.run_for(Duration::from_secs(1));
        !pair.west.waiting.is_empty()
    });
    assert!(begun);
    pair.west.hesitates = false;
    for made in std::mem::take(&mut pair.west.waiting) {
        pair.tell_west(Input::ChildInstalled(made));
    }
    pair.run_for(Duration::from_millis(50));
    assert!(pair.east.is_up());
    let new = pair.west.child().inbound.spi;
    let senders = pair.west.senders.values();
    let sending: Vec<_> = senders
        .map(|child| pair.west.datapath[child].inbound.spi)
        .collect();
    assert!(
        new != old && sending == [new],
        "{old:08x} {new:08x} {sending:08x?}"
    );
}

/// Two connections between the same identities, to two addresses of the west; the first has `secret`.
fn two_of_one_pair(secret: &[u8]) -> [[(&'static str, Connection); 2]; 2] {
    let ends = [("a", "192.0.2.2"), ("b", "192.0.2.3")];
    let west = || Identity::Fqdn("west.example".to_owned());
    let east_side = ends.map(|(name, address)| {
        let mut east = connection("192.0.2.1", address);
        east.remote_identity = west().into();
        (name, east)
    });
    let west_side = ends.map(|(name, address)| {
        let mut settings = connection(address, "192.0.2.1");
        (settings.local_identity, settings.mode) = (west(), ike::Mode::ResponderOnly);
        (name, settings)
    });
    let [(a, mut first), second] = east_side;
    first.authentication = Authentication::pre_shared_key(secret.to_vec().into());
    [[(a, first), second], west_side]
}

/// How many IKE SAs west closes with a Delete: those of which nobody says that they are forgotten.
fn deleted_by_west(pair: &Pair, since: usize) -> usize {
    let later = pair.network.history.iter().skip(since);
    let informational =
        later.filter(|packet| packet.source.ip() != pair.east.address && packet.bytes[18] == 37);
    let spis: BTreeSet<_> = informational.map(|packet| packet.bytes[..16].to_vec()).collect();
    spis.len()
}

/// A peer closes all its IKE SAs between two identities when it hears INITIAL_CONTACT, also that of another connection
/// which came up just now: it is said once (§2.4).
#[test]
fn connections_between_the_same_identities_say_once_that_they_are_new() {
    let mut pair = Pair::new();
    pair.west.others.push("192.0.2.3".parse().unwrap());
    let [east, west] = two_of_one_pair(b"a secret of both");
    pair.configure_west(west);
    pair.configure_east(east.clone());
    pair.run_until_quiet();
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (2, 2));
    pair.east.restart();
    let sent = pair.network.history.len();
    pair.configure_east(east);
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.east.count(), pair.west.count()), (2, 2));
    assert_eq!(deleted_by_west(&pair, sent), 1, "one of them says it, not both");
}

/// Who was refused has told nobody anything: the other connection still says it.
#[test]
fn a_first_contact_that_failed_is_said_by_another_connection() {
    let mut pair = Pair::new();
    pair.west.others.push("192.0.2.3".parse().unwrap());
    let [east, west] = two_of_one_pair(b"a secret of both");
    pair.configure_west(west);
    pair.configure_east(east);
    pair.run_until_quiet();
    pair.east.restart();
    let sent = pair.network.history.len();
    let [[a, b], _] = two_of_one_pair(b"another secret");
    pair.configure_east([a.clone()]);
    pair.run_for(Duration::from_millis(500));
    pair.configure_east([a, b]);
    pair.run_for(Duration::from_millis(300));
    assert_eq!(pair.east.datapath.len(), 1);
    assert_eq!(deleted_by_west(&pair, sent), 0);
}

/// A responder that restarted cannot say so: the initiator finds out by itself.
#[test]
fn a_restarted_responder_is_found_by_the_dead_peer_check() {
    let mut pair = Pair::established();
    pair.west.restart();
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.run_for(Duration::from_secs(48));
    pair.assert_up();
}

/// A state that vanished below us is not made again under the same key: the connection is negotiated anew.
#[test]
fn a_child_that_the_datapath_lost_is_negotiated_again() {
    let mut pair = Pair::established();
    let (id, old) = (pair.east.standing().children[0].id, pair.east.child().inbound.spi);
    pair.tell_east(Input::ChildRefused(id, "inbound state vanished".into()));
    assert_eq!(
        (pair.east.outage().reason, pair.east.outage().side),
        (Reason::DatapathRefused, Side::We)
    );
    pair.run_for(Duration::from_secs(5));
    pair.assert_up();
    assert_ne!(pair.east.child().inbound.spi, old);
}

/// Whoever restarts when both may start, one connection is the end of it.
#[test]
fn restarts_of_both_converge() {
    for seed in 0..20 {
        let mut pair = Pair::with(|_, west| west.mode = ike::Mode::Default);
        pair.network.jitter = Duration::from_millis(5 * seed);
        pair.run_until_quiet();
        pair.assert_up();
        pair.east.restart();
        pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
        pair.run_for(Duration::from_millis(7 * seed));
        pair.west.restart();
        pair.configure_west([("to-east", connection("192.0.2.2", "192.0.2.1"))]);
        pair.run_for(Duration::from_secs(60));
        pair.assert_up();
    }
}

#[test]
fn stopping_says_goodbye_and_becomes_idle() {
    let mut pair = Pair::established();
    pair.tell_east(Input::Shutdown);
    assert!(!pair.east.engine.is_idle() && pair.east.datapath.is_empty());
    pair.run_for(Duration::from_millis(100));
    assert!(pair.east.engine.is_idle());
    assert!(pair.west.datapath.is_empty());
    assert_eq!(
        (pair.west.outage().reason, pair.west.outage().side),
        (Reason::DeletedByPeer, Side::Peer)
    );
    let sent = pair.network.history.len();
    pair.run_for(Duration::from_secs(600));
    assert_eq!(
        pair.network.history.len(),
        sent,
        "one that stopped starts nothing"
    );
}

#[test]
fn stopping_does_not_wait_for_a_peer_that_is_gone() {
    let mut pair = Pair::established();
    pair.network.cut = true;
    pair.tell_east(Input::Shutdown);
    pair.run_for(Duration::from_secs(2));
    assert!(pair.east.engine.is_idle());
}

#[test]
fn unchanged_connections_are_not_touched() {
    let mut pair = Pair::established();
    let (before, sent) = (pair.east.child().inbound.spi, pair.network.history.len());
    let other = connection("192.0.2.1", "192.0.2.77");
    let settings = [
        ("to-west", connection("192.0.2.1", "192.0.2.2")),
        ("to-other", other),
    ];
    pair.configure_east(settings);
    let to_west = |packet: &&crate::network::Packet| packet.destination.ip() == pair.west.address;
    assert_eq!(pair.network.history.iter().skip(sent).filter(to_west).count(), 0);
    assert_eq!(pair.east.child().inbound.spi, before);
}

#[test]
fn a_removed_connection_is_closed_with_a_delete() {
    let mut pair = Pair::established();
    pair.configure_east([]);
    assert!(pair.east.datapath.is_empty() && pair.east.snapshot().connections.is_empty());
    pair.run_for(Duration::from_millis(100));
    assert!(pair.west.datapath.is_empty());
    assert_eq!(pair.west.outage().reason, Reason::DeletedByPeer);
}

#[test]
fn a_changed_connection_is_closed_and_started_again() {
    let mut pair = Pair::established();
    let changed = |local, remote| {
        let mut changed = connection(local, remote);
        changed.authentication = Authentication::pre_shared_key(b"a new secret".to_vec().into());
        changed
    };
    pair.configure_east([("to-west", changed("192.0.2.1", "192.0.2.2"))]);
    pair.run_for(Duration::from_secs(1));
    assert_ne!(pair.east.standing().state, ConnectionState::Up);
    assert_eq!(pair.west.outage().reason, Reason::AuthenticationFailed);
    pair.configure_west([("to-east", changed("192.0.2.2", "192.0.2.1"))]);
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
}
