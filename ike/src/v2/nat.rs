//! NAT detection and traversal (RFC 7296 §2.23, RFC 3948).

use std::net::SocketAddr;
use std::time::Duration;

use super::keys::nat_detection;
use crate::Encapsulation;
use crate::wire::registry::notify::{NAT_DETECTION_DESTINATION_IP, NAT_DETECTION_SOURCE_IP};
use crate::wire::{NotifyPayload, Payload};

/// How often a NAT before us is shown that its mapping is in use (RFC 3948 §4).
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(20);

const IKE_PORT: u16 = 500;
const ENCAPSULATION_PORT: u16 = 4500;

/// Both ends of an IKE SA as we see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// Where NATs stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nat {
    /// Before us.
    pub(crate) local: bool,
    /// Before the peer.
    pub(crate) remote: bool,
    /// We encapsulate although there may be none.
    pub(crate) forced: bool,
}

impl Path {
    /// Whether it leads between the same hosts.
    pub(crate) fn is_between(self, other: Self) -> bool {
        (self.local.ip(), self.remote.ip()) == (other.local.ip(), other.remote.ip())
    }

    /// The same hosts on the port where IKE and encapsulated ESP go together.
    pub(crate) fn encapsulated(self) -> Self {
        Self {
            local: encapsulated(self.local),
            remote: encapsulated(self.remote),
        }
    }

    /// The two notifies that let the peer detect a NAT on this path; `forced` makes it find one before us.
    pub(crate) fn notifies(&self, spis: (u64, u64), forced: bool) -> [Payload; 2] {
        let mut source = hash(spis, self.local).to_vec();
        if forced {
            source.iter_mut().for_each(|octet| *octet = !*octet);
        }
        let notify = |kind, data| {
            Payload::Notify(NotifyPayload {
                protocol: 0,
                spi: Vec::new(),
                kind,
                data,
            })
        };
        [
            notify(NAT_DETECTION_SOURCE_IP, source),
            notify(NAT_DETECTION_DESTINATION_IP, hash(spis, self.remote).to_vec()),
        ]
    }

    /// What the peer's notifies say about this path. A peer that sends none does not know NATs.
    pub(crate) fn detect(&self, spis: (u64, u64), payloads: &[Payload], forced: bool) -> Nat {
        let differ = |kind, from: SocketAddr| {
            let mut hashes = notifies(payloads, kind).peekable();
            hashes.peek().is_some() && hashes.all(|data| data.as_slice() != hash(spis, from))
        };
        Nat {
            local: differ(NAT_DETECTION_DESTINATION_IP, self.local),
            remote: differ(NAT_DETECTION_SOURCE_IP, self.remote),
            forced: forced && notifies(payloads, NAT_DETECTION_SOURCE_IP).next().is_some(),
        }
    }
}

impl Nat {
    /// How ESP must travel.
    pub(crate) fn encapsulation(self) -> Encapsulation {
        if self.local || self.remote || self.forced {
            Encapsulation::Udp
        } else {
            Encapsulation::None
        }
    }

    /// The initiator moves to the encapsulation port; both do so for good.
    pub(crate) fn path(self, path: Path) -> Path {
        match self.encapsulation() {
            Encapsulation::Udp => path.encapsulated(),
            Encapsulation::None => path,
        }
    }
}

fn encapsulated(mut address: SocketAddr) -> SocketAddr {
    if address.port() == IKE_PORT {
        address.set_port(ENCAPSULATION_PORT);
    }
    address
}

fn hash((initiator, responder): (u64, u64), address: SocketAddr) -> [u8; 20] {
    nat_detection(initiator, responder, address)
}

fn notifies(payloads: &[Payload], kind: u16) -> impl Iterator<Item = &Vec<u8>> {
    payloads.iter().filter_map(move |payload| {
        if let Payload::Notify(notify) = payload {
            (notify.kind == kind).then_some(&notify.data)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(local: &str, remote: &str) -> Path {
        Path {
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
        }
    }

    #[test]
    fn each_side_finds_the_nat_where_it_stands() {
        let inside = path("10.0.0.9:500", "192.0.2.2:500");
        let outside = path("192.0.2.2:500", "192.0.2.1:1024");
        let seen = outside.detect((1, 0), &inside.notifies((1, 0), false), false);
        assert_eq!(
            (seen.local, seen.remote, seen.encapsulation()),
            (false, true, Encapsulation::Udp)
        );
        let seen = inside.detect((1, 2), &outside.notifies((1, 2), false), false);
        assert_eq!((seen.local, seen.remote), (true, false));
        assert_eq!(seen.path(inside), path("10.0.0.9:4500", "192.0.2.2:4500"));
    }

    #[test]
    fn without_a_nat_nothing_moves_unless_forced() {
        let (east, west) = (
            path("192.0.2.1:500", "192.0.2.2:500"),
            path("192.0.2.2:500", "192.0.2.1:500"),
        );
        assert_eq!(
            west.detect((1, 0), &east.notifies((1, 0), false), false),
            Nat::default()
        );
        assert!(west.detect((1, 0), &east.notifies((1, 0), true), false).remote);
        let ours = east.detect((1, 2), &west.notifies((1, 2), false), true);
        assert_eq!((ours.local, ours.encapsulation()), (false, Encapsulation::Udp));
        assert_eq!(
            east.detect((1, 2), &[], true).encapsulation(),
            Encapsulation::None,
            "the peer cannot"
        );
    }
}
