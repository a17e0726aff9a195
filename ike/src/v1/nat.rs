//! NAT detection (RFC 3947 §3.2); what follows from it is that of IKEv2.

use std::net::{IpAddr, SocketAddr};

use super::vendor::Traversal;
use crate::crypto::Prf;
use crate::v2::nat::{Nat, Path};
use crate::wire::v1::{NatDetectionPayload, Payload};

/// The two payloads that let the peer detect a NAT on this path, its own end first; `forced` makes it find one before us.
pub(crate) fn payloads(
    (prf, traversal): (Prf, Traversal),
    cookies: (u64, u64),
    path: Path,
    forced: bool,
) -> [Payload; 2] {
    let mut source = hash(prf, cookies, path.local);
    if forced {
        source.iter_mut().for_each(|octet| *octet = !*octet);
    }
    let draft = traversal == Traversal::Draft;
    let payload = |hash| Payload::NatDetection(NatDetectionPayload { draft, hash });
    [payload(hash(prf, cookies, path.remote)), payload(source)]
}

/// What the peer's payloads say about this path. A peer that sends none does not know NATs.
pub(crate) fn detect(prf: Prf, cookies: (u64, u64), path: Path, (said, forced): (&[Payload], bool)) -> Nat {
    let hashes = said.iter().filter_map(|payload| {
        if let Payload::NatDetection(found) = payload {
            Some(&found.hash)
        } else {
            None
        }
    });
    let hashes: Vec<_> = hashes.collect();
    let Some((ours, theirs)) = hashes.split_first().filter(|(_, theirs)| !theirs.is_empty()) else {
        return Nat::default();
    };
    let remote = hash(prf, cookies, path.remote);
    Nat {
        local: **ours != hash(prf, cookies, path.local),
        remote: theirs.iter().all(|hash| **hash != remote),
        forced,
    }
}

fn hash(prf: Prf, cookies: (u64, u64), address: SocketAddr) -> Vec<u8> {
    let (initiator, responder) = (cookies.0.to_be_bytes(), cookies.1.to_be_bytes());
    let octets = match address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    prf.digest(&[&initiator, &responder, &octets, &address.port().to_be_bytes()])
}
