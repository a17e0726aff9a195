//! The real kernel, each test in a network namespace of its own. Needs root.
//!
//! What this kernel lacks is skipped, loudly; with `CAUSEWAY_EXPECT_ESP=1`, as in the virtual machine, nothing
//! may be skipped. `ip` plays somebody else here, and gives a second opinion.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use appliance_kernel::{
    Address, Algorithm, Authenticator, Direction, EspKeys, Event, Kernel, Key, KeyMaterial, Link, LinkKind,
    LinkName, Notices, Object, RefusalKind, Removal, Request, Route, Ruleset, Scope, StateKey, Target,
    UdpPorts, XfrmPolicy, XfrmState,
};
use nix::sched::{CloneFlags, setns, unshare};

const IF_ID: u32 = 0x4357_0001;

/// Runs a test in a new network namespace, on a thread of its own.
fn isolated<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(240), test())
                .await
                .unwrap()
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(arguments: &str) -> (bool, String) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn ip(arguments: &str) -> String {
    let (granted, text) = run(arguments);
    assert!(granted, "ip {arguments}: {text}");
    text
}

fn name(name: &str) -> LinkName {
    LinkName::try_from(name).unwrap()
}

fn external(link: &str) -> Object {
    Link {
        name: name(link),
        kind: LinkKind::External,
        mtu: 1400,
        up: true,
    }
    .into()
}

fn xfrm_link() -> Object {
    let kind = LinkKind::Xfrm {
        interface_id: IF_ID,
        underlying: None,
    };
    Link {
        name: name("cw-a"),
        kind,
        mtu: 1400,
        up: true,
    }
    .into()
}

fn address(network: &str) -> Object {
    Address {
        link: name("cw-a"),
        network: network.parse().unwrap(),
    }
    .into()
}

fn route(prefix: &str) -> Object {
    let target = Target::Link {
        link: name("cw-a"),
        source: None,
    };
    Route {
        prefix: prefix.parse().unwrap(),
        metric: 10,
        target,
    }
    .into()
}

fn last_resort(prefix: &str) -> Object {
    Route::last_resort(prefix.parse().unwrap()).into()
}

fn want(objects: impl IntoIterator<Item = Object>) -> Vec<Request> {
    objects.into_iter().map(Request::Want).collect()
}

/// Handles what is reported until nothing more happens for a moment.
async fn settle(kernel: &mut Kernel, notices: &mut Notices) -> Vec<Event> {
    let mut events = vec![];
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(300), notices.next()).await {
        events.extend(kernel.handle(batch).await);
    }
    events
}

fn keys(kernel: &Kernel) -> BTreeSet<Key> {
    kernel.present().map(Object::key).collect()
}

fn all_keys(objects: &[Object]) -> BTreeSet<Key> {
    objects.iter().map(Object::key).collect()
}

/// Whether the kernel has all we need; says so if not, and fails where it must have.
async fn has_esp(kernel: &mut Kernel, test: &str) -> bool {
    let Err(missing) = kernel.probe().await else {
        return true;
    };
    assert!(
        std::env::var_os("CAUSEWAY_EXPECT_ESP").is_none(),
        "{test} may not be skipped: {missing}"
    );
    // Past the capture of the test harness, so that it is seen.
    writeln!(std::io::stderr(), "SKIPPED {test}: {missing}").unwrap();
    false
}

fn state(from: &str, to: &str, spi: u32, algorithm: Algorithm) -> XfrmState {
    // The same keys at both ends, which a state must have.
    let octet = u8::try_from(spi & 0xff).unwrap();
    let (encryption, integrity) = match algorithm {
        Algorithm::AesCbc(_) => (vec![octet; 32], Some(vec![octet; 48].into())),
        Algorithm::AesGcm16 | Algorithm::Foreign(_) => (vec![octet; 20], None),
    };
    XfrmState {
        destination: to.parse().unwrap(),
        spi,
        source: from.parse().unwrap(),
        interface_id: IF_ID,
        encapsulation: None,
        algorithm,
        keys: KeyMaterial::Given(Arc::new(EspKeys {
            encryption: encryption.into(),
            integrity,
        })),
        replay_window: 128,
        extended_sequence_numbers: true,
    }
}

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Addresses and routes wait for a link that others make, and come back when it goes and returns; the route of
/// last resort is there all the time.
#[test]
fn objects_follow_a_link_of_others() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let objects = [
            route("10.2.0.0/24"),
            route("fd02::/64"),
            address("169.254.21.2/30"),
            address("fd00::2/64"),
            external("cw-a"),
            last_resort("10.2.0.0/24"),
            last_resort("fd02::/64"),
        ];
        kernel.apply(want(objects.clone())).await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&objects[5..]));
        assert_eq!(kernel.waiting().len(), 5);
        for _ in 0..2 {
            ip("link add cw-a type veth peer name other");
            ip("link set other up");
            settle(&mut kernel, &mut notices).await;
            assert_eq!(kernel.refusals(), &BTreeMap::new());
            assert_eq!(keys(&kernel), all_keys(&objects));
            let routes = ip("route show proto 67");
            assert!(
                routes.contains("10.2.0.0/24 dev cw-a scope link metric 10"),
                "{routes}"
            );
            assert!(
                routes.contains("unreachable 10.2.0.0/24 metric 4294967294"),
                "{routes}"
            );
            assert!(ip("-6 route show proto 67").contains("fd02::/64 dev cw-a metric 10"));
            assert!(ip("addr show dev cw-a").contains("169.254.21.2/30"));
            assert!(ip("link show dev cw-a").contains("mtu 1400") && ip("link show dev cw-a").contains("UP"));
            ip("link del cw-a");
            let events = settle(&mut kernel, &mut notices).await;
            assert!(
                events.contains(&Event::Missing(Key::Link(name("cw-a")))),
                "{events:?}"
            );
            assert_eq!(keys(&kernel), all_keys(&objects[5..]));
        }
    });
}

/// What others delete is made again as soon as the kernel reports it, even when a link only went down.
#[test]
fn damage_is_repaired() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set other up");
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        let objects = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            last_resort("10.2.0.0/24"),
        ];
        kernel.apply(want(objects.clone())).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        for damage in [
            "route del 10.2.0.0/24 dev cw-a metric 10",
            "route del unreachable 10.2.0.0/24",
            "addr flush dev cw-a",
            "link set cw-a down",
            "link set cw-a mtu 1300",
            "link set cw-a alias mine",
        ] {
            ip(damage);
            settle(&mut kernel, &mut notices).await;
            let routes = ip("route show proto 67");
            assert!(
                routes.contains("10.2.0.0/24 dev cw-a"),
                "after {damage}: {routes}"
            );
            assert!(
                routes.contains("unreachable 10.2.0.0/24"),
                "after {damage}: {routes}"
            );
            assert!(
                ip("addr show dev cw-a").contains("169.254.21.2/30"),
                "after {damage}"
            );
            assert!(ip("link show dev cw-a").contains("mtu 1400"), "after {damage}");
        }
        assert_eq!(kernel.refusals(), &BTreeMap::new());
    });
}

/// A restart touches nothing; what is wanted again stays, and the rest goes only when released.
#[test]
fn a_restart_adopts_what_is_there() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let old = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            last_resort("10.2.0.0/24"),
        ];
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel.apply(want(old.clone())).await.unwrap();
        drop(kernel);
        ip("link set other up");
        ip("route add 10.9.0.0/24 dev other proto static");

        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&old));
        let kept = [external("cw-a"), last_resort("10.2.0.0/24")];
        kernel.apply(want(kept.clone())).await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&old));
        kernel.apply([Request::Release(Scope::Configured)]).await.unwrap();
        settle(&mut kernel, &mut notices).await;
        assert_eq!(keys(&kernel), all_keys(&kept));
        assert!(!ip("addr show dev cw-a").contains("169.254.21.2"));
        assert!(ip("route show").contains("10.9.0.0/24 dev other proto static"));
    });
}

/// Stopping leaves the routes of last resort, and nothing else; removing leaves nothing.
#[test]
fn removal_leaves_the_last_resort_unless_told() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let ruleset = Ruleset {
            maximum_segments: BTreeMap::from([(name("cw-a"), 1350)]),
        };
        let last = [last_resort("10.2.0.0/24"), last_resort("fd02::/64")];
        let rest = [
            external("cw-a"),
            address("169.254.21.2/30"),
            route("10.2.0.0/24"),
            ruleset.into(),
        ];
        let (mut kernel, _) = Kernel::open().await.unwrap();
        kernel
            .apply(want(last.iter().chain(&rest).cloned()))
            .await
            .unwrap();
        kernel
            .apply([Request::Remove(Removal::ExceptLastResort)])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), all_keys(&last));

        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&last));
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), BTreeSet::new());
        assert_eq!(ip("route show proto 67"), "");
        assert_eq!(ip("-6 route show proto 67"), "");
    });
}

/// A route of somebody else is not taken over; the refusal names the object, and an audit tries again.
#[test]
fn conflicts_are_named_and_tried_again() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        ip("link set cw-a up");
        ip("route add 10.2.0.0/24 dev cw-a metric 10 proto static");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let refusal = kernel
            .apply(want([external("cw-a"), route("10.2.0.0/24")]))
            .await
            .unwrap_err();
        assert_eq!(refusal.object, "route 10.2.0.0/24 metric 10");
        assert_eq!(refusal.kind(), RefusalKind::Conflict);
        ip("route del 10.2.0.0/24 dev cw-a metric 10 proto static");
        kernel.audit().await.unwrap();
        assert_eq!(kernel.refusals(), &BTreeMap::new());
        assert!(ip("route show proto 67").contains("10.2.0.0/24 dev cw-a"));
    });
}

/// The extended acknowledgement's text and attribute come through: a link cannot have an MTU that small.
#[test]
fn refusals_say_what_is_at_fault() {
    isolated(|| async {
        ip("link add cw-a type veth peer name other");
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let tiny = Link {
            name: name("cw-a"),
            kind: LinkKind::External,
            mtu: 1,
            up: true,
        };
        let refusal = kernel.apply(want([tiny.into()])).await.unwrap_err();
        assert_eq!(refusal.object, "link cw-a");
        assert_eq!(refusal.errno, libc::EINVAL);
        assert!(refusal.detail.contains("mtu"), "{refusal}");
        let Object::Route(mut foreign) = route("10.2.0.0/24") else {
            panic!()
        };
        foreign.target = Target::Link {
            link: name("cw-a"),
            source: Some(ip_of("203.0.113.9")),
        };
        ip("link set cw-a up");
        let refusal = kernel.apply(want([foreign.into()])).await.unwrap_err();
        assert!(refusal.detail.contains("prefsrc"), "{refusal}");
        assert_eq!(refusal.object, "route 10.2.0.0/24 metric 10");
    });
}

/// The table is what was asked for, found again after a restart, and replaced whole.
#[test]
fn segments_are_clamped_by_one_table() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let clamp = |segment| Ruleset {
            maximum_segments: BTreeMap::from([(name("cw-a"), segment)]),
        };
        kernel.apply(want([clamp(1350).into()])).await.unwrap();
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(
            kernel.present().cloned().collect::<Vec<_>>(),
            [Object::Ruleset(clamp(1350))]
        );
        kernel.apply(want([clamp(1200).into()])).await.unwrap();
        let (kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(
            kernel.present().cloned().collect::<Vec<_>>(),
            [Object::Ruleset(clamp(1200))]
        );
    });
}

/// A kernel without ESP says so, naming the state; probing leaves nothing behind.
#[test]
fn missing_esp_is_named() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        let probed = kernel.probe().await;
        assert_eq!(ip("xfrm state"), "");
        assert_eq!(run("link show cw-probe").0, false);
        let answer = kernel
            .apply(want([state(A, B, 0x0b0b_0b01, Algorithm::AesGcm16).into()]))
            .await;
        match (probed, answer) {
            (Ok(()), Ok(())) => println!("this kernel has ESP, XFRM interfaces and AES-GCM"),
            (Err(missing), answer) => {
                assert!(std::env::var_os("CAUSEWAY_EXPECT_ESP").is_none(), "{missing}");
                println!("this kernel lacks something: {missing}");
                let refusal = answer.unwrap_err();
                assert_eq!(refusal.object, "ESP state to 192.0.2.2 SPI 0x0b0b0b01");
                assert_eq!(refusal.kind(), RefusalKind::Unsupported, "{refusal}");
                assert_eq!(keys(&kernel), BTreeSet::new());
            }
            (Ok(()), Err(refusal)) => panic!("probed, but {refusal}"),
        }
    });
}

/// Policies need no ESP: they are written, found again and removed on any kernel with XFRM.
#[test]
fn policies_survive_a_restart() {
    isolated(|| async {
        let policies: Vec<Object> = XfrmPolicy::any_to_any(IF_ID, ip_of(A), ip_of(B))
            .into_iter()
            .map(Object::from)
            .collect();
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        kernel.apply(want(policies.clone())).await.unwrap();
        ip("xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dir out");
        let found = ip("xfrm policy");
        assert!(
            found.contains("src 192.0.2.1 dst 192.0.2.2") && found.contains("if_id 0x43570001"),
            "{found}"
        );

        ip(&format!(
            "xfrm policy del src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd if_id {IF_ID:#x}"
        ));
        let events = settle(&mut kernel, &mut notices).await;
        assert!(
            matches!(&events[..], [Event::Missing(Key::Policy(key))] if key.direction == Direction::Forward)
        );
        let (mut kernel, _) = Kernel::open().await.unwrap();
        assert_eq!(keys(&kernel), all_keys(&policies));

        kernel.apply(want(policies.clone())).await.unwrap();
        let moved: Vec<Object> = XfrmPolicy::any_to_any(IF_ID, ip_of(A), ip_of("192.0.2.3"))
            .into_iter()
            .map(Object::from)
            .collect();
        kernel.apply(want(moved)).await.unwrap();
        let found = ip("xfrm policy");
        assert!(
            found.contains("192.0.2.3") && !found.contains("192.0.2.2"),
            "{found}"
        );
        kernel
            .apply([Request::Remove(Removal::Everything)])
            .await
            .unwrap();
        assert_eq!(ip("xfrm policy").matches("src 10.0.0.0/8").count(), 1);
        assert!(!ip("xfrm policy").contains("192.0.2.3"));
    });
}

/// States of every algorithm are written as asked, adopted after a restart, and released one child at a time;
/// a lost one is reported and not made again.
#[test]
fn states_live_and_die() {
    isolated(|| async {
        let (mut kernel, mut notices) = Kernel::open().await.unwrap();
        if !has_esp(&mut kernel, "states_live_and_die").await {
            return;
        }
        let authenticators = [
            Authenticator::HmacSha1_96,
            Authenticator::HmacSha2_256_128,
            Authenticator::HmacSha2_384_192,
            Authenticator::HmacSha2_512_256,
        ];
        let algorithms = authenticators
            .map(Algorithm::AesCbc)
            .into_iter()
            .chain([Algorithm::AesGcm16]);
        let mut states: Vec<XfrmState> = (1..)
            .zip(algorithms)
            .map(|(spi, algorithm)| state(A, B, 0x0b00 + spi, algorithm))
            .collect();
        states[4].encapsulation = Some(UdpPorts {
            source: 4500,
            destination: 1024,
        });
        states[3].extended_sequence_numbers = false;
        kernel
            .apply(want(states.iter().cloned().map(Object::from)))
            .await
            .unwrap();
        let shown = ip("xfrm state");
        for wanted in [
            "reqid 1129775105",
            "auth-trunc hmac(sha384)",
            "rfc4106(gcm(aes))",
            "sport 4500 dport 1024",
            "flag af-unspec esn",
        ] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
        settle(&mut kernel, &mut notices).await;

        ip("xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0xb01");
        let lost = StateKey {
            destination: ip_of(B),
            spi: 0xb01,
        };
        let events = settle(&mut kernel, &mut notices).await;
        assert_eq!(
            events,
            [Event::StateLost {
                key: lost,
                interface_id: IF_ID
            }]
        );
        kernel.audit().await.unwrap();
        assert!(!ip("xfrm state").contains("0x00000b01"));

        let (mut kernel, _) = Kernel::open().await.unwrap();
        let found: Vec<XfrmState> = kernel
            .present()
            .filter_map(|object| {
                if let Object::State(state) = object {
                    Some(state.clone())
                } else {
                    None
                }
            })
            .collect();
        let expected: Vec<XfrmState> = states[1..]
            .iter()
            .cloned()
            .map(|state| XfrmState {
                keys: KeyMaterial::Found,
                ..state
            })
            .collect();
        assert_eq!(found, expected);
        assert_eq!(kernel.adopted_children(), BTreeSet::from([IF_ID]));
        let new = state(A, B, 0x0c01, Algorithm::AesGcm16);
        kernel.apply(want([new.clone().into()])).await.unwrap();
        kernel
            .apply([Request::Release(Scope::Child(IF_ID))])
            .await
            .unwrap();
        assert_eq!(keys(&kernel), BTreeSet::from([Key::State(new.key())]));
        assert_eq!(ip("xfrm state").matches("proto esp").count(), 1);
        kernel.audit().await.unwrap();
        assert_eq!(keys(&kernel), BTreeSet::from([Key::State(new.key())]));
    });
}

/// Two states of one child go in together or not at all.
#[test]
fn half_a_child_is_taken_back() {
    isolated(|| async {
        let (mut kernel, _) = Kernel::open().await.unwrap();
        if !has_esp(&mut kernel, "half_a_child_is_taken_back").await {
            return;
        }
        let good = state(A, B, 0x0b01, Algorithm::AesGcm16);
        let mut bad = state(B, A, 0x0b02, Algorithm::AesGcm16);
        bad.keys = KeyMaterial::Given(Arc::new(EspKeys {
            encryption: vec![1; 7].into(),
            integrity: None,
        }));
        let refusal = kernel.apply(want([good.into(), bad.into()])).await.unwrap_err();
        assert_eq!(refusal.object, "ESP state to 192.0.2.1 SPI 0x00000b02");
        assert_eq!(ip("xfrm state"), "");
        assert_eq!(keys(&kernel), BTreeSet::new());
    });
}

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

/// Two namespaces talk through XFRM interfaces, IPv4 and IPv6 inside, AEAD and not; a new child takes over at
/// once while the old one is still there; without states nothing passes.
#[test]
fn traffic_passes_and_moves_to_the_new_child() {
    isolated(|| async {
        let mut a = End::open(A, B).await;
        if !has_esp(&mut a.kernel, "traffic_passes_and_moves_to_the_new_child").await {
            return;
        }
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
