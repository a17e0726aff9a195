//! Whether the peer of a connection of IKEv1 answers IKEv2, tried when an operator asks.

use std::time::Duration;

use ike::crypto::Group;
use ike::wire::registry::{exchange, notify};
use ike::wire::{Header, Message, NotifyPayload, Payload};
use ike::{
    Connection, DropCause, Event, Input, Limits, Mode, Remote, Version, Version2Answer, Version2Trial,
};

use crate::network::Packet;
use crate::pair::settings;
use crate::version1::version_1;
use crate::{Pair, connection, name};

/// What east offers by IKEv2.
const OFFERED: &str = "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_256";

/// A tunnel of IKEv1, and a connection of IKEv2 beside it at west as `change` leaves it, if there is to be one.
fn pair(change: Option<fn(&mut Connection)>) -> Pair {
    let mut pair = Pair::new();
    let west = Connection {
        mode: Mode::ResponderOnly,
        ..version_1(connection("192.0.2.2", "192.0.2.1"))
    };
    let newer = change.map(|change| {
        let mut newer = Connection {
            version: Version::V2,
            ..west.clone()
        };
        change(&mut newer);
        (name("newer"), newer)
    });
    let mut all = settings([("to-east", west)]);
    all.connections.extend(newer);
    pair.tell_west(Input::Settings(Box::new(all)));
    pair.configure_east([("to-west", version_1(connection("192.0.2.1", "192.0.2.2")))]);
    pair.run_until_quiet();
    assert!(pair.east.is_up());
    pair
}

fn ask(pair: &mut Pair) {
    pair.tell_east(Input::TryVersion2(name("to-west")));
}

fn told(pair: &Pair) -> Version2Trial {
    pair.east.standing().version_2.unwrap()
}

/// It was asked, and this came of it; the tunnel is what it was.
fn comes_to(pair: &mut Pair, answer: Version2Answer, said: &str) {
    let before = pair.east.child().inbound.spi;
    ask(pair);
    assert_eq!(told(pair).answer, Version2Answer::Awaited);
    pair.run_for(Duration::from_secs(15));
    let told = told(pair);
    assert_eq!((told.answer, told.said.as_str()), (answer, said));
    assert_eq!(pair.east.child().inbound.spi, before);
    assert!(pair.east.is_up());
    let tried = |event: &&Event| event.word() == "ikev2-tried";
    let told_of: Vec<_> = pair.east.events.iter().filter(tried).collect();
    assert_eq!(told_of, [&Event::Version2Tried(name("to-west"), told)]);
}

/// The messages of IKE_SA_INIT that went either way.
fn requests(pair: &Pair) -> Vec<Packet> {
    let packets = pair.network.history.iter();
    let first =
        packets.filter(|packet| packet.bytes[17] == 0x20 && packet.bytes[18] == exchange::IKE_SA_INIT);
    first.cloned().collect()
}

/// What west says to the last request of east, which never reached it.
fn answers(pair: &mut Pair, from: &str, change: impl Fn(&mut Message)) {
    let request = requests(pair).pop().unwrap();
    let header = Header {
        flags: Header::RESPONSE,
        ..Message::decode(&request.bytes).unwrap().header
    };
    let kind = notify::NO_PROPOSAL_CHOSEN;
    let mut message = Message {
        header,
        payloads: vec![Payload::Notify(NotifyPayload {
            protocol: 0,
            spi: Vec::new(),
            kind,
            data: Vec::new(),
        })],
    };
    change(&mut message);
    let (local, remote) = ("192.0.2.1:500".parse().unwrap(), from.parse().unwrap());
    let bytes = message.encode();
    pair.tell_east(Input::Datagram { local, remote, bytes });
}

/// It was asked, and the network swallows the request.
fn unheard() -> Pair {
    let mut pair = pair(None);
    ask(&mut pair);
    pair.network.seize();
    pair
}

/// What it takes of the connection's own proposals is told; one request, one answer, and no SA on either side for long.
#[test]
fn a_peer_that_speaks_both_tells_what_it_takes() {
    let mut pair = pair(Some(|_| ()));
    comes_to(&mut pair, Version2Answer::Accepted, OFFERED);
    assert_eq!(told(&pair).offered, OFFERED);
    assert_eq!(requests(&pair).len(), 2);
    pair.run_for(Duration::from_secs(20));
    assert_eq!(pair.west.snapshot().half_open, 0);
    let west = pair.west.snapshot().connections;
    assert!(west[&name("newer")].ike.is_none() && west[&name("to-east")].ike.is_some());
}

/// A group that is not the first, and a cookie, cost one more message each.
#[test]
fn it_is_asked_again_for_another_group_and_with_a_cookie() {
    let mut pair = pair(Some(|newer| newer.ike_proposals[0].groups = vec![Group::Ecp384]));
    let mut east = version_1(connection("192.0.2.1", "192.0.2.2"));
    east.ike_proposals[0].groups = vec![Group::Ecp256, Group::Ecp384];
    pair.configure_east([("to-west", east)]);
    pair.run_until_quiet();
    comes_to(
        &mut pair,
        Version2Answer::Accepted,
        "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_384",
    );
    assert_eq!(requests(&pair).len(), 4);

    let mut pair = self::pair(Some(|_| ()));
    let mut all = settings([("newer", connection("192.0.2.2", "192.0.2.1"))]);
    let newer = all.connections.get_mut(&name("newer")).unwrap();
    newer.mode = Mode::ResponderOnly;
    newer.ike_proposals = version_1(newer.clone()).ike_proposals;
    all.limits = Limits {
        cookie_threshold: 0,
        ..Limits::default()
    };
    pair.tell_west(Input::Settings(Box::new(all)));
    ask(&mut pair);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(told(&pair).answer, Version2Answer::Accepted);
    assert_eq!(requests(&pair).len(), 4);
}

/// What it does not take is told with what was offered.
#[test]
fn a_peer_that_takes_none_of_it_says_so() {
    let mut pair = pair(Some(|newer| {
        newer.ike_proposals[0].groups = vec![Group::Modp2048]
    }));
    comes_to(&mut pair, Version2Answer::NoProposal, "");
    assert_eq!(told(&pair).offered, OFFERED);
}

/// A gateway that knows IKEv2 and has no connection of it for us says the same as one with other proposals.
#[test]
fn a_peer_without_a_connection_of_ikev2_takes_none_of_it() {
    let mut pair = pair(None);
    comes_to(&mut pair, Version2Answer::NoProposal, "");
}

/// Who does not answer is asked five times in eleven seconds, and not once more.
#[test]
fn silence_is_an_answer_too() {
    let mut pair = pair(Some(|_| ()));
    pair.network.cut = true;
    comes_to(&mut pair, Version2Answer::NoAnswer, "");
    pair.network.cut = false;
    pair.run_for(Duration::from_secs(600));
    let requests = requests(&pair);
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|packet| packet.bytes == requests[0].bytes));
}

/// It is never tried by itself, and never twice at once.
#[test]
fn nobody_is_asked_unasked() {
    let mut pair = pair(Some(|_| ()));
    pair.run_for(Duration::from_secs(3600));
    assert_eq!((requests(&pair).len(), pair.east.standing().version_2), (0, None));
    for _ in 0..9 {
        ask(&mut pair);
    }
    pair.run_for(Duration::from_secs(15));
    assert_eq!(requests(&pair).len(), 2);
    let mut newer = Pair::established();
    let sent = newer.network.history.len();
    ask(&mut newer);
    assert_eq!(
        newer.network.history.len(),
        sent,
        "a connection of IKEv2 has nothing to try"
    );
}

/// A gateway that knows IKEv1 alone says so under its own version (RFC 2408 §5.2), or by the error of IKEv2.
#[test]
fn a_peer_that_knows_version_1_alone_may_say_so() {
    let changes: [fn(&mut Message); 2] = [
        |message| {
            (message.header.version, message.header.exchange_type) = (0x10, 5);
            message.header.flags = 0;
            message.payloads.clear();
        },
        |message| {
            if let Payload::Notify(found) = &mut message.payloads[0] {
                found.kind = notify::INVALID_MAJOR_VERSION;
            }
        },
    ];
    for change in changes {
        let mut pair = unheard();
        answers(&mut pair, "192.0.2.2:500", change);
        assert_eq!(told(&pair).answer, Version2Answer::Version1);
        let sent = pair.network.history.len();
        pair.run_for(Duration::from_secs(12));
        assert_eq!(
            requests(&pair).len(),
            1,
            "nothing is asked after the answer: {sent}"
        );
    }
}

/// A group that was not offered, a redirect and other errors are told as they were said.
#[test]
fn what_else_a_peer_says_is_told() {
    let says = |kind: u16, data: &[u8]| {
        let mut pair = unheard();
        answers(&mut pair, "192.0.2.2:500", |message| {
            message.payloads = vec![Payload::Notify(NotifyPayload {
                protocol: 0,
                spi: Vec::new(),
                kind,
                data: data.to_vec(),
            })];
        });
        let told = told(&pair);
        (told.answer, told.said)
    };
    let group = says(notify::INVALID_KE_PAYLOAD, &[0, 14]);
    assert_eq!(group, (Version2Answer::OtherGroup, "MODP_2048".to_owned()));
    let redirect = says(notify::REDIRECT, &[1, 4, 203, 0, 113, 9]);
    assert_eq!(
        redirect,
        (Version2Answer::Refused, "redirect to 203.0.113.9".to_owned())
    );
    let other = says(notify::INVALID_SYNTAX, &[]);
    assert_eq!(other, (Version2Answer::Refused, "notify 7".to_owned()));
}

/// From another address or port, under another SPI, as a request, or as no message at all: nobody's answer, and the right one is
/// waited for.
#[test]
fn only_an_answer_to_our_request_counts() {
    let mut pair = unheard();
    answers(&mut pair, "192.0.2.66:500", |_| ());
    answers(&mut pair, "192.0.2.2:4500", |_| ());
    answers(&mut pair, "192.0.2.2:500", |message| {
        message.header.initiator_spi ^= 1
    });
    answers(&mut pair, "192.0.2.2:500", |message| {
        message.header.flags = Header::INITIATOR
    });
    answers(&mut pair, "192.0.2.2:500", |message| {
        message.header.message_id = 1
    });
    answers(&mut pair, "192.0.2.2:500", |message| {
        message.header.version = 0x30
    });
    answers(&mut pair, "192.0.2.2:500", |message| message.payloads.clear());
    assert_eq!(told(&pair).answer, Version2Answer::Awaited);
    assert!(pair.east.drops(DropCause::Malformed) >= 1);
    assert!(pair.east.is_up());
    answers(&mut pair, "192.0.2.2:500", |_| ());
    assert_eq!(told(&pair).answer, Version2Answer::NoProposal);
    let sent = requests(&pair).len();
    answers(&mut pair, "192.0.2.2:500", |_| ());
    assert_eq!(
        (told(&pair).answer, requests(&pair).len()),
        (Version2Answer::NoProposal, sent)
    );
}

/// Somebody who asks for one cookie after another ends it.
#[test]
fn cookies_without_end_are_not_followed() {
    let mut pair = unheard();
    for byte in 0..7 {
        answers(&mut pair, "192.0.2.2:500", |message| {
            if let Payload::Notify(found) = &mut message.payloads[0] {
                (found.kind, found.data) = (notify::COOKIE, vec![byte; 8]);
            }
        });
        pair.network.seize();
    }
    assert_eq!(told(&pair).answer, Version2Answer::Refused);
    assert_eq!(requests(&pair).len(), 7);
}

/// A peer that may come from anywhere is asked where it came from; while it is nowhere, nobody is asked.
#[test]
fn a_peer_from_anywhere_is_asked_where_it_is() {
    let mut pair = Pair::new();
    let east = Connection {
        remote: Remote::Any,
        mode: Mode::ResponderOnly,
        ..version_1(connection("192.0.2.1", "192.0.2.2"))
    };
    pair.configure_east([("to-west", east)]);
    ask(&mut pair);
    assert_eq!(told(&pair).answer, Version2Answer::NoAddress);
    assert_eq!(requests(&pair).len(), 0);
    pair.configure_west([("to-east", version_1(connection("192.0.2.2", "192.0.2.1")))]);
    pair.run_until_quiet();
    ask(&mut pair);
    let asked = requests(&pair).pop().unwrap();
    assert_eq!(asked.destination, "192.0.2.2:500".parse().unwrap());
    assert_eq!(told(&pair).answer, Version2Answer::Awaited);
}

/// With its connection a trial ends, and when we stop; nothing is left to be done for it.
#[test]
fn a_trial_ends_with_its_connection() {
    let mut pair = unheard();
    pair.configure_east([]);
    pair.run_for(Duration::from_secs(15));
    assert_eq!(requests(&pair).len(), 1);
    let mut pair = unheard();
    pair.tell_east(Input::Shutdown);
    pair.run_for(Duration::from_secs(15));
    assert!(pair.east.engine.is_idle() && pair.east.engine.deadline().is_none());
    assert_eq!(requests(&pair).len(), 1);
}
