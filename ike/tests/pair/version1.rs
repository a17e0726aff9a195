//! IKEv1: main mode, quick mode, and what becomes of both.

use std::time::Duration;

use ike::crypto::{Encryption, Group, Integrity, Prf};
use ike::wire::v1::Message;
use ike::{
    Connection, ConnectionState, Encapsulation, EspProposal, Event, Identity, Input, LineStanding, Mode,
    SelectorLine, TrafficSelector, Version,
};

use crate::establish::{esp, ike};
use crate::network::{Nat, Network, Packet};
use crate::{Pair, connection, name};

/// A connection of IKEv1 as both sides may have it.
pub(crate) fn version_1(mut connection: Connection) -> Connection {
    connection.version = Version::V1;
    connection.ike_proposals = ike(
        Encryption::AesCbc(256),
        Some(Integrity::HmacSha2_256_128),
        Prf::HmacSha2_256,
        &[Group::Ecp256],
    );
    connection.esp_proposals = esp(Encryption::AesGcm16(128), None);
    connection
}

/// East starts an SA of IKEv1 with west; `change` alters each side's connection before.
pub(crate) fn pair_with(change: impl Fn(&mut Connection, &mut Connection)) -> Pair {
    Pair::with(|east, west| {
        *east = version_1(east.clone());
        *west = version_1(west.clone());
        change(east, west);
    })
}

/// East hears these in the place of a message on its way to it.
pub(crate) fn east_hears(pair: &mut Pair, genuine: &Packet, forged: impl IntoIterator<Item = Message>) {
    let (local, remote) = (genuine.destination, genuine.source);
    for message in forged {
        let bytes = message.encode();
        pair.tell_east(Input::Datagram { local, remote, bytes });
    }
}

/// The message itself is taken when it comes, and what east began with it comes up.
pub(crate) fn nothing_is_lost_by_it(pair: &mut Pair, genuine: Packet) {
    pair.network.send(genuine, pair.now);
    pair.run_until_quiet();
    pair.assert_up();
    let failed = |event: &Event| matches!(event, Event::AttemptFailed(..) | Event::Down(..));
    assert!(!pair.east.events.iter().any(failed), "{:?}", pair.east.events);
}

pub(crate) fn established() -> Pair {
    let mut pair = pair_with(|_, _| ());
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

fn line(local: &str, remote: &str) -> SelectorLine {
    let network = |text: &str| TrafficSelector::network(text.parse().unwrap());
    SelectorLine::with_tunnel(vec![network(local)], vec![network(remote)])
}

/// Six messages of main mode, three of quick mode, and both datapaths carry the same child.
#[test]
fn a_connection_comes_up() {
    let pair = established();
    assert_eq!(pair.network.history.len(), 9);
    let standing = pair.west.standing();
    let ike = standing.ike.unwrap();
    assert_eq!((standing.state, standing.outage), (ConnectionState::Up, None));
    assert_eq!(ike.algorithms, "AES_CBC_256/PRF_HMAC_SHA2_256/ECP_256");
    let identity = Identity::Address("192.0.2.1".parse().unwrap());
    assert_eq!(ike.remote_identity, Some(identity));
    assert_eq!(standing.children[0].algorithms, "AES_GCM_16_128");
    assert_eq!(pair.east.child().encapsulation, Encapsulation::None);
    assert_eq!(pair.west.events, [Event::Up(name("to-east"))]);
    let snapshot = pair.west.snapshot();
    assert_eq!((snapshot.half_open, snapshot.drops.len()), (0, 0));
}

#[test]
fn every_algorithm_of_phase_1_works() {
    let ciphers = [
        Encryption::Des,
        Encryption::TripleDes,
        Encryption::AesCbc(128),
        Encryption::AesCbc(192),
        Encryption::AesCbc(256),
    ];
    let prfs = [
        Prf::HmacMd5,
        Prf::HmacSha1,
        Prf::HmacSha2_256,
        Prf::HmacSha2_384,
        Prf::HmacSha2_512,
    ];
    for encryption in ciphers {
        for prf in prfs {
            let mut pair = pair_with(|east, west| {
                east.ike_proposals = ike(encryption, None, prf, &[Group::Ecp256]);
                west.ike_proposals = east.ike_proposals.clone();
            });
            pair.run_until_quiet();
            pair.assert_up();
        }
    }
}

/// Each group serves phase 1 and a key exchange of its own in phase 2.
#[test]
fn every_group_works_in_both_phases() {
    for group in [
        Group::Modp768,
        Group::Modp1024,
        Group::Modp1536,
        Group::Modp2048,
        Group::Modp3072,
        Group::Modp4096,
        Group::Ecp256,
        Group::Ecp384,
        Group::Ecp521,
        Group::Modp2048Subgroup256,
    ] {
        let mut pair = pair_with(|east, west| {
            east.ike_proposals[0].groups = vec![group];
            east.esp_proposals[0].groups = vec![group];
            (west.ike_proposals, west.esp_proposals) =
                (east.ike_proposals.clone(), east.esp_proposals.clone());
        });
        pair.run_until_quiet();
        pair.assert_up();
        let algorithms = &pair.west.standing().children[0].algorithms;
        assert_eq!(*algorithms, format!("AES_GCM_16_128/{group}"));
    }
}

#[test]
fn every_algorithm_of_phase_2_works() {
    let cbc = Encryption::AesCbc(256);
    for (encryption, integrity) in [
        (Encryption::AesGcm16(128), None),
        (Encryption::AesGcm16(192), None),
        (Encryption::AesGcm16(256), None),
        (cbc, Some(Integrity::HmacMd5_96)),
        (cbc, Some(Integrity::HmacSha1_96)),
        (cbc, Some(Integrity::HmacSha2_256_128)),
        (Encryption::AesCbc(128), Some(Integrity::HmacSha2_384_192)),
        (Encryption::AesCbc(192), Some(Integrity::HmacSha2_512_256)),
        (Encryption::TripleDes, Some(Integrity::HmacSha1_96)),
        (Encryption::Des, Some(Integrity::HmacMd5_96)),
        (Encryption::Null, Some(Integrity::HmacSha1_96)),
    ] {
        let mut pair = pair_with(|east, west| {
            east.esp_proposals = esp(encryption, integrity);
            west.esp_proposals = esp(encryption, integrity);
        });
        pair.run_until_quiet();
        pair.assert_up();
    }
}

/// What the initiator offers meets what the responder takes, key exchange and extended sequence numbers included.
#[test]
fn the_responder_takes_the_first_of_its_own_that_is_offered() {
    let proposal = |groups: &[Group], extended_sequence_numbers| EspProposal {
        groups: groups.to_vec(),
        extended_sequence_numbers,
        ..esp(Encryption::AesGcm16(256), None).remove(0)
    };
    let cases: [(&[Group], bool, &str); 3] = [
        (&[], false, "AES_GCM_16_256"),
        (&[], true, "AES_GCM_16_256/ESN"),
        (&[Group::Ecp384], false, "AES_GCM_16_256/ECP_384"),
    ];
    for (groups, extended, algorithms) in cases {
        let mut pair = pair_with(|east, west| {
            east.esp_proposals = vec![proposal(groups, extended)];
            west.esp_proposals = esp(Encryption::AesGcm16(128), None);
            west.responder_esp_proposals = vec![proposal(&[], true), proposal(&[Group::Ecp384], false)];
        });
        pair.run_until_quiet();
        pair.assert_up();
        assert_eq!(pair.west.standing().children[0].algorithms, algorithms);
    }
}

/// Whatever the network does, both sides end with the same single child.
#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    endures_a_bad_network(|| pair_with(|_, _| ()));
}

/// A pair over bad networks, each of which is sound in the end.
pub(crate) fn endures_a_bad_network(pair: impl Fn() -> Pair) {
    for seed in 0..60 {
        let mut pair = pair();
        pair.network = Network::bad(seed);
        pair.run_for(Duration::from_secs(40));
        pair.network = Network::new(seed);
        pair.run_for(Duration::from_secs(200));
        pair.assert_up();
    }
}

/// Any one message of the nine may be lost: the connection is up within two seconds all the same.
#[test]
fn any_one_message_may_be_lost() {
    outlives_any_one_loss(9, version_1);
}

/// Connections that come up by so many messages, of which each in turn is lost.
pub(crate) fn outlives_any_one_loss(messages: usize, change: impl Fn(Connection) -> Connection) {
    for lost in 0..messages {
        let mut pair = Pair::new();
        pair.network.loses = Some(lost);
        let west = Connection {
            mode: Mode::ResponderOnly,
            ..change(connection("192.0.2.2", "192.0.2.1"))
        };
        pair.configure_west([("to-east", west)]);
        pair.configure_east([("to-west", change(connection("192.0.2.1", "192.0.2.2")))]);
        pair.run_for(Duration::from_secs(2));
        pair.assert_up();
    }
}

/// Both start at once: one SA stays, on either side the same.
#[test]
fn simultaneous_initiation_leaves_one_child() {
    Pair::settle_on_one(version_1);
}

/// A NAT before the initiator: ESP goes in UDP on port 4500, and its mapping is kept.
#[test]
fn a_nat_is_traversed() {
    let mut pair = Pair::new();
    pair.network.nat = Some(Nat::new("192.0.2.1", "198.51.100.7"));
    let west = Connection {
        remote: ike::Remote::Any,
        mode: Mode::ResponderOnly,
        ..version_1(connection("192.0.2.2", "192.0.2.1"))
    };
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", version_1(connection("192.0.2.1", "192.0.2.2")))]);
    pair.run_until_quiet();
    let (east, west) = (pair.east.child(), pair.west.child());
    assert_eq!(
        (east.encapsulation, west.encapsulation),
        (Encapsulation::Udp, Encapsulation::Udp)
    );
    assert_eq!((east.local.port(), east.remote.port()), (4500, 4500));
    assert_eq!(
        west.remote.ip(),
        "198.51.100.7".parse::<std::net::IpAddr>().unwrap()
    );
    let ike = pair.east.standing().ike.unwrap();
    assert!(ike.nat_local && !ike.nat_remote);
    pair.run_for(Duration::from_secs(65));
    assert_eq!(pair.east.keepalives, 3);
    let before = pair.west.child().remote;
    pair.network.nat.as_mut().unwrap().rebind();
    pair.run_for(Duration::from_secs(60));
    assert_ne!(
        pair.west.child().remote,
        before,
        "the peer is followed to its new port"
    );
}

#[test]
fn encapsulation_is_forced_where_there_is_no_nat() {
    let mut pair = pair_with(|east, _| east.force_encapsulation = true);
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(pair.west.child().encapsulation, Encapsulation::Udp);
}

/// Either side replaces the child, with a key exchange of its own or without, and no packet is lost.
#[test]
fn a_rekey_by_either_side_loses_nothing() {
    for (east, group) in [
        (true, None),
        (false, None),
        (true, Some(Group::Ecp256)),
        (false, Some(Group::Ecp384)),
    ] {
        let mut pair = pair_with(|east, west| {
            for side in [east, west] {
                side.esp_proposals[0].groups = group.into_iter().collect();
            }
        });
        pair.run_until_quiet();
        let before = pair.east.child().inbound.spi;
        if east {
            pair.tell_east(Input::RekeyChild(name("to-west")));
        } else {
            pair.tell_west(Input::RekeyChild(name("to-east")));
        }
        pair.run_for(Duration::from_secs(30));
        assert_ne!(pair.east.child().inbound.spi, before);
        pair.assert_kept();
        assert!(pair.west.events.contains(&Event::ChildRekeyed(name("to-east"))));
    }
}

/// Both replace the child at the same moment, and no packet is lost.
#[test]
fn simultaneous_rekeys_lose_nothing() {
    let mut pair = established();
    pair.tell_east(Input::RekeyChild(name("to-west")));
    pair.tell_west(Input::RekeyChild(name("to-east")));
    pair.run_for(Duration::from_secs(90));
    pair.assert_kept();
}

/// A new phase 1 takes the place of the old one; the Child SAs go on.
#[test]
fn a_new_phase_1_interrupts_nothing() {
    for east in [true, false] {
        let mut pair = pair_with(|_, west| west.mode = Mode::Default);
        pair.run_until_quiet();
        let before = pair.west.standing().ike.unwrap();
        let child = pair.west.child().inbound.spi;
        if east {
            pair.tell_east(Input::RekeyIke(name("to-west")));
        } else {
            pair.tell_west(Input::RekeyIke(name("to-east")));
        }
        pair.run_for(Duration::from_secs(90));
        let after = pair.west.standing().ike.unwrap();
        assert_ne!(before.initiator_spi, after.initiator_spi);
        assert_eq!(pair.west.child().inbound.spi, child);
        pair.assert_kept();
        assert!(pair.west.events.contains(&Event::IkeRekeyed(name("to-east"))));
        pair.tell_west(Input::RekeyChild(name("to-east")));
        pair.run_for(Duration::from_secs(30));
        pair.assert_kept();
    }
}

/// The peer has a new child only once it has read message 3: what we send goes by the old one a moment longer.
#[test]
fn a_new_child_is_sent_by_when_the_peer_has_it() {
    let step = Duration::from_millis(1);
    let mut pair = established();
    let before = pair.east.senders.clone();
    pair.tell_east(Input::RekeyChild(name("to-west")));
    let mut steps = 0;
    while pair.east.datapath.len() < 2 {
        pair.run_for(step);
        steps += 1;
        assert!(steps < 5_000, "there is no new child");
    }
    pair.run_for(step * 90);
    assert_eq!(pair.east.senders, before);
    pair.run_for(step * 30);
    assert_ne!(pair.east.senders, before);
    pair.run_for(Duration::from_secs(30));
    pair.assert_kept();
}

/// Who began reaches a peer behind a NAT, or one that only says so, as it did before.
#[test]
fn phase_1_begins_anew_with_a_peer_behind_a_nat() {
    let mut pair = pair_with(|east, west| {
        east.force_encapsulation = true;
        west.force_encapsulation = true;
    });
    pair.run_until_quiet();
    let before = pair.east.standing().ike.unwrap();
    assert!(before.initiator && before.nat_remote);
    pair.tell_east(Input::RekeyIke(name("to-west")));
    pair.run_for(Duration::from_secs(90));
    let after = pair.east.standing().ike.unwrap();
    assert_ne!(before.initiator_spi, after.initiator_spi);
    pair.assert_kept();
}

/// A day of it: every lifetime ends several times, and no packet is lost.
#[test]
fn lifetimes_end_without_a_loss() {
    let mut pair = established();
    pair.run_for(Duration::from_secs(86_400));
    pair.assert_kept();
    let count = |event: &Event| pair.east.events.iter().filter(|known| *known == event).count();
    assert!(count(&Event::ChildRekeyed(name("to-west"))) >= 3);
    assert!(count(&Event::IkeRekeyed(name("to-west"))) >= 3);
}

/// The shorter of both lifetimes counts, whoever offered it.
#[test]
fn the_shorter_lifetime_counts() {
    let mut pair = pair_with(|east, _| east.child_lifetime = Duration::from_secs(600));
    pair.run_until_quiet();
    let first = pair.west.child().inbound.spi;
    pair.run_for(Duration::from_secs(600));
    assert_ne!(pair.west.child().inbound.spi, first);
    pair.assert_kept();
}

/// A peer that starts anew says that it forgot everything, and is back at once.
#[test]
fn a_peer_that_restarts_is_back_at_once() {
    let mut pair = established();
    pair.run_for(Duration::from_secs(60));
    let before = pair.west.child().inbound.spi;
    pair.east.restart();
    pair.configure_east([("to-west", version_1(connection("192.0.2.1", "192.0.2.2")))]);
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    assert_ne!(pair.west.child().inbound.spi, before);
    assert!(pair.west.events.contains(&Event::Replaced(name("to-east"))));
}

/// Each pair of selectors has a quick mode of its own.
#[test]
fn several_selectors_are_several_quick_modes() {
    let mut pair = pair_with(|east, west| {
        east.lines = vec![
            line("10.1.0.0/24", "10.2.0.0/24"),
            line("10.1.1.0/24", "10.2.0.0/24"),
        ];
        east.lines[0]
            .remote
            .push(TrafficSelector::network("10.3.0.0/24".parse().unwrap()));
        west.lines = vec![
            line("10.2.0.0/24", "10.1.1.0/24"),
            line("10.3.0.0/24", "10.1.0.0/24"),
            line("10.2.0.0/24", "10.1.0.0/24"),
        ];
    });
    pair.run_for(Duration::from_secs(5));
    for site in [&pair.east, &pair.west] {
        let standing = site.standing();
        assert_eq!((standing.children.len(), standing.lines.len()), (3, 3));
        assert!(
            standing
                .lines
                .iter()
                .all(|line| line.standing == LineStanding::Up)
        );
    }
}
