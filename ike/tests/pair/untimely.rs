//! Messages that come twice, late, back to their sender, in another order or damaged, and what anyone may say.

use std::time::Duration;

use ike::wire::registry::{exchange, notify};
use ike::wire::{Header, Message, NotifyPayload, Payload};
use ike::{DropCause, Input, Reason};

use crate::hostile::damage_and_deliver;
use crate::lines::{lose, one_on_demand, wanted};
use crate::network::Fate::Late;
use crate::network::Packet;
use crate::selectors::assert_carried;
use crate::situation::LATE;
use crate::{Pair, rekey};

const MOMENT: Duration = Duration::from_secs(1);

/// Up, and both SAs replaced by either side: every kind of message has passed.
fn with_a_past() -> Pair {
    let mut pair = Pair::established();
    for east in [true, false] {
        rekey::child(&mut pair, east);
        pair.run_for(MOMENT);
        rekey::ike(&mut pair, east);
        pair.run_for(MOMENT);
    }
    pair.run_for(Duration::from_secs(10));
    pair.assert_kept();
    pair
}

fn deliver(pair: &mut Pair, packet: Packet) {
    let (local, remote) = (packet.destination, packet.source);
    let input = Input::Datagram {
        local,
        remote,
        bytes: packet.bytes,
    };
    if local.ip() == pair.east.address {
        pair.tell_east(input);
    } else {
        pair.tell_west(input);
    }
}

fn spis(pair: &Pair) -> [u32; 2] {
    [pair.east.child().inbound.spi, pair.west.child().inbound.spi]
}

/// Whatever comes back to its sender, or once more in the reverse order, is no news to anybody.
#[test]
fn reflected_and_reordered_messages_change_nothing() {
    let mut pair = with_a_past();
    let before = spis(&pair);
    let past: Vec<_> = pair.network.history.iter().cloned().collect();
    for packet in &past {
        let reflected = Packet {
            source: packet.destination,
            destination: packet.source,
            bytes: packet.bytes.clone(),
        };
        deliver(&mut pair, reflected);
    }
    for packet in past.into_iter().rev() {
        deliver(&mut pair, packet);
    }
    pair.run_for(Duration::from_secs(200));
    pair.assert_kept();
    assert_eq!(spis(&pair), before);
    assert_eq!(
        (pair.east.snapshot().half_open, pair.west.snapshot().half_open),
        (0, 0)
    );
}

/// A peer that says everything twice, or three times, is understood once.
#[test]
fn answers_that_come_twice_count_once() {
    let mut pair = Pair::with(|_, _| ());
    pair.network.duplicates = 100;
    pair.run_until_quiet();
    for east in [true, false] {
        rekey::child(&mut pair, east);
        pair.run_for(MOMENT);
        rekey::ike(&mut pair, east);
        pair.run_for(MOMENT);
        pair.assert_kept();
    }
}

/// The answer to each request in turn is held back until we have given up: it then says nothing to us any more.
#[test]
fn answers_that_come_after_we_gave_up_are_not_heard() {
    for held in ["IKE_SA_INIT", "IKE_AUTH"] {
        let mut pair = Pair::with(|_, _| ());
        if held == "IKE_AUTH" {
            pair.run_for(Duration::from_millis(25));
            let [request] = pair.network.seize().try_into().expect("IKE_AUTH request");
            deliver(&mut pair, request);
        } else {
            pair.run_for(Duration::from_millis(15));
        }
        let [answer] = pair.network.seize().try_into().expect(held);
        pair.network.cut = true;
        pair.run_for(Duration::from_secs(100));
        let reason = pair.east.outage().reason;
        assert!(
            matches!(reason, Reason::PeerUnreachable | Reason::PeerSilent),
            "{held}: {reason:?}"
        );
        let events = pair.east.events.len();
        deliver(&mut pair, answer);
        assert!(pair.east.datapath.is_empty());
        assert_eq!(pair.east.outage().reason, reason, "{held}");
        assert!(pair.east.drops(DropCause::UnknownSpi) > 0 && pair.east.events.len() == events + 1);
        pair.network.cut = false;
        pair.run_for(Duration::from_secs(100));
        pair.assert_up();
    }
}

/// As for IKE_AUTH: a damaged wish to replace an SA, or a damaged answer to it, is as good as none.
#[test]
fn damaged_rekeys_change_nothing() {
    for ike in [false, true] {
        let mut pair = Pair::established();
        if ike {
            rekey::ike(&mut pair, true);
        } else {
            rekey::child(&mut pair, true);
        }
        pair.run_for(Duration::from_millis(1));
        for what in ["request", "answer"] {
            let [packet] = pair.network.seize().try_into().expect(what);
            damage_and_deliver(&mut pair, &packet);
            pair.run_for(Duration::from_millis(11));
        }
        pair.run_for(MOMENT);
        pair.assert_kept();
        let words: Vec<_> = pair.east.events.iter().map(ike::Event::word).collect();
        let rekeyed = if ike { "ike-rekeyed" } else { "child-rekeyed" };
        assert!(words.contains(&rekeyed), "{words:?}");
    }
}

/// An error that nothing protects, as anyone can send it who sees our SPIs.
fn unprotected(pair: &Pair, kind: u16, data: Vec<u8>) -> Packet {
    let ike = pair.east.standing().ike.unwrap();
    let flags = Header::RESPONSE;
    let header = Header::new(
        ike.initiator_spi,
        ike.responder_spi,
        exchange::INFORMATIONAL,
        flags,
        0,
    );
    let payloads = vec![Payload::Notify(NotifyPayload::new(kind, data))];
    Packet {
        source: "192.0.2.2:500".parse().unwrap(),
        destination: "192.0.2.1:500".parse().unwrap(),
        bytes: Message { header, payloads }.encode(),
    }
}

/// The same about a Child SA, which names no IKE SA (RFC 7296 §1.5).
fn unknown_child(spi: u32) -> Packet {
    let header = Header::new(0, 0, exchange::INFORMATIONAL, Header::INITIATOR, 0);
    let error = NotifyPayload::new(notify::INVALID_SPI, spi.to_be_bytes().to_vec());
    let payloads = vec![Payload::Notify(error)];
    Packet {
        source: "192.0.2.2:500".parse().unwrap(),
        destination: "192.0.2.1:500".parse().unwrap(),
        bytes: Message { header, payloads }.encode(),
    }
}

/// That an SA is unknown is a hint: the peer is asked whether it is there, every ten seconds at most, and nothing else
/// comes of it (§2.21.4).
#[test]
fn unprotected_hints_cost_a_question_at_most() {
    let mut pair = Pair::established();
    pair.run_for(Duration::from_secs(15));
    let (before, sent) = (spis(&pair), pair.network.history.len());
    let outbound = pair.east.child().outbound.spi;
    for _ in 0..100 {
        let unknown_ike = unprotected(&pair, notify::INVALID_IKE_SPI, Vec::new());
        for packet in [unknown_ike, unknown_child(outbound)] {
            deliver(&mut pair, packet);
        }
        pair.run_for(Duration::from_millis(100));
    }
    let from_east = |packet: &&Packet| packet.source.ip().to_string() == "192.0.2.1";
    let asked = pair.network.history.iter().skip(sent).filter(from_east);
    // To the stranger about the Child SA we say that its IKE SA is unknown.
    let asked = asked.filter(|packet| packet.bytes[..8] != [0; 8]);
    assert_eq!(asked.count(), 1, "asked once in ten seconds");
    assert_eq!(pair.east.drops(DropCause::Unprotected), 100);
    for error in [
        unknown_child(outbound ^ 1),
        unprotected(&pair, notify::INVALID_SYNTAX, Vec::new()),
    ] {
        pair.run_for(Duration::from_secs(11));
        let sent = pair.network.history.len();
        deliver(&mut pair, error);
        let told = pair.network.history.iter().skip(sent).filter(from_east);
        assert_eq!(
            told.filter(|packet| packet.bytes[..8] != [0; 8]).count(),
            0,
            "no hint"
        );
    }
    pair.run_for(Duration::from_secs(60));
    pair.assert_kept();
    assert_eq!(spis(&pair), before);
}

/// A peer that forgot us and says so is found out at once, not after the time for silence.
#[test]
fn a_peer_that_says_it_forgot_us_is_found_out_early() {
    let mut pair = Pair::with(|east, west| {
        (east.dpd_timeout, west.dpd_timeout) = (Duration::from_secs(3600), Duration::from_secs(3600));
    });
    pair.run_until_quiet();
    pair.run_for(Duration::from_secs(20));
    let outbound = pair.east.child().outbound.spi;
    pair.west.restart();
    let mut west = crate::connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    deliver(&mut pair, unknown_child(outbound));
    pair.run_for(Duration::from_secs(14));
    pair.assert_up();
}

/// Killed while its kernel carries on, a side that may only respond has the peer find out: else that would miss nothing
/// until the kernel is told to stop.
#[test]
fn a_side_that_only_responds_says_what_it_knows_no_more() {
    let orphaned = |pair: &mut Pair, spi| {
        pair.tell_west(Input::Orphaned {
            connection: crate::name("to-east"),
            local: "192.0.2.2:500".parse().unwrap(),
            remote: "192.0.2.1:500".parse().unwrap(),
            spi,
        });
    };
    let mut pair = Pair::with(|east, west| {
        (east.dpd_timeout, west.dpd_timeout) = (Duration::from_secs(3600), Duration::from_secs(3600));
    });
    pair.run_for(Duration::from_secs(20));
    let (old, sent) = (pair.west.child().inbound.spi, pair.network.history.len());
    orphaned(&mut pair, old);
    assert_eq!(pair.network.history.len(), sent, "it has an IKE SA");
    pair.west.restart();
    let mut west = crate::connection("192.0.2.2", "192.0.2.1");
    west.mode = ike::Mode::ResponderOnly;
    pair.configure_west([("to-east", west)]);
    orphaned(&mut pair, old);
    pair.run_for(Duration::from_secs(14));
    pair.assert_up();
}

/// The datapath loses a child that was replaced and only receives any more: it is not to be removed once more, and
/// nothing else comes of it. (Found by the fuzz target `pair`.)
#[test]
fn a_departed_child_that_is_lost_is_forgotten() {
    let mut pair = Pair::established();
    let old = *pair.east.datapath.keys().next().unwrap();
    rekey::child(&mut pair, true);
    pair.run_for(MOMENT);
    assert_eq!(
        pair.east.datapath.len(),
        2,
        "the old one receives for five seconds"
    );
    let (before, events) = (spis(&pair), pair.east.events.len());
    assert_ne!(pair.east.datapath[&old].inbound.spi, before[0]);
    pair.tell_east(Input::ChildRefused(old, "vanished".to_owned()));
    pair.run_for(Duration::from_secs(60));
    // What was under way to the lost child is lost with it; the one that carries the traffic is not touched.
    pair.assert_up();
    assert_eq!((spis(&pair), pair.east.events.len()), (before, events));
}

/// The side that answered loses the child and deletes it, and that arrives before the answer: neither side has it.
#[test]
fn a_delete_that_overtakes_the_answer_about_its_child() {
    let mut pair = Pair::with(one_on_demand);
    pair.run_until_quiet();
    let west = pair.west.address;
    pair.network.fate(west, [Late(LATE)]);
    wanted(&mut pair, true, 1);
    pair.run_for(Duration::from_millis(15));
    assert_eq!(pair.west.standing().children.len(), 2);
    lose(&mut pair, false, "10.1.1.0/24");
    pair.run_for(Duration::from_secs(30));
    let left = pair.west.standing().children.len();
    assert_carried(&pair, left);
    assert_eq!((pair.east.datapath.len(), pair.west.datapath.len()), (left, left));
}
