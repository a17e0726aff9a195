//! Packets through the kernel's ESP, between two namespaces.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::UdpSocket;
use std::time::Duration;

use appliance_kernel::{Algorithm, Authenticator, Kernel, Object, Removal, Request, XfrmPolicy};
use nix::sched::{CloneFlags, setns, unshare};

use crate::*;

/// An end of the tunnel: a kernel, its namespace, and the states that it receives and sends with.
struct End {
    namespace: File,
    kernel: Kernel,
    outer: &'static str,
    peer: &'static str,
}

impl End {
    async fn open(outer: &'static str, peer: &'static str) -> Self {
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        ip("link set lo up");
        let (kernel, _) = Kernel::open().await.unwrap();
        End {
            namespace,
            kernel,
            outer,
            peer,
        }
    }

    fn enter(&self) {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
    }

    async fn configure(&mut self, inner: [&str; 2], beyond: [&str; 2]) {
        self.enter();
        ip(&format!("addr add {}/24 dev outer", self.outer));
        ip("link set outer up");
        let policies = XfrmPolicy::any_to_any(IF_ID, ip_of(self.outer), ip_of(self.peer));
        let objects = [xfrm_link(), address(inner[0]), address(inner[1])]
            .into_iter()
            .chain(
                beyond
                    .into_iter()
                    .flat_map(|prefix| [route(prefix), last_resort(prefix)]),
            )
            .chain(policies.into_iter().map(Object::from));
        self.kernel.apply(want(objects)).await.unwrap();
        assert_eq!(self.kernel.refusals(), &BTreeMap::new());
    }

    async fn child(&mut self, inbound: u32, outbound: u32, algorithm: Algorithm) {
        self.enter();
        let (here, there) = (self.outer, self.peer);
        let states = [
            state(there, here, inbound, algorithm.clone()),
            state(here, there, outbound, algorithm),
        ];
        self.kernel.apply(want(states.map(Object::from))).await.unwrap();
    }

    async fn packets(&mut self, spi: u32) -> u64 {
        let counters = self.kernel.counters().await.unwrap();
        counters
            .iter()
            .find(|(key, _)| key.spi == spi)
            .map_or(0, |(_, counters)| counters.packets)
    }
}

fn talk(from: &End, to: &End, source: &str, destination: &str) -> bool {
    to.enter();
    let receiver = UdpSocket::bind((destination, 7000)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    from.enter();
    let sender = UdpSocket::bind((source, 0)).unwrap();
    let _ = sender.send_to(b"hello", (destination, 7000));
    let mut heard = [0; 16];
    receiver
        .recv(&mut heard)
        .is_ok_and(|length| &heard[..length] == b"hello")
}

/// The other end, in a new namespace, with a wire between the two and all but the states in place.
async fn joined(a: &mut End) -> End {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let mut b = End::open(B, A).await;
    ip("link add outer type veth peer name far");
    ip(&format!(
        "link set far netns /proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&a.namespace)
    ));
    a.enter();
    ip("link set far name outer");
    a.configure(["10.1.0.1/32", "fd01::1/128"], ["10.2.0.0/24", "fd02::/64"])
        .await;
    b.configure(["10.2.0.1/32", "fd02::1/128"], ["10.1.0.0/24", "fd01::/64"])
        .await;
    b
}

/// Two namespaces talk through XFRM interfaces, IPv4 and IPv6 inside, AEAD and not; a new child takes over at
/// once while the old one is still there; without states nothing passes.
#[test]
fn traffic_passes_and_moves_to_the_new_child() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "traffic_passes_and_moves_to_the_new_child").await {
            return;
        }
        let mut b = joined(&mut a).await;
        assert!(
            !talk(&a, &b, "10.1.0.1", "10.2.0.1"),
            "nothing passes without states"
        );

        let cbc = Algorithm::AesCbc(Authenticator::HmacSha2_384_192);
        for (inbound, outbound, algorithm) in [(0xb01, 0xb02, cbc), (0xc01, 0xc02, Algorithm::AesGcm16)] {
            a.child(inbound, outbound, algorithm.clone()).await;
            b.child(outbound, inbound, algorithm).await;
            for (source, destination) in [("10.1.0.1", "10.2.0.1"), ("fd01::1", "fd02::1")] {
                assert!(
                    talk(&a, &b, source, destination),
                    "{source} to {destination} under {outbound:x}"
                );
                assert!(
                    talk(&b, &a, destination, source),
                    "{destination} to {source} under {inbound:x}"
                );
            }
            assert_eq!(
                [a.packets(inbound).await, a.packets(outbound).await],
                [2, 2],
                "under {outbound:x}"
            );
            assert_eq!(
                [b.packets(outbound).await, b.packets(inbound).await],
                [2, 2],
                "under {outbound:x}"
            );
        }

        a.enter();
        a.kernel
            .apply([Request::Remove(Removal::ExceptLastResort)])
            .await
            .unwrap();
        assert_eq!(ip("xfrm state"), "");
        assert!(!ip("link show").contains("cw-a"));
        assert!(ip("route show").contains("unreachable 10.2.0.0/24"));
        assert!(ip("-6 route show").contains("unreachable fd02::/64"));
    });
}
