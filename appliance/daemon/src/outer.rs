//! Our outer addresses: which are wanted, which can be had at this moment, and the sockets there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use appliance_esp::{Datapath, IkeInbox};
use ike::{Outage, Reason, Side, Stage};
use tracing::{info, warn};

use crate::holder;
use crate::sockets::{BindError, ENCAPSULATION_PORT, IKE_PORT, Ports};

/// Sockets at every wanted address that is there; of the others, why not. An address may come and go at any time.
#[derive(Debug)]
pub(crate) struct Outer {
    wanted: BTreeSet<IpAddr>,
    unusable: BTreeMap<IpAddr, Outage>,
    ports: Ports,
    numbers: &'static [u16],
    /// The user-space datapath, if that has the port of encapsulation.
    user_datapath: Option<Arc<Datapath>>,
}

impl Outer {
    /// Tries both ports of IKE at these addresses, so that it is known early who holds them.
    pub(crate) fn open(wanted: BTreeSet<IpAddr>) -> Self {
        let mut outer = Self {
            wanted,
            unusable: BTreeMap::new(),
            ports: Ports::default(),
            numbers: &[IKE_PORT, ENCAPSULATION_PORT],
            user_datapath: None,
        };
        outer.look();
        outer
    }

    /// From now on the user-space datapath has the port of encapsulation: its workers bind sockets of their own.
    pub(crate) fn encapsulate_by(&mut self, datapath: Arc<Datapath>) {
        self.numbers = &[IKE_PORT];
        self.ports.retain(|address| address.port() == IKE_PORT);
        self.user_datapath = Some(datapath);
    }

    /// These addresses are wanted from now on. Sockets at others stay until [`Outer::let_go`]: there is something to be
    /// said there yet. Returns the addresses that can be used now and could not before.
    pub(crate) fn want(&mut self, wanted: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        self.unusable.retain(|address, _| wanted.contains(address));
        self.wanted = wanted;
        self.look()
    }

    /// Closes the sockets at addresses that are not wanted.
    pub(crate) fn let_go(&mut self) {
        self.ports.retain(|address| self.wanted.contains(&address.ip()));
        if let Some(datapath) = &self.user_datapath {
            datapath.keep(&self.wanted);
        }
    }

    /// Looks which addresses are there, and binds what is missing. Sockets of one that has gone stay for its return.
    /// Returns the addresses that can be used now and could not before.
    pub(crate) fn look(&mut self) -> BTreeSet<IpAddr> {
        let mut back = BTreeSet::new();
        for address in self.wanted.clone() {
            match self.bind(address) {
                Ok(()) if self.unusable.remove(&address).is_some() => {
                    info!(%address, "the outer address can be used now");
                    back.insert(address);
                }
                Ok(()) => (),
                Err(error) => self.note(address, &error),
            }
        }
        back
    }

    fn bind(&mut self, address: IpAddr) -> Result<(), BindError> {
        let at = |port| SocketAddr::new(address, port);
        let failed = |address| move |error| BindError { address, error };
        // Any port will do to learn whether it is there.
        drop(UdpSocket::bind(at(0)).map_err(failed(at(IKE_PORT)))?);
        let mut numbers = self.numbers.iter();
        let bound = numbers.try_for_each(|number| self.ports.bind(at(*number)));
        let bound = bound.and_then(|()| {
            let bound = self
                .user_datapath
                .as_ref()
                .map_or(Ok(()), |datapath| datapath.bind(address));
            bound.map_err(|error| failed(at(ENCAPSULATION_PORT))(error.into()))
        });
        if bound.is_err() {
            // One port alone would bring up a tunnel that ends with the first NAT in its way.
            self.ports.retain(|bound| bound.ip() != address);
        }
        bound
    }

    /// What was found out first stays: later, the sandbox does not let us see who holds a port.
    fn note(&mut self, address: IpAddr, error: &BindError) {
        let reason = reason(&error.error);
        if self.unusable.get(&address).map(|known| known.reason) == Some(reason) {
            return;
        }
        let outage = outage(reason, error);
        let (reason, offered) = (reason.word(), &outage.offered);
        warn!(%address, reason, offered, "the outer address cannot be used, and is tried again");
        self.unusable.insert(address, outage);
    }

    /// Starts to pass on what arrives at ports that nobody listens to yet.
    pub(crate) fn listen(&mut self, inbox: &IkeInbox) {
        self.ports.listen(inbox);
    }

    /// Why nothing can be sent from an address.
    pub(crate) fn unusable(&self, address: IpAddr) -> Option<&Outage> {
        self.unusable.get(&address)
    }

    /// Ports that cannot be had though their addresses are there, in words.
    pub(crate) fn withheld(&self) -> Vec<String> {
        let all = self.unusable.values();
        let withheld = all.filter(|outage| outage.reason != Reason::NoAddress);
        withheld.map(|outage| outage.offered.clone()).collect()
    }

    /// Sends one IKE message.
    pub(crate) fn send(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        match (self.ports.at(local), &self.user_datapath) {
            (Some(port), _) => port.send(remote, bytes),
            (None, Some(datapath)) if local.port() == ENCAPSULATION_PORT => {
                datapath.send_ike(local.ip(), remote, bytes)
            }
            (None, _) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// Sends the octet that keeps a NAT mapping alive (RFC 3948 §2.3).
    pub(crate) fn keep_alive(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
        match (self.ports.at(local), &self.user_datapath) {
            (Some(port), _) => port.keep_alive(remote),
            (None, Some(datapath)) => datapath.send_keepalive(local.ip(), remote),
            (None, None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

fn reason(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Reason::NoAddress,
        io::ErrorKind::AddrInUse => Reason::PortInUse,
        _ => Reason::DatapathRefused,
    }
}

fn outage(reason: Reason, BindError { address, error }: &BindError) -> Outage {
    let (offered, expected) = match error.kind() {
        io::ErrorKind::AddrNotAvailable => (String::new(), format!("{} on this machine", address.ip())),
        io::ErrorKind::AddrInUse => {
            let holder = holder::of_udp(*address);
            (format!("UDP {address} is held by {holder}"), String::new())
        }
        _ => (format!("UDP {address}: {error}"), String::new()),
    };
    Outage {
        reason,
        side: Side::We,
        stage: Stage::Idle,
        offered,
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over one port of our own choice.
    fn outer(address: SocketAddr) -> Outer {
        let mut outer = Outer::open(BTreeSet::new());
        outer.numbers = Vec::leak(vec![address.port()]);
        outer.want(BTreeSet::from([address.ip()]));
        outer
    }

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_holder_and_had_once_it_is_free() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let mut outer = outer(address);
        let outage = outer.unusable(address.ip()).unwrap();
        assert_eq!(outage.reason, Reason::PortInUse);
        let own = format!("(pid {})", std::process::id());
        let told = outage.offered.contains(&address.to_string()) && outage.offered.contains(&own);
        assert!(told, "{outage:?}");
        assert_eq!(outer.withheld().len(), 1);
        drop(holder);
        assert_eq!(outer.look(), BTreeSet::from([address.ip()]));
        assert_eq!((outer.unusable(address.ip()), outer.withheld()), (None, vec![]));
        assert!(
            UdpSocket::bind(address).is_err(),
            "another program gets what we have"
        );
        outer.want(BTreeSet::new());
        outer.let_go();
        UdpSocket::bind(address).unwrap();
    }

    #[tokio::test]
    async fn an_address_that_lacks_one_port_has_none() {
        let (free, held) = (UdpSocket::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
        let (first, held) = (free.unwrap().local_addr().unwrap(), held.unwrap());
        let mut outer = Outer::open(BTreeSet::new());
        outer.numbers = Vec::leak(vec![first.port(), held.local_addr().unwrap().port()]);
        outer.want(BTreeSet::from([first.ip()]));
        let unusable = outer.unusable(first.ip()).map(|outage| outage.reason);
        assert_eq!(unusable, Some(Reason::PortInUse));
        UdpSocket::bind(first).unwrap();
        drop(held);
        assert_eq!(outer.look(), BTreeSet::from([first.ip()]));
        assert!(UdpSocket::bind(first).is_err());
    }

    /// 192.0.2.0/24 is nobody's (RFC 5737).
    #[tokio::test]
    async fn an_address_that_is_not_there_is_told() {
        let address: SocketAddr = "192.0.2.77:0".parse().unwrap();
        let outer = outer(address);
        let outage = outer.unusable(address.ip()).unwrap();
        assert_eq!(
            (outage.reason, outage.expected.as_str()),
            (Reason::NoAddress, "192.0.2.77 on this machine")
        );
        assert_eq!(outer.withheld(), Vec::<String>::new());
    }
}
