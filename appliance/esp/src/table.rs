use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::children::{Children, Watched, wanted};
use crate::meter::Meter;
use crate::notice::Notice;
use crate::sa::{Opener, Sealer};
use crate::selector::Selectors;
use crate::tun::Device;
use crate::udp::LocalSockets;
use crate::{Counters, Drops, Encapsulation, InstallError, Pair, Volume};

/// All that the workers look up; changed by the daemon, read once per burst of packets.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) interfaces: BTreeMap<u64, Interface>,
    pub(crate) sockets: BTreeMap<u64, LocalSockets>,
    pub(crate) children: BTreeMap<u64, Arc<Child>>,
    pub(crate) by_spi: HashMap<u32, Arc<Child>>,
}

/// One TUN interface and what is installed on it.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) device: Device,
    pub(crate) children: Children,
    pub(crate) watched: Vec<Watched>,
}

/// One pair of SAs.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: u64,
    pub(crate) interface: u64,
    pub(crate) inbound_spi: u32,
    endpoints: RwLock<Endpoints>,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) selectors: Selectors,
    notices: mpsc::Sender<Notice>,
    outbound: Mutex<Direction<Sealer>>,
    inbound: Mutex<Direction<Opener>>,
}

/// The outer addresses of a pair of SAs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoints {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// One SA and what it has done; locked for a burst of packets, so that they leave in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Direction<S> {
    pub(crate) sa: S,
    pub(crate) meter: Meter,
    pub(crate) drops: Drops,
    pub(crate) last: Option<Instant>,
}

impl Table {
    /// The sockets of this address of ours.
    pub(crate) fn sockets_of(&self, local: IpAddr) -> Option<&LocalSockets> {
        self.sockets
            .values()
            .find(|sockets| sockets.address.ip() == local)
    }

    /// Takes an interface out with all that is installed on it.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Interface> {
        let token = self.interface(name)?;
        let interface = self.interfaces.remove(&token)?;
        for child in interface.children.iter() {
            self.children.remove(&child.id);
            self.by_spi.remove(&child.inbound_spi);
        }
        Some(interface)
    }

    /// The key of the interface of this name.
    pub(crate) fn interface(&self, name: &str) -> Option<u64> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.name == name)
            .map(|(token, _)| *token)
    }
}

impl Interface {
    /// A packet that no pair takes: tells whom it concerns, and counts it.
    pub(crate) fn missed(&self, packet: &[u8], notices: &mpsc::Sender<Notice>, drops: &mut Drops) {
        let line = wanted(&self.watched, packet, &self.name, notices);
        if line || self.children.is_empty() {
            drops.no_sa += 1;
        } else {
            drops.selector += 1;
        }
    }
}

impl Child {
    pub(crate) fn new(
        id: u64,
        interface: u64,
        pair: &Pair,
        notices: mpsc::Sender<Notice>,
    ) -> Result<Child, InstallError> {
        Ok(Child {
            id,
            interface,
            inbound_spi: pair.inbound.spi,
            endpoints: RwLock::new(Endpoints {
                local: pair.local,
                remote: pair.remote,
            }),
            encapsulation: pair.encapsulation,
            selectors: Selectors::new(&pair.local_selectors, &pair.remote_selectors),
            notices,
            outbound: Mutex::new(Direction::new(Sealer::new(&pair.outbound)?, pair.volume)),
            inbound: Mutex::new(Direction::new(Opener::new(&pair.inbound)?, pair.volume)),
        })
    }

    /// The outer addresses at this moment.
    pub(crate) fn endpoints(&self) -> Endpoints {
        *self.endpoints.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends from and to these outer addresses from now on.
    pub(crate) fn redirect(&self, endpoints: Endpoints) {
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    pub(crate) fn outbound(&self) -> MutexGuard<'_, Direction<Sealer>> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inbound(&self) -> MutexGuard<'_, Direction<Opener>> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an inner packet on one direction of this pair, and tells when that has carried what it may.
    pub(crate) fn count<S>(&self, direction: &mut Direction<S>, bytes: usize) {
        if direction.meter.count(bytes) {
            direction.meter.tell(self.id, &self.notices);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        {
            let outbound = self.outbound();
            counters.packets_out = outbound.meter.packets;
            counters.bytes_out = outbound.meter.bytes;
            counters.drops.add(&outbound.drops);
        }
        let inbound = self.inbound();
        counters.packets_in = inbound.meter.packets;
        counters.bytes_in = inbound.meter.bytes;
        counters.packets_missing = inbound.sa.missing();
        counters.drops.add(&inbound.drops);
        counters
    }
}

impl<S> Direction<S> {
    fn new(sa: S, volume: Volume) -> Direction<S> {
        Direction {
            sa,
            meter: Meter::new(volume),
            drops: Drops::default(),
            last: None,
        }
    }
}
