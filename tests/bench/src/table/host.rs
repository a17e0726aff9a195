//! `bgp::Speaker` over plain TCP: one thread that holds it and does what it asks for, as the appliance's owner does,
//! but for tunnels, a kernel and anybody to tell.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bgp::{
    Action, ConnectionId, Families, Family, Input, Limits, Neighbour, NeighbourName, Policy, Settings,
    Speaker, Timers, Translation,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use system_tests::lab::random::Random;

use super::daemon::ASN;

/// The argument by which a program is told to be a host; its address follows, then its neighbours as `ASN@ADDRESS`.
pub const ARGUMENT: &str = "host";
/// So many octets are read at once.
const CHUNK: usize = 64 << 10;
/// How long it sleeps when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// Is a host until it is killed, if the arguments of the program say so; whether they did.
///
/// # Errors
/// When it cannot listen, or what the arguments say is no neighbour.
pub fn host() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return Ok(false);
    }
    let local: Ipv4Addr = arguments.next().context("no address")?.parse()?;
    let neighbours = arguments.map(|text| neighbour(&text, local.into()));
    let neighbours = neighbours.collect::<Result<BTreeMap<_, _>>>()?;
    Host::new(local, neighbours)?.run()?;
    Ok(true)
}

struct Host {
    speaker: Speaker,
    listener: TcpListener,
    names: BTreeMap<IpAddr, NeighbourName>,
    links: BTreeMap<ConnectionId, Link>,
    last: u64,
}

/// A connection and what is still to go over it.
struct Link {
    stream: TcpStream,
    waiting: VecDeque<Vec<u8>>,
    /// So much of the first is gone.
    gone: usize,
    closing: bool,
}

struct Seeded(Random);

impl bgp::Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            [*byte, ..] = self.0.number().to_le_bytes();
        }
    }
}

impl Host {
    fn new(local: Ipv4Addr, neighbours: BTreeMap<NeighbourName, Neighbour>) -> Result<Self> {
        let listener = TcpListener::bind((local, 179))?;
        listener.set_nonblocking(true)?;
        let names = neighbours.iter();
        let mut host = Self {
            speaker: Speaker::new(Box::new(Seeded(Random::new(1)))),
            listener,
            names: names
                .map(|(name, neighbour)| (neighbour.remote, name.clone()))
                .collect(),
            links: BTreeMap::new(),
            last: 0,
        };
        host.tell(Input::NothingPreserved);
        let names: Vec<_> = neighbours.keys().cloned().collect();
        host.tell(Input::Settings(Box::new(Settings {
            asn: ASN,
            router_id: local,
            host_name: None,
            own: Vec::new(),
            sites: BTreeMap::new(),
            neighbours,
            multipath: 1,
            restart_time: Duration::ZERO,
            deferral_time: Duration::ZERO,
        })));
        for name in names {
            host.tell(Input::Tunnel(name, true));
        }
        Ok(host)
    }

    fn run(&mut self) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let (listens, ready) = self.wait()?;
            if listens {
                self.accept()?;
            }
            for (id, readable) in ready {
                self.write(id);
                if readable {
                    self.read(id, &mut chunk);
                }
            }
            if self
                .speaker
                .deadline()
                .is_some_and(|due| due.at <= Instant::now())
            {
                self.tell(Input::Tick);
            }
        }
    }

    /// Waits until there is something to do: whether somebody connects; who can be written to, and read from.
    fn wait(&self) -> Result<(bool, Vec<(ConnectionId, bool)>)> {
        let mut polled = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.links.values().map(|link| {
            let writes = if link.waiting.is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::POLLOUT
            };
            PollFd::new(link.stream.as_fd(), PollFlags::POLLIN | writes)
        }));
        let due = self.speaker.deadline();
        let pause = due.map_or(LONG, |due| due.at.saturating_duration_since(Instant::now()));
        // A millisecond more, or it would come too early.
        let pause = u16::try_from(pause.as_millis() + 1).unwrap_or(u16::MAX);
        poll(&mut polled, PollTimeout::from(pause))?;
        let mut any = polled
            .iter()
            .map(|one| one.revents().unwrap_or(PollFlags::empty()));
        let listens = any.next().is_some_and(|found| !found.is_empty());
        let ready = self.links.keys().zip(any).filter(|(_, found)| !found.is_empty());
        let ready = ready.map(|(id, found)| (*id, found != PollFlags::POLLOUT));
        Ok((listens, ready.collect()))
    }

    fn accept(&mut self) -> Result<()> {
        let (stream, remote) = self.listener.accept()?;
        let Some(neighbour) = self.names.get(&remote.ip()).cloned() else {
            return Ok(());
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.last += 1;
        let connection = ConnectionId::Incoming(self.last);
        let link = Link {
            stream,
            waiting: VecDeque::new(),
            gone: 0,
            closing: false,
        };
        self.links.insert(connection, link);
        self.tell(Input::Accepted {
            connection,
            neighbour,
            remote: SocketAddr::new(remote.ip(), remote.port()),
        });
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, chunk: &mut [u8]) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match link.stream.read(chunk) {
            Ok(length @ 1..) => {
                let octets = chunk.get(..length).unwrap_or_default().to_vec();
                self.tell(Input::Received(id, octets));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            end => {
                self.links.remove(&id);
                let why = end.err().map(|error| error.to_string());
                self.tell(Input::Closed(id, why));
            }
        }
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let sent = link.write();
        if link.closing && link.waiting.is_empty() {
            self.links.remove(&id);
        }
        if sent > 0 {
            self.tell(Input::Sent(id, sent));
        }
    }

    fn tell(&mut self, input: Input) {
        for action in self.speaker.handle(input, Instant::now()) {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send(id, octets) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.waiting.push_back(octets);
                }
            }
            Action::Close(id) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.closing = true;
                    if link.waiting.is_empty() {
                        self.links.remove(&id);
                    }
                }
            }
            Action::Report(event) => crate::print(&format!("{event:?}")),
            // Every neighbour opens its session itself, and there is no kernel to be told.
            Action::Connect { .. }
            | Action::SetRoute(..)
            | Action::RemoveRoute(_)
            | Action::ReleaseRoutes => (),
        }
    }
}

impl Link {
    /// Writes as much as goes; how many octets went.
    fn write(&mut self) -> usize {
        let mut sent = 0;
        while let Some(first) = self.waiting.front() {
            match self.stream.write(first.get(self.gone..).unwrap_or_default()) {
                Ok(length) => {
                    (self.gone, sent) = (self.gone + length, sent + length);
                    if self.gone == first.len() {
                        self.waiting.pop_front();
                        self.gone = 0;
                    }
                }
                // An end shows when it is read.
                Err(_) => break,
            }
        }
        sent
    }
}

/// A neighbour that opens its session, with all it may send let in and passed on.
fn neighbour(text: &str, local: IpAddr) -> Result<(NeighbourName, Neighbour)> {
    let (asn, remote) = text.split_once('@').context("no ASN@ADDRESS")?;
    let neighbour = Neighbour {
        site: Arc::from(text),
        local,
        remote: remote.parse()?,
        asn: asn.parse()?,
        passive: true,
        timers: Timers::USUAL,
        families: Families::NONE.with(Family::Ipv4),
        limits: Limits {
            prefixes: u32::MAX,
            restart_after: None,
        },
        translation: Translation::default(),
        import: Policy::ALL,
        export: Policy::ALL,
        role: None,
        add_path: false,
        local_preference: 100,
        priority: 100,
    };
    Ok((NeighbourName(Arc::from(text)), neighbour))
}
