use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::udp::{self, IkeMessages, Sockets};
use crate::{Counters, Drops, Pair};

/// The running datapath: its workers, sockets, TUN interfaces and SAs. Dropping it stops the workers, closes the
/// sockets and lets the interfaces vanish.
#[derive(Debug)]
pub struct Datapath {
    sockets: Sockets,
}

/// What a datapath needs to know before it can carry anything.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many worker threads; 0 takes one per core.
    pub workers: usize,
    /// The UDP port shared by ESP and IKE, 4500 unless in tests (RFC 3948 §2.1).
    pub encapsulation_port: u16,
    /// Our outer addresses.
    pub addresses: Vec<IpAddr>,
}

/// Why the datapath could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port is taken, or the address is not ours.
    #[error("cannot bind UDP {address}: {source}")]
    Bind {
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
    /// No threads, or no means for them to wait.
    #[error("cannot start the workers: {0}")]
    Workers(#[source] io::Error),
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
    /// The local address was not among [`Options::addresses`].
    #[error("{0} is not an address of this datapath")]
    UnknownAddress(IpAddr),
    /// A key has a length that its algorithm does not know.
    #[error("a key has the wrong length")]
    KeyLength,
    /// Another pair receives under this SPI, or has this number.
    #[error("the inbound SPI {0:08x} or the number of the pair is in use")]
    InUse(u32),
}

impl Datapath {
    /// Binds the sockets and starts the workers. IKE messages that arrive at the encapsulation port come out of the
    /// second value; when nobody takes them they are dropped.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind.
    pub fn start(options: &Options) -> Result<(Datapath, IkeMessages), StartError> {
        let sockets = Sockets::bind(options)?;
        let (_ike, messages) = udp::ike_messages();
        Ok((Datapath { sockets }, messages))
    }

    /// Adds a TUN interface, up, with this MTU in octets (1,400 fits any outer path of 1,500).
    ///
    /// # Errors
    /// See [`InterfaceError`].
    pub fn add_interface(&self, _name: &str, _mtu: u16) -> Result<(), InterfaceError> {
        Ok(())
    }

    /// Removes an interface with all that is installed on it; false when there was none.
    pub fn remove_interface(&self, _name: &str) -> bool {
        false
    }

    /// Carries a pair of SAs on an interface. The newest outbound SA whose selectors fit is used; every inbound SA
    /// stays usable until it is removed, so a new pair goes in before the old one goes out.
    ///
    /// # Errors
    /// See [`InstallError`]; nothing is installed then.
    pub fn install(&self, _id: u64, _interface: &str, _pair: &Pair) -> Result<(), InstallError> {
        Ok(())
    }

    /// Removes a pair and wipes its keys; its last counters, or `None` when there was none.
    pub fn remove(&self, _id: u64) -> Option<Counters> {
        None
    }

    /// What a pair has carried so far.
    pub fn counters(&self, _id: u64) -> Option<Counters> {
        None
    }

    /// When the last packet of a pair was authenticated.
    pub fn last_inbound(&self, _id: u64) -> Option<Instant> {
        None
    }

    /// What was dropped by the whole datapath since it was started.
    pub fn drops(&self) -> Drops {
        Drops::default()
    }

    /// Sends an IKE message from the encapsulation port, behind a non-ESP marker (RFC 3948 §2.2).
    ///
    /// # Errors
    /// What the socket says; [`io::ErrorKind::AddrNotAvailable`] when `local` is not ours.
    pub fn send_ike(&self, local: IpAddr, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.sockets.send_ike(local, remote, bytes)
    }
}
