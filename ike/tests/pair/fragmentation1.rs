//! IKEv1: messages that are too long for one packet.

use std::time::Duration;

use ike::crypto::Group;
use ike::wire::v1::registry::{exchange, payload};
use ike::{DropCause, Input};

use crate::Pair;
use crate::certificates::Certified;
use crate::certificates1::pair;
use crate::network::{Network, Packet};
use crate::pki::Kind;

/// The IP and UDP headers of IPv4.
const HEADERS: usize = 28;

fn is_fragment(packet: &Packet) -> bool {
    packet.bytes[16] == payload::FRAGMENT
}

/// East and west with certificates, in packets of at most so many octets.
fn narrow(size: u16) -> Pair {
    pair(&Certified::new(Kind::Rsa, |_| ()), |east, west| {
        (east.fragment_size, west.fragment_size) = (size, size);
    })
}

#[test]
fn no_packet_is_longer_than_configured_and_the_tunnel_comes_up() {
    for (size, least) in [(576, 4), (400, 6)] {
        let mut pair = narrow(size);
        pair.run_until_quiet();
        pair.assert_up();
        let long = pair.network.history.iter().filter(|packet| is_fragment(packet));
        let lengths: Vec<_> = long.map(|packet| packet.bytes.len() + HEADERS).collect();
        assert!(lengths.len() >= least, "messages 5 and 6: {lengths:?}");
        assert!(
            lengths.iter().all(|length| *length <= usize::from(size)),
            "{lengths:?}"
        );
    }
}

/// Public values of 4,096 bits: messages 3 and 4, and the quick mode, or the first messages of aggressive mode but for the very first.
#[test]
fn every_long_message_is_divided() {
    for aggressive in [false, true] {
        let mut pair = crate::version1::pair_with(|east, west| {
            for side in [east, west] {
                side.aggressive = aggressive;
                side.fragment_size = 576;
                side.ike_proposals[0].groups = vec![Group::Modp4096];
                side.esp_proposals[0].groups = vec![Group::Modp4096];
            }
        });
        pair.run_until_quiet();
        pair.assert_up();
        let long = pair.network.history.iter();
        let long = long.filter(|packet| packet.bytes.len() + HEADERS > 576);
        assert_eq!(
            long.count(),
            usize::from(aggressive),
            "none knows yet that we understand fragments"
        );
        let count = pair
            .network
            .history
            .iter()
            .filter(|packet| is_fragment(packet))
            .count();
        assert_eq!(count, if aggressive { 6 } else { 8 });
        let began = if aggressive {
            exchange::AGGRESSIVE
        } else {
            exchange::MAIN_MODE
        };
        let mut fragments = pair.network.history.iter().filter(|packet| is_fragment(packet));
        assert!(fragments.all(|packet| packet.bytes[18] == began));
    }
}

#[test]
fn short_messages_travel_whole() {
    let pair = crate::version1::established();
    assert!(!pair.network.history.iter().any(is_fragment));
}

/// Whatever the network does to fragments, both sides end with the same single child.
#[test]
fn fragments_may_be_lost_doubled_and_late() {
    for seed in 0..12 {
        let mut pair = narrow(400);
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(60));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(200));
        pair.assert_up();
    }
}

/// Fragments of nothing, of what is no message, and of SAs that nobody has are counted and change nothing.
#[test]
fn forged_fragments_change_nothing() {
    let mut pair = narrow(576);
    pair.run_until_quiet();
    let (local, remote) = ("192.0.2.2:500".parse().unwrap(), "192.0.2.1:500".parse().unwrap());
    let fragments: Vec<_> = pair
        .network
        .history
        .iter()
        .filter(|packet| is_fragment(packet))
        .collect();
    let (mut genuine, sent) = (fragments[0].bytes.clone(), pair.network.history.len());
    let mut unknown = genuine.clone();
    unknown[0] ^= 1;
    unknown[8] ^= 1;
    // Number and flags of the fragment: the first one is the last one too, and holds no message.
    genuine[28 + 7] = 1;
    let mut none = genuine.clone();
    none[28 + 6] = 0;
    let mut longer = genuine.clone();
    longer[28 + 3] ^= 1;
    for bytes in [unknown, genuine, none, longer] {
        pair.tell_west(Input::Datagram { local, remote, bytes });
    }
    assert_eq!(pair.west.drops(DropCause::UnknownSpi), 1);
    assert_eq!(pair.west.drops(DropCause::UnexpectedFragment), 1);
    assert_eq!(pair.west.drops(DropCause::Malformed), 2);
    assert_eq!(pair.network.history.len(), sent);
    pair.assert_kept();
}
