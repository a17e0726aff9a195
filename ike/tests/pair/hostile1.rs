//! IKEv1: messages that nobody should have sent change nothing, and are counted.

use std::time::Duration;

use ike::wire::v1::registry::{exchange, notify, protocol};
use ike::wire::v1::{DeletePayload, Message, NotifyPayload, Payload};
use ike::{DropCause, Input, Limits, Version};

use crate::hostile::damage_and_deliver;
use crate::network::Packet;
use crate::version1::{east_hears, established, nothing_is_lost_by_it, pair_with, version_1};
use crate::{Pair, connection};

fn cookies(pair: &Pair) -> (u64, u64) {
    let ike = pair.west.standing().ike.unwrap();
    (ike.initiator_spi, ike.responder_spi)
}

fn west_receives(pair: &mut Pair, bytes: Vec<u8>) {
    let (local, remote) = ("192.0.2.2:500".parse().unwrap(), "192.0.2.1:500".parse().unwrap());
    pair.tell_west(Input::Datagram { local, remote, bytes });
}

/// In clear text, as anyone can send it.
fn informational(pair: &Pair, payload: Payload) -> Vec<u8> {
    let header = Message::header(cookies(pair), exchange::INFORMATIONAL, 77);
    let payloads = vec![payload];
    Message { header, payloads }.encode()
}

fn both_cookies(pair: &Pair) -> Vec<u8> {
    let (initiator, responder) = cookies(pair);
    [initiator.to_be_bytes(), responder.to_be_bytes()].concat()
}

/// A Delete that nothing protects deletes nothing: neither a Child SA nor the SA itself.
#[test]
fn unauthenticated_deletes_delete_nothing() {
    let mut pair = established();
    let sent = pair.network.history.len();
    let spi = pair.west.child().outbound.spi.to_be_bytes().to_vec();
    let deletes = [(protocol::ESP, spi), (protocol::ISAKMP, both_cookies(&pair))];
    for (protocol, spi) in deletes {
        let spis = vec![spi];
        let bytes = informational(&pair, Payload::Delete(DeletePayload { protocol, spis }));
        west_receives(&mut pair, bytes);
    }
    assert_eq!(pair.west.drops(DropCause::Unprotected), 2);
    assert_eq!(pair.network.history.len(), sent);
    pair.assert_kept();
}

/// Questions and answers about dead peers count only under protection; so do errors, CONNECTED and INITIAL-CONTACT.
#[test]
fn unauthenticated_notifications_change_nothing() {
    let mut pair = established();
    let sent = pair.network.history.len();
    let kinds = [
        notify::R_U_THERE,
        notify::R_U_THERE_ACK,
        notify::CONNECTED,
        notify::INITIAL_CONTACT,
        notify::NO_PROPOSAL_CHOSEN,
        notify::INVALID_COOKIE,
    ];
    for kind in kinds {
        let notify = NotifyPayload {
            protocol: protocol::ISAKMP,
            spi: both_cookies(&pair),
            kind,
            data: vec![0, 0, 0, 9],
        };
        let bytes = informational(&pair, Payload::Notify(notify));
        west_receives(&mut pair, bytes);
    }
    assert_eq!(pair.west.drops(DropCause::Unprotected), 6);
    assert_eq!(pair.network.history.len(), sent, "nothing is answered");
    pair.assert_kept();
}

/// Message 1 of a quick mode that is done starts no other, however often it comes; nor does a question about dead peers get
/// more than one answer.
#[test]
fn a_replayed_quick_mode_starts_nothing() {
    let mut pair = established();
    let east = pair.east.address;
    let kind = |packet: &&Packet, kind: u8| packet.bytes[18] == kind && packet.source.ip() == east;
    let quick: Vec<_> = pair
        .network
        .history
        .iter()
        .filter(|packet| kind(packet, 32))
        .cloned()
        .collect();
    assert_eq!(quick.len(), 2, "messages 1 and 3");
    let before = pair.west.child().inbound.spi;
    pair.run_for(Duration::from_secs(70));
    let children = pair.west.datapath.len();
    for _ in 0..20 {
        for packet in &quick {
            west_receives(&mut pair, packet.bytes.clone());
        }
    }
    assert_eq!(pair.west.datapath.len(), children);
    assert_eq!(pair.west.child().inbound.spi, before);
    assert!(pair.west.drops(DropCause::UnexpectedMessageId) >= 20);
    let asked = pair
        .network
        .history
        .iter()
        .rev()
        .find(|packet| kind(packet, 5))
        .cloned();
    let sent = pair.network.history.len();
    west_receives(&mut pair, asked.expect("a question was asked").bytes);
    assert_eq!(pair.network.history.len(), sent);
    pair.assert_kept();
}

/// The commit bit, which nothing protects, delays nothing (RFC 2408 §3.1 would have us wait for CONNECTED).
#[test]
fn the_commit_bit_is_not_heeded() {
    let mut pair = pair_with(|_, _| ());
    for _ in 0..9 {
        for mut packet in pair.network.seize() {
            packet.bytes[19] |= Message::COMMIT;
            pair.network.send(packet, pair.now);
        }
        pair.run_for(Duration::from_millis(10));
    }
    pair.run_for(Duration::from_millis(20));
    pair.assert_up();
    assert!(pair.west.drops(DropCause::CommitBit) >= 5, "each is counted");
}

/// An ID payload of a quick mode that is no range of addresses gets no Child SA, and is counted.
#[test]
fn identities_of_quick_mode_that_are_none_get_no_child() {
    let mut pair = pair_with(|east, _| {
        // What cannot be said goes out as an ID payload of type 0 without an octet.
        east.lines[0].local[0].end = "2001:db8::1".parse().unwrap();
    });
    pair.run_for(Duration::from_secs(5));
    assert!(pair.west.drops(DropCause::Malformed) >= 1);
    assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    assert_eq!(pair.east.outage().reason, ike::Reason::SelectorMismatch);
}

/// Aggressive mode tells nobody anything: neither whether an identity is known nor a hash to try secrets on.
#[test]
fn identities_cannot_be_probed_by_aggressive_mode() {
    let mut pair = established();
    let sent = pair.network.history.len();
    for byte in 0..100_u8 {
        let header = Message::header((u64::from(byte) + 1, 0), exchange::AGGRESSIVE, 0);
        let first = pair.network.history.front().unwrap().bytes.clone();
        let mut message = Message::decode(&first).unwrap();
        message.payloads.push(Payload::KeyExchange(vec![byte; 64]));
        message.payloads.push(Payload::Nonce(vec![byte; 32]));
        message.header = header;
        west_receives(&mut pair, message.encode());
    }
    assert_eq!(pair.west.drops(DropCause::AggressiveMode), 100);
    assert_eq!(pair.network.history.len(), sent, "nothing is answered");
    assert_eq!(pair.west.snapshot().half_open, 0);
    pair.assert_kept();
}

/// First messages from the address of the peer, of all kinds: what they leave is bounded, and ends; the tunnel stays.
#[test]
fn a_flood_of_phase_1_is_bounded() {
    let mut pair = established();
    let template = pair.network.history.front().unwrap().bytes.clone();
    flood(&mut pair, &template, 20_000);
}

/// So many first messages of strangers reach west: few are remembered, and none for long.
pub(crate) fn flood(pair: &mut Pair, template: &[u8], count: u64) {
    for spi in 1..=count {
        let mut bytes = template.to_vec();
        bytes[..8].copy_from_slice(&spi.to_be_bytes());
        let remote = format!("192.0.2.1:{}", 1024 + spi % 60_000).parse().unwrap();
        let local = "192.0.2.2:500".parse().unwrap();
        pair.west.events.clear();
        pair.tell_west(Input::Datagram { local, remote, bytes });
        pair.network.history.truncate(9);
        assert!(pair.west.snapshot().half_open <= Limits::default().cookie_threshold);
    }
    pair.network.seize();
    assert!(pair.west.drops(DropCause::HalfOpenLimit) > count / 100 * 95);
    pair.run_for(Duration::from_secs(31));
    assert_eq!(pair.west.snapshot().half_open, 0);
    pair.assert_up();
}

/// Chains of payloads that loop, and lists of attributes that are none, are counted and start nothing.
#[test]
fn malformed_first_messages_start_nothing() {
    let mut pair = established();
    let sound = pair.network.history.front().unwrap().bytes.clone();
    let sent = pair.network.history.len();
    let whole = |mut bytes: Vec<u8>| {
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[24..28].copy_from_slice(&length.to_be_bytes());
        bytes[0] ^= 1;
        bytes
    };
    let looped = |step: &[u8; 4], count: usize| {
        let mut bytes = sound[..28].to_vec();
        bytes[16] = step[0];
        bytes.extend(step.repeat(count));
        whole(bytes)
    };
    let mut attributes = sound.clone();
    // The first attribute of the first transform (header, SA, DOI, situation, proposal, transform): no octets follow it.
    attributes[28 + 12 + 8 + 8] &= 0x7f;
    attributes[28 + 12 + 8 + 8 + 2] = 0xff;
    let cases = [
        looped(&[13, 0, 0, 0], 100),
        looped(&[13, 0, 0, 4], 300),
        looped(&[1, 0, 0, 3], 9),
        whole(attributes),
        whole(sound[..60].to_vec()),
    ];
    let count = cases.len();
    for bytes in cases {
        west_receives(&mut pair, bytes);
    }
    assert_eq!(pair.west.drops(DropCause::Malformed), count as u64);
    assert_eq!(
        (pair.network.history.len(), pair.west.snapshot().half_open),
        (sent, 0)
    );
    pair.assert_kept();
}

/// Message 4 of somebody who saw our cookies, with a public value that gives any secret away or is none, ends no attempt; the peer's own is
/// taken.
#[test]
fn a_forged_message_4_ends_no_attempt() {
    let mut pair = pair_with(|_, _| ());
    pair.run_for(Duration::from_millis(35));
    let [genuine] = pair.network.seize().try_into().expect("message 4");
    let message = Message::decode(&genuine.bytes).unwrap();
    let forged = [1, 3, 32, 64, 128, 256].into_iter().flat_map(|length| {
        [0, 0xff].map(|octet| {
            let mut message = message.clone();
            for payload in &mut message.payloads {
                if let Payload::KeyExchange(public) = payload {
                    *public = vec![octet; length];
                }
            }
            message
        })
    });
    east_hears(&mut pair, &genuine, forged);
    assert_eq!(pair.east.drops(DropCause::Malformed), 12);
    nothing_is_lost_by_it(&mut pair, genuine);
}

/// Any one bit of any message flipped, or its end cut off: what is protected goes on as if nothing had come, and so does the
/// tunnel.
#[test]
fn damaged_messages_change_nothing() {
    let mut pair = pair_with(|_, _| ());
    pair.run_for(Duration::from_millis(45));
    for what in ["5 of main mode", "6 of main mode"] {
        let [packet] = pair.network.seize().try_into().expect(what);
        damage_and_deliver(&mut pair, &packet);
        pair.run_for(Duration::from_millis(11));
    }
    pair.run_for(Duration::from_secs(5));
    pair.assert_up();
    let before = pair.east.child().inbound.spi;
    let all: Vec<_> = pair.network.history.iter().cloned().collect();
    for packet in all.iter().rev().take(9) {
        damage_and_deliver(&mut pair, packet);
    }
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
    assert_eq!(pair.east.child().inbound.spi, before);
    assert!(pair.west.drops(DropCause::IntegrityFailed) > 100);
}

/// A connection speaks one version: the other is refused and counted, on either side.
#[test]
fn each_connection_speaks_one_version() {
    let mut pair = Pair::with(|east, _| *east = version_1(east.clone()));
    pair.run_for(Duration::from_secs(30));
    assert!(pair.west.drops(DropCause::UnsupportedVersion) > 3);
    assert!(pair.west.datapath.is_empty() && pair.west.snapshot().half_open == 0);
    let mut pair = Pair::with(|_, west| *west = version_1(west.clone()));
    pair.run_for(Duration::from_secs(30));
    assert!(pair.west.drops(DropCause::NoConnection) > 3);
    assert!(pair.west.datapath.is_empty() && pair.west.snapshot().half_open == 0);
    let mut changed = version_1(connection("192.0.2.1", "192.0.2.2"));
    assert_eq!(changed.version, Version::V1);
    pair.configure_east([("to-west", changed.clone())]);
    pair.run_until_quiet();
    pair.assert_up();
    changed.version = Version::V2;
    pair.configure_east([("to-west", changed)]);
    pair.run_for(Duration::from_secs(1));
    assert!(
        pair.west.datapath.is_empty(),
        "another version is another connection"
    );
}
