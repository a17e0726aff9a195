//! Two engines of one process that speak with each other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::crypto::{Encryption, Group, Prf};
use crate::proposal::Keying;
use crate::selector::Selectors;
use crate::v2::child;
use crate::v2::payloads;
use crate::v2::state::{Established, IkeSa, State};
use crate::wire::{NoncePayload, Payload};
use crate::*;

pub(super) struct Counting(pub(super) u8);

impl Random for Counting {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(5).wrapping_add(17);
            *byte = self.0;
        }
    }
}

/// Two engines with an established connection, each message delivered at once.
pub(super) struct Two {
    pub(super) engines: [Engine; 2],
    pub(super) removed: [Vec<ChildId>; 2],
    pub(super) installed: [usize; 2],
    pub(super) now: Instant,
}

pub(super) const ADDRESSES: [&str; 2] = ["192.0.2.1:500", "192.0.2.2:500"];

impl Two {
    pub(super) fn established() -> Self {
        Self::with(|_| ())
    }

    /// Both sides' connections are changed before.
    pub(super) fn with(change: impl Fn(&mut Connection)) -> Self {
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

    pub(super) fn tell(&mut self, side: usize, input: Input) {
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
    pub(super) fn carried(&self, side: usize) -> usize {
        self.installed[side] - self.removed[side].len()
    }

    pub(super) fn is_up(&self, side: usize) -> bool {
        let mut standings = self.engines[side].snapshot().connections.into_values();
        standings.all(|standing| standing.state == ConnectionState::Up)
    }

    pub(super) fn outage(&self, side: usize) -> Outage {
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
    pub(super) fn probe(&mut self, side: usize) {
        self.now += Duration::from_secs(40);
        self.tell(side, Input::Tick);
    }

    /// East's only SA.
    pub(super) fn east(&mut self) -> (&mut Established, &mut dyn Random) {
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
    pub(super) fn ask(&mut self, kind: u8, payloads: &[Payload]) -> Vec<Payload> {
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

pub(super) fn connection(side: usize) -> Connection {
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

pub(super) fn error_of(answer: &[Payload]) -> Option<u16> {
    payloads::error(answer).map(|error| error.kind)
}

/// East's only line.
pub(super) fn any_to_any() -> Selectors {
    let any = vec![TrafficSelector::any_ipv4()];
    Selectors {
        local: any.clone(),
        remote: any,
    }
}

/// What asks west for a child besides those there are.
pub(super) fn one_more(selectors: &Selectors, inbound: u32) -> Vec<Payload> {
    let keying = Keying::Negotiated(None);
    let [offer, initiator, responder] = child::offer(inbound, &connection(0), selectors, keying);
    let nonce = Payload::Nonce(NoncePayload { data: vec![1; 32] });
    vec![offer, nonce, initiator, responder]
}
