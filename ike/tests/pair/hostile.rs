//! Messages that nobody should have sent change nothing.

use std::net::SocketAddr;
use std::time::Duration;

use ike::wire::registry::{exchange, notify};
use ike::wire::{Header, KeyExchangePayload, Message, NoncePayload, Payload};
use ike::{DropCause, Input, Limits, Settings};

use crate::network::Packet;
use crate::{Pair, connection, name};

fn west_receives(pair: &mut Pair, remote: SocketAddr, bytes: Vec<u8>) {
    let local = "192.0.2.2:500".parse().unwrap();
    pair.tell_west(Input::Datagram { local, remote, bytes });
}

fn east_address() -> SocketAddr {
    "192.0.2.1:500".parse().unwrap()
}

/// Delivers every damaged form of a packet and then the packet itself.
pub(crate) fn damage_and_deliver(pair: &mut Pair, packet: &Packet) {
    let (local, remote) = (packet.destination, packet.source);
    let mut damaged: Vec<Vec<u8>> = (0..packet.bytes.len())
        .map(|end| packet.bytes[..end].to_vec())
        .collect();
    for index in 0..packet.bytes.len() {
        let mut flipped = packet.bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        damaged.push(flipped);
    }
    for bytes in damaged {
        let input = Input::Datagram { local, remote, bytes };
        if local.ip() == pair.east.address {
            pair.tell_east(input)
        } else {
            pair.tell_west(input)
        }
        pair.network.seize();
    }
    pair.network.send(packet.clone(), pair.now);
}

/// Any one bit of a protected message flipped, or its end cut off: the exchange goes on as if nothing had come.
#[test]
fn damaged_protected_messages_change_nothing() {
    let mut pair = Pair::with(|_, _| ());
    pair.run_for(Duration::from_millis(25));
    for what in ["IKE_AUTH request", "IKE_AUTH answer"] {
        let [packet] = pair.network.seize().try_into().expect(what);
        damage_and_deliver(&mut pair, &packet);
        pair.run_for(Duration::from_millis(11));
    }
    pair.assert_up();
    let before = pair.east.child().inbound.spi;
    pair.run_for(Duration::from_secs(35));
    for packet in pair
        .network
        .history
        .iter()
        .rev()
        .take(2)
        .cloned()
        .collect::<Vec<_>>()
    {
        damage_and_deliver(&mut pair, &packet);
    }
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    assert_eq!(pair.east.child().inbound.spi, before);
    assert!(pair.west.drops(DropCause::IntegrityFailed) > 100 && pair.west.drops(DropCause::Malformed) > 100);
}

/// Without a NAT before the peer, a copy of its IKE_AUTH from another address does not draw the tunnel there.
#[test]
fn a_copy_of_ike_auth_from_elsewhere_does_not_move_the_tunnel() {
    let mut pair = Pair::with(|_, _| ());
    pair.run_for(Duration::from_millis(25));
    let [request] = pair.network.seize().try_into().expect("IKE_AUTH request");
    west_receives(
        &mut pair,
        "203.0.113.66:500".parse().unwrap(),
        request.bytes.clone(),
    );
    assert_eq!(pair.west.drops(DropCause::NoConnection), 1);
    pair.network.send(request, pair.now);
    pair.run_for(Duration::from_secs(1));
    pair.assert_up();
    assert_eq!(pair.west.child().remote, east_address());
}

/// Our own IKE_SA_INIT thrown back at us as if the peer had sent it starts nothing with ourselves.
#[test]
fn our_own_request_thrown_back_starts_nothing() {
    let mut pair = Pair::with(|_, _| ());
    let request = pair
        .network
        .history
        .front()
        .cloned()
        .expect("IKE_SA_INIT request");
    let (local, remote) = (request.source, request.destination);
    pair.tell_east(Input::Datagram {
        local,
        remote,
        bytes: request.bytes,
    });
    assert_eq!(pair.east.drops(DropCause::UnexpectedExchange), 1);
    assert_eq!(pair.network.history.len(), 1, "nothing is answered");
    pair.run_until_quiet();
    pair.assert_up();
}

/// Damage to IKE_SA_INIT cannot be seen at once, but the proofs cover it: the connection never comes up wrong, and
/// comes up in the end.
#[test]
fn damaged_init_messages_are_survived() {
    let mut pair = Pair::with(|_, _| ());
    for _ in ["request", "answer"] {
        let [packet] = pair.network.seize().try_into().unwrap();
        damage_and_deliver(&mut pair, &packet);
        pair.run_for(Duration::from_millis(11));
    }
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
}

/// Every message that ever passed, delivered again: nothing moves, and nothing is installed twice.
#[test]
fn replayed_messages_change_nothing() {
    let mut pair = Pair::established();
    pair.run_for(Duration::from_secs(200));
    let (east, west) = (pair.east.child().inbound.spi, pair.west.child().inbound.spi);
    for packet in pair.network.history.clone() {
        pair.network.send(packet, pair.now);
    }
    pair.run_for(Duration::from_secs(200));
    assert_eq!(
        (pair.east.child().inbound.spi, pair.west.child().inbound.spi),
        (east, west)
    );
    assert!(pair.west.drops(DropCause::UnexpectedMessageId) > 0);
    assert_eq!(
        pair.west.snapshot().half_open,
        0,
        "the replayed start was forgotten"
    );
    pair.assert_up();
}

/// A first message like that of an honest initiator, from anyone.
pub(crate) fn start(pair: &Pair, spi: u64) -> Vec<u8> {
    let mut message = Message::decode(&pair.network.history[0].bytes).unwrap();
    message.header.initiator_spi = spi;
    for payload in &mut message.payloads {
        if let Payload::Nonce(NoncePayload { data }) = payload {
            data[..8].copy_from_slice(&spi.to_be_bytes());
        }
    }
    message.encode()
}

/// Strangers fill no more than the cookie threshold; a newcomer that returns its cookie gets in (§2.6).
#[test]
fn a_flood_of_starts_is_bounded_and_lets_the_honest_in() {
    let mut pair = Pair::with(|_, _| ());
    let honest = pair.network.seize();
    for spi in 1..=2000 {
        let remote = SocketAddr::new(pair.east.address, 1024 + spi as u16);
        let bytes = start(&pair, spi);
        west_receives(&mut pair, remote, bytes);
    }
    pair.network.seize();
    let threshold = Limits::default().cookie_threshold;
    assert_eq!(pair.west.snapshot().half_open, threshold);
    assert_eq!(pair.west.drops(DropCause::Cookie), 2000 - threshold as u64);
    for packet in honest {
        pair.network.send(packet, pair.now);
    }
    pair.run_until_quiet();
    pair.assert_up();
    pair.run_for(Duration::from_secs(31));
    assert_eq!(pair.west.snapshot().half_open, 0);
}

/// A wall of half-open SAs that do return cookies is bounded too.
#[test]
fn the_limit_holds_whoever_asks() {
    let mut pair = Pair::new();
    let limits = Limits {
        half_open: 10,
        cookie_threshold: 100,
        ..Limits::default()
    };
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    let connections = [(name("to-east"), west)].into_iter().collect();
    pair.tell_west(Input::Settings(Box::new(Settings {
        connections,
        limits,
        ..Settings::default()
    })));
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    for spi in 1..=50 {
        let bytes = start(&pair, spi);
        west_receives(&mut pair, east_address(), bytes);
    }
    assert_eq!(pair.west.snapshot().half_open, 10);
    assert_eq!(pair.west.drops(DropCause::HalfOpenLimit), 40);
}

/// An answer to nothing, forged from what anyone can see, does not stop an attempt (§2.21.1).
#[test]
fn forged_errors_do_not_stop_an_attempt() {
    let mut pair = Pair::with(|_, _| ());
    let [request] = pair.network.seize().try_into().unwrap();
    let header = Message::decode(&request.bytes).unwrap().header;
    for kind in [
        notify::NO_PROPOSAL_CHOSEN,
        notify::INVALID_SYNTAX,
        notify::AUTHENTICATION_FAILED,
        8000,
    ] {
        let header = Header {
            flags: Header::RESPONSE,
            ..header
        };
        let error = ike::wire::NotifyPayload {
            protocol: 0,
            spi: Vec::new(),
            kind,
            data: Vec::new(),
        };
        let bytes = Message {
            header,
            payloads: vec![Payload::Notify(error)],
        }
        .encode();
        let (local, remote) = (request.source, request.destination);
        pair.tell_east(Input::Datagram { local, remote, bytes });
    }
    pair.network.send(request, pair.now);
    pair.run_until_quiet();
    pair.assert_up();
}

/// A request under SPIs that nobody knows gets an INVALID_IKE_SPI now and then, an answer gets nothing (§2.21.4).
#[test]
fn unknown_spis_are_answered_seldom() {
    let mut pair = Pair::established();
    let message = |flags| {
        let header = Header::new(1, 2, exchange::INFORMATIONAL, flags, 0);
        Message {
            header,
            payloads: Vec::new(),
        }
        .encode()
    };
    for _ in 0..100 {
        west_receives(&mut pair, east_address(), message(Header::INITIATOR));
        west_receives(
            &mut pair,
            east_address(),
            message(Header::INITIATOR | Header::RESPONSE),
        );
    }
    let [answer] = pair.network.seize().try_into().unwrap();
    let answer = Message::decode(&answer.bytes).unwrap();
    let [Payload::Notify(error)] = answer.payloads.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (error.kind, answer.header.flags),
        (notify::INVALID_IKE_SPI, Header::RESPONSE)
    );
    assert_eq!(pair.west.drops(DropCause::UnknownSpi), 200);
}

#[test]
fn a_higher_version_is_told_ours() {
    let mut pair = Pair::with(|_, _| ());
    let [mut request] = pair.network.seize().try_into().unwrap();
    request.bytes[17] = 0x30;
    west_receives(&mut pair, east_address(), request.bytes);
    let [answer] = pair.network.seize().try_into().unwrap();
    let answer = Message::decode(&answer.bytes).unwrap();
    let [Payload::Notify(error)] = answer.payloads.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (error.kind, answer.header.version),
        (notify::INVALID_MAJOR_VERSION, Header::VERSION)
    );
    assert_eq!(pair.west.drops(DropCause::UnsupportedVersion), 1);
}

#[test]
fn a_critical_payload_that_we_do_not_know_is_named() {
    let mut pair = Pair::with(|_, _| ());
    let [request] = pair.network.seize().try_into().unwrap();
    let mut message = Message::decode(&request.bytes).unwrap();
    let unknown = ike::wire::UnknownPayload {
        kind: 200,
        critical: true,
        data: vec![1, 2, 3],
    };
    message.payloads.push(Payload::Unknown(unknown));
    west_receives(&mut pair, east_address(), message.encode());
    let [answer] = pair.network.seize().try_into().unwrap();
    let answer = Message::decode(&answer.bytes).unwrap();
    let [Payload::Notify(error)] = answer.payloads.as_slice() else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (error.kind, error.data.as_slice()),
        (notify::UNSUPPORTED_CRITICAL_PAYLOAD, [200].as_slice())
    );
    assert_eq!(pair.west.snapshot().half_open, 0);
}

/// A public value that gives the secret away costs the sender its attempt and nobody else anything.
#[test]
fn a_bad_public_value_is_dropped() {
    let mut pair = Pair::with(|_, _| ());
    pair.run_for(Duration::from_millis(11));
    let [answer] = pair.network.seize().try_into().unwrap();
    let mut message = Message::decode(&answer.bytes).unwrap();
    for payload in &mut message.payloads {
        if let Payload::KeyExchange(KeyExchangePayload { data, .. }) = payload {
            data.fill(0);
        }
    }
    let (local, remote) = (answer.destination, answer.source);
    pair.tell_east(Input::Datagram {
        local,
        remote,
        bytes: message.encode(),
    });
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
}

/// Whoever is refused over and over, with ever other offers, fills neither journal nor status.
#[test]
fn refusals_are_told_seldom_and_briefly() {
    let mut pair = Pair::new();
    let mut west = connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    pair.configure_east([("to-west", connection("192.0.2.1", "192.0.2.2"))]);
    for spi in 1..=200 {
        let mut message = Message::decode(&start(&pair, spi)).unwrap();
        for payload in &mut message.payloads {
            if let Payload::SecurityAssociation(offered) = payload {
                let transform = offered.proposals[0].transforms[0].clone();
                let foreign = ike::wire::Transform {
                    id: 1000 + spi as u16,
                    ..transform
                };
                offered.proposals[0].transforms = vec![foreign; 200];
            }
        }
        west_receives(&mut pair, east_address(), message.encode());
    }
    let told = pair
        .west
        .events
        .iter()
        .filter(|event| matches!(event, ike::Event::AttemptFailed(..)));
    assert_eq!((told.count(), pair.west.snapshot().half_open), (1, 0));
    assert!(pair.west.outage().offered.chars().count() <= 501);
}
