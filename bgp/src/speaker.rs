//! Holds every neighbour and the tables, and routes each input to the one it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;

use crate::connection;
use crate::peer::Peer;
use crate::reason::{Ending, Reason};
use crate::restart::Deferral;
use crate::rib::{Rib, RouteChange};
use crate::timers::{Running, Timer};
use crate::turn::Turn;
use crate::{
    Action, Comparison, ComparisonQuery, ConnectionId, Deadline, Direction, Event, Explanation, Input,
    NeighbourName, Random, RoutePage, RouteQuery, Settings, TablePart, TableQuery,
};

/// The whole of BGP: holds every neighbour and the tables.
pub struct Speaker {
    pub(crate) settings: Arc<Settings>,
    pub(crate) peers: BTreeMap<NeighbourName, Peer>,
    pub(crate) rib: Rib,
    pub(crate) deferral: Deferral,
    /// Routes that the kernel does not take.
    pub(crate) refused: BTreeMap<IpNet, String>,
    random: Box<dyn Random>,
    out: Vec<Action>,
    pub(crate) owners: BTreeMap<ConnectionId, NeighbourName>,
    last_connection: u64,
    /// What is to be done when, in order; the speaker's own deferral stands in `running`.
    agenda: BTreeSet<(Instant, NeighbourName)>,
    running: Running,
    preserved: bool,
    configured: bool,
    stopping: bool,
}

impl Speaker {
    /// So many octets of one connection are on their way at most.
    pub const WINDOW: usize = connection::WINDOW;

    /// A speaker without neighbours, which draws all randomness from `random`.
    pub fn new(random: Box<dyn Random>) -> Self {
        Self {
            settings: Arc::new(Settings::none()),
            peers: BTreeMap::new(),
            rib: Rib::new(),
            deferral: Deferral::default(),
            refused: BTreeMap::new(),
            random,
            out: Vec::new(),
            owners: BTreeMap::new(),
            last_connection: 0,
            agenda: BTreeSet::new(),
            running: Running::default(),
            preserved: true,
            configured: false,
            stopping: false,
        }
    }

    /// Takes one input and returns all that follows from it, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        if !self.stopping {
            self.take(input, now);
            self.follow(now);
        } else if let Input::Accepted { connection, .. } = input {
            self.out.push(Action::Close(connection));
        }
        std::mem::take(&mut self.out)
    }

    fn take(&mut self, input: Input, now: Instant) {
        match input {
            Input::Settings(settings) => self.configure(*settings, now),
            Input::NothingPreserved => self.preserved = self.configured && self.preserved,
            Input::Connected(id, _) => self.by_connection(id, now, |peer, turn| peer.connected(id, turn)),
            Input::Listening(name, taken) => {
                self.by_name(&name, now, |peer, turn| peer.listening(taken, turn));
            }
            Input::Moved(name) => self.by_name(&name, now, Peer::moved),
            Input::NotConnected(id, fault) => {
                let ending = Ending::without_socket(fault, Reason::ConnectFailed);
                self.by_connection(id, now, |peer, turn| peer.end(id, &ending, turn));
            }
            Input::Accepted {
                connection,
                neighbour,
                remote: _,
            } => self.accepted(connection, &neighbour, now),
            Input::Received(id, octets) => {
                self.by_connection(id, now, |peer, turn| peer.received(id, &octets, turn));
            }
            Input::Sent(id, octets) => {
                self.by_connection(id, now, |peer, turn| peer.went(id, octets, turn.now))
            }
            Input::Closed(id, why) => {
                let ending = Ending::broke(why);
                self.by_connection(id, now, |peer, turn| peer.end(id, &ending, turn));
            }
            Input::Tunnel(name, up) => self.by_name(&name, now, |peer, turn| peer.tunnel(up, turn)),
            Input::RouteRefused(prefix, why) => {
                self.refused.insert(prefix, why);
            }
            Input::RouteTaken(prefix) => {
                self.refused.remove(&prefix);
            }
            Input::Clear(name) => self.by_name(&name, now, Peer::clear),
            Input::Refresh(name) => self.by_name(&name, now, |peer, _| peer.renew()),
            Input::PathLost(name, address) => {
                self.by_name(&name, now, |peer, turn| peer.path_lost(address, turn));
            }
            Input::Tick => self.tick(now),
            Input::Shutdown { restarting } => self.shut_down(restarting, now),
        }
    }

    /// When the next [`Input::Tick`] is due, and which timer asks for it.
    pub fn deadline(&self) -> Option<Deadline> {
        let own = self.running.next();
        let of_peers = self
            .agenda
            .first()
            .and_then(|(_, name)| self.peers.get(name)?.next());
        let (at, timer) = own.into_iter().chain(of_peers).min()?;
        let timer = timer.word();
        Some(Deadline { at, timer })
    }

    /// One page of routes.
    pub fn routes(&self, query: &RouteQuery) -> RoutePage {
        self.rib.routes(query)
    }

    /// One part of the tables, for a file.
    pub fn table(&self, query: &TableQuery) -> TablePart {
        self.rib.part(query)
    }

    /// What decided about the routes to a prefix from or to a neighbour; nothing if there is no such neighbour.
    pub fn explain(
        &self,
        neighbour: &NeighbourName,
        direction: Direction,
        prefix: IpNet,
    ) -> Option<Explanation> {
        self.rib.explain(neighbour, direction, prefix)
    }

    /// What becomes of routes of a neighbour, and what would by another policy; nothing if there is no such neighbour. Takes
    /// at most some tenths of a second.
    pub fn compare(&self, query: &ComparisonQuery) -> Option<Comparison> {
        self.rib.compare(query)
    }

    fn accepted(&mut self, id: ConnectionId, name: &NeighbourName, now: Instant) {
        if self.peers.contains_key(name) {
            self.by_name(name, now, |peer, turn| peer.accept(id, turn));
        } else {
            self.out.push(Action::Close(id));
        }
    }

    fn tick(&mut self, now: Instant) {
        while let Some(timer) = self.running.take(now) {
            if timer == Timer::Deferral {
                self.deferral.end();
                self.converged();
            }
        }
        while let Some((at, name)) = self.agenda.first().cloned()
            && at <= now
        {
            self.agenda.pop_first();
            self.by_name(&name, now, Peer::tick);
        }
    }

    /// What other settings change, and nothing else.
    fn configure(&mut self, settings: Settings, now: Instant) {
        let old = std::mem::replace(&mut self.settings, Arc::new(settings));
        let settings = Arc::clone(&self.settings);
        let first = !std::mem::replace(&mut self.configured, true);
        let gone = |name: &&NeighbourName| !settings.neighbours.contains_key(*name);
        let gone: Vec<_> = self.peers.keys().filter(gone).cloned().collect();
        for name in gone {
            self.by_name(&name, now, Peer::remove);
            self.deferral.leave_out(&name);
            if let Some(peer) = self.peers.remove(&name) {
                self.agenda.retain(|(_, other)| *other != name);
                self.rib.remove_peer(peer.index);
            }
        }
        if first && self.preserved {
            self.deferral.begin(settings.neighbours.keys().cloned());
            self.rib.defer(true);
            self.running.start(Timer::Deferral, now + settings.deferral_time);
        }
        for (name, neighbour) in &settings.neighbours {
            if self.peers.contains_key(name) {
                continue;
            }
            let (peers, mut turn) = self.split(now);
            let peer = Peer::new(name.clone(), neighbour.clone(), &mut turn);
            peers.insert(name.clone(), peer);
        }
        self.rib.configure(Arc::clone(&settings));
        let shared = shared(&old) == shared(&settings);
        for (name, neighbour) in &settings.neighbours {
            self.by_name(name, now, |peer, turn| peer.configure(neighbour, shared, turn));
        }
        if first && !self.preserved {
            self.converged();
        }
    }

    fn shut_down(&mut self, restarting: bool, now: Instant) {
        let names: Vec<_> = self.peers.keys().cloned().collect();
        for name in names {
            self.by_name(&name, now, |peer, turn| peer.shut_down(restarting, turn));
        }
        self.follow(now);
        self.stopping = true;
        self.agenda.clear();
        self.running = Running::default();
    }

    /// After every input: what of the tables is for the kernel and for neighbours.
    fn follow(&mut self, now: Instant) {
        if self.deferral.is_over() {
            self.running.stop(Timer::Deferral);
            self.deferral.end();
            self.converged();
        }
        self.pass_on();
        let mut wrote = Vec::new();
        let (peers, mut turn) = self.split(now);
        for peer in peers.values_mut() {
            let index = peer.index;
            let before = turn.out.len();
            for connection in peer
                .connections
                .iter_mut()
                .filter(|connection| connection.is_established())
            {
                connection.write(index, &mut turn);
            }
            if turn.out.len() > before {
                wrote.push(peer.name.clone());
            }
        }
        for name in wrote {
            self.reschedule(&name);
        }
    }

    /// Changes of what is best, for the kernel.
    fn pass_on(&mut self) {
        for change in self.rib.changes() {
            match change {
                RouteChange::Set(prefix, ways) => self.out.push(Action::SetRoute(prefix, ways)),
                RouteChange::Remove(prefix) => {
                    self.refused.remove(&prefix);
                    self.out.push(Action::RemoveRoute(prefix));
                }
            }
        }
    }

    /// Nothing is waited for any more: routes are chosen, and what an earlier run left may go.
    fn converged(&mut self) {
        self.rib.defer(false);
        self.pass_on();
        self.out.push(Action::ReleaseRoutes);
        self.out.push(Action::Report(Event::Converged));
    }

    fn by_connection(&mut self, id: ConnectionId, now: Instant, act: impl FnOnce(&mut Peer, &mut Turn)) {
        if let Some(name) = self.owners.get(&id).cloned() {
            self.by_name(&name, now, act);
        }
    }

    fn by_name(&mut self, name: &NeighbourName, now: Instant, act: impl FnOnce(&mut Peer, &mut Turn)) {
        let (peers, mut turn) = self.split(now);
        if let Some(peer) = peers.get_mut(name) {
            act(peer, &mut turn);
            self.reschedule(name);
        }
    }

    /// Puts a neighbour where it belongs on the agenda.
    fn reschedule(&mut self, name: &NeighbourName) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let next = peer.next().map(|(at, _)| at);
        if let Some(old) = std::mem::replace(&mut peer.scheduled, next).filter(|old| Some(*old) != next) {
            self.agenda.remove(&(old, name.clone()));
        }
        if let Some(next) = next {
            self.agenda.insert((next, name.clone()));
        }
    }

    /// The neighbours, and what one of them works with.
    fn split(&mut self, now: Instant) -> (&mut BTreeMap<NeighbourName, Peer>, Turn<'_>) {
        let turn = Turn {
            now,
            random: &mut *self.random,
            out: &mut self.out,
            rib: &mut self.rib,
            settings: &self.settings,
            deferral: &mut self.deferral,
            owners: &mut self.owners,
            last_connection: &mut self.last_connection,
            preserved: self.preserved,
        };
        (&mut self.peers, turn)
    }
}

/// What every OPEN says: when it changes, every session begins anew.
fn shared(settings: &Settings) -> (u32, Ipv4Addr) {
    (settings.asn, settings.router_id)
}
