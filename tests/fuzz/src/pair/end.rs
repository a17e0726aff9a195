use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ike::crypto::{Encryption, Group, Prf};
use ike::{
    Action, Authentication, ChildId, Connection, ConnectionName, Engine, EspPair, EspProposal, IkeProposal,
    Input, Limits, LineStart, SelectorLine, Settings, TrafficSelector,
};

use super::ledger::Ledger;
use crate::random::Sequence;

/// What may follow from one input: an input can close and open what three lines have.
const MOST_ACTIONS: usize = 64;
/// So many Child SAs has an end at most at any time, with an honest peer: those of three lines, and what is to replace them
/// or leaves.
const MOST_CHILDREN: usize = 32;
/// The same with one that makes as many as it gets: one for each of its requests, and those of before.
const MOST_OF_AN_INSIDER: usize = 80;
/// In one moment at most so many ticks may be due one after the other.
const MOST_TICKS: usize = 64;

/// How the datapath of one end answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Datapath {
    Willing,
    Hesitant,
    Unwilling,
}

/// One engine with its datapath.
pub(crate) struct End {
    pub(crate) address: Ipv4Addr,
    pub(crate) engine: Engine,
    /// What it is configured with when nothing is changed.
    pub(crate) settings: Settings,
    datapath: Datapath,
    pub(crate) children: BTreeMap<ChildId, EspPair>,
    /// Those of them that were not answered yet.
    pub(crate) waiting: Vec<ChildId>,
    /// Lines whose packets find no child.
    pub(crate) watched: Vec<usize>,
    ledger: Ledger,
    restarts: u64,
    most_children: usize,
}

/// A datagram that an end sends.
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What follows from an action.
enum Outcome {
    Nothing,
    Input(Input),
    Send(Datagram),
}

impl End {
    pub(crate) fn new(address: Ipv4Addr, peer: Ipv4Addr) -> Self {
        let connections = [(name(), connection(address, peer))].into();
        let limits = Limits::default();
        Self {
            address,
            engine: Engine::new(Box::new(Sequence(u64::from(u32::from(address))))),
            settings: Settings {
                connections,
                limits,
                ..Settings::default()
            },
            datapath: Datapath::Willing,
            children: BTreeMap::new(),
            waiting: Vec::new(),
            watched: Vec::new(),
            ledger: Ledger::default(),
            restarts: 0,
            most_children: MOST_CHILDREN,
        }
    }

    /// Its peer keeps no rule.
    pub(crate) fn with_an_insider(mut self) -> Self {
        self.most_children = MOST_OF_AN_INSIDER;
        self
    }

    /// The process dies and starts again, knowing nothing and drawing other numbers.
    pub(crate) fn restart(&mut self) {
        self.restarts += 1;
        let seed = u64::from(u32::from(self.address)) + (self.restarts << 40);
        self.engine = Engine::new(Box::new(Sequence(seed)));
        self.children.clear();
        self.waiting.clear();
        self.watched.clear();
    }

    /// Tells it something, performs what follows, and returns what it sends.
    pub(crate) fn tell(&mut self, input: Input, now: Instant) -> Vec<Datagram> {
        let (mut inputs, mut sent) = (vec![input], Vec::new());
        while let Some(input) = inputs.pop() {
            let actions = self.engine.handle(input, now);
            assert!(
                actions.len() <= MOST_ACTIONS,
                "{} actions follow from one input",
                actions.len()
            );
            for action in actions {
                match self.perform(action) {
                    Outcome::Nothing => {}
                    Outcome::Input(input) => inputs.push(input),
                    Outcome::Send(datagram) => sent.push(datagram),
                }
            }
            let children = self.children.len();
            assert!(children <= self.most_children, "{children} Child SAs");
        }
        sent
    }

    /// Tells it that time has passed, as often as it is due now.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Datagram> {
        let mut sent = Vec::new();
        for _ in 0..MOST_TICKS {
            if self.engine.deadline().is_none_or(|deadline| deadline.at > now) {
                return sent;
            }
            sent.extend(self.tell(Input::Tick, now));
        }
        panic!("something stays due: the owner's loop would spin")
    }

    /// The datapath answers from now on at once, not, or with a refusal.
    pub(crate) fn hesitate(&mut self, value: u8, now: Instant) -> Vec<Datagram> {
        self.datapath = match value % 3 {
            0 => Datapath::Willing,
            1 => Datapath::Hesitant,
            _ => Datapath::Unwilling,
        };
        let mut sent = Vec::new();
        if self.datapath != Datapath::Hesitant {
            for child in std::mem::take(&mut self.waiting) {
                if self.children.contains_key(&child) {
                    sent.extend(self.tell(Input::ChildInstalled(child), now));
                }
            }
        }
        sent
    }

    /// The datapath lost this child.
    pub(crate) fn lose(&mut self, child: ChildId, now: Instant) -> Vec<Datagram> {
        self.children.remove(&child);
        self.waiting.retain(|waiting| *waiting != child);
        self.tell(Input::ChildRefused(child, "vanished".into()), now)
    }

    fn perform(&mut self, action: Action) -> Outcome {
        match action {
            Action::Send { local, remote, bytes } => {
                self.ledger.message(&bytes);
                let (from, to) = (local, remote);
                return Outcome::Send(Datagram { from, to, bytes });
            }
            Action::InstallChild(child, pair) => return self.install(child, *pair),
            Action::RemoveChild(child) => {
                let known = self.children.remove(&child);
                assert!(known.is_some(), "an unknown child was removed");
                self.waiting.retain(|waiting| *waiting != child);
            }
            Action::SendBy(child) | Action::MoveChild { child, .. } => {
                assert!(self.children.contains_key(&child), "an unknown child was named");
            }
            Action::Watch(_, lines) => {
                self.watched = lines.into_iter().map(|watched| watched.line).collect();
            }
            Action::AskTraffic(children) => {
                let nothing = children.into_iter().map(|child| (child, 0));
                return Outcome::Input(Input::Received(nothing.collect()));
            }
            Action::AskCarried(_)
            | Action::Resolve(..)
            | Action::Sign(..)
            | Action::FetchLists(_)
            | Action::Log(..)
            | Action::Keepalive { .. }
            | Action::Report(_) => {}
        }
        Outcome::Nothing
    }

    fn install(&mut self, child: ChildId, pair: EspPair) -> Outcome {
        self.ledger.child(&pair);
        assert!(
            pair.inbound.spi > 255,
            "SPIs below 256 are reserved (RFC 4303 §2.1)"
        );
        if self.datapath == Datapath::Unwilling {
            return Outcome::Input(Input::ChildRefused(child, "no memory".into()));
        }
        let known = self.children.insert(child, pair);
        assert!(known.is_none(), "a child id was used twice");
        if self.datapath == Datapath::Willing {
            return Outcome::Input(Input::ChildInstalled(child));
        }
        self.waiting.push(child);
        Outcome::Nothing
    }
}

pub(crate) fn name() -> ConnectionName {
    ConnectionName(Arc::from("between"))
}

fn connection(local: Ipv4Addr, remote: Ipv4Addr) -> Connection {
    let encryption = Encryption::AesGcm16(128);
    let port = |address: Ipv4Addr| SocketAddr::new(address.into(), 500);
    let secret = Authentication::pre_shared_key(b"fuzz".to_vec().into());
    let (ours, theirs) = (site(local), site(remote));
    let line = |number: u8, start| SelectorLine {
        local: network([10, ours, number, 0]),
        remote: network([10, theirs, number, 0]),
        start,
    };
    let ike = IkeProposal {
        encryption,
        integrity: None,
        prf: Prf::HmacSha2_256,
        groups: vec![Group::X25519],
        additional: Vec::new(),
    };
    let esp = EspProposal {
        encryption,
        integrity: None,
        extended_sequence_numbers: true,
        groups: Vec::new(),
        additional: Vec::new(),
    };
    Connection {
        ike_proposals: vec![ike],
        esp_proposals: vec![esp],
        lines: vec![
            line(0, LineStart::WithTunnel),
            line(1, LineStart::WithTunnel),
            line(2, LineStart::OnDemand),
        ],
        ike_lifetime: Duration::from_secs(900),
        child_lifetime: Duration::from_secs(600),
        ..Connection::between(port(local), port(remote), secret)
    }
}

/// The last octet of an address numbers its site.
fn site(address: Ipv4Addr) -> u8 {
    let [.., last] = address.octets();
    last
}

fn network(octets: [u8; 4]) -> Vec<TrafficSelector> {
    let text = format!("{}/24", Ipv4Addr::from(octets));
    text.parse().map(TrafficSelector::network).into_iter().collect()
}
