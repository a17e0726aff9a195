use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use appliance_config::model::Name;
use appliance_dhcp::{Action, Client, Held, Input, Lease, Loss, Phase};
use nix::errno::Errno;
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::memory::Memory;
use super::socket::LinkSocket;
use crate::datapath::Request;
use crate::randomness::SystemRandom;

/// How many datagrams of servers wait at most; what comes beyond is asked for again.
const ARRIVALS: usize = 32;

/// A link whose IPv4 address comes by DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DhcpLink {
    /// What the kernel calls it.
    pub(crate) device: String,
    /// Its number.
    pub(crate) index: u32,
    /// Its Ethernet address.
    pub(crate) mac: [u8; 6],
    /// Whether it carries packets.
    pub(crate) up: bool,
    /// What the machine calls itself.
    pub(crate) host_name: Option<String>,
}

/// All such links that are there, by the name of their interface.
pub(crate) type Links = BTreeMap<Name, DhcpLink>;

/// What a client is doing.
#[derive(Debug, Clone)]
pub(crate) struct ClientSnapshot {
    pub(crate) phase: Phase,
    pub(crate) held: Option<Held>,
    /// Why the last one was lost, until there is another.
    pub(crate) loss: Option<Loss>,
}

/// Owns the DHCP clients.
pub(crate) struct DhcpOwner {
    clients: BTreeMap<Name, Running>,
    memory: Memory,
    network: mpsc::Sender<Request>,
    snapshot: watch::Sender<Arc<BTreeMap<Name, ClientSnapshot>>>,
    arrived: mpsc::Sender<(Name, u32, Vec<u8>)>,
    arrivals: mpsc::Receiver<(Name, u32, Vec<u8>)>,
}

struct Running {
    link: DhcpLink,
    client: Client,
    socket: Option<Arc<LinkSocket>>,
    /// Ends with this.
    _reader: JoinSet<()>,
    loss: Option<Loss>,
}

impl DhcpOwner {
    /// Tells of leases through `network`, and of what is going on through `snapshot`.
    pub(crate) fn new(
        memory: Memory,
        network: mpsc::Sender<Request>,
        snapshot: watch::Sender<Arc<BTreeMap<Name, ClientSnapshot>>>,
    ) -> Self {
        let (arrived, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            clients: BTreeMap::new(),
            memory,
            network,
            snapshot,
            arrived,
            arrivals,
        }
    }

    /// Serves the links that are named until nobody can name any more.
    pub(crate) async fn run(mut self, mut links: watch::Receiver<Links>) {
        loop {
            let deadlines = self
                .clients
                .values()
                .filter_map(|running| running.client.deadline());
            let deadline = deadlines.min();
            select! {
                changed = links.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = links.borrow_and_update().clone();
                    self.serve(wanted).await;
                }
                Some((name, index, bytes)) = self.arrivals.recv() => {
                    let current = self.clients.get(&name).is_some_and(|one| one.link.index == index);
                    if current {
                        self.feed(&name, Input::Received(&bytes)).await;
                    }
                }
                () = until(deadline) => self.tick().await,
            }
            self.publish();
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        let is_due = |running: &Running| running.client.deadline().is_some_and(|due| due <= now);
        let due = self.clients.iter().filter(|(_, running)| is_due(running));
        let due: Vec<Name> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.feed(&name, Input::Tick).await;
        }
    }

    /// A link that is another one under the same name has another client, too.
    async fn serve(&mut self, wanted: Links) {
        let is_same = |running: &Running, link: &DhcpLink| {
            let DhcpLink {
                device,
                index,
                mac,
                host_name,
                ..
            } = &running.link;
            (device, index, mac, host_name) == (&link.device, &link.index, &link.mac, &link.host_name)
        };
        // A link that is gone keeps nothing: its address went with it.
        self.clients.retain(|name, running| {
            let stays = wanted.get(name).is_some_and(|link| is_same(running, link));
            if !stays {
                debug!(interface = %name, "no DHCP any more");
            }
            stays
        });
        for (name, link) in wanted {
            let up = link.up;
            if !self.clients.contains_key(&name) {
                let running = self.start(&name, link.clone());
                self.clients.insert(name.clone(), running);
            }
            if let Some(running) = self.clients.get_mut(&name) {
                running.link = link;
                if up && running.socket.is_none() {
                    running.open(&name, &self.arrived);
                }
            }
            let input = if up { Input::LinkUp } else { Input::LinkDown };
            self.feed(&name, input).await;
        }
    }

    fn start(&self, name: &Name, link: DhcpLink) -> Running {
        let remembered = self.memory.recall(name, link.mac);
        let client = Client::new(
            link.mac,
            link.host_name.clone(),
            remembered,
            Box::new(SystemRandom),
        );
        Running {
            link,
            client,
            socket: None,
            _reader: JoinSet::new(),
            loss: None,
        }
    }

    async fn feed(&mut self, name: &Name, input: Input<'_>) {
        let Some(running) = self.clients.get_mut(name) else {
            return;
        };
        for action in running.client.handle(input, Instant::now()) {
            let Some(running) = self.clients.get_mut(name) else {
                return;
            };
            match action {
                Action::Broadcast(bytes) => {
                    let sent = running.socket.as_ref().map(|socket| socket.broadcast(&bytes));
                    lost(name, sent);
                }
                Action::Send { from, to, bytes } => {
                    let sent = running
                        .socket
                        .as_ref()
                        .map(|socket| socket.send(from, to, &bytes));
                    lost(name, sent);
                }
                Action::Use(lease) => {
                    granted(name, &lease);
                    running.loss = None;
                    self.memory
                        .remember(name, running.link.mac, running.client.held());
                    tell(&self.network, name, Some(lease)).await;
                }
                Action::Lose(loss) => {
                    warn!(interface = %name, ?loss, "the lease is lost");
                    running.loss = Some(loss);
                    self.memory.remember(name, running.link.mac, None);
                    tell(&self.network, name, None).await;
                }
            }
        }
    }

    fn publish(&self) {
        let snapshots = self.clients.iter().map(|(name, running)| {
            let snapshot = ClientSnapshot {
                phase: running.client.phase(),
                held: running.client.held().cloned(),
                loss: running.loss,
            };
            (name.clone(), snapshot)
        });
        self.snapshot.send_replace(Arc::new(snapshots.collect()));
    }
}

impl Running {
    fn open(&mut self, name: &Name, arrived: &mpsc::Sender<(Name, u32, Vec<u8>)>) {
        let (index, arrived, name) = (self.link.index, arrived.clone(), name.clone());
        match LinkSocket::open(index, &self.link.device) {
            Ok(socket) => {
                let socket = Arc::new(socket);
                self.socket = Some(socket.clone());
                self._reader.spawn(async move {
                    while let Ok(bytes) = socket.receive().await {
                        let _full = arrived.try_send((name.clone(), index, bytes));
                    }
                });
            }
            Err(error) => warn!(interface = %name, %error, "no DHCP without a packet socket"),
        }
    }
}

async fn tell(network: &mpsc::Sender<Request>, name: &Name, lease: Option<Lease>) {
    // Only when everything stops; wiring then ends the process.
    let _stopped = network.send(Request::Leased(name.clone(), lease)).await;
}

fn granted(name: &Name, lease: &Lease) {
    let address = format!("{}/{}", lease.address, lease.prefix_length);
    let seconds = lease.duration.map(|duration| duration.as_secs());
    info!(interface = %name, address, server = %lease.server, seconds, "an address by DHCP");
}

/// A message that could not be sent is like one lost on the way: it is sent again.
fn lost(name: &Name, sent: Option<std::io::Result<()>>) {
    match sent {
        Some(Ok(())) => (),
        Some(Err(error)) => debug!(interface = %name, %error, "not sent"),
        None => debug!(interface = %name, error = %Errno::ENOTCONN, "not sent"),
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
