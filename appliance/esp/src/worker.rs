use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::mpsc;

use crate::Drops;
use crate::early::Early;
use crate::ike_queue::IkeInbox;
use crate::notice::Notice;
use crate::receive::{Arrival, Opening, Reception};
use crate::segment::segment;
use crate::table::{Endpoints, Interface, Table};
use crate::transmit::{Batch, Transmission};
use crate::tun::Device;
use crate::udp::LocalSockets;
use crate::virtio;

/// Packets taken from one TUN queue, or rounds of a socket's buffers, before others have their turn.
const BURST: usize = 16;
const ROUNDS: usize = 4;
/// Sources of events reported at once.
const EVENTS: usize = 16;

/// What every worker and the daemon see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: RwLock<Table>,
    /// What was dropped without an SA to count it on.
    pub(crate) drops: Mutex<Drops>,
    pub(crate) early: Mutex<Early>,
    pub(crate) ike: IkeInbox,
    pub(crate) notices: mpsc::Sender<Notice>,
}

impl Shared {
    pub(crate) fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn drops(&self) -> MutexGuard<'_, Drops> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn early(&self) -> MutexGuard<'_, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running worker; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Handle {
    epoll: Arc<Epoll>,
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
}

/// What a worker waits for, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Stop,
    /// The UDP socket of this key.
    Udp(u64),
    /// The raw socket of this key.
    Raw(u64),
    /// The queue of the interface of this key.
    Interface(u64),
}

impl Source {
    const KINDS: u64 = 4;

    fn encode(self) -> u64 {
        match self {
            Source::Stop => 0,
            Source::Udp(place) => place * Source::KINDS + 1,
            Source::Raw(place) => place * Source::KINDS + 2,
            Source::Interface(token) => token * Source::KINDS + 3,
        }
    }

    fn decode(number: u64) -> Source {
        let place = number / Source::KINDS;
        match number % Source::KINDS {
            1 => Source::Udp(place),
            2 => Source::Raw(place),
            3 => Source::Interface(place),
            _ => Source::Stop,
        }
    }
}

impl Handle {
    /// Starts a worker, which waits on what it is told to watch.
    pub(crate) fn spawn(index: usize, shared: Arc<Shared>) -> io::Result<Handle> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(
            stop.as_fd(),
            EpollEvent::new(EpollFlags::EPOLLIN, Source::Stop.encode()),
        )?;
        let worker = Worker::new(index, shared, Arc::clone(&epoll));
        let thread = thread::Builder::new()
            .name(format!("esp-{index}"))
            .spawn(move || worker.run())?;
        Ok(Handle {
            epoll,
            stop,
            thread: Some(thread),
        })
    }

    /// Has the worker read its queue of a new interface.
    pub(crate) fn watch_interface(&self, device: &Device, index: usize, token: u64) -> io::Result<()> {
        let queue = device.queue(index).ok_or(io::ErrorKind::NotFound)?;
        self.watch(Source::Interface(token), queue)
    }

    /// Has the worker read its socket of a new address; the first one also that for plain ESP.
    pub(crate) fn watch_sockets(&self, sockets: &LocalSockets, index: usize, place: u64) -> io::Result<()> {
        let udp = sockets.udp.get(index).ok_or(io::ErrorKind::NotFound)?;
        self.watch(Source::Udp(place), udp.as_fd())?;
        if index == 0 {
            self.watch(Source::Raw(place), sockets.raw.as_fd())?;
        }
        Ok(())
    }

    /// Until the descriptor is closed.
    fn watch(&self, source: Source, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, source.encode());
        Ok(self.epoll.add(descriptor, event)?)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.stop.write(1).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("a worker of the datapath has panicked");
        }
    }
}

/// One thread that carries packets in both directions.
struct Worker {
    index: usize,
    shared: Arc<Shared>,
    epoll: Arc<Epoll>,
    packet: Box<[u8]>,
    batch: Batch,
    reception: Reception,
    drops: Drops,
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>, epoll: Arc<Epoll>) -> Worker {
        let packet = vec![0; usize::from(u16::MAX)].into_boxed_slice();
        let (batch, reception) = (Batch::new(), Reception::new());
        Worker {
            index,
            shared,
            epoll,
            packet,
            batch,
            reception,
            drops: Drops::default(),
        }
    }

    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "a worker of the datapath cannot wait any more");
                    return;
                }
            };
            let table = shared.table();
            for event in events.iter().take(ready) {
                match Source::decode(event.data()) {
                    Source::Stop => return,
                    Source::Udp(place) => self.receive_datagrams(place, &table),
                    Source::Raw(place) => self.receive_raw(place, &table),
                    Source::Interface(token) => {
                        // Removed since the event was reported: nothing to do.
                        if let Some(interface) = table.interfaces.get(&token) {
                            self.transmit(interface, &table);
                        }
                    }
                }
            }
            drop(table);
            if self.drops != Drops::default() {
                shared.drops().add(&self.drops);
                self.drops = Drops::default();
            }
        }
    }

    /// Carries what waits in the queue of an interface to the peer.
    fn transmit(&mut self, interface: &Interface, table: &Table) {
        let mut transmission: Option<Transmission<'_>> = None;
        let mut batch = Some(&mut self.batch);
        for _ in 0..BURST {
            let Ok((header, len)) = interface.device.read(self.index, &mut self.packet) else {
                break;
            };
            let packet = self.packet.get_mut(..len).unwrap_or_default();
            let Some(header) = virtio::Header::decode(&header) else {
                self.drops.malformed += 1;
                continue;
            };
            let Some(child) = interface.children.outbound(packet) else {
                interface.missed(packet, &self.shared.notices, &mut self.drops);
                continue;
            };
            if transmission
                .as_ref()
                .is_none_or(|transmission| transmission.child.id != child.id)
            {
                batch = batch.or_else(|| transmission.take().map(Transmission::finish));
                let Endpoints { local, remote } = child.endpoints();
                let Some(sockets) = table.sockets_of(local.ip()) else {
                    continue;
                };
                let Some(batch) = batch.take() else { continue };
                transmission = Some(Transmission::new(child, remote, batch, sockets, self.index));
            }
            let Some(transmission) = &mut transmission else {
                continue;
            };
            if segment(header, packet, |inner| transmission.push(inner)).is_err() {
                self.drops.malformed += 1;
            }
        }
        if let Some(transmission) = transmission {
            transmission.finish();
        }
    }

    fn receive_datagrams(&mut self, place: u64, table: &Table) {
        // Closed since the event was reported: nothing to do.
        let Some(sockets) = table.sockets.get(&place) else {
            return;
        };
        if let Some(socket) = sockets.udp.get(self.index) {
            let local = sockets.address;
            self.receive(socket.as_fd(), Arrival::Datagram { local }, table);
        }
    }

    fn receive_raw(&mut self, place: u64, table: &Table) {
        let Some(sockets) = table.sockets.get(&place) else {
            return;
        };
        let arrival = if sockets.address.is_ipv4() {
            Arrival::Ipv4
        } else {
            Arrival::Ipv6
        };
        self.receive(sockets.raw.as_fd(), arrival, table);
    }

    /// Carries what waits at a socket to the interfaces it is for.
    fn receive(&mut self, socket: BorrowedFd<'_>, arrival: Arrival, table: &Table) {
        let shared = Arc::clone(&self.shared);
        let mut opening = Opening::new(table, &shared.ike, &shared.early);
        for _ in 0..ROUNDS {
            let more = self.reception.receive(socket, arrival, &mut opening);
            self.reception
                .coalescer
                .flush(&mut self.reception.buffers, |token, pieces| {
                    let interface = table.interfaces.get(&token);
                    if interface.is_none_or(|interface| interface.device.write(self.index, pieces).is_err()) {
                        opening.drops.output += 1;
                    }
                });
            if !more {
                break;
            }
        }
        self.drops.add(&opening.drops);
    }
}
