//! Messages that are too long for one packet (RFC 7383).

use std::time::Duration;

use ike::wire::registry::payload;
use ike::wire::{Message, Payload};
use ike::{Connection, DropCause, Extension, Input, SelectorLine, TrafficSelector};

use crate::network::{Network, Packet};
use crate::{Pair, name};

/// The IP and UDP headers of IPv4.
const HEADERS: usize = 28;

/// As many networks on each side as make IKE_AUTH and every rekey of the child several packets long.
fn many_networks(east: &mut Connection, west: &mut Connection) {
    let networks = |second: u8| -> Vec<TrafficSelector> {
        (0..80)
            .map(|third| {
                let network = format!("10.{second}.{third}.0/24");
                TrafficSelector::network(network.parse().unwrap())
            })
            .collect()
    };
    east.lines = vec![SelectorLine::with_tunnel(networks(1), networks(2))];
    west.lines = vec![SelectorLine::with_tunnel(networks(2), networks(1))];
}

fn is_fragment(packet: &Packet) -> bool {
    packet.bytes[16] == payload::SKF
}

fn fragments(pair: &Pair) -> usize {
    pair.network
        .history
        .iter()
        .filter(|packet| is_fragment(packet))
        .count()
}

fn established() -> Pair {
    let mut pair = Pair::with(many_networks);
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

#[test]
fn no_packet_is_longer_than_configured_and_the_tunnel_comes_up() {
    for size in [576, 900, 1280] {
        let mut pair = Pair::with(|east, west| {
            many_networks(east, west);
            (east.fragment_size, west.fragment_size) = (size, size);
        });
        pair.run_until_quiet();
        pair.assert_up();
        let longest = pair.network.history.iter().map(|packet| packet.bytes.len()).max();
        let longest = longest.unwrap() + HEADERS;
        assert!(
            longest <= usize::from(size) && longest + 32 > usize::from(size),
            "{longest} of {size}"
        );
        assert!(fragments(&pair) >= 6, "request and answer of IKE_AUTH");
        for site in [&pair.east, &pair.west] {
            assert_eq!(site.child().local_selectors.len(), 80);
            assert!(
                site.standing()
                    .ike
                    .unwrap()
                    .extensions
                    .contains(&Extension::Fragmentation)
            );
        }
    }
}

#[test]
fn short_messages_travel_whole() {
    let pair = Pair::established();
    assert_eq!(fragments(&pair), 0);
}

/// Whichever packet after the first is lost until both are up, and whichever of a rekey of either SA: both sides end up with the same.
#[test]
fn any_one_fragment_may_be_lost() {
    let quiet = established();
    for lost in 1..quiet.network.history.len() {
        let mut pair = Pair::with(many_networks);
        pair.network.loses = Some(lost);
        pair.run_until_quiet();
        pair.assert_up();
    }
    for ike in [false, true] {
        let rekey = if ike { Input::RekeyIke } else { Input::RekeyChild };
        let mut lost = quiet.network.history.len();
        loop {
            let mut pair = established();
            pair.network.loses = Some(lost);
            pair.tell_east(rekey(name("to-west")));
            pair.run_until_quiet();
            pair.assert_kept();
            if lost >= pair.network.history.len() {
                break;
            }
            lost += 1;
        }
        assert!(lost > quiet.network.history.len());
    }
}

#[test]
fn fragments_survive_loss_duplicates_and_reordering() {
    for seed in 0..60 {
        let mut pair = Pair::with(many_networks);
        pair.network = Network::bad(seed);
        // What was sent on the old network is lost with it.
        pair.run_for(Duration::from_secs(120));
        pair.tell_east(Input::RekeyChild(name("to-west")));
        pair.run_for(Duration::from_secs(60));
        pair.network.loss = 0;
        pair.run_for(Duration::from_secs(120));
        pair.run_until_quiet();
        pair.assert_up();
        assert!(fragments(&pair) > 0, "seed {seed}");
    }
}

/// A copy of a request asks for its answer again, but not once per fragment (RFC 7383 §2.6.1).
#[test]
fn only_the_first_fragment_of_a_repeated_request_is_answered() {
    let mut pair = established();
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.run_for(Duration::from_millis(1));
    let request = pair.network.seize();
    assert!(request.len() > 2 && request.iter().all(is_fragment));
    for packet in &request {
        pair.network.send(packet.clone(), pair.now);
    }
    pair.run_for(Duration::from_millis(15));
    let answer = pair.network.seize();
    assert!(answer.len() > 2);
    for packet in &request {
        let Ok(Message { payloads, .. }) = Message::decode(&packet.bytes) else {
            panic!()
        };
        let [Payload::Fragment(fragment)] = payloads.as_slice() else {
            panic!()
        };
        let (local, remote) = (packet.destination, packet.source);
        pair.tell_west(Input::Datagram {
            local,
            remote,
            bytes: packet.bytes.clone(),
        });
        let again = pair.network.seize();
        if fragment.number == 1 {
            assert_eq!(again, answer);
        } else {
            assert_eq!(again, []);
        }
    }
}

/// Any bit of any fragment flipped: nothing changes, and the exchange goes on with the sound ones.
#[test]
fn damaged_fragments_change_nothing() {
    let mut pair = established();
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.run_for(Duration::from_millis(1));
    for _ in ["request", "answer"] {
        let packets = pair.network.seize();
        for packet in &packets {
            let (local, remote) = (packet.destination, packet.source);
            for index in (0..packet.bytes.len()).step_by(3) {
                let mut bytes = packet.bytes.clone();
                bytes[index] ^= 1 << (index % 8);
                let input = Input::Datagram { local, remote, bytes };
                if local.ip() == pair.east.address {
                    pair.tell_east(input);
                } else {
                    pair.tell_west(input);
                }
            }
            pair.network.seize();
        }
        packets
            .into_iter()
            .for_each(|packet| pair.network.send(packet, pair.now));
        pair.run_for(Duration::from_millis(11));
    }
    pair.run_until_quiet();
    pair.assert_kept();
    assert!(pair.west.drops(DropCause::IntegrityFailed) > 300);
}
