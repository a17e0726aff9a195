//! Packets through the kernel's ESP, between two namespaces.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::UdpSocket;
use std::time::Duration;

use appliance_kernel::{
    Algorithm, Authenticator, Direction, Event, Kernel, Key, Notices, Object, PolicySelector, Removal,
    Request, Volume, XfrmPolicy, XfrmState, sysctl,
};
use nix::sched::{CloneFlags, setns, unshare};

use crate::*;

/// An end of the tunnel: a kernel, its namespace, and the states that it receives and sends with.
struct End {
    namespace: File,
    kernel: Kernel,
    notices: Notices,
    outer: &'static str,
    peer: &'static str,
}

impl End {
    async fn open(outer: &'static str, peer: &'static str) -> Self {
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        ip("link set lo up");
        let (kernel, notices) = Kernel::open().await.unwrap();
        End {
            namespace,
            kernel,
            notices,
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
        let Some((key, counters)) = counters.iter().find(|(key, _)| key.spi == spi) else {
            return 0;
        };
        assert_eq!(self.kernel.counters_of(key).await.unwrap(), *counters);
        counters.packets
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

/// Packets that one end sends and the other takes, one by one.
struct Stream {
    sender: UdpSocket,
    receiver: UdpSocket,
    sent: u32,
    lost: Vec<u32>,
}

impl Stream {
    fn between(from: &End, to: &End, source: &str, destination: &str) -> Self {
        to.enter();
        let receiver = UdpSocket::bind((destination, 7001)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        from.enter();
        let sender = UdpSocket::bind((source, 0)).unwrap();
        sender.connect((destination, 7001)).unwrap();
        Stream {
            sender,
            receiver,
            sent: 0,
            lost: vec![],
        }
    }

    fn send(&mut self, count: u32) {
        for _ in 0..count {
            self.sent += 1;
            let number = self.sent.to_be_bytes();
            let mut heard = [0; 4];
            let sent = self.sender.send(&number).is_ok();
            if !(sent && self.receiver.recv(&mut heard).is_ok() && heard == number) {
                self.lost.push(self.sent);
            }
        }
    }
}

fn out_by(spi: u32, request_id: u32, remote: &str, (from, to): (&str, &str)) -> XfrmPolicy {
    let any = "0.0.0.0/0".parse().unwrap();
    XfrmPolicy {
        direction: Direction::Out,
        interface_id: IF_ID,
        request_id,
        spi,
        selector: PolicySelector::between(any, remote.parse().unwrap()),
        source: ip_of(from),
        destination: ip_of(to),
        priority: 2048 - remote.split('/').nth(1).unwrap().parse::<u32>().unwrap() * 4,
    }
}

/// The newest state of several is not used before the policy names it, and no packet is lost when it does.
#[test]
fn a_policy_moves_traffic_from_one_state_to_the_next() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "a_policy_moves_traffic_from_one_state_to_the_next").await {
            return;
        }
        let mut b = joined(&mut a).await;
        a.child(0xb01, 0xb02, Algorithm::AesGcm16).await;
        b.child(0xb02, 0xb01, Algorithm::AesGcm16).await;
        let send_by = |spi| {
            let policy = out_by(spi, IF_ID, "0.0.0.0/0", (A, B));
            want([XfrmPolicy {
                priority: 1,
                ..policy
            }
            .into()])
        };
        a.enter();
        a.kernel.apply(send_by(0xb02)).await.unwrap();
        let mut stream = Stream::between(&a, &b, "10.1.0.1", "10.2.0.1");
        stream.send(3);
        a.child(0xc01, 0xc02, Algorithm::AesGcm16).await;
        stream.send(3);
        assert_eq!([a.packets(0xb02).await, a.packets(0xc02).await], [6, 0]);
        b.child(0xc02, 0xc01, Algorithm::AesGcm16).await;
        a.enter();
        a.kernel.apply(send_by(0xc02)).await.unwrap();
        stream.send(3);
        assert_eq!([a.packets(0xb02).await, a.packets(0xc02).await], [6, 3]);
        assert_eq!(stream.lost, Vec::<u32>::new());
    });
}

/// Two lines on one interface: a sends to 10.2.0.0/24 by the states of one, to 10.2.0.1 by those of the other.
async fn two_lines(a: &mut End, b: &mut End) {
    let states = || {
        [(0xb02, 1), (0xc02, 2)].map(|(spi, request_id)| {
            Object::from(XfrmState {
                request_id,
                ..state(A, B, spi, Algorithm::AesGcm16)
            })
        })
    };
    a.enter();
    let outward = [
        out_by(0xb02, 1, "10.2.0.0/24", (A, B)),
        out_by(0xc02, 2, "10.2.0.1/32", (A, B)),
    ];
    let objects = states().into_iter().chain(outward.map(Object::from));
    a.kernel.apply(want(objects)).await.unwrap();
    b.enter();
    let inward = [(1, "10.2.0.0/24"), (2, "10.2.0.1/32")].map(|(request_id, local)| {
        Object::from(XfrmPolicy {
            direction: Direction::In,
            ..out_by(0, request_id, local, (A, B))
        })
    });
    b.kernel
        .apply(want(states().into_iter().chain(inward)))
        .await
        .unwrap();
    ip("addr add 10.2.0.2/32 dev cw-a");
}

/// Each packet leaves by the states of its own line, and is not let in by those of the other.
#[test]
fn lines_of_one_interface_keep_to_their_states() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "lines_of_one_interface_keep_to_their_states").await {
            return;
        }
        let mut b = joined(&mut a).await;
        two_lines(&mut a, &mut b).await;
        for (destination, spi) in [("10.2.0.1", 0xc02), ("10.2.0.2", 0xb02)] {
            assert!(talk(&a, &b, "10.1.0.1", destination), "{destination}");
            assert_eq!(a.packets(spi).await, 1, "{destination}");
        }
        // What belongs to the one, sent by the other.
        a.enter();
        a.kernel
            .apply(want([out_by(0xb02, 1, "10.2.0.1/32", (A, B)).into()]))
            .await
            .unwrap();
        assert!(!talk(&a, &b, "10.1.0.1", "10.2.0.1"), "let in by the wrong state");
        b.enter();
        let counted = std::fs::read_to_string("/proc/thread-self/net/xfrm_stat").unwrap();
        let mismatch = |line: &str| line.starts_with("XfrmInTmplMismatch") && line.trim_end().ends_with('1');
        assert!(counted.lines().any(mismatch), "{counted}");
    });
}

/// A packet without a state is told of, dropped, and told of again; a state that comes carries the next one.
#[test]
fn a_packet_without_a_state_is_told_of() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "a_packet_without_a_state_is_told_of").await {
            return;
        }
        let b = joined(&mut a).await;
        a.enter();
        sysctl::write_acquire_lifetime(1).unwrap();
        let policy = out_by(0, 77, "10.2.0.0/24", (A, B));
        a.kernel.apply(want([policy.clone().into()])).await.unwrap();
        settle(&mut a.kernel, &mut a.notices).await;
        for round in 0..2 {
            assert!(
                !talk(&a, &b, "10.1.0.1", "10.2.0.1"),
                "without a state nothing passes"
            );
            a.enter();
            let events = settle(&mut a.kernel, &mut a.notices).await;
            assert_eq!(events, [Event::Wanted(policy.key())], "round {round}");
        }
        assert_eq!(
            keys(&a.kernel)
                .iter()
                .filter(|key| matches!(key, Key::State(_)))
                .count(),
            0
        );
        let carried = XfrmState {
            request_id: 77,
            ..state(A, B, 0xb02, Algorithm::AesGcm16)
        };
        a.kernel.apply(want([carried.into()])).await.unwrap();
        let _ = talk(&a, &b, "10.1.0.1", "10.2.0.1");
        assert_eq!(a.packets(0xb02).await, 1);
    });
}

/// A flood of packets without a state drives out no other report.
#[test]
fn floods_of_wishes_drown_nothing() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "floods_of_wishes_drown_nothing").await {
            return;
        }
        let _b = joined(&mut a).await;
        a.enter();
        let watched = out_by(0, 77, "10.2.0.0/24", (A, B));
        let lost = state(A, B, 0xb02, Algorithm::AesGcm16);
        a.kernel
            .apply(want([watched.clone().into(), lost.clone().into()]))
            .await
            .unwrap();
        settle(&mut a.kernel, &mut a.notices).await;
        let sender = UdpSocket::bind("10.1.0.1:0").unwrap();
        for number in 0..20_000_u32 {
            let port = u16::try_from(1 + number % 60_000).unwrap();
            let _ = sender.send_to(b"x", ("10.2.0.1", port));
        }
        ip("xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0xb02");
        let events = settle(&mut a.kernel, &mut a.notices).await;
        let losses = events
            .iter()
            .filter(|event| matches!(event, Event::StateLost { key, .. } if *key == lost.key()));
        assert_eq!(losses.count(), 1, "{events:?}");
        assert!(events.contains(&Event::Wanted(watched.key())));
    });
}

/// What a state may carry is told of at the soft limit, and is the end of it at the hard one.
#[test]
fn volumes_are_told_of_and_kept() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "volumes_are_told_of_and_kept").await {
            return;
        }
        let b = joined(&mut a).await;
        a.enter();
        let volume = Volume {
            soft_packets: 2,
            hard_packets: 4,
            ..Volume::UNLIMITED
        };
        let limited = XfrmState {
            volume,
            ..state(A, B, 0xb02, Algorithm::AesGcm16)
        };
        let key = limited.key();
        a.kernel.apply(want([limited.into()])).await.unwrap();
        settle(&mut a.kernel, &mut a.notices).await;
        let mut spent = vec![];
        for _ in 0..6 {
            let _ = talk(&a, &b, "10.1.0.1", "10.2.0.1");
            a.enter();
            let events = settle(&mut a.kernel, &mut a.notices).await;
            spent.extend(
                events
                    .into_iter()
                    .filter(|event| matches!(event, Event::StateSpent { .. } | Event::StateLost { .. })),
            );
        }
        assert_eq!(spent, [false, true].map(|hard| Event::StateSpent { key, hard }));
        assert_eq!(ip("xfrm state").matches("0x00000b02").count(), 0);
        a.kernel.audit().await.unwrap();
        assert_eq!(
            ip("xfrm state").matches("0x00000b02").count(),
            0,
            "made again under the same key"
        );
    });
}
