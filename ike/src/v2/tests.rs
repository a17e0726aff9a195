//! Exchanges that our own engine never starts, sent by one that has its keys.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::child;
use super::payloads;
use super::state::{Established, IkeSa, State};
use super::window::Window;
use crate::crypto::{Encryption, Group, Prf};
use crate::proposal::Keying;
use crate::selector::Selectors;
use crate::wire::registry::{exchange, notify, payload, protocol};
use crate::wire::{NoncePayload, NotifyPayload, Payload, UnknownPayload};
use crate::*;

struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *byte = self.0;
        }
    }
}

/// Two engines with an established connection, each message delivered at once.
struct Two {
    engines: [Engine; 2],
    removed: [Vec<ChildId>; 2],
    installed: [usize; 2],
    now: Instant,
}

const ADDRESSES: [&str; 2] = ["192.0.2.1:500", "192.0.2.2:500"];

impl Two {
    fn established() -> Self {
        Self::with(|_| ())
    }

    /// Both sides' connections are changed before.
    fn with(change: impl Fn(&mut Connection)) -> Self {
        let engines = [3, 8].map(|seed| Engine::new(Box::new(Counting(seed))));
        let mut two = Self {
            engines,
            removed: Default::default(),
            installed: [0; 2],
            now: Instant::now(),
        };
        for side in [1, 0] {
            let mut changed = connection(side);
            change(&mut changed);
            let name = ConnectionName("other".into());
            let connections = BTreeMap::from([(name, changed)]);
            let settings = Settings {
                connections,
                ..Settings::default()
            };
            two.tell(side, Input::Settings(Box::new(settings)));
        }
        assert!(two.is_up(0) && two.is_up(1));
        two
    }

    fn tell(&mut self, side: usize, input: Input) {
        let mut inputs = vec![(side, input)];
        while let Some((side, input)) = inputs.pop() {
            for action in self.engines[side].handle(input, self.now) {
                match action {
                    Action::Send { local, remote, bytes } => {
                        inputs.push((
                            1 - side,
                            Input::Datagram {
                                local: remote,
                                remote: local,
                                bytes,
                            },
                        ));
                    }
                    Action::InstallChild(child, _) => {
                        self.installed[side] += 1;
                        inputs.push((side, Input::ChildInstalled(child)));
                    }
                    Action::RemoveChild(child) => self.removed[side].push(child),
                    Action::AskTraffic(children) => {
                        let none = children.into_iter().map(|child| (child, 0)).collect();
                        inputs.push((side, Input::Received(none)));
                    }
                    Action::SendBy(_)
                    | Action::Watch(..)
                    | Action::AskCarried(_)
                    | Action::MoveChild { .. }
                    | Action::Keepalive { .. }
                    | Action::Sign(..)
                    | Action::FetchLists(_)
                    | Action::Log(..)
                    | Action::Resolve(..)
                    | Action::Report(_) => {}
                }
            }
        }
    }

    /// How many children the datapath of this side carries.
    fn carried(&self, side: usize) -> usize {
        self.installed[side] - self.removed[side].len()
    }

    fn is_up(&self, side: usize) -> bool {
        let mut standings = self.engines[side].snapshot().connections.into_values();
        standings.all(|standing| standing.state == ConnectionState::Up)
    }

    fn outage(&self, side: usize) -> Outage {
        self.engines[side]
            .snapshot()
            .connections
            .into_values()
            .next()
            .unwrap()
            .outage
            .unwrap()
    }

    /// Time passes until this side asks whether the other is there.
    fn probe(&mut self, side: usize) {
        self.now += Duration::from_secs(40);
        self.tell(side, Input::Tick);
    }

    /// East's only SA.
    fn east(&mut self) -> (&mut Established, &mut dyn Random) {
        let engine = &mut self.engines[0];
        let Some(IkeSa {
            state: State::Established(state),
            ..
        }) = engine.sas.values_mut().next()
        else {
            panic!("not established")
        };
        (state, engine.random.as_mut())
    }

    /// East asks west under east's keys, and opens the answer.
    fn ask(&mut self, kind: u8, payloads: &[Payload]) -> Vec<Payload> {
        let (state, random) = self.east();
        let id = state.window.next_request().unwrap();
        let bytes = state.channel.request(kind, id, payloads, random);
        state.window.requested(Vec::new(), Instant::now());
        state.window.completed();
        let [local, remote] = [ADDRESSES[1], ADDRESSES[0]].map(|address| address.parse().unwrap());
        let mut actions = Vec::new();
        let mut inputs = vec![Input::Datagram { local, remote, bytes }];
        while let Some(input) = inputs.pop() {
            for action in self.engines[1].handle(input, self.now) {
                if let Action::InstallChild(child, _) = &action {
                    inputs.push(Input::ChildInstalled(*child));
                }
                actions.push(action);
            }
        }
        let sent = actions
            .iter()
            .position(|action| matches!(action, Action::Send { .. }))
            .unwrap();
        let Action::Send { bytes, .. } = actions.remove(sent) else {
            unreachable!()
        };
        let opened = |sa: &mut IkeSa| match &mut sa.state {
            State::Established(state) => state.channel.open(&bytes).ok(),
            _ => None,
        };
        let mut sas = self.engines[0].sas.values_mut();
        let answer = sas.find_map(opened).unwrap_or_default();
        for action in actions {
            match action {
                Action::Send { bytes, .. } => {
                    self.tell(
                        0,
                        Input::Datagram {
                            local: remote,
                            remote: local,
                            bytes,
                        },
                    );
                }
                Action::RemoveChild(child) => self.removed[1].push(child),
                Action::InstallChild(..)
                | Action::SendBy(_)
                | Action::Watch(..)
                | Action::AskTraffic(_)
                | Action::AskCarried(_)
                | Action::MoveChild { .. }
                | Action::Keepalive { .. }
                | Action::Resolve(..)
                | Action::Sign(..)
                | Action::FetchLists(_)
                | Action::Log(..)
                | Action::Report(_) => {}
            }
        }
        answer
    }
}

fn connection(side: usize) -> Connection {
    let [local, remote] = [ADDRESSES[side], ADDRESSES[1 - side]].map(|address| address.parse().unwrap());
    let encryption = Encryption::AesCbc(128);
    let integrity = Some(crypto::Integrity::HmacSha2_256_128);
    let mode = [Mode::InitiatorOnly, Mode::ResponderOnly][side];
    let secret = Authentication::pre_shared_key(b"secret".to_vec().into());
    Connection {
        mode,
        ike_proposals: vec![IkeProposal {
            encryption,
            integrity,
            prf: Prf::HmacSha2_256,
            groups: vec![Group::X25519],
            additional: vec![],
        }],
        esp_proposals: vec![EspProposal {
            encryption,
            integrity,
            extended_sequence_numbers: false,
            groups: vec![],
            additional: vec![],
        }],
        ..Connection::between(local, remote, secret)
    }
}

fn error_of(answer: &[Payload]) -> Option<u16> {
    payloads::error(answer).map(|error| error.kind)
}

/// East's only line.
fn any_to_any() -> Selectors {
    let any = vec![TrafficSelector::any_ipv4()];
    Selectors {
        local: any.clone(),
        remote: any,
    }
}

/// What asks west for a child besides those there are.
fn one_more(selectors: &Selectors, inbound: u32) -> Vec<Payload> {
    let keying = Keying::Negotiated(None);
    let [offer, initiator, responder] = child::offer(inbound, &connection(0), selectors, keying);
    let nonce = Payload::Nonce(NoncePayload { data: vec![1; 32] });
    vec![offer, nonce, initiator, responder]
}

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
        super::followup::public_value(group, exchange.public())
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
