use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use crate::children::{Children, Watched};
use crate::early;
use crate::ike_queue::IkeInbox;
use crate::links::Links;
use crate::notice::{self, Notices};
use crate::receive::Opening;
use crate::table::{Child, Endpoints, Interface};
use crate::tun::Device;
use crate::udp::LocalSockets;
use crate::worker::{Handle, Shared};
use crate::{Counters, Drops, Encapsulation, Pair, WatchedLine};

/// The running datapath: its workers, sockets, TUN interfaces and SAs. Dropping it stops the workers, closes the
/// sockets and lets the interfaces vanish.
#[derive(Debug)]
pub struct Datapath {
    shared: Arc<Shared>,
    workers: Vec<Handle>,
    links: Mutex<Links>,
    encapsulation_port: u16,
    next_place: AtomicU64,
}

/// What a datapath needs to know before it can carry anything.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many worker threads; 0 takes one per core.
    pub workers: usize,
    /// The UDP port shared by ESP and IKE, 4500 unless in tests (RFC 3948 §2.1).
    pub encapsulation_port: u16,
}

/// No threads, or no means for them to wait.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the workers of the datapath: {0}")]
pub struct StartError(#[from] io::Error);

/// Why nothing can be carried from and to an address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The UDP port is taken, or the address is not there.
    #[error("cannot bind UDP {address}: {source}")]
    Udp {
        /// Address and port wanted.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No raw socket for plain ESP; needs CAP_NET_RAW.
    #[error("cannot open a raw socket for ESP on {address}: {source}")]
    Raw {
        /// Address wanted.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The workers cannot wait on a socket.
    #[error("cannot wait on the sockets of {address}: {source}")]
    Wait {
        /// Address wanted.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl From<BindError> for io::Error {
    /// What the system said.
    fn from(error: BindError) -> Self {
        match error {
            BindError::Udp { source, .. }
            | BindError::Raw { source, .. }
            | BindError::Wait { source, .. } => source,
        }
    }
}

/// Why an interface could not be added.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// The datapath already has an interface of this name.
    #[error("interface {0} exists already")]
    Exists(String),
    /// The system refused the TUN interface; needs /dev/net/tun and CAP_NET_ADMIN.
    #[error("cannot make TUN interface {name}: {source}")]
    Device {
        /// The name asked for.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a pair of SAs could not be installed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InstallError {
    /// No such interface was added.
    #[error("no interface {0}")]
    UnknownInterface(String),
    /// The datapath is not bound to the local address.
    #[error("the datapath has no sockets at {0}")]
    UnknownAddress(IpAddr),
    /// A key has a length that its algorithm does not know.
    #[error("a key has the wrong length")]
    KeyLength,
    /// Another pair receives under this SPI, or has this number.
    #[error("the inbound SPI {0:08x} or the number of the pair is in use")]
    InUse(u32),
}

impl Datapath {
    /// Starts the workers, with neither addresses nor interfaces. IKE messages that arrive at the encapsulation port are
    /// left in `ike`. What the datapath tells unasked comes out of the second value.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind.
    pub fn start(options: &Options, ike: IkeInbox) -> Result<(Datapath, Notices), StartError> {
        let workers = match options.workers {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            workers => workers,
        };
        let (sender, notices) = notice::notices();
        let shared = Arc::new(Shared {
            table: RwLock::default(),
            drops: Mutex::default(),
            early: Mutex::default(),
            ike,
            notices: sender,
        });
        let mut datapath = Datapath {
            shared,
            workers: Vec::with_capacity(workers),
            links: Mutex::new(Links::open()?),
            encapsulation_port: options.encapsulation_port,
            next_place: 0.into(),
        };
        for index in 0..workers {
            let worker = Handle::spawn(index, Arc::clone(&datapath.shared))?;
            datapath.workers.push(worker);
        }
        Ok((datapath, notices))
    }

    /// Carries from and to this outer address from now on, and takes IKE messages there; nothing changes if it does so
    /// already. Its sockets outlive an address that goes for a while.
    ///
    /// # Errors
    /// See [`BindError`]; nothing is left behind.
    pub fn bind(&self, address: IpAddr) -> Result<(), BindError> {
        let mut table = self.shared.table_mut();
        if table.sockets_of(address).is_some() {
            return Ok(());
        }
        let at = SocketAddr::new(address, self.encapsulation_port);
        let sockets = LocalSockets::bind(at, self.workers.len())?;
        let place = self.next_place();
        for (index, worker) in self.workers.iter().enumerate() {
            let watched = worker.watch_sockets(&sockets, index, place);
            watched.map_err(|source| BindError::Wait { address, source })?;
        }
        table.sockets.insert(place, sockets);
        Ok(())
    }

    /// Closes the sockets of all outer addresses but these. What is installed for another carries nothing any more.
    pub fn keep(&self, addresses: &BTreeSet<IpAddr>) {
        let kept = |sockets: &LocalSockets| addresses.contains(&sockets.address.ip());
        self.shared.table_mut().sockets.retain(|_, sockets| kept(sockets));
    }

    /// A number that no interface and no socket had before: what a worker was told of one that is gone means no other.
    fn next_place(&self) -> u64 {
        self.next_place.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a TUN interface, up, with this MTU in octets (1,400 fits any outer path of 1,500). One that somebody else
    /// deleted is made anew, and carries what is installed on it.
    ///
    /// # Errors
    /// See [`InterfaceError`].
    pub fn add_interface(&self, name: &str, mtu: u16) -> Result<(), InterfaceError> {
        let mut table = self.shared.table_mut();
        let known = table.interface(name);
        if let Some(interface) = known.and_then(|token| table.interfaces.get_mut(&token)) {
            if interface.device.is_there() {
                return Err(InterfaceError::Exists(name.to_owned()));
            }
            // A queue of what is no more keeps its worker awake for nothing, until it is closed.
            interface.device = Device::closed();
        }
        let token = known.unwrap_or_else(|| self.next_place());
        let device = self.open(name, mtu, token);
        let device = device.map_err(|source| InterfaceError::Device {
            name: name.to_owned(),
            source,
        })?;
        if let Some(interface) = table.interfaces.get_mut(&token) {
            interface.device = device;
        } else {
            let interface = Interface {
                name: name.to_owned(),
                device,
                children: Children::default(),
                watched: Vec::new(),
            };
            table.interfaces.insert(token, interface);
        }
        Ok(())
    }

    /// Makes the TUN interface and has every worker read its queue.
    fn open(&self, name: &str, mtu: u16, token: u64) -> io::Result<Device> {
        let device = Device::create(&mut self.links(), (name, mtu), self.workers.len())?;
        for (index, worker) in self.workers.iter().enumerate() {
            worker.watch_interface(&device, index, token)?;
        }
        Ok(device)
    }

    /// Removes interfaces with all that is installed on them; those that are not there are gone already.
    pub fn remove_interfaces(&self, names: &[&str]) {
        let removed: Vec<Interface> = {
            let mut table = self.shared.table_mut();
            names.iter().filter_map(|name| table.remove(name)).collect()
        };
        if removed.len() > 1
            && let Err(error) = self
                .links()
                .delete(removed.iter().map(|interface| interface.name.as_str()))
        {
            tracing::debug!(%error, "interfaces are removed one by one");
        }
        // Closing the queues takes them off the workers' lists and the interface with them, while the workers go on.
        drop(removed);
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a pair of SAs on an interface. Of the outbound SAs whose selectors fit a packet the narrowest is used, of
    /// equals the one that was last told to send; every inbound SA stays usable until it is removed, so a new pair goes
    /// in before the old one goes out. What came by it in the second before is opened now.
    ///
    /// # Errors
    /// See [`InstallError`]; nothing is installed then.
    pub fn install(&self, id: u64, interface: &str, pair: &Pair) -> Result<(), InstallError> {
        let address = pair.local.ip();
        let mut table = self.shared.table_mut();
        if table.sockets_of(address).is_none() {
            return Err(InstallError::UnknownAddress(address));
        }
        let unknown = || InstallError::UnknownInterface(interface.to_owned());
        let token = table.interface(interface).ok_or_else(unknown)?;
        if table.children.contains_key(&id) || table.by_spi.contains_key(&pair.inbound.spi) {
            return Err(InstallError::InUse(pair.inbound.spi));
        }
        let child = Arc::new(Child::new(id, token, pair, self.shared.notices.clone())?);
        table
            .interfaces
            .get_mut(&token)
            .ok_or_else(unknown)?
            .children
            .install(Arc::clone(&child), pair.sends);
        table.by_spi.insert(child.inbound_spi, Arc::clone(&child));
        table.children.insert(id, child);
        drop(table);
        self.deliver_early(pair.inbound.spi);
        Ok(())
    }

    /// Hands over what came before its SA.
    fn deliver_early(&self, spi: u32) {
        let (shared, mut unwritten) = (&*self.shared, 0);
        let table = shared.table();
        let opening = Opening::new(&table, &shared.ike, &shared.early);
        let drops = early::deliver(spi, opening, |token, pieces| {
            let interface = table.interfaces.get(&token);
            if interface.is_none_or(|interface| interface.device.write(0, pieces).is_err()) {
                unwritten += 1;
            }
        });
        let mut all = shared.drops();
        all.add(&drops);
        all.output += unwritten;
    }

    /// Removes a pair and wipes its keys; its last counters, or `None` when there was none.
    pub fn remove(&self, id: u64) -> Option<Counters> {
        let mut table = self.shared.table_mut();
        let child = table.children.remove(&id)?;
        table.by_spi.remove(&child.inbound_spi);
        if let Some(interface) = table.interfaces.get_mut(&child.interface) {
            interface.children.remove(id);
        }
        Some(child.counters())
    }

    /// From now on packets leave by this pair, and no longer by one before it whose selectors are as narrow; false when
    /// there is no such pair.
    pub fn send_by(&self, id: u64) -> bool {
        let mut table = self.shared.table_mut();
        let Some(token) = table.children.get(&id).map(|child| child.interface) else {
            return false;
        };
        let interface = table.interfaces.get_mut(&token);
        interface.map(|interface| interface.children.prefer(id)).is_some()
    }

    /// Replaces the lines of an interface whose packets are told about, as [`crate::Notice::Wanted`], while no pair
    /// carries them; false when there is no such interface.
    pub fn watch(&self, interface: &str, lines: &[WatchedLine]) -> bool {
        let mut table = self.shared.table_mut();
        let Some(token) = table.interface(interface) else {
            return false;
        };
        let watched = lines.iter().map(Watched::new).collect();
        let interface = table.interfaces.get_mut(&token);
        interface.map(|interface| interface.watched = watched).is_some()
    }

    /// Carries a pair between other outer addresses from now on, as after a NAT gave the peer another port
    /// (RFC 7296 §2.23); false when there is no such pair, it travels otherwise, or `local` is not an address of this datapath.
    pub fn redirect(
        &self,
        id: u64,
        (local, remote): (SocketAddr, SocketAddr),
        encapsulation: Encapsulation,
    ) -> bool {
        let table = self.shared.table();
        let ours = table.sockets_of(local.ip()).is_some();
        let child = table.children.get(&id).filter(|_| ours);
        let child = child.filter(|child| child.encapsulation == encapsulation);
        child
            .map(|child| child.redirect(Endpoints { local, remote }))
            .is_some()
    }

    /// What a pair has carried so far.
    pub fn counters(&self, id: u64) -> Option<Counters> {
        self.shared
            .table()
            .children
            .get(&id)
            .map(|child| child.counters())
    }

    /// When the last packet of a pair was authenticated.
    pub fn last_inbound(&self, id: u64) -> Option<Instant> {
        self.shared
            .table()
            .children
            .get(&id)
            .and_then(|child| child.inbound().last)
    }

    /// What was dropped without an SA to count it on, since the datapath was started.
    pub fn drops(&self) -> Drops {
        let late = self.shared.early().give_up(Instant::now());
        let mut drops = self.shared.drops();
        drops.unknown_spi += late;
        *drops
    }

    /// Sends the octet that keeps a NAT mapping alive from the encapsulation port (RFC 3948 §2.3).
    ///
    /// # Errors
    /// As [`Datapath::send_ike`].
    pub fn send_keepalive(&self, local: IpAddr, remote: SocketAddr) -> io::Result<()> {
        self.at(local, |sockets| sockets.send_keepalive(remote))
    }

    /// Sends an IKE message from the encapsulation port, behind a non-ESP marker (RFC 3948 §2.2).
    ///
    /// # Errors
    /// What the socket says; [`io::ErrorKind::AddrNotAvailable`] when `local` is not ours.
    pub fn send_ike(&self, local: IpAddr, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.at(local, |sockets| sockets.send_ike(remote, bytes))
    }

    fn at(&self, local: IpAddr, send: impl FnOnce(&LocalSockets) -> io::Result<()>) -> io::Result<()> {
        let table = self.shared.table();
        let sockets = table.sockets_of(local);
        sockets.map_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()), send)
    }
}
