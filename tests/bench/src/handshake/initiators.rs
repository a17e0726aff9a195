//! The load: one engine per site, each the initiator of one connection, behind two sockets that they share.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ike::crypto::{Encryption, Group, Prf};
use ike::{
    Action, Authentication, Connection, ConnectionName, Engine, EspProposal, Event, IkeProposal, Input, Mode,
    Random, SelectorLine, Settings, TrafficSelector,
};
use nix::libc::in_pktinfo;
use nix::sys::socket::sockopt::Ipv4PacketInfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};
use system_tests::lab::namespace::Namespace;

/// Without an answer for so long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);
const PORT: u16 = 500;
const ENCAPSULATION_PORT: u16 = 4500;
/// RFC 3948 §2.2.
const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// What is to be done.
#[derive(Clone)]
pub struct Plan {
    /// The addresses of the sites, each of which connects once.
    pub sites: Vec<Ipv4Addr>,
    /// The responder's address.
    pub responder: Ipv4Addr,
    /// The group of the key exchange.
    pub group: Group,
    /// The pre-shared key of all.
    pub secret: String,
    /// So many handshakes are under way at a time.
    pub at_once: usize,
}

/// Sites that connect, one after the other.
pub struct Initiators {
    plan: Plan,
    waiting: VecDeque<Ipv4Addr>,
    /// Those that have started. The ones that are up stay: they answer what the responder still asks.
    engines: BTreeMap<Ipv4Addr, Engine>,
    up: usize,
    allowed: usize,
    sockets: Vec<(u16, UdpSocket)>,
    arrived: Receiver<Arrival>,
    listeners: Vec<JoinHandle<()>>,
    finished: Arc<AtomicBool>,
}

struct Arrival {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    bytes: Vec<u8>,
}

impl Initiators {
    /// Binds the ports of IKE in a namespace that has the addresses of all sites.
    ///
    /// # Errors
    /// When the ports cannot be bound.
    pub fn new(namespace: &Namespace, plan: Plan) -> Result<Self> {
        let _inside = namespace.enter()?;
        let finished = Arc::new(AtomicBool::new(false));
        let (sender, arrived) = channel();
        let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
        for port in [PORT, ENCAPSULATION_PORT] {
            let socket =
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).with_context(|| format!("port {port}"))?;
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
            // How soon a listener notices that it is over.
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            let (listening, sender, finished) = (socket.try_clone()?, sender.clone(), Arc::clone(&finished));
            listeners.push(std::thread::spawn(move || {
                listen(&listening, port, &sender, &finished)
            }));
            sockets.push((port, socket));
        }
        let waiting = plan.sites.iter().copied().collect();
        Ok(Self {
            plan,
            waiting,
            engines: BTreeMap::new(),
            up: 0,
            allowed: 0,
            sockets,
            arrived,
            listeners,
            finished,
        })
    }

    /// Has so many more sites connect, and returns when they are up.
    ///
    /// # Errors
    /// When a site cannot connect, or nothing happens for too long.
    pub fn run(&mut self, sites: usize) -> Result<()> {
        self.allowed += sites;
        while self.engines.len() < self.allowed.min(self.up + self.plan.at_once) {
            self.start_next()?;
        }
        let mut last = Instant::now();
        while self.up < self.allowed {
            let before = self.up;
            match self.arrived.recv_timeout(Duration::from_millis(100)) {
                Ok(Arrival { local, remote, bytes }) => {
                    let datagram = Input::Datagram {
                        local: local.into(),
                        remote: remote.into(),
                        bytes,
                    };
                    self.tell(*local.ip(), datagram)?;
                }
                Err(_) => self.tick()?,
            }
            if self.up > before {
                last = Instant::now();
            }
            ensure!(
                last.elapsed() < PATIENCE,
                "{} of {} sites are up",
                self.up,
                self.allowed
            );
        }
        Ok(())
    }

    fn start_next(&mut self) -> Result<()> {
        if self.engines.len() >= self.allowed {
            return Ok(());
        }
        let site = self.waiting.pop_front().context("there are no more sites")?;
        self.engines
            .insert(site, Engine::new(Box::new(Urandom(File::open("/dev/urandom")?))));
        let name = ConnectionName(Arc::from("hub"));
        let connections = BTreeMap::from([(name, connection(site, &self.plan))]);
        self.tell(
            site,
            Input::Settings(Box::new(Settings {
                connections,
                ..Settings::default()
            })),
        )
    }

    /// Retransmissions, where they are due.
    fn tick(&mut self) -> Result<()> {
        let now = Instant::now();
        let due = |engine: &Engine| engine.deadline().is_some_and(|deadline| deadline.at <= now);
        let sites: Vec<_> = self
            .engines
            .iter()
            .filter(|(_, engine)| due(engine))
            .map(|(site, _)| *site)
            .collect();
        sites
            .into_iter()
            .try_for_each(|site| self.tell(site, Input::Tick))
    }

    fn tell(&mut self, site: Ipv4Addr, input: Input) -> Result<()> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(engine) = self.engines.get_mut(&site) else {
                bail!("{site} is not one of ours")
            };
            for action in engine.handle(input, Instant::now()) {
                match action {
                    Action::Send { local, remote, bytes } => self.send(local, remote, &bytes)?,
                    Action::InstallChild(child, _) => inputs.push_back(Input::ChildInstalled(child)),
                    Action::Report(Event::Up(_)) => {
                        self.up += 1;
                        self.start_next()?;
                    }
                    Action::Report(Event::Down(_, outage) | Event::AttemptFailed(_, outage)) => {
                        bail!("{site} is down: {outage:?}")
                    }
                    Action::Report(_)
                    | Action::RemoveChild(_)
                    | Action::SendBy(_)
                    | Action::Resolve(..)
                    | Action::Sign(..)
                    | Action::FetchLists(_)
                    | Action::Log(..)
                    | Action::Watch(..)
                    | Action::AskTraffic(_)
                    | Action::AskCarried(_)
                    | Action::MoveChild { .. }
                    | Action::Keepalive { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn send(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) -> Result<()> {
        let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
            bail!("only IPv4 here")
        };
        let found = self.sockets.iter().find(|(port, _)| *port == local.port());
        let (port, socket) = found.with_context(|| format!("no socket at {local}"))?;
        let marker: &[u8] = if *port == ENCAPSULATION_PORT {
            &NON_ESP_MARKER
        } else {
            &[]
        };
        let source = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: nix::libc::in_addr {
                s_addr: u32::from_ne_bytes(local.ip().octets()),
            },
            ipi_addr: nix::libc::in_addr { s_addr: 0 },
        };
        let to = SockaddrIn::from(remote);
        let parts = [IoSlice::new(marker), IoSlice::new(bytes)];
        let source = [ControlMessage::Ipv4PacketInfo(&source)];
        sendmsg(socket.as_raw_fd(), &parts, &source, MsgFlags::empty(), Some(&to))?;
        Ok(())
    }
}

impl Drop for Initiators {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::Relaxed);
        for listener in self.listeners.drain(..) {
            let _already_failed = listener.join();
        }
    }
}

/// Hands on what arrives until it is over.
fn listen(socket: &UdpSocket, port: u16, arrivals: &Sender<Arrival>, finished: &AtomicBool) {
    while !finished.load(Ordering::Relaxed) {
        // Nothing came in time, or it was not for us.
        let Ok(Some(arrival)) = receive(socket, port) else {
            continue;
        };
        if arrivals.send(arrival).is_err() {
            break;
        }
    }
}

/// One IKE message; `None` for anything else.
fn receive(socket: &UdpSocket, port: u16) -> Result<Option<Arrival>> {
    let mut buffer = [0; 4096];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!(in_pktinfo);
    let received = recvmsg::<SockaddrIn>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    )?;
    let remote = received.address.map(SocketAddrV4::from);
    let local = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(SocketAddrV4::new(
            Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()),
            port,
        )),
        _ => None,
    });
    let length = received.bytes;
    let bytes = buffer.get(..length).unwrap_or_default();
    let message = if port == ENCAPSULATION_PORT {
        bytes.strip_prefix(&NON_ESP_MARKER)
    } else {
        Some(bytes)
    };
    let (Some(local), Some(remote), Some(message)) = (local, remote, message) else {
        return Ok(None);
    };
    Ok(Some(Arrival {
        local,
        remote,
        bytes: message.to_vec(),
    }))
}

/// What a site is configured with.
fn connection(site: Ipv4Addr, plan: &Plan) -> Connection {
    let ike = IkeProposal {
        encryption: Encryption::AesGcm16(128),
        integrity: None,
        prf: Prf::HmacSha2_256,
        groups: vec![plan.group],
        additional: Vec::new(),
    };
    let esp = EspProposal {
        encryption: Encryption::AesGcm16(128),
        integrity: None,
        extended_sequence_numbers: false,
        groups: Vec::new(),
        additional: Vec::new(),
    };
    let [.., high, low] = site.octets();
    let secret = Authentication::pre_shared_key(plan.secret.clone().into_bytes().into());
    // What a site has behind it; 10.1.0.0/24 is behind the responder.
    let ours = vec![selector([10, 64 + high, low, 0], [10, 64 + high, low, 255])];
    let theirs = vec![selector([10, 1, 0, 0], [10, 1, 0, 255])];
    Connection {
        mode: Mode::InitiatorOnly,
        ike_proposals: vec![ike],
        esp_proposals: vec![esp],
        lines: vec![SelectorLine::with_tunnel(ours, theirs)],
        dpd_timeout: Duration::from_secs(3600),
        ..Connection::between((site, PORT).into(), (plan.responder, PORT).into(), secret)
    }
}

/// Any protocol and port between two addresses.
fn selector(first: [u8; 4], last: [u8; 4]) -> TrafficSelector {
    TrafficSelector {
        protocol: 0,
        start_port: 0,
        end_port: u16::MAX,
        start: first.into(),
        end: last.into(),
    }
}

struct Urandom(File);

impl Random for Urandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        let filled = self.0.read_exact(bytes);
        assert!(filled.is_ok(), "/dev/urandom: {filled:?}");
    }
}
