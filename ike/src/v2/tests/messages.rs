//! Messages that are none, come too late or out of order, and their ids.

use super::two::*;
use std::time::Duration;

use crate::crypto::Group;
use crate::proposal::Keying;
use crate::v2::child;
use crate::v2::followup;
use crate::v2::payloads;
use crate::v2::state::State;
use crate::v2::window::Window;
use crate::wire::registry::{exchange, notify, payload, protocol};
use crate::wire::{NoncePayload, NotifyPayload, Payload, UnknownPayload};
use crate::*;

/// Notifies and payloads that we do not know are ignored, unless they are marked critical (§2.5).
#[test]
fn unknown_payloads_are_ignored_unless_critical() {
    let mut two = Two::established();
    let status = payloads::status(40_000, vec![1, 2, 3]);
    let unknown = |critical| {
        Payload::Unknown(UnknownPayload {
            kind: 210,
            critical,
            data: vec![7],
        })
    };
    assert_eq!(two.ask(exchange::INFORMATIONAL, &[status, unknown(false)]), []);
    let answer = two.ask(exchange::INFORMATIONAL, &[unknown(true)]);
    let named =
        payloads::notify(&answer, notify::UNSUPPORTED_CRITICAL_PAYLOAD).map(|error| error.data.clone());
    assert_eq!(named, Some(vec![210]));
    assert!(two.is_up(1) && two.removed[1].is_empty());
}

/// A message that passed the integrity check and is no message ends the SA on both sides (§2.21.3).
#[test]
fn nonsense_under_good_keys_is_fatal() {
    let mut two = Two::established();
    let nonsense = Payload::Unknown(UnknownPayload {
        kind: payload::DELETE,
        critical: false,
        data: vec![1],
    });
    let answer = two.ask(exchange::INFORMATIONAL, &[nonsense]);
    assert_eq!(error_of(&answer), Some(notify::INVALID_SYNTAX));
    assert_eq!(
        (two.outage(1).reason, two.outage(1).side),
        (Reason::ProtocolError, Side::We)
    );
    assert_eq!((two.removed[1].len(), two.engines[1].sas.len()), (1, 0));
    assert!(two.engines[0].sas.is_empty(), "the Delete told the other side");
}

/// The same for a CREATE_CHILD_SA request without its payloads, and for an answer with the complaint.
#[test]
fn a_request_that_is_none_is_fatal_on_both_sides() {
    let mut two = Two::established();
    let (state, _) = two.east();
    let child = state.children.current().next().unwrap().agreed.inbound;
    let rekeys = Payload::Notify(NotifyPayload {
        protocol: protocol::ESP,
        spi: child.to_be_bytes().to_vec(),
        ..NotifyPayload::new(notify::REKEY_SA, Vec::new())
    });
    let answer = two.ask(exchange::CREATE_CHILD_SA, &[rekeys]);
    assert_eq!(error_of(&answer), Some(notify::INVALID_SYNTAX));
    for side in [0, 1] {
        assert!(!two.is_up(side) && two.engines[side].sas.is_empty());
        assert_eq!(two.removed[side].len(), 1);
    }
}

/// An initiator that could not verify the responder's proof says so afterwards (§2.21.2).
#[test]
fn a_late_authentication_failure_closes_the_sa() {
    let mut two = Two::established();
    let spi = Vec::new();
    let kind = notify::AUTHENTICATION_FAILED;
    let failed = Payload::Notify(NotifyPayload {
        protocol: protocol::NONE,
        spi,
        kind,
        data: Vec::new(),
    });
    assert_eq!(two.ask(exchange::INFORMATIONAL, &[failed]), []);
    assert_eq!(
        (two.outage(1).reason, two.outage(1).side),
        (Reason::AuthenticationFailed, Side::Peer)
    );
    assert_eq!(two.removed[1].len(), 1);
}

/// Ids that are not the next one change nothing, however good the keys.
#[test]
fn requests_out_of_order_are_dropped() {
    let mut two = Two::established();
    let (state, random) = two.east();
    let bytes = state
        .channel
        .request(exchange::INFORMATIONAL, 9, &[payloads::delete_ike()], random);
    let [local, remote] = [ADDRESSES[1], ADDRESSES[0]].map(|address| address.parse().unwrap());
    two.tell(1, Input::Datagram { local, remote, bytes });
    assert!(two.is_up(1) && two.removed[1].is_empty());
    assert_eq!(
        two.engines[1]
            .snapshot()
            .drops
            .get(&DropCause::UnexpectedMessageId),
        Some(&1)
    );
}

/// So many exchanges later: both sides stand at this message id.
fn with_ids(id: u32) -> Two {
    let mut two = Two::established();
    for engine in &mut two.engines {
        for sa in engine.sas.values_mut() {
            if let State::Established(state) = &mut sa.state {
                state.window = Window::new(id, id);
            }
        }
    }
    two
}

fn ike_spis(two: &Two) -> Vec<u64> {
    two.engines[1].sas.keys().copied().collect()
}

/// An IKE SA is replaced when half of its message ids are used up, from whichever side (§2.2).
#[test]
fn an_ike_sa_is_replaced_long_before_its_message_ids_end() {
    let mut two = with_ids((1 << 31) - 1);
    let before = ike_spis(&two);
    two.probe(0);
    assert_eq!(ike_spis(&two), before, "not yet");
    two.probe(0);
    two.tell(1, Input::Tick);
    assert_ne!(ike_spis(&two), before);
    assert!(two.is_up(0) && two.is_up(1) && two.removed == [vec![], vec![]]);
    assert_eq!((two.engines[0].sas.len(), two.engines[1].sas.len()), (1, 1));
}

/// The last message id is for the Delete: whatever kept the IKE SA from being replaced, no id is used twice.
#[test]
fn an_ike_sa_without_message_ids_is_closed() {
    let mut two = with_ids(u32::MAX - 2);
    let before = ike_spis(&two);
    two.probe(0);
    two.tell(0, Input::Tick);
    assert!(!two.is_up(0) && two.engines[0].sas.is_empty() && !ike_spis(&two).contains(&before[0]));
    assert_eq!(
        (two.outage(0).reason, two.outage(0).side),
        (Reason::LifetimeEnded, Side::We)
    );
    two.now += Duration::from_secs(3);
    two.tell(0, Input::Tick);
    assert!(two.is_up(0) && two.is_up(1));
}

/// An engine that was given nothing to do wants nothing, and one with SAs knows its next deadline.
#[test]
fn deadlines_name_their_timer() {
    assert_eq!(Engine::new(Box::new(Counting(1))).deadline(), None);
    let two = Two::established();
    let deadline = two.engines[0].deadline().unwrap();
    assert_eq!(deadline.timer, "liveness");
    assert!(deadline.at > two.now + Duration::from_secs(10));
}

/// RFC 9370 §2.2.4: a step of nothing is told so, and what the initiator does not go on with is forgotten after a while.
#[test]
fn a_key_exchange_that_follows_nothing_finds_no_state() {
    let mut two = Two::with(|connection| {
        connection.esp_proposals[0].groups = vec![Group::X25519];
        connection.esp_proposals[0].additional = vec![vec![Group::Ecp256]];
    });
    let public = |group, random: &mut dyn Random| {
        let exchange = crypto::KeyExchange::start(group, random).unwrap();
        followup::public_value(group, exchange.public())
    };
    let step = |link: Vec<u8>| {
        let link = payloads::status(notify::ADDITIONAL_KEY_EXCHANGE, link);
        [public(Group::Ecp256, &mut Counting(1)), link]
    };
    let not_found = |answer: Vec<Payload>| error_of(&answer) == Some(notify::STATE_NOT_FOUND);
    assert!(not_found(two.ask(exchange::IKE_FOLLOWUP_KE, &step(vec![7; 16]))));
    for (age, wrong, known) in [(0, true, false), (25, false, false), (15, false, true)] {
        let keying = Keying::Negotiated(Some(Group::X25519.id()));
        let changed = two.engines[0]
            .settings_of(&ConnectionName("other".into()))
            .unwrap();
        let [offer, ours, theirs] = child::offer(4000, &changed, &any_to_any(), keying);
        let nonce = Payload::Nonce(NoncePayload { data: vec![1; 32] });
        let request = [
            offer,
            nonce,
            public(Group::X25519, &mut Counting(2)),
            ours,
            theirs,
        ];
        let answer = two.ask(exchange::CREATE_CHILD_SA, &request);
        let link = payloads::notify(&answer, notify::ADDITIONAL_KEY_EXCHANGE)
            .unwrap()
            .data
            .clone();
        two.now += Duration::from_secs(age);
        two.tell(1, Input::Tick);
        let answer = two.ask(
            exchange::IKE_FOLLOWUP_KE,
            &step(if wrong { vec![7; 16] } else { link }),
        );
        assert_eq!(not_found(answer), !known, "after {age} s");
    }
    assert!(two.is_up(1));
}
