//! What becomes of children.

use super::two::*;
use std::time::{Duration, Instant};

use crate::proposal::Keying;
use crate::selector::Selectors;
use crate::v2::child;
use crate::v2::payloads;
use crate::v2::state::State;
use crate::wire::registry::{exchange, notify, protocol};
use crate::wire::{NoncePayload, NotifyPayload, Payload};
use crate::*;

/// A second child for the same selectors, without REKEY_SA, takes the place of the older one, which goes when the
/// new one has had time to be installed.
#[test]
fn a_duplicate_of_a_child_replaces_it() {
    let mut two = Two::established();
    let answer = two.ask(exchange::CREATE_CHILD_SA, &one_more(&any_to_any(), 4711));
    assert_eq!(error_of(&answer), None);
    assert!(payloads::security_association(&answer).is_some());
    let outbound = |two: &Two| {
        let standing = two.engines[1].snapshot().connections.into_values().next();
        let children = standing.unwrap().children.into_iter();
        children.map(|child| child.outbound_spi).collect::<Vec<_>>()
    };
    two.now += Duration::from_secs(4);
    two.tell(1, Input::Tick);
    assert_eq!((outbound(&two).len(), two.removed[1].len()), (2, 0));
    for _ in 0..2 {
        two.now += Duration::from_secs(6);
        two.tell(1, Input::Tick);
    }
    assert_eq!((outbound(&two), two.removed[1].len()), (vec![4711], 1));
    assert!(two.is_up(1));
}

/// A child that was replaced receives for five seconds more; a peer that replaces one over and over is told to wait.
#[test]
fn replaced_children_that_still_receive_are_bounded() {
    let mut two = Two::established();
    for _ in 0..230 {
        two.tell(0, Input::RekeyChild(ConnectionName("other".into())));
        two.tell(0, Input::Tick);
    }
    assert!(
        (200..=202).contains(&two.carried(1)),
        "{} children",
        two.carried(1)
    );
    two.now += Duration::from_secs(20);
    two.tell(0, Input::Tick);
    two.tell(1, Input::Tick);
    assert!(two.is_up(0) && two.is_up(1));
    assert_eq!([two.carried(0), two.carried(1)], [1, 1]);
}

/// A peer may have a hundred sets of selectors in one IKE SA, and gets NO_ADDITIONAL_SAS for more (§1.3).
#[test]
fn children_of_one_ike_sa_are_bounded() {
    let mut two = Two::established();
    let mut refused = 0;
    for third in 0..120_u8 {
        let subnet = format!("10.0.{third}.0/24").parse().unwrap();
        let selectors = Selectors {
            local: vec![TrafficSelector::network(subnet)],
            ..any_to_any()
        };
        let answer = two.ask(
            exchange::CREATE_CHILD_SA,
            &one_more(&selectors, 10_000 + u32::from(third)),
        );
        match error_of(&answer) {
            None => assert_eq!(refused, 0),
            Some(kind) => {
                assert_eq!(kind, notify::NO_ADDITIONAL_SAS);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 21, "one hundred with that of IKE_AUTH");
    assert!(two.is_up(1) && two.removed[1].is_empty());
}

/// The peer has lost the child that we replace: it gets a new one in the same IKE SA (§2.25.1).
#[test]
fn a_child_that_the_peer_does_not_know_is_made_anew() {
    let mut two = Two::established();
    let before = two.engines[0].sas.keys().copied().collect::<Vec<_>>();
    let State::Established(west) = &mut two.engines[1].sas.values_mut().next().unwrap().state else {
        panic!("not established")
    };
    let lost = west.children.take(|_| true).unwrap();
    two.tell(0, Input::RekeyChild(ConnectionName("other".into())));
    two.tell(0, Input::Tick);
    let standing = two.engines[0]
        .snapshot()
        .connections
        .into_values()
        .next()
        .unwrap();
    assert_eq!(standing.state, ConnectionState::Up);
    let children: Vec<_> = standing.children.iter().map(|child| child.outbound_spi).collect();
    assert!(children.len() == 1 && children != [lost.agreed.inbound]);
    assert_eq!(two.engines[0].sas.keys().copied().collect::<Vec<_>>(), before);
}

/// The answer to the Delete of a child names the other direction. The connection is down until there is another child;
/// the IKE SA stands.
#[test]
fn a_deleted_child_leaves_its_ike_sa() {
    let mut two = Two::established();
    let (inbound, outbound) = {
        let (state, _) = two.east();
        let child = state.children.current().next().unwrap();
        (child.agreed.inbound, child.agreed.outbound)
    };
    assert_eq!(
        two.ask(exchange::INFORMATIONAL, &[payloads::delete_child(4711)]),
        [],
        "of nobody"
    );
    assert!(two.is_up(1));
    let answer = two.ask(exchange::INFORMATIONAL, &[payloads::delete_child(inbound)]);
    let deleted: Vec<_> = payloads::deletes(&answer)
        .flat_map(|delete| delete.spis.clone())
        .collect();
    assert_eq!(deleted, [outbound]);
    assert_eq!(
        (two.outage(1).reason, two.outage(1).side),
        (Reason::DeletedByPeer, Side::Peer)
    );
    assert_eq!(two.removed[1].len(), 1);
    let engines = two.engines.each_ref();
    assert!(engines.iter().all(|engine| engine.sas.len() == 1));
    two.now += Duration::from_secs(2);
    two.tell(1, Input::Tick);
    assert!(
        two.is_up(1),
        "it is asked for again, though by the side that may only respond"
    );
    assert!(two.engines.iter().all(|engine| engine.sas.len() == 1));
}

/// What an engine asks for, beside lines of the log.
fn asked(engine: &mut Engine, input: Input, now: Instant) -> Vec<Action> {
    let mut actions = engine.handle(input, now);
    actions.retain(|action| !matches!(action, Action::Log(..)));
    actions
}

/// A peer asks for another child and then does not delete the old one: west goes on sending by the old one for a
/// minute, then deletes it itself, after it has turned to the new one.
#[test]
fn a_peer_that_never_deletes_a_replaced_child_is_helped_out() {
    let mut two = Two::established();
    let (state, random) = two.east();
    let child = state.children.current().next().unwrap();
    let rekeys = Payload::Notify(NotifyPayload {
        protocol: protocol::ESP,
        spi: child.agreed.inbound.to_be_bytes().to_vec(),
        ..NotifyPayload::new(notify::REKEY_SA, Vec::new())
    });
    let selectors = child.agreed.selectors.clone();
    let mut payloads = vec![rekeys, Payload::Nonce(NoncePayload { data: vec![7; 32] })];
    payloads.extend(child::offer(
        4711,
        &connection(0),
        &selectors,
        Keying::Negotiated(None),
    ));
    let bytes = state
        .channel
        .request(exchange::CREATE_CHILD_SA, 2, &payloads, random);
    let [local, remote] = [ADDRESSES[1], ADDRESSES[0]].map(|address| address.parse().unwrap());
    let west = &mut two.engines[1];
    if let Some(State::Established(state)) = west.sas.values_mut().next().map(|sa| &mut sa.state) {
        state.dpd_timeout = Duration::from_secs(600);
    }
    let actions = asked(west, Input::Datagram { local, remote, bytes }, two.now);
    let [Action::InstallChild(made, pair)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert!(!pair.sends);
    let answered = west.handle(Input::ChildInstalled(*made), two.now);
    assert!(
        answered.iter().all(|action| !matches!(action, Action::SendBy(_))),
        "{answered:?}"
    );
    let mut then = Vec::new();
    for second in 1..=61 {
        let now = two.now + Duration::from_secs(second);
        let actions = asked(west, Input::Tick, now);
        then.extend(actions.into_iter().map(|action| (second, action)));
    }
    let turned = then
        .iter()
        .position(|(_, action)| matches!(action, Action::SendBy(child) if child == made));
    let (second, deletes) = &then[turned.unwrap() + 1];
    assert!(
        matches!(deletes, Action::Send { .. }) && *second == 60,
        "{then:?}"
    );
}
