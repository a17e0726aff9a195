//! Networks that lose, repeat and reorder, and peers that fall silent.

use std::time::Duration;

use ike::{ConnectionState, DropCause, Input, Mode, Reason, Side, Stage};

use crate::network::Network;
use crate::{Pair, name};

/// Whatever the network does, both sides end with the same single child.
#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    for seed in 0..60 {
        let mut pair = Pair::with(|_, _| ());
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(40));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(100));
        pair.assert_up();
    }
}

/// Both start at once: the SA whose initiator drew the larger nonce stays, on either side the same.
#[test]
fn simultaneous_initiation_leaves_one_child() {
    Pair::settle_on_one(|connection| connection);
}

/// On a sound network a simultaneous start is settled within the first exchanges.
#[test]
fn simultaneous_initiation_is_settled_at_once() {
    for seed in 0..20 {
        let mut pair = Pair::at_once(seed, Network::new(7), |connection| connection);
        pair.run_for(Duration::from_millis(400));
        pair.assert_up();
    }
}

/// One of two simultaneous IKE_AUTH requests is late: it arrives when the other's SA stands already, and the same rule
/// holds.
#[test]
fn a_late_rival_is_judged_as_a_simultaneous_one() {
    for seed in 0..20 {
        let mut pair = Pair::at_once(seed, Network::new(7), |connection| connection);
        pair.run_for(Duration::from_millis(25));
        let (late, prompt): (Vec<_>, Vec<_>) = pair
            .network
            .seize()
            .into_iter()
            .partition(|packet| packet.source.ip() == pair.west.address);
        assert_eq!((late.len(), prompt.len()), (1, 1));
        for packet in prompt {
            pair.network.send(packet, pair.now);
        }
        pair.run_for(Duration::from_millis(100));
        for packet in late {
            pair.network.send(packet, pair.now);
        }
        pair.run_for(Duration::from_millis(100));
        pair.assert_up();
    }
}

#[test]
fn nobody_there_is_told_and_tried_for_ever_with_longer_waits() {
    let mut pair = Pair::with(|_, _| ());
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(13));
    let outage = pair.east.outage();
    assert_eq!(
        (outage.reason, outage.side, outage.stage),
        (Reason::PeerUnreachable, Side::We, Stage::IkeSaInit)
    );
    pair.run_for(Duration::from_secs(3600));
    let tries = pair.network.history.len();
    assert!((200..400).contains(&tries), "{tries} messages in an hour");
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(100));
    pair.assert_up();
}

/// `Connect` does not wait for the back-off.
#[test]
fn connecting_by_hand_starts_at_once() {
    let mut pair = Pair::with(|_, _| ());
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(600));
    while pair.east.standing().state != ConnectionState::Down {
        pair.run_for(Duration::from_secs(1));
    }
    pair.network.cut = false;
    pair.tell_east(Input::Connect(name("to-west")));
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
}

/// A dead peer is found within the configured time, and the connection is tried again.
#[test]
fn a_silent_peer_is_declared_dead_in_time() {
    for timeout in [9, 45, 300].map(Duration::from_secs) {
        let mut pair = Pair::with(|east, west| (east.dpd_timeout, west.dpd_timeout) = (timeout, timeout));
        pair.run_until_quiet();
        pair.run_for(timeout * 4);
        pair.assert_up();
        pair.network.cut = true;
        pair.run_for(timeout * 2 + Duration::from_secs(1));
        assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
        assert_eq!(
            (pair.west.outage().reason, pair.west.outage().side),
            (Reason::PeerSilent, Side::We)
        );
        pair.network.cut = false;
        pair.run_for(Duration::from_secs(100));
        pair.assert_up();
    }
}

#[test]
fn a_living_peer_is_asked_seldom() {
    let mut pair = Pair::established();
    let before = pair.network.history.len();
    pair.run_for(Duration::from_secs(3600));
    pair.assert_up();
    let asked = pair.network.history.len() - before;
    assert!(
        (100..220).contains(&asked),
        "{asked} messages in an hour with a dead-peer time of 45 s"
    );
}

/// An answer that was lost is sent again, not made again.
#[test]
fn a_repeated_request_gets_the_remembered_answer() {
    let mut pair = Pair::with(|_, _| ());
    pair.run_for(Duration::from_millis(25));
    let [request] = pair.network.seize().try_into().unwrap();
    let arrives = |pair: &mut Pair| {
        let (local, remote) = (request.destination, request.source);
        pair.tell_west(Input::Datagram {
            local,
            remote,
            bytes: request.bytes.clone(),
        });
        let [answer] = pair.network.seize().try_into().unwrap();
        answer
    };
    let (first, second) = (arrives(&mut pair), arrives(&mut pair));
    assert_eq!(first, second);
    assert_eq!(pair.west.datapath.len(), 1);
    pair.network.send(first, pair.now);
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.west.drops(DropCause::UnexpectedMessageId), 0);
}

/// Without a peer that may start, only we do.
#[test]
fn a_responder_that_lost_its_peer_waits() {
    let mut pair = Pair::with(|east, _| east.mode = Mode::InitiatorOnly);
    pair.run_until_quiet();
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(100));
    let sent = pair
        .network
        .history
        .iter()
        .filter(|packet| packet.source.ip() == pair.west.address)
        .count();
    pair.run_for(Duration::from_secs(100));
    let later = pair
        .network
        .history
        .iter()
        .filter(|packet| packet.source.ip() == pair.west.address)
        .count();
    assert_eq!((sent, pair.west.standing().state), (later, ConnectionState::Down));
}

/// Restarts, reconfiguration, refusals, cuts and connects at random moments on a bad network: whatever happened, once
/// it is calm there is one connection with one child, and nothing is left over.
#[test]
fn whatever_happened_calm_brings_one_connection() {
    let (east, west) = (
        || crate::connection("192.0.2.1", "192.0.2.2"),
        || crate::connection("192.0.2.2", "192.0.2.1"),
    );
    for seed in 0..150_u64 {
        let mut pair = Pair::new();
        pair.east = crate::Site::new("192.0.2.1", 1000 + seed);
        pair.west = crate::Site::new("192.0.2.2", 2000 + seed);
        pair.network = Network::bad(seed);
        pair.configure_east([("to-west", east())]);
        pair.configure_west([("to-east", west())]);
        let mut fate = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..25 {
            fate = fate
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (what, wait) = ((fate >> 33) % 12, (fate >> 40) % 9000);
            match what {
                0 => {
                    pair.east.restart();
                    pair.configure_east([("to-west", east())]);
                }
                1 => {
                    pair.west.restart();
                    pair.configure_west([("to-east", west())]);
                }
                2 => pair.east.refuses = Some("not now"),
                3 => pair.west.refuses = Some("not now"),
                4 => pair.network.cut = !pair.network.cut,
                5 => {
                    pair.configure_east([]);
                    pair.configure_east([("to-west", east())]);
                }
                6 => pair.tell_west(Input::Connect(name("to-east"))),
                7 => pair.tell_east(Input::Connect(name("to-west"))),
                _ => {}
            }
            pair.run_for(Duration::from_millis(wait));
            let children = [&pair.east, &pair.west].map(crate::Site::count);
            assert!(
                children.iter().all(|count| *count <= 1),
                "seed {seed}: {children:?}"
            );
        }
        (pair.east.refuses, pair.west.refuses) = (None, None);
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(240));
        pair.assert_up();
        pair.run_for(Duration::from_secs(60));
        assert_eq!(
            (pair.east.snapshot().half_open, pair.west.snapshot().half_open),
            (0, 0)
        );
    }
}
