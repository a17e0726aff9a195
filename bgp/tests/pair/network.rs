//! Several sites and the connections between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgp::{Action, ConnectionId, Input, Neighbour, Settings, SocketFault};

use crate::site::address;
use crate::{Site, name, neighbour, settings};

/// Number of a site.
type Place = usize;

/// One end of a connection.
type End = (Place, ConnectionId);

/// Sites, connections, and what is on its way.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) sites: Vec<Site>,
    /// One way.
    pub(crate) delay: Duration,
    /// The longest piece that octets come in.
    pub(crate) piece: usize,
    /// Pairs of sites between which nothing passes.
    pub(crate) cut: BTreeSet<(Place, Place)>,
    /// The other end of each.
    ends: BTreeMap<End, End>,
    coming: BTreeMap<(Instant, u64), Vec<(Place, Input)>>,
    order: u64,
    incoming: u64,
}

impl Network {
    /// Sites that are configured and whose tunnels are down. Sessions are between these pairs.
    pub(crate) fn idle(sites: &[(&'static str, u32)], sessions: &[(&str, &str)]) -> Self {
        let mut network = Self {
            now: Instant::now(),
            sites: Vec::new(),
            delay: Duration::from_millis(10),
            piece: usize::MAX,
            cut: BTreeSet::new(),
            ends: BTreeMap::new(),
            coming: BTreeMap::new(),
            order: 0,
            incoming: 0,
        };
        for (place, (name, asn)) in sites.iter().enumerate() {
            let site = Site::new(name, settings(*asn, place as u8 + 1), 77 + place as u64);
            network.sites.push(site);
        }
        for (one, other) in sessions {
            let (a, b) = (network.place(one), network.place(other));
            for (here, there) in [(a, b), (b, a)] {
                let asn = network.sites[there].settings.asn;
                let other = neighbour(here as u8 + 1, there as u8 + 1, asn);
                let there = name(network.sites[there].name);
                network.sites[here].settings.neighbours.insert(there, other);
            }
        }
        network
    }

    /// Every site runs for the first time, and every tunnel carries.
    pub(crate) fn start(&mut self) {
        for place in 0..self.sites.len() {
            self.tell(place, Input::NothingPreserved);
            self.run(place);
        }
    }

    /// Hands a site its settings, and that its tunnels carry.
    pub(crate) fn run(&mut self, place: Place) {
        let settings = self.sites[place].settings.clone();
        let neighbours: Vec<_> = settings.neighbours.keys().cloned().collect();
        self.tell(place, Input::Settings(Box::new(settings)));
        for neighbour in neighbours {
            self.tell(place, Input::Tunnel(neighbour, true));
        }
    }

    /// Two sites, "east" and "west", that were started.
    pub(crate) fn pair() -> Self {
        Self::with(|_, _| {})
    }

    /// The same, after a change of both sides' view of the other.
    pub(crate) fn with(change: impl FnOnce(&mut Neighbour, &mut Neighbour)) -> Self {
        let mut network = Self::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
        let mut east = network.sites[0]
            .settings
            .neighbours
            .remove(&name("west"))
            .unwrap();
        let west = network.sites[1]
            .settings
            .neighbours
            .get_mut(&name("east"))
            .unwrap();
        change(&mut east, west);
        network.sites[0].settings.neighbours.insert(name("west"), east);
        network.start();
        network
    }

    /// Two sites whose session is established.
    pub(crate) fn established() -> Self {
        let mut network = Self::pair();
        network.run_for(Duration::from_secs(5));
        assert!(network["east"].is_established("west") && network["west"].is_established("east"));
        network
    }

    pub(crate) fn place(&self, of: &str) -> Place {
        self.sites
            .iter()
            .position(|site| site.name == of)
            .expect("there is such a site")
    }

    /// Changes settings and hands them over.
    pub(crate) fn configure(&mut self, of: &str, change: impl FnOnce(&mut Settings)) {
        let place = self.place(of);
        change(&mut self.sites[place].settings);
        let settings = self.sites[place].settings.clone();
        self.tell(place, Input::Settings(Box::new(settings)));
    }

    /// Changes how one site has another.
    pub(crate) fn change(&mut self, of: &str, neighbour: &str, change: impl FnOnce(&mut Neighbour)) {
        let neighbour = name(neighbour);
        self.configure(of, |settings| {
            change(settings.neighbours.get_mut(&neighbour).unwrap())
        });
    }

    pub(crate) fn input(&mut self, of: &str, input: Input) {
        let place = self.place(of);
        self.tell(place, input);
    }

    /// Hands over an input at once, and puts on its way what follows.
    pub(crate) fn tell(&mut self, place: Place, input: Input) {
        let actions = self.sites[place].handle(input, self.now);
        for action in actions {
            match action {
                Action::Connect {
                    connection,
                    local,
                    remote,
                    ..
                } => {
                    self.connect((place, connection), local, remote.ip());
                }
                Action::Send(connection, octets) => self.send((place, connection), &octets),
                Action::Close(connection) => self.close((place, connection), None),
                _ => unreachable!("the site has done that"),
            }
        }
    }

    /// Time passes.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            if let Some(inputs) = self.coming.first_entry().filter(|entry| entry.key().0 <= next) {
                for (place, input) in inputs.remove() {
                    self.tell(place, input);
                }
                continue;
            }
            let due = |site: &Site| {
                site.speaker
                    .deadline()
                    .is_some_and(|deadline| deadline.at <= next)
            };
            let place = self.sites.iter().position(due).expect("somebody's deadline came");
            self.tell(place, Input::Tick);
            assert!(!due(&self.sites[place]), "a tick leaves nothing that is due");
        }
        self.now = until;
    }

    fn next(&self) -> Option<Instant> {
        let deadlines = self.sites.iter().filter_map(|site| site.speaker.deadline());
        let deadlines = deadlines.map(|deadline| deadline.at);
        deadlines.chain(self.coming.keys().map(|(at, _)| *at)).min()
    }

    fn comes(&mut self, after: Duration, inputs: Vec<(Place, Input)>) {
        self.order += 1;
        self.coming.insert((self.now + after, self.order), inputs);
    }

    fn connect(&mut self, from: End, local: IpAddr, remote: IpAddr) {
        let at = |place: &Place| address(*place as u8 + 1) == remote;
        let Some(there) = (0..self.sites.len())
            .find(at)
            .filter(|there| !self.is_cut(from.0, *there))
        else {
            return;
        };
        let known = self.sites[there]
            .settings
            .neighbours
            .iter()
            .find(|(_, other)| other.remote == local);
        let Some(neighbour) = known.map(|(name, _)| name.clone()) else {
            return self.comes(
                self.delay * 2,
                vec![(
                    from.0,
                    Input::NotConnected(from.1, SocketFault::Refused("connection refused".to_owned())),
                )],
            );
        };
        self.incoming += 1;
        let to = (there, ConnectionId::Incoming(self.incoming));
        self.ends.insert(from, to);
        self.ends.insert(to, from);
        let connected = Input::Connected(from.1, SocketAddr::new(remote, 179));
        let accepted = Input::Accepted {
            connection: to.1,
            neighbour,
            remote: SocketAddr::new(local, 40_000),
        };
        self.comes(self.delay, vec![(there, accepted)]);
        self.comes(self.delay * 2, vec![(from.0, connected)]);
    }

    fn send(&mut self, from: End, octets: &[u8]) {
        let Some(to) = self.ends.get(&from).copied() else {
            return;
        };
        if self.is_cut(from.0, to.0) {
            return;
        }
        self.comes(Duration::ZERO, vec![(from.0, Input::Sent(from.1, octets.len()))]);
        for piece in octets.chunks(self.piece) {
            self.comes(self.delay, vec![(to.0, Input::Received(to.1, piece.to_vec()))]);
        }
    }

    /// One end closes; the other hears of it after what was sent before.
    fn close(&mut self, from: End, why: Option<String>) {
        let Some(to) = self.ends.remove(&from) else { return };
        if self.ends.contains_key(&to) && !self.is_cut(from.0, to.0) {
            self.comes(self.delay, vec![(to.0, Input::Closed(to.1, why))]);
        }
    }

    /// Every connection between two sites breaks, and both are told.
    pub(crate) fn break_connections(&mut self, one: &str, other: &str) {
        let (one, other) = (self.place(one), self.place(other));
        let broken = |(from, to): (&End, &End)| ((from.0, to.0) == (one, other)).then_some((*from, *to));
        let broken: Vec<_> = self.ends.iter().filter_map(broken).collect();
        for (from, to) in broken {
            for end in [from, to] {
                self.ends.remove(&end);
                self.tell(end.0, Input::Closed(end.1, Some("connection reset".to_owned())));
            }
        }
    }

    /// A process ends without a word: its connections are reset.
    pub(crate) fn crash(&mut self, of: &str) {
        let place = self.place(of);
        let its: Vec<_> = self
            .ends
            .iter()
            .filter(|(from, _)| from.0 == place)
            .map(|(a, b)| (*a, *b))
            .collect();
        for (from, to) in its {
            self.ends.remove(&from);
            self.ends.remove(&to);
            self.comes(
                self.delay,
                vec![(to.0, Input::Closed(to.1, Some("connection reset".to_owned())))],
            );
        }
        for inputs in self.coming.values_mut() {
            inputs.retain(|(to, _)| *to != place);
        }
        let seed = 1000 + self.order;
        self.sites[place].start_again(seed);
    }

    /// The connections between two sites that neither has closed.
    pub(crate) fn connections(&self, one: &str, other: &str) -> usize {
        let (one, other) = (self.place(one), self.place(other));
        self.ends
            .iter()
            .filter(|(from, to)| (from.0, to.0) == (one, other))
            .count()
    }

    fn is_cut(&self, one: Place, other: Place) -> bool {
        self.cut.contains(&(one.min(other), one.max(other)))
    }

    /// Nothing passes between these two any more.
    pub(crate) fn cut(&mut self, one: &str, other: &str) {
        let (one, other) = (self.place(one), self.place(other));
        self.cut.insert((one.min(other), one.max(other)));
    }

    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }
}

impl std::ops::Index<&str> for Network {
    type Output = Site;

    fn index(&self, of: &str) -> &Site {
        &self.sites[self.place(of)]
    }
}
