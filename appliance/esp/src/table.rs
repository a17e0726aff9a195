use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use crate::sa::{Opener, Sealer};
use crate::selector::Selectors;
use crate::tun::Device;
use crate::{Counters, Drops, Encapsulation, InstallError, Pair};

/// All that the workers look up; changed by the daemon, read once per burst of packets.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) interfaces: BTreeMap<u64, Interface>,
    pub(crate) children: BTreeMap<u64, Arc<Child>>,
    pub(crate) by_spi: HashMap<u32, Arc<Child>>,
}

/// One TUN interface and what is installed on it.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) device: Device,
    /// Oldest first.
    pub(crate) children: Vec<Arc<Child>>,
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
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) drops: Drops,
    pub(crate) last: Option<Instant>,
}

impl Table {
    /// The key of the interface of this name.
    pub(crate) fn interface(&self, name: &str) -> Option<u64> {
        self.interfaces
            .iter()
            .find(|(_, interface)| interface.name == name)
            .map(|(token, _)| *token)
    }
}

impl Interface {
    /// The newest child whose selectors fit a packet that leaves.
    pub(crate) fn outbound(&self, packet: &[u8]) -> Option<&Arc<Child>> {
        self.children
            .iter()
            .rev()
            .find(|child| child.selectors.admit_outbound(packet))
    }
}

impl Child {
    pub(crate) fn new(id: u64, interface: u64, pair: &Pair) -> Result<Child, InstallError> {
        Ok(Child {
            id,
            interface,
            inbound_spi: pair.inbound.spi,
            endpoints: RwLock::new(Endpoints {
                local: pair.local,
                remote: pair.remote,
            }),
            encapsulation: pair.encapsulation,
            selectors: Selectors::new(pair),
            outbound: Mutex::new(Direction::new(Sealer::new(&pair.outbound)?)),
            inbound: Mutex::new(Direction::new(Opener::new(&pair.inbound)?)),
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

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        {
            let outbound = self.outbound();
            counters.packets_out = outbound.packets;
            counters.bytes_out = outbound.bytes;
            counters.drops.add(&outbound.drops);
        }
        let inbound = self.inbound();
        counters.packets_in = inbound.packets;
        counters.bytes_in = inbound.bytes;
        counters.drops.add(&inbound.drops);
        counters
    }
}

impl<S> Direction<S> {
    fn new(sa: S) -> Direction<S> {
        Direction {
            sa,
            packets: 0,
            bytes: 0,
            drops: Drops::default(),
            last: None,
        }
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += u64::try_from(bytes).unwrap_or_default();
    }
}
