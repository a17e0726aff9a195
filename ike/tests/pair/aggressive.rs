//! IKEv1: aggressive mode, where a connection allows it (RFC 2409 §5.1, §5.4).

use std::time::Duration;

use ike::crypto::{Group, Prf};
use ike::wire::v1::registry::{exchange, payload};
use ike::wire::v1::{IdentificationPayload, Message, Payload};
use ike::{
    Connection, DropCause, Encapsulation, Event, Identity, Input, Mode, Reason, Side, Stage, WeakAlgorithm,
};

use crate::certificates::Certified;
use crate::hostile1::flood;
use crate::network::Nat;
use crate::pki::Kind;
use crate::version1::{
    east_hears, endures_a_bad_network, nothing_is_lost_by_it, outlives_any_one_loss, pair_with, version_1,
};
use crate::{Pair, certificates1, connection, name};

/// Both sides allow aggressive mode.
fn aggressive(mut connection: Connection) -> Connection {
    connection.aggressive = true;
    connection
}

/// East starts with west by aggressive mode; `change` alters each side's connection before.
fn pair(change: impl Fn(&mut Connection, &mut Connection)) -> Pair {
    pair_with(|east, west| {
        (east.aggressive, west.aggressive) = (true, true);
        change(east, west);
    })
}

fn established() -> Pair {
    let mut pair = pair(|_, _| ());
    pair.run_until_quiet();
    pair.assert_up();
    pair
}

/// The first message that east sent.
fn first(pair: &Pair) -> Vec<u8> {
    pair.network.history.front().unwrap().bytes.clone()
}

fn west_receives(pair: &mut Pair, bytes: Vec<u8>) {
    let (local, remote) = ("192.0.2.2:500".parse().unwrap(), "192.0.2.1:500".parse().unwrap());
    pair.tell_west(Input::Datagram { local, remote, bytes });
}

/// A message 1 with another cookie, from somebody who says this.
fn asks(pair: &mut Pair, cookie: u64, said: IdentificationPayload) -> Option<Message> {
    let mut message = Message::decode(&first(pair)).unwrap();
    message.header.initiator_spi = cookie;
    for payload in &mut message.payloads {
        if let Payload::Identification(found) = payload {
            *found = said.clone();
        }
    }
    let sent = pair.network.history.len();
    west_receives(pair, message.encode());
    let answer = pair.network.history.get(sent);
    answer.map(|packet| Message::decode(&packet.bytes).unwrap())
}

fn address(last: u8) -> IdentificationPayload {
    IdentificationPayload {
        kind: 1,
        protocol: 0,
        port: 0,
        data: vec![192, 0, 2, last],
    }
}

/// Three messages of aggressive mode, three of quick mode; both sides know who the other is, and status calls it weak.
#[test]
fn a_connection_comes_up_by_three_messages() {
    let pair = established();
    let kinds: Vec<_> = pair
        .network
        .history
        .iter()
        .map(|packet| packet.bytes[18])
        .collect();
    assert_eq!(kinds, [4, 4, 4, 32, 32, 32]);
    for (site, peer) in [(&pair.east, "192.0.2.2"), (&pair.west, "192.0.2.1")] {
        let standing = site.standing();
        let identity = Identity::Address(peer.parse().unwrap());
        assert_eq!(standing.ike.unwrap().remote_identity, Some(identity));
        let weak: Vec<&WeakAlgorithm> = standing.weak.iter().collect();
        assert_eq!(
            weak.iter()
                .map(|weak| (weak.algorithm.as_str(), weak.in_use))
                .collect::<Vec<_>>(),
            [("aggressive mode", true)]
        );
    }
    let snapshot = pair.west.snapshot();
    assert_eq!((snapshot.half_open, snapshot.drops.len()), (0, 0));
}

/// A responder that allows it takes main mode as well; one that does not takes main mode alone, and says nothing else.
#[test]
fn it_is_never_done_unless_it_is_allowed() {
    let mut main = pair_with(|_, west| west.aggressive = true);
    main.run_until_quiet();
    main.assert_up();
    let weak = main.west.standing().weak;
    assert!(
        weak.iter()
            .any(|weak| weak.algorithm == "aggressive mode" && !weak.in_use)
    );
    let mut refused = pair_with(|east, _| east.aggressive = true);
    refused.run_for(Duration::from_secs(30));
    assert!(refused.west.drops(DropCause::AggressiveMode) > 3);
    let from_west = refused
        .network
        .history
        .iter()
        .filter(|packet| packet.source.ip() == refused.west.address);
    assert_eq!(from_west.count(), 0, "nothing is answered");
    let outage = refused.east.outage();
    assert_eq!(
        (outage.reason, outage.side, outage.stage),
        (Reason::PeerUnreachable, Side::We, Stage::AggressiveMode)
    );
    assert_eq!(refused.west.snapshot().half_open, 0);
}

#[test]
fn every_hash_and_group_works() {
    for prf in [Prf::HmacMd5, Prf::HmacSha1, Prf::HmacSha2_256, Prf::HmacSha2_512] {
        for group in [Group::Modp1024, Group::Ecp256, Group::Modp2048] {
            let mut pair = pair(|east, west| {
                for side in [east, west] {
                    side.ike_proposals[0].prf = prf;
                    side.ike_proposals[0].groups = vec![group, Group::Ecp384];
                }
            });
            pair.run_until_quiet();
            pair.assert_up();
        }
    }
}

/// Signatures of RSA: each side signs once, and is known by its certificate.
#[test]
fn certificates_prove_it() {
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut pair = certificates1::pair(&certified, |east, west| {
        (east.aggressive, west.aggressive) = (true, true);
    });
    pair.run_until_quiet();
    pair.assert_up();
    assert_eq!(
        pair.network.history.front().unwrap().bytes[18],
        exchange::AGGRESSIVE
    );
    for (site, subject) in [
        (&pair.east, "CN=west,O=Contoso"),
        (&pair.west, "CN=east,O=Contoso"),
    ] {
        assert_eq!(site.signer.schemes.len(), 1);
        let identity = site.standing().ike.unwrap().remote_identity.unwrap();
        assert_eq!(identity.to_string(), subject);
    }
}

/// The same words as in main mode, on the side that finds the fault, and told by the other where a certificate is refused.
#[test]
fn who_cannot_be_believed_is_refused_and_why_is_told() {
    let mut secret = pair(|east, _| {
        east.authentication = ike::Authentication::pre_shared_key(b"another one".to_vec().into());
    });
    secret.run_for(Duration::from_secs(1));
    let outage = secret.east.outage();
    assert_eq!(
        (outage.reason, outage.side, outage.stage),
        (Reason::AuthenticationFailed, Side::We, Stage::AggressiveMode)
    );
    let mut identity = pair(|east, _| east.remote_identity = Identity::Fqdn("other".to_owned()).into());
    identity.run_for(Duration::from_secs(1));
    assert_eq!(identity.east.outage().reason, Reason::PeerIdentityUnexpected);
    let certified = Certified::new(Kind::Rsa, |_| ());
    let mut untrusted = certificates1::pair(&certified, |east, west| {
        (east.aggressive, west.aggressive) = (true, true);
        *crate::certificates::trust(west) = crate::pki::Authority::root("Another").trust();
    });
    untrusted.run_for(Duration::from_secs(1));
    assert!(matches!(untrusted.west.outage().reason, Reason::Certificate(_)));
    let outage = untrusted.east.outage();
    assert_eq!(
        (outage.reason, outage.side),
        (Reason::AuthenticationFailed, Side::Peer)
    );
    for pair in [secret, identity, untrusted] {
        assert!(pair.east.datapath.is_empty() && pair.west.datapath.is_empty());
    }
}

/// Message 2 of somebody who saw our cookie, in the place of the peer's: with another proof, as somebody else, with a public value
/// that is none, or all that the peer says with another cookie.
fn forgeries(genuine: &Message) -> Vec<Message> {
    let forged = |cookie: u64, change: &dyn Fn(&mut Payload)| {
        let mut message = genuine.clone();
        message.header.responder_spi = cookie;
        message.payloads.iter_mut().for_each(change);
        message
    };
    let proof = |payload: &mut Payload| {
        if let Payload::Hash(hash) = payload {
            hash.iter_mut().for_each(|octet| *octet ^= 1);
        }
    };
    let name = |payload: &mut Payload| {
        if let Payload::Identification(found) = payload {
            *found = address(99);
        }
    };
    let public = |payload: &mut Payload| {
        if let Payload::KeyExchange(found) = payload {
            found.fill(7);
        }
    };
    vec![
        forged(7, &proof),
        forged(8, &name),
        forged(9, &public),
        forged(10, &|_| ()),
        forged(genuine.header.responder_spi, &proof),
    ]
}

/// They change nothing and are counted; the peer's own message 2, which comes after them, is taken.
#[test]
fn a_forged_message_2_changes_nothing() {
    let mut pair = pair(|_, _| ());
    pair.run_for(Duration::from_millis(15));
    let [genuine] = pair.network.seize().try_into().expect("message 2");
    let forged = forgeries(&Message::decode(&genuine.bytes).unwrap());
    east_hears(&mut pair, &genuine, forged);
    assert_eq!(pair.east.drops(DropCause::IntegrityFailed), 4);
    assert_eq!(pair.east.drops(DropCause::Malformed), 1);
    nothing_is_lost_by_it(&mut pair, genuine);
}

/// Where nothing better comes, the attempt ends when nothing is sent again any more, with the reason; what comes again is not judged
/// again, and of what is new only some.
#[test]
fn an_attempt_that_hears_forgeries_alone_says_why_it_failed() {
    let mut pair = pair(|_, _| ());
    pair.run_for(Duration::from_millis(15));
    let [genuine] = pair.network.seize().try_into().expect("message 2");
    let message = forgeries(&Message::decode(&genuine.bytes).unwrap()).remove(0);
    pair.network.cut = true;
    let forged = (1..=100).map(|cookie| {
        let mut message = message.clone();
        message.header.responder_spi = cookie;
        message
    });
    east_hears(&mut pair, &genuine, forged);
    assert_eq!(pair.east.drops(DropCause::IntegrityFailed), 100);
    let failed = |event: &&Event| matches!(event, Event::AttemptFailed(..));
    assert_eq!(pair.east.events.iter().filter(failed).count(), 0);
    assert_eq!(
        pair.east.outage().reason,
        Reason::AuthenticationFailed,
        "told at once"
    );
    pair.run_for(Duration::from_secs(12));
    let Some(Event::AttemptFailed(_, outage)) = pair.east.events.iter().find(failed) else {
        panic!("the attempt does not end");
    };
    assert_eq!(
        (outage.reason, outage.side, outage.stage),
        (Reason::AuthenticationFailed, Side::We, Stage::AggressiveMode)
    );
}

/// Somebody whom nobody expects gets an answer of the same shape as the peer does, and is counted; neither leaves an SA.
#[test]
fn identities_cannot_be_probed() {
    let mut pair = established();
    let shape = |message: &Message| {
        let octets = |payload: &Payload| {
            ike::wire::v1::chain::encode(std::slice::from_ref(payload))
                .1
                .len()
        };
        message.payloads.iter().map(octets).collect::<Vec<_>>()
    };
    let mut shapes = Vec::new();
    for last in 1..=10 {
        let answer = asks(&mut pair, u64::from(last), address(last)).expect("an answer");
        assert_eq!(answer.header.exchange_type, exchange::AGGRESSIVE);
        shapes.push(shape(&answer));
    }
    shapes.dedup();
    assert_eq!(shapes.len(), 1, "known or not, the answer looks the same");
    assert_eq!(pair.west.drops(DropCause::UnknownIdentity), 9);
    pair.network.seize();
    pair.network.cut = true;
    pair.run_for(Duration::from_secs(31));
    assert_eq!(pair.west.snapshot().half_open, 0);
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(60));
    pair.assert_up();
}

/// ID payloads whose length is not that of their type are nobody's, and messages without what is needed start nothing.
#[test]
fn malformed_first_messages_start_nothing() {
    let mut pair = established();
    for (cookie, octets) in [(1, 0), (2, 3), (3, 5), (4, 300)] {
        let said = IdentificationPayload {
            data: vec![1; octets],
            ..address(1)
        };
        asks(&mut pair, cookie, said);
    }
    assert_eq!(pair.west.drops(DropCause::UnknownIdentity), 4);
    let half_open = pair.west.snapshot().half_open;
    for (cookie, kind) in [
        (5, payload::SA),
        (6, payload::KE),
        (7, payload::NONCE),
        (8, payload::ID),
    ] {
        let mut message = Message::decode(&first(&pair)).unwrap();
        message.header.initiator_spi = cookie;
        message.payloads.retain(|payload| payload.kind() != kind);
        west_receives(&mut pair, message.encode());
    }
    assert_eq!(pair.west.drops(DropCause::Malformed), 4);
    assert_eq!(pair.west.snapshot().half_open, half_open);
}

/// First messages from the address of the peer: what they leave is bounded, and ends; the tunnel stays.
#[test]
fn a_flood_is_bounded() {
    let mut pair = established();
    let template = first(&pair);
    flood(&mut pair, &template, 2_000);
}

/// Whatever the network does, both sides end with the same single child.
#[test]
fn a_bad_network_delays_but_does_not_confuse() {
    endures_a_bad_network(|| pair(|_, _| ()));
}

/// Any one message of the six may be lost: the connection is up within two seconds all the same.
#[test]
fn any_one_message_may_be_lost() {
    outlives_any_one_loss(6, |connection| aggressive(version_1(connection)));
}

/// Both start at once: one SA stays, on either side the same; the other one is closed.
#[test]
fn a_duplicate_phase_1_is_settled() {
    Pair::settle_on_one(|connection| aggressive(version_1(connection)));
}

/// A NAT before the initiator: message 3 and what follows goes from port 4500, and ESP in UDP.
#[test]
fn a_nat_is_traversed() {
    let mut pair = Pair::new();
    pair.network.nat = Some(Nat::new("192.0.2.1", "198.51.100.7"));
    let west = Connection {
        remote: ike::Remote::Any,
        mode: Mode::ResponderOnly,
        ..aggressive(version_1(connection("192.0.2.2", "192.0.2.1")))
    };
    pair.configure_west([("to-east", west)]);
    let east = aggressive(version_1(connection("192.0.2.1", "192.0.2.2")));
    pair.configure_east([("to-west", east)]);
    pair.run_until_quiet();
    let (east, west) = (pair.east.child(), pair.west.child());
    assert_eq!(
        (east.encapsulation, west.encapsulation),
        (Encapsulation::Udp, Encapsulation::Udp)
    );
    assert_eq!((east.local.port(), east.remote.port()), (4500, 4500));
    let ike = pair.west.standing().ike.unwrap();
    assert!(ike.nat_remote && !ike.nat_local);
}

/// A new phase 1 by aggressive mode takes the place of the old one, and no packet is lost.
#[test]
fn a_new_phase_1_interrupts_nothing() {
    let mut pair = established();
    let before = pair.west.standing().ike.unwrap();
    pair.tell_east(Input::RekeyIke(name("to-west")));
    pair.run_for(Duration::from_secs(90));
    assert_ne!(
        before.initiator_spi,
        pair.west.standing().ike.unwrap().initiator_spi
    );
    pair.assert_kept();
    assert!(pair.west.events.contains(&Event::IkeRekeyed(name("to-east"))));
}
