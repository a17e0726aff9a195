use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use appliance_config::model::{Family, LocalAddress};
use appliance_dhcp::Lease;
use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Connected, Device, Direction, Kernel, Key, Notice, Object, Op, StateKey, Target};
use ike::crypto::Encryption;
use ike::{
    ChildId, ConnectionName, Encapsulation, EspKeys, EspPair, EspSa, Input, Spent, TrafficSelector, Volume,
    Watched,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Carrier, Interfaces, KernelOwner};
use crate::chronicle::{Heard, Teller};
use crate::datapath::{DatapathSnapshot, Ground, Kind, LearntRoute, Request};
use crate::derive::{NetworkSettings, Numbering, Speaker, TunnelSettings};

const INTERFACE_ID: u32 = 0x4357_0001;

/// An owner over a kernel in memory; clones of `kernel` see what it does.
struct Rig {
    requests: mpsc::Sender<Request>,
    answers: mpsc::Sender<Input>,
    answered: mpsc::Receiver<Input>,
    snapshot: watch::Receiver<std::sync::Arc<DatapathSnapshot>>,
    ground: watch::Receiver<std::sync::Arc<Ground>>,
    links: watch::Sender<crate::dhcp::Links>,
    addresses: watch::Sender<std::sync::Arc<crate::derive::Addresses>>,
    heard: std::sync::Mutex<Heard>,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start(kernel: &FakeKernel) -> Self {
        Self::with(kernel, network()).await
    }

    async fn with(kernel: &FakeKernel, network: NetworkSettings) -> Self {
        Self::remembering(kernel, network, BTreeMap::new()).await
    }

    async fn remembering(
        kernel: &FakeKernel,
        network: NetworkSettings,
        leases: BTreeMap<appliance_config::model::Name, Lease>,
    ) -> Self {
        let (requests, heard) = mpsc::channel(8);
        let (answers, answered) = mpsc::channel(8);
        let first = DatapathSnapshot::first(Kind::Kernel, String::new());
        let (published, snapshot) = watch::channel(std::sync::Arc::new(first));
        let (handle, notices) = Kernel::over(kernel);
        let links = watch::channel(crate::dhcp::Links::new()).0;
        let addresses = watch::channel(std::sync::Arc::default()).0;
        let interfaces = Interfaces::new(leases, &handle, links.clone(), addresses.clone());
        let (teller, told) = Teller::to_a_test();
        let (ground, shown) = watch::channel(std::sync::Arc::default());
        let owner = KernelOwner::new(
            (handle, interfaces),
            Carrier::kernel(),
            (answers.clone(), std::sync::Arc::default()),
            teller,
            (published, ground),
        );
        let task = tokio::spawn(owner.run(heard, notices));
        let rig = Self {
            requests,
            answers,
            answered,
            snapshot,
            ground: shown,
            links,
            addresses,
            heard: told.into(),
            task,
        };
        rig.ask(|answer| Request::Network(Box::new(network), answer))
            .await;
        rig
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.unwrap();
        answered.await.unwrap()
    }

    async fn install(&mut self, id: u64, spi: u32) -> Input {
        self.install_pair(id, pair(spi)).await
    }

    async fn install_pair(&mut self, id: u64, pair: EspPair) -> Input {
        let permit = self.answers.clone().try_reserve_owned().unwrap();
        self.requests
            .send(Request::Install(ChildId(id), Box::new(pair), permit))
            .await
            .unwrap();
        self.answered.recv().await.unwrap()
    }

    /// Asks for something that has no answer, and waits until it is done.
    async fn tell(&self, request: Request) {
        self.requests.send(request).await.unwrap();
        self.ask(Request::Refresh).await;
    }

    /// The words of all news since this was asked last.
    fn news(&self) -> Vec<&'static str> {
        self.heard.lock().unwrap().words()
    }

    /// So many seconds pass, of a clock that stands still otherwise, and what is due then is done.
    async fn later(&self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            self.ask(Request::Refresh).await;
        }
    }

    /// As `kill -9`: nothing is said, nothing is cleaned up.
    fn crash(self) {
        self.task.abort();
    }
}

fn name() -> ConnectionName {
    ConnectionName("to-b".into())
}

fn network() -> NetworkSettings {
    let tunnel = TunnelSettings {
        numbering: Numbering {
            interface_id: INTERFACE_ID,
            link: "cw-to-b".to_owned(),
        },
        site: "b".parse().unwrap(),
        priority: 100,
        local: local(),
        remote: Some("192.0.2.2".parse().unwrap()),
        mtu: 1400,
        tcp_mss: 1350,
        addresses: vec!["169.254.21.2/30".parse().unwrap()],
        prefixes: vec!["10.2.0.0/24".parse().unwrap()],
        speaker: None,
    };
    NetworkSettings {
        outer_addresses: [local()].into(),
        closed: ["10.2.0.0/24".parse().unwrap(), "10.3.0.0/24".parse().unwrap()].into(),
        tunnels: [(name(), tunnel)].into(),
        ..NetworkSettings::default()
    }
}

fn local() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn pair(spi: u32) -> EspPair {
    let sa = |spi| EspSa {
        spi,
        keys: EspKeys {
            encryption: Encryption::AesGcm16(128),
            encryption_key: vec![1; 20].into(),
            integrity: None,
        },
        extended_sequence_numbers: true,
    };
    let (start, end) = ("0.0.0.0".parse().unwrap(), "255.255.255.255".parse().unwrap());
    let any = TrafficSelector {
        protocol: 0,
        start_port: 0,
        end_port: u16::MAX,
        start,
        end,
    };
    EspPair {
        connection: name(),
        local: "192.0.2.1:500".parse().unwrap(),
        remote: "192.0.2.2:500".parse().unwrap(),
        encapsulation: Encapsulation::None,
        inbound: sa(spi),
        outbound: sa(spi + 1),
        local_selectors: vec![any],
        remote_selectors: vec![any],
        sends: true,
        volume: Volume::UNLIMITED,
    }
}

/// A child that only receives at first.
fn staged(spi: u32) -> EspPair {
    EspPair {
        sends: false,
        ..pair(spi)
    }
}

fn network_of(text: &str) -> TrafficSelector {
    TrafficSelector::network(text.parse().unwrap())
}

/// A child for one network behind the peer.
fn towards(spi: u32, remote: &str) -> EspPair {
    EspPair {
        remote_selectors: vec![network_of(remote)],
        ..pair(spi)
    }
}

/// The SPI that packets to a destination leave by, as the kernel would find it; 0 when it would ask for a state.
fn leaves_by(kernel: &FakeKernel, destination: &str) -> Option<u32> {
    let destination: IpAddr = destination.parse().unwrap();
    let objects = kernel.objects();
    let policies = objects.values().filter_map(|object| match object {
        Object::Policy(policy) if policy.direction == Direction::Out => Some(policy),
        _ => None,
    });
    let met = policies.filter(|policy| policy.selector.destination.contains(&destination));
    let policy = met.min_by_key(|policy| policy.priority)?;
    let state = objects.values().find(
        |object| matches!(object, Object::State(state) if (state.spi, state.request_id) == (policy.spi, policy.request_id)),
    );
    Some(state.map_or(0, |_| policy.spi))
}

/// The request ids that packets from a source are received by, in any direction.
fn received_by(kernel: &FakeKernel, source: &str) -> Vec<u32> {
    let source: IpAddr = source.parse().unwrap();
    let objects = kernel.objects();
    let ids = objects.values().filter_map(|object| match object {
        Object::Policy(policy) if policy.direction != Direction::Out => policy
            .selector
            .source
            .contains(&source)
            .then_some(policy.request_id),
        _ => None,
    });
    ids.collect()
}

fn request_id(kernel: &FakeKernel, spi: u32) -> u32 {
    match kernel.objects().get(&inbound(spi)) {
        Some(Object::State(state)) => state.request_id,
        other => panic!("{other:?}"),
    }
}

fn inbound(spi: u32) -> Key {
    Key::State(StateKey {
        destination: local(),
        spi,
    })
}

fn classes(kernel: &FakeKernel) -> Vec<String> {
    let class = |object: &Object| match object {
        Object::Rule(_) => "rule",
        Object::Ruleset(_) => "ruleset",
        Object::Translation(_) => "translation",
        Object::Firewall(_) => "firewall",
        object if object.is_last_resort() => "last resort",
        Object::Link(_) => "link",
        Object::Address(_) => "address",
        Object::Route(_) => "route",
        Object::State(_) => "state",
        Object::Policy(_) => "policy",
    };
    let mut classes: Vec<String> = kernel
        .objects()
        .values()
        .map(|object| class(object).to_owned())
        .collect();
    classes.sort_unstable();
    classes
}

#[tokio::test]
async fn sites_are_closed_before_anything_else_is_made() {
    let kernel = FakeKernel::new();
    let _rig = Rig::start(&kernel).await;
    let steps: Vec<_> = kernel.performed().iter().map(|step| step.key().clone()).collect();
    let closed =
        |key: &Key| matches!(key, Key::Route(route) if route.metric > 1_000_000) || *key == Key::Ruleset;
    assert_eq!(steps.iter().take_while(|key| closed(key)).count(), 3, "{steps:?}");
    assert_eq!(
        classes(&kernel),
        [
            "address",
            "last resort",
            "last resort",
            "link",
            "route",
            "ruleset"
        ]
    );
}

#[tokio::test]
async fn a_child_is_states_and_policies_and_goes_without_a_trace() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    assert!(matches!(
        rig.install(1, 0x100).await,
        Input::ChildInstalled(ChildId(1))
    ));
    assert_eq!(
        classes(&kernel)
            .iter()
            .filter(|class| *class == "state" || *class == "policy")
            .count(),
        5
    );
    rig.requests.send(Request::Remove(ChildId(1))).await.unwrap();
    rig.ask(Request::Refresh).await;
    assert_eq!(classes(&kernel), before);
}

/// What became of a new configuration is shown by itself, once whoever asked for it has the answer.
#[tokio::test(start_paused = true)]
async fn a_new_configuration_is_shown_soon() {
    let mut rig = Rig::start(&FakeKernel::new()).await;
    assert!(!rig.snapshot.has_changed().unwrap());
    let shown = tokio::time::timeout(Duration::from_secs(1), rig.snapshot.changed());
    shown.await.unwrap().unwrap();
    assert!(rig.snapshot.borrow().interfaces.contains_key(&name()));
}

#[tokio::test]
async fn policies_stay_while_another_child_needs_them() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install(2, 0x200).await;
    rig.requests.send(Request::Remove(ChildId(1))).await.unwrap();
    rig.ask(Request::Refresh).await;
    assert!(
        !kernel.objects().contains_key(&inbound(0x100)) && kernel.objects().contains_key(&inbound(0x200))
    );
    assert_eq!(
        classes(&kernel).iter().filter(|class| *class == "policy").count(),
        3
    );
}

/// As responder of a rekey we receive by the new child at once and send by it when the peer has shown that it is there.
#[tokio::test]
async fn a_staged_child_sends_when_told_to() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    let before = kernel.performed().len();
    rig.install_pair(2, staged(0x200)).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    assert_eq!(request_id(&kernel, 0x100), request_id(&kernel, 0x200));
    rig.tell(Request::SendBy(ChildId(2))).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
    let steps = kernel.performed().split_off(before);
    let replaced = steps
        .iter()
        .filter(|step| matches!(step, Op::Replace { .. }))
        .count();
    assert_eq!(
        (steps.len(), replaced),
        (3, 1),
        "two states made, one policy changed in place: {steps:?}"
    );
    rig.tell(Request::Remove(ChildId(1))).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
}

#[tokio::test]
async fn an_initiators_successor_sends_at_once_while_the_old_one_still_receives() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install(2, 0x200).await;
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x201));
    assert_eq!(received_by(&kernel, "10.2.0.9"), [request_id(&kernel, 0x100); 2]);
}

#[tokio::test]
async fn a_refused_successor_leaves_the_packets_with_the_child_before_it() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    kernel.refuse(inbound(0x200), 22, "no");
    assert!(matches!(rig.install(2, 0x200).await, Input::ChildRefused(..)));
    assert_eq!(leaves_by(&kernel, "10.2.0.9"), Some(0x101));
    let spis = kernel.performed().into_iter().filter_map(|step| match step {
        Op::Replace {
            to: Object::Policy(policy),
            ..
        } => Some(policy.spi),
        _ => None,
    });
    assert_eq!(
        spis.count(),
        0,
        "no policy ever led to a state that was not there"
    );
}

/// Each line has its own states; what came by those of another is not let in (RFC 4301 §5.2).
#[tokio::test]
async fn children_of_several_lines_share_one_interface() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    for (id, spi, remote) in [
        (1, 0x100, "10.2.0.0/16"),
        (2, 0x200, "10.2.1.0/24"),
        (3, 0x300, "10.3.0.0/24"),
    ] {
        let answer = rig.install_pair(id, towards(spi, remote)).await;
        assert!(matches!(answer, Input::ChildInstalled(_)), "{answer:?}");
    }
    rig.install_pair(4, towards(0x400, "10.2.0.0/16")).await;
    let choices = ["10.2.0.9", "10.2.1.9", "10.3.0.9", "10.4.0.9"];
    assert_eq!(
        choices.map(|destination| leaves_by(&kernel, destination)),
        [Some(0x401), Some(0x201), Some(0x301), None]
    );
    assert_eq!(received_by(&kernel, "10.3.0.9"), [request_id(&kernel, 0x300); 2]);
    assert_ne!(request_id(&kernel, 0x300), request_id(&kernel, 0x200));
    rig.tell(Request::Remove(ChildId(2))).await;
    assert_eq!(leaves_by(&kernel, "10.2.1.9"), Some(0x401));
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0x301));
}

fn watched(line: usize, remote: &str) -> Watched {
    Watched {
        line,
        local: pair(1).local,
        remote: pair(1).remote,
        local_selectors: vec![TrafficSelector::any_ipv4()],
        remote_selectors: vec![network_of(remote)],
    }
}

/// What the kernel says when a packet meets a policy and finds no state.
fn acquire(kernel: &FakeKernel, destination: &str) {
    let objects = kernel.objects();
    let policy = objects.values().find_map(|object| match object {
        Object::Policy(policy) if policy.selector.destination.to_string() == destination => {
            Some(policy.key())
        }
        _ => None,
    });
    kernel.report(Notice::Wanted(policy.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_packet_of_a_watched_line_is_told_of_once_a_second_until_a_child_carries_it() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    let lines = vec![watched(1, "10.2.0.0/24"), watched(2, "10.3.0.0/24")];
    rig.tell(Request::Watch(name(), lines)).await;
    assert_eq!(
        leaves_by(&kernel, "10.3.0.9"),
        Some(0),
        "it asks for a state, and drops the packet"
    );
    for _ in 0..3 {
        acquire(&kernel, "10.3.0.0/24");
    }
    let told = rig.answered.recv().await.unwrap();
    assert!(matches!(&told, Input::Wanted(to, 2) if *to == name()), "{told:?}");
    rig.ask(Request::Refresh).await;
    assert!(rig.answered.try_recv().is_err(), "told again within a second");
    tokio::time::advance(Duration::from_millis(1_001)).await;
    acquire(&kernel, "10.3.0.0/24");
    assert!(matches!(rig.answered.recv().await.unwrap(), Input::Wanted(_, 2)));

    rig.install_pair(1, towards(0x100, "10.3.0.0/24")).await;
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0x101));
    rig.tell(Request::Remove(ChildId(1))).await;
    assert_eq!(leaves_by(&kernel, "10.3.0.9"), Some(0), "it is watched again");
    rig.tell(Request::Watch(name(), vec![])).await;
    assert_eq!(classes(&kernel), before);
}

#[tokio::test]
async fn what_a_child_may_carry_is_the_kernels_to_watch_and_told_to_the_engine() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let volume = Volume {
        soft_octets: 1,
        hard_octets: 2,
        soft_packets: 3,
        hard_packets: 4,
    };
    rig.install_pair(
        1,
        EspPair {
            volume,
            ..pair(0x100)
        },
    )
    .await;
    let Key::State(key) = inbound(0x100) else { panic!() };
    match kernel.objects().get(&inbound(0x100)) {
        Some(Object::State(state)) => {
            assert_eq!((state.volume.soft_octets, state.volume.hard_packets), (1, 4))
        }
        other => panic!("{other:?}"),
    }
    for (hard, expected) in [(false, Spent::Soft), (true, Spent::Hard)] {
        if hard {
            kernel.lose_unreported(&inbound(0x100));
        }
        kernel.report(Notice::Expired { key, hard });
        let told = rig.answered.recv().await.unwrap();
        assert!(
            matches!(told, Input::ChildSpent(ChildId(1), spent) if spent == expected),
            "{told:?}"
        );
    }
    rig.tell(Request::Remove(ChildId(1))).await;
    assert!(
        !classes(&kernel)
            .iter()
            .any(|class| class == "state" || class == "policy")
    );
}

/// What is told while the engine is busy waits, and nothing of it is lost.
#[tokio::test]
async fn a_busy_engine_hears_of_everything_later() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    for id in 1..=20 {
        let spi = 0x100 * u32::try_from(id).unwrap();
        rig.install(id, spi).await;
    }
    for id in 1..=20 {
        let Key::State(key) = inbound(0x100 * id) else {
            panic!()
        };
        kernel.report(Notice::Expired { key, hard: false });
    }
    rig.ask(Request::Refresh).await;
    for id in 1..=20 {
        let told = rig.answered.recv().await.unwrap();
        assert!(
            matches!(told, Input::ChildSpent(ChildId(told), Spent::Soft) if told == id),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn what_the_peers_sent_is_told_by_child() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.install_pair(2, towards(0x200, "10.3.0.0/24")).await;
    let Key::State(key) = inbound(0x200) else { panic!() };
    let counters = appliance_kernel::Counters {
        packets: 7,
        ..Default::default()
    };
    kernel.count(key, counters);
    let permit = rig.answers.clone().try_reserve_owned().unwrap();
    let children = [1, 2, 3].map(ChildId).into();
    rig.tell(Request::Traffic(children, permit)).await;
    let told = rig.answered.recv().await.unwrap();
    let expected = [(ChildId(1), 0), (ChildId(2), 7)];
    assert!(
        matches!(&told, Input::Received(counts) if counts[..] == expected),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_peer_that_moved_gets_a_successor_at_once() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    let (local, remote) = (
        "192.0.2.1:4500".parse().unwrap(),
        "192.0.2.2:40001".parse().unwrap(),
    );
    rig.tell(Request::Move(ChildId(1), (local, remote), Encapsulation::Udp))
        .await;
    let told = rig.answered.recv().await.unwrap();
    assert!(
        matches!(told, Input::ChildSpent(ChildId(1), Spent::Soft)),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_refused_child_leaves_nothing_and_says_what_was_refused() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    kernel.refuse(inbound(0x100), 22, "Requested COMP algorithm not found");
    let answer = rig.install(1, 0x100).await;
    let Input::ChildRefused(ChildId(1), text) = answer else {
        panic!("{answer:?}")
    };
    assert!(text.contains("Requested COMP algorithm not found"), "{text}");
    rig.ask(Request::Refresh).await;
    assert_eq!(classes(&kernel), before);
    let refused = rig.snapshot.borrow().refused.clone();
    assert!(
        refused.iter().any(|one| one.detail.contains("COMP")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_child_that_loses_a_state_is_given_up_and_told_to_the_engine() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    let before = classes(&kernel);
    rig.install(1, 0x100).await;
    kernel.lose(&inbound(0x100));
    let told = rig.answered.recv().await.unwrap();
    assert!(
        matches!(&told, Input::ChildRefused(ChildId(1), why) if why.contains("vanished")),
        "{told:?}"
    );
    assert_eq!(classes(&kernel), before);
}

#[tokio::test(start_paused = true)]
async fn a_killed_daemons_states_carry_on_until_the_new_child_has_taken_over() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();

    let before = kernel.performed().len();
    let mut second = Rig::start(&kernel).await;
    assert_eq!(kernel.performed().len(), before, "all of it was adopted");
    assert!(kernel.objects().contains_key(&inbound(0x100)));
    second.ask(Request::Refresh).await;
    assert_eq!(second.snapshot.borrow().carried_over, [name()].into());
    second.install(1, 0x200).await;
    assert!(
        kernel.objects().contains_key(&inbound(0x100)),
        "the peer may still send under it"
    );
    tokio::time::advance(Duration::from_secs(6)).await;
    second.ask(Request::Refresh).await;
    assert!(
        !kernel.objects().contains_key(&inbound(0x100)) && kernel.objects().contains_key(&inbound(0x200))
    );
    second.ask(Request::Refresh).await;
    assert!(second.snapshot.borrow().carried_over.is_empty());
    assert_eq!(
        classes(&kernel).iter().filter(|class| *class == "policy").count(),
        3
    );
}

/// Only the engine can have the peer find out that nobody knows these states any more.
#[tokio::test(start_paused = true)]
async fn a_killed_daemons_states_are_told_of_while_they_carry_on() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();
    let mut second = Rig::start(&kernel).await;
    for _ in 0..2 {
        let told = second.answered.recv().await.unwrap();
        let Input::Orphaned {
            connection,
            local,
            remote,
            spi,
        } = told
        else {
            panic!("{told:?}")
        };
        assert_eq!((connection, spi), (name(), 0x100));
        assert_eq!((local, remote), (pair(1).local, pair(1).remote));
    }
    second.tell(Request::Remove(ChildId(1))).await;
    tokio::time::advance(Duration::from_secs(120)).await;
    second.ask(Request::Refresh).await;
    while second.answered.try_recv().is_ok() {}
    tokio::time::advance(Duration::from_secs(60)).await;
    second.ask(Request::Refresh).await;
    assert!(second.answered.try_recv().is_err(), "they were let go");
}

/// The configuration was edited while no daemon ran.
#[tokio::test]
async fn a_killed_daemons_states_do_not_go_on_to_an_endpoint_of_before() {
    for elsewhere in [Some("192.0.2.9".parse().unwrap()), None] {
        let kernel = FakeKernel::new();
        let mut first = Rig::start(&kernel).await;
        first.install(1, 0x100).await;
        first.crash();
        let second = Rig::start(&kernel).await;
        assert!(kernel.objects().contains_key(&inbound(0x100)));
        second.crash();
        let mut moved = network();
        for tunnel in moved.tunnels.values_mut() {
            tunnel.remote = elsewhere;
        }
        let _third = Rig::with(&kernel, moved).await;
        let stays = elsewhere.is_none();
        assert_eq!(
            kernel.objects().contains_key(&inbound(0x100)),
            stays,
            "{elsewhere:?}"
        );
        assert_eq!(
            classes(&kernel).iter().any(|class| class == "policy"),
            stays,
            "{elsewhere:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn states_that_nobody_comes_for_are_released_after_the_hold_time() {
    let kernel = FakeKernel::new();
    let mut first = Rig::start(&kernel).await;
    first.install(1, 0x100).await;
    first.crash();
    let second = Rig::start(&kernel).await;
    tokio::time::advance(Duration::from_secs(110)).await;
    second.ask(Request::Refresh).await;
    assert!(kernel.objects().contains_key(&inbound(0x100)));
    tokio::time::advance(Duration::from_secs(20)).await;
    second.ask(Request::Refresh).await;
    assert!(!kernel.objects().contains_key(&inbound(0x100)));
}

#[tokio::test]
async fn closing_leaves_only_what_keeps_sites_closed() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.ask(Request::Close).await;
    assert_eq!(classes(&kernel), ["last resort", "last resort", "ruleset"]);
}

#[tokio::test]
async fn a_site_taken_out_of_the_configuration_is_no_longer_closed() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let fewer = NetworkSettings {
        closed: ["10.2.0.0/24".parse().unwrap()].into(),
        ..network()
    };
    rig.ask(|answer| Request::Network(Box::new(fewer), answer)).await;
    assert_eq!(
        classes(&kernel),
        ["address", "last resort", "link", "route", "ruleset"]
    );
}

/// Whoever administers this machine from a network inside a site's prefix is not shut out when that network comes late,
/// and it is closed again when it goes.
#[tokio::test]
async fn a_network_of_our_own_is_let_be_as_long_as_it_is_there() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let lan = Connected {
        link: "lan".try_into().unwrap(),
        address: "10.2.0.129".parse().unwrap(),
        network: "10.2.0.128/25".parse().unwrap(),
    };
    let opened = || match kernel.objects().get(&Key::Ruleset) {
        Some(Object::Ruleset(ruleset)) => ruleset.local.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(opened(), 0);
    kernel.connect(lan.clone());
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(opened(), 1);
    kernel.disconnect(lan);
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(opened(), 0);
}

/// The link that has the route of a prefix.
fn way_to(kernel: &FakeKernel, prefix: &str) -> Option<String> {
    let prefix = prefix.parse().unwrap();
    kernel.objects().values().find_map(|object| match object {
        Object::Route(route) if route.prefix == prefix => match &route.target {
            Target::Link { link, .. } => Some(link.to_string()),
            Target::Gateway { .. } | Target::Learnt(_) | Target::Marked(..) | Target::Unreachable => None,
        },
        _ => None,
    })
}

/// A second tunnel to the same site, wanted less than the first.
fn with_second() -> NetworkSettings {
    let mut network = network();
    let mut second = network.tunnels[&name()].clone();
    second.numbering = Numbering {
        interface_id: INTERFACE_ID + 1,
        link: "cw-second".to_owned(),
    };
    second.priority = 200;
    second.addresses.clear();
    network.tunnels.insert(ConnectionName("second".into()), second);
    network
}

/// Of two tunnels to one site the first that is up has its routes, and at every step there is a way or none in clear
/// text.
#[tokio::test]
async fn the_routes_of_a_site_go_over_the_first_of_its_tunnels_that_is_up() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let way = || way_to(&kernel, "10.2.0.0/24");
    assert_eq!(
        way().as_deref(),
        Some("cw-to-b"),
        "none is up: the smallest priority"
    );
    let before = kernel.performed().len();

    let second = EspPair {
        connection: ConnectionName("second".into()),
        remote: "192.0.2.3:500".parse().unwrap(),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-second"));
    assert!(rig.snapshot.borrow().idle.contains(&name()));

    rig.install(2, 0x100).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-to-b"));

    rig.tell(Request::Remove(ChildId(2))).await;
    assert_eq!(way().as_deref(), Some("cw-second"));

    kernel.lose(&inbound(0x200));
    rig.answered.recv().await.unwrap();
    rig.ask(Request::Refresh).await;
    assert_eq!(way().as_deref(), Some("cw-to-b"));

    let steps = kernel.performed().split_off(before);
    let routes = steps.iter().filter(|step| matches!(step.key(), Key::Route(_)));
    let removed = routes.filter(|step| matches!(step, Op::Delete(..)));
    assert_eq!(
        removed.count(),
        0,
        "routes are replaced, not taken away: {steps:?}"
    );
}

/// A route that could not be moved is moved soon after, and not with the next audit.
#[tokio::test(start_paused = true)]
async fn a_refused_route_is_tried_again_soon() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let route = kernel.objects().into_keys().find(|key| match key {
        Key::Route(route) => route.metric < 1_000_000,
        _ => false,
    });
    let route = route.unwrap();
    kernel.refuse(route.clone(), 105, "No buffer space available");
    let second = EspPair {
        connection: ConnectionName("second".into()),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-to-b"));
    assert_eq!(rig.snapshot.borrow().refused.len(), 1);
    kernel.accept(&route);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-second"));
    rig.ask(Request::Refresh).await;
    assert!(rig.snapshot.borrow().refused.is_empty());
}

/// A daemon that died left the second tunnel carrying traffic: its routes stay there until the first is up.
#[tokio::test]
async fn the_routes_stay_where_a_daemon_before_left_traffic() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::with(&kernel, with_second()).await;
    let second = EspPair {
        connection: ConnectionName("second".into()),
        ..pair(0x200)
    };
    rig.install_pair(1, second).await;
    rig.ask(Request::Refresh).await;
    rig.crash();

    let mut rig = Rig::with(&kernel, with_second()).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-second"));
    rig.install(1, 0x100).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(way_to(&kernel, "10.2.0.0/24").as_deref(), Some("cw-to-b"));
}

/// What the document says of interfaces, and no tunnel.
fn interfaces(document: &str) -> NetworkSettings {
    let document = format!(
        r#"{{ "interfaces": {document},
              "gateway": {{ "ip_configurations": {{ "default": {{ "address": "192.0.2.1" }} }}, "address_space": [] }} }}"#
    );
    let config = appliance_config::parse(document.as_bytes()).unwrap();
    NetworkSettings {
        interfaces: config.interfaces,
        ..NetworkSettings::default()
    }
}

fn static_at(address: &str) -> NetworkSettings {
    interfaces(&format!(
        r#"{{ "lan0": {{ "role": "lan", "ipv4": {{ "method": "static", "addresses": ["{address}"] }} }} }}"#
    ))
}

fn plugged() -> Device {
    Device {
        index: 7,
        mac: Some([2, 0, 0, 0, 0, 1]),
        up: true,
        carrier: true,
        mtu: 1500,
        is_vlan: false,
    }
}

fn addresses_of(kernel: &FakeKernel) -> Vec<String> {
    let objects = kernel.objects();
    let addresses = objects.keys().filter_map(|key| match key {
        Key::Address(address) => Some(address.network.to_string()),
        _ => None,
    });
    addresses.collect()
}

/// Until there is nothing more to do.
async fn until(mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came about");
}

#[tokio::test]
async fn a_device_that_is_plugged_in_later_gets_its_address_and_loses_those_of_others() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, static_at("10.1.0.1/24")).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
    let foreign = Connected {
        link: "lan0".try_into().unwrap(),
        address: "10.9.0.1".parse().unwrap(),
        network: "10.9.0.0/24".parse().unwrap(),
    };
    kernel.plug("lan0".try_into().unwrap(), plugged());
    kernel.connect(foreign.clone());
    until(|| addresses_of(&kernel) == ["10.1.0.1/24"]).await;
    let gone = |step: &appliance_kernel::Operation| matches!(step, Op::Delete(Key::Address(address), _) if address.network.addr() == foreign.address);
    until(|| kernel.performed().iter().any(gone)).await;
    rig.ask(|answer| Request::Network(Box::new(static_at("10.1.0.9/24")), answer))
        .await;
    assert_eq!(addresses_of(&kernel), ["10.1.0.9/24"]);
    let steps = kernel.performed();
    let last = steps.last().unwrap();
    assert!(matches!(last, Op::Delete(..)), "the old one goes last: {steps:?}");
    rig.ask(|answer| Request::Network(Box::new(static_at("10.1.0.1/24")), answer))
        .await;
    assert_eq!(addresses_of(&kernel), ["10.1.0.1/24"], "a trial that is over");
    rig.ask(Request::Close).await;
    assert_eq!(
        addresses_of(&kernel),
        ["10.1.0.1/24"],
        "the machine stays reachable"
    );
}

fn by_dhcp() -> NetworkSettings {
    interfaces(r#"{ "wan0": { "role": "wan", "ipv4": { "method": "dhcp" } } }"#)
}

fn lease() -> Lease {
    Lease {
        address: [192, 0, 2, 10].into(),
        prefix_length: 24,
        router: Some([192, 0, 2, 254].into()),
        name_servers: Vec::new(),
        ntp_servers: Vec::new(),
        mtu: None,
        server: [192, 0, 2, 254].into(),
        duration: Some(Duration::from_secs(3600)),
        renewal: None,
    }
}

#[tokio::test]
async fn a_lease_is_asked_for_used_and_given_up() {
    let kernel = FakeKernel::new();
    let wan: appliance_config::model::Name = "wan0".parse().unwrap();
    let rig = Rig::with(&kernel, by_dhcp()).await;
    assert!(rig.links.borrow().is_empty(), "no device");
    kernel.plug("wan0".try_into().unwrap(), plugged());
    until(|| {
        rig.links
            .borrow()
            .get(&wan)
            .is_some_and(|link| link.up && link.index == 7)
    })
    .await;
    let outer = || {
        let meant = LocalAddress::OfInterface(wan.clone(), Family::V4);
        rig.addresses.borrow().of(&meant)
    };
    assert_eq!(outer(), None);
    rig.requests
        .send(Request::Leased(wan.clone(), Some(lease())))
        .await
        .unwrap();
    until(|| outer().is_some()).await;
    assert_eq!(addresses_of(&kernel), ["192.0.2.10/24"]);
    rig.requests
        .send(Request::Leased(wan.clone(), None))
        .await
        .unwrap();
    until(|| outer().is_none()).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
}

/// A lease of before that is still in the kernel stays there, and one that is not has to be asked for.
#[tokio::test]
async fn a_lease_outlives_the_daemon() {
    let kernel = FakeKernel::new();
    let wan: appliance_config::model::Name = "wan0".parse().unwrap();
    let remembered = || BTreeMap::from([(wan.clone(), lease())]);
    kernel.plug("wan0".try_into().unwrap(), plugged());
    let rig = Rig::remembering(&kernel, by_dhcp(), remembered()).await;
    assert_eq!(addresses_of(&kernel), [""; 0]);
    rig.requests
        .send(Request::Leased(wan.clone(), Some(lease())))
        .await
        .unwrap();
    until(|| !addresses_of(&kernel).is_empty()).await;
    rig.task.abort();
    let before = kernel.performed().len();
    let again = Rig::remembering(&kernel, by_dhcp(), remembered()).await;
    assert_eq!(addresses_of(&kernel), ["192.0.2.10/24"]);
    let touched = kernel.performed().split_off(before);
    let address = |step: &appliance_kernel::Operation| matches!(step.key(), Key::Address(_) | Key::Route(_));
    assert!(!touched.iter().any(address), "{touched:?}");
    again.task.abort();
}

/// The routes that BGP learnt, with their links.
fn learnt(kernel: &FakeKernel) -> Vec<String> {
    let objects = kernel.objects();
    let learnt = objects.values().filter_map(|object| match object {
        Object::Route(route) => match &route.target {
            Target::Learnt(links) => {
                let links: Vec<&str> = links.iter().map(appliance_kernel::LinkName::as_str).collect();
                Some(format!("{} {} {}", route.prefix, route.metric, links.join("+")))
            }
            Target::Link { .. } | Target::Gateway { .. } | Target::Marked(..) | Target::Unreachable => None,
        },
        _ => None,
    });
    learnt.collect()
}

fn set(prefix: &str, ways: &[&str]) -> LearntRoute {
    let ways = ways.iter().map(|way| ConnectionName((*way).into())).collect();
    LearntRoute::Set(prefix.parse().unwrap(), ways)
}

#[tokio::test]
async fn learnt_routes_go_in_and_a_default_route_gets_rules() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, with_second()).await;
    let changes = vec![
        set("10.9.0.0/16", &["to-b", "second"]),
        set("0.0.0.0/0", &["to-b"]),
    ];
    rig.ask(|answer| Request::Learnt(changes, answer)).await;
    let expected = ["0.0.0.0/0 187 cw-to-b", "10.9.0.0/16 186 cw-second+cw-to-b"];
    assert_eq!(learnt(&kernel), expected);
    let rules = |kernel: &FakeKernel| {
        let objects = kernel.objects();
        objects.keys().filter(|key| matches!(key, Key::Rule(_))).count()
    };
    assert_eq!(rules(&kernel), 4);
    let steps = kernel.performed();
    let place = |wanted: &dyn Fn(&Key) -> bool| steps.iter().position(|step| wanted(step.key())).unwrap();
    let (rule, route) = (
        place(&|key| matches!(key, Key::Rule(_))),
        place(&|key| matches!(key, Key::Route(route) if route.metric == 187)),
    );
    assert!(
        rule < route,
        "what keeps the tunnel's own packets out comes first"
    );
    let gone = vec![LearntRoute::Remove("0.0.0.0/0".parse().unwrap())];
    rig.ask(|answer| Request::Learnt(gone, answer)).await;
    assert_eq!((learnt(&kernel).len(), rules(&kernel)), (1, 0));
    rig.ask(Request::Close).await;
    assert_eq!(learnt(&kernel), [""; 0]);
}

/// As `kill -9`: routes stay, those that are learnt again are claimed, and the others go once nobody waits for them.
#[tokio::test]
async fn learnt_routes_outlive_the_daemon_that_learnt_them() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let changes = vec![set("10.8.0.0/16", &["to-b"]), set("10.9.0.0/16", &["to-b"])];
    rig.ask(|answer| Request::Learnt(changes, answer)).await;
    rig.crash();
    let rig = Rig::start(&kernel).await;
    assert_eq!(learnt(&kernel).len(), 2);
    rig.ask(|answer| Request::Learnt(vec![set("10.9.0.0/16", &["to-b"])], answer))
        .await;
    assert_eq!(learnt(&kernel).len(), 2);
    rig.tell(Request::ReleaseLearnt).await;
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
}

/// What somebody deletes is made again; what is refused is told to BGP, and that it is no more.
#[tokio::test]
async fn bgp_knows_what_carries_and_what_is_refused() {
    let kernel = FakeKernel::new();
    let mut network = network();
    let tunnel = network.tunnels.get_mut(&name()).unwrap();
    let address = [169, 254, 21, 1].into();
    tunnel.speaker = Some(Speaker { address, rank: 0 });
    let mut rig = Rig::with(&kernel, network).await;
    let prefix: ipnet::IpNet = "10.9.0.0/16".parse().unwrap();
    let key = Key::Route(appliance_kernel::Route::learnt(prefix, [], false).key());
    kernel.refuse(key.clone(), 28, "no room");
    rig.ask(|answer| Request::Learnt(vec![set("10.9.0.0/16", &["to-b"])], answer))
        .await;
    rig.ask(Request::Refresh).await;
    let ground = rig.ground.borrow_and_update().clone();
    assert!(ground.refused[&prefix].contains("no room") && ground.carried.is_empty());
    kernel.accept(&key);
    let taken = rig.ground.wait_for(|ground| ground.refused.is_empty());
    taken.await.unwrap();
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
    kernel.lose(&key);
    rig.install(1, 0x100).await;
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(learnt(&kernel), ["10.9.0.0/16 186 cw-to-b"]);
    assert_eq!(rig.ground.borrow().carried, [name()].into());
    rig.tell(Request::Remove(ChildId(1))).await;
    rig.ask(Request::Refresh).await;
    assert!(rig.ground.borrow().carried.is_empty());
}

/// A site that has our addresses: it is known by others here, and so are we there.
fn translated(external: &str) -> NetworkSettings {
    let rule = |kind, internal: &str, external: &str| appliance_nat::Rule {
        kind,
        internal: internal.parse().unwrap(),
        external: external.parse().unwrap(),
    };
    let plain = appliance_nat::Kind::Static { ports: None };
    let dynamic = appliance_nat::Kind::Dynamic {
        ports: vec![1024..=1027],
    };
    let mut network = network();
    let tunnel = network.tunnels.get_mut(&name()).unwrap();
    tunnel.prefixes = vec![external.parse().unwrap()];
    network.closed = [external.parse().unwrap()].into();
    let rules = appliance_nat::Tunnel {
        link: tunnel.numbering.link.clone(),
        number: tunnel.numbering.number(),
        site: "b".to_owned(),
        ingress: [("in".to_owned(), rule(plain, "10.0.0.0/24", external))].into(),
        egress: [("few".to_owned(), rule(dynamic, "10.0.0.0/24", "100.64.9.1/32"))].into(),
    };
    network.translation.tunnels = [(name().0.to_string(), rules)].into();
    network
}

/// The links that routes into tunnels for this prefix leave by.
fn routed(kernel: &FakeKernel, prefix: &str) -> usize {
    let prefix: ipnet::IpNet = prefix.parse().unwrap();
    let objects = kernel.objects();
    let routes = objects.values().filter(
        |object| matches!(object, Object::Route(route) if route.prefix == prefix && matches!(route.target, Target::Link { .. })),
    );
    routes.count()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_translated_has_no_routes() {
    let kernel = FakeKernel::new();
    kernel.refuse(Key::Translation, 0, "nft: syntax error");
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    assert_eq!(routed(&kernel, "100.64.2.0/24"), 0);
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().clone();
    assert!(!shown.translation.in_place);
    assert_eq!(shown.refused[0].detail, "nft: syntax error");
    assert_eq!(shown.translation.refused.as_ref(), shown.refused.first());
    assert_eq!(shown.translation.closed, [name()].into());
    kernel.accept(&Key::Translation);
    rig.later(2).await;
    assert_eq!(routed(&kernel, "100.64.2.0/24"), 1, "it is tried again");
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    assert!(shown.in_place);
    assert_eq!((shown.refused, shown.closed), (None, [].into()));
    let marked =
        |object: &Object| matches!(object, Object::Route(route) if route.key().mark == Some(INTERFACE_ID));
    assert_eq!(
        kernel.objects().values().filter(|object| marked(object)).count(),
        2
    );
}

/// More sites than can be told apart: though there is no table, it is told that there should be, and why there is none.
#[tokio::test]
async fn more_than_can_be_translated_is_told() {
    let kernel = FakeKernel::new();
    let mut network = translated("100.64.2.0/24");
    let one = network.translation.tunnels[&*name().0].clone();
    let many = (0..300_u16).map(|number| {
        let mut tunnel = one.clone();
        (tunnel.link, tunnel.number) = (format!("cw-{number}"), number + 100);
        tunnel.site = format!("site-{number}");
        (format!("to-{number}"), tunnel)
    });
    network.translation.tunnels.extend(many);
    let rig = Rig::with(&kernel, network).await;
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    assert!(shown.wanted && !shown.in_place);
    assert!(shown.refused.is_some() && shown.closed.contains(&name()));
}

/// The rules of before stay, with the routes to what they translate; and when they are asked for again, nothing is to be
/// done.
#[tokio::test]
async fn a_refused_translation_leaves_that_of_before() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let before = kernel.objects();
    kernel.refuse(Key::Translation, 0, "nft: no such file");
    let refused = rig
        .ask(|answer| Request::Network(Box::new(translated("100.64.3.0/24")), answer))
        .await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0].detail, "nft: no such file");
    assert_eq!(kernel.objects()[&Key::Translation], before[&Key::Translation]);
    let refused = rig
        .ask(|answer| Request::Network(Box::new(translated("100.64.2.0/24")), answer))
        .await;
    assert_eq!((refused, kernel.objects()), (vec![], before));
}

/// Rules that were told of before they are in force change nothing; what is in force in the end counts.
#[tokio::test]
async fn what_may_be_translated_soon_is_not_translated_yet() {
    let kernel = FakeKernel::new();
    let nothing = || NetworkSettings {
        translation: appliance_nat::Rules::default(),
        ..translated("100.64.2.0/24")
    };
    let rig = Rig::with(&kernel, nothing()).await;
    for external in ["100.64.2.0/24", "100.64.3.0/24"] {
        let rules = translated("100.64.2.0/24").translation;
        rig.requests
            .send(Request::Translate(Box::new(rules)))
            .await
            .unwrap();
        rig.ask(Request::Refresh).await;
        assert!(!kernel.objects().contains_key(&Key::Translation));
        rig.ask(|answer| Request::Network(Box::new(translated(external)), answer))
            .await;
        let expected = Rig::with(&FakeKernel::new(), translated(external)).await;
        expected.ask(Request::Refresh).await;
        rig.ask(Request::Refresh).await;
        let bindings = |rig: &Rig| rig.snapshot.borrow().translation.bindings.clone();
        assert_eq!(bindings(&rig), bindings(&expected));
        rig.ask(|answer| Request::Network(Box::new(nothing()), answer))
            .await;
    }
}

/// A daemon that starts again finds what it needs, and neither writes the table anew nor takes a route away on the way.
#[tokio::test]
async fn a_restart_leaves_translation_alone() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let (before, steps) = (kernel.objects(), kernel.performed().len());
    rig.crash();
    let _rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    assert_eq!((kernel.objects(), kernel.performed().len()), (before, steps));
}

/// What only the rules know of the site is closed, unless it is ours as well.
#[tokio::test]
async fn what_the_site_calls_itself_is_closed_where_it_is_not_ours() {
    let kernel = FakeKernel::new();
    let mut network = translated("100.64.2.0/24");
    network.hidden = ["10.0.0.0/24".parse().unwrap()].into();
    let rig = Rig::with(&kernel, network).await;
    let closed = || {
        let prefix: ipnet::IpNet = "10.0.0.0/24".parse().unwrap();
        let Some(Object::Ruleset(ruleset)) = kernel.objects().remove(&Key::Ruleset) else {
            panic!()
        };
        let mut routes = kernel.objects().into_values();
        let unreachable = routes.any(
            |object| matches!(object, Object::Route(route) if route.prefix == prefix && route.target == Target::Unreachable),
        );
        (ruleset.closed.contains(&prefix), unreachable)
    };
    assert_eq!(closed(), (true, true));
    kernel.connect(Connected {
        link: "lan".try_into().unwrap(),
        address: "10.0.0.1".parse().unwrap(),
        network: "10.0.0.0/24".parse().unwrap(),
    });
    rig.ask(Request::Refresh).await;
    rig.ask(Request::Refresh).await;
    assert_eq!(closed(), (false, false));
}

/// Flows, packets and ports of each rule are told; and, once, that a dynamic one has no port left, when flows were refused.
#[tokio::test(start_paused = true)]
async fn rules_tell_what_they_translate_and_when_they_have_no_port_left() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    let Object::Translation(translation) = kernel.objects().remove(&Key::Translation).unwrap() else {
        panic!()
    };
    let program = translation.program().unwrap();
    let number = |rule: &str| {
        let mut bindings = program.bindings().iter();
        let (number, binding) = bindings.find(|(_, binding)| binding.name == rule).unwrap();
        (u32::from(*number), binding.key.to_string())
    };
    let ((few, counter), (into, _)) = (number("few"), number("in"));
    let counted = appliance_nat::Counted {
        packets: 7,
        bytes: 700,
    };
    kernel.translate(&counter, counted);
    for port in 1024..=1027 {
        kernel.follow(appliance_kernel::Flow {
            mark: few << 16 | into,
            protocol: 17,
            answers_to: "100.64.9.1".parse().unwrap(),
            port,
        });
    }
    rig.ask(Request::Refresh).await;
    let shown = rig.snapshot.borrow().translation.clone();
    let told = |rule: &str| {
        let mut bindings = shown.bindings.iter();
        bindings.find(|binding| binding.rule == rule).unwrap().clone()
    };
    let dynamic = told("few").dynamic.unwrap();
    assert_eq!((told("few").translated, told("few").flows), (counted, 4));
    assert_eq!((dynamic.ports_in_use, dynamic.ports), (4, 4));
    assert_eq!((told("in").flows, told("in").dynamic), (4, None));

    assert_eq!(rig.news(), [""; 0]);
    rig.later(11).await;
    assert_eq!(rig.news(), [""; 0], "all in use, and nobody was refused");
    kernel.refuse_flows(3);
    rig.later(11).await;
    assert_eq!(rig.news(), ["nat-ports-exhausted"]);
    kernel.refuse_flows(9);
    rig.later(11).await;
    assert_eq!(rig.news(), [""; 0], "told once");
}

/// By the routes that the kernel has: the packet is asked about as it comes, and its answer as it goes back.
#[tokio::test]
async fn what_becomes_of_a_packet_is_foreseen() {
    let kernel = FakeKernel::new();
    let rig = Rig::with(&kernel, translated("100.64.2.0/24")).await;
    kernel.connect(Connected {
        link: "lan".try_into().unwrap(),
        address: "10.0.0.1".parse().unwrap(),
        network: "10.0.0.0/24".parse().unwrap(),
    });
    let end = |address: &str, port| appliance_nat::End {
        address: address.parse().unwrap(),
        port: Some(port),
    };
    let packet = appliance_nat::Packet {
        link: Some("lan".to_owned()),
        protocol: 6,
        source: end("10.0.0.9", 40000),
        destination: end("100.64.2.5", 443),
    };
    let asked = packet.clone();
    let foreseen = rig.ask(|answer| Request::Foresee(asked, answer)).await.unwrap();
    assert!(foreseen.in_place);
    let appliance_nat::Outcome::Passed(passed) = foreseen.verdict.outcome else {
        panic!("{foreseen:?}")
    };
    rig.ask(Request::Refresh).await;
    let link = Some(rig.snapshot.borrow().interfaces[&name()].clone());
    assert_eq!((&passed.link, passed.destination), (&link, end("10.0.0.5", 443)));
    assert!(passed.source.allows(end("100.64.9.1", 1024)));
    let rules = foreseen.verdict.fired.iter();
    let rules: Vec<_> = rules
        .map(|fired| &*foreseen.program.bindings()[&fired.binding].name)
        .collect();
    assert_eq!(rules, ["in", "few"]);
    let answered = foreseen.answered.unwrap();
    assert_eq!(
        (answered.link.as_deref(), answered.source, answered.destination),
        (Some("lan"), packet.destination, packet.source)
    );
    assert_eq!(foreseen.ways[&packet.destination.address], link);
}

/// Without rules, nothing is translated, and the routes are told all the same.
#[tokio::test]
async fn without_rules_a_packet_passes_as_it_is() {
    let kernel = FakeKernel::new();
    let rig = Rig::start(&kernel).await;
    let end = |address: &str| appliance_nat::End {
        address: address.parse().unwrap(),
        port: None,
    };
    let packet = appliance_nat::Packet {
        link: None,
        protocol: 1,
        source: end("10.1.0.1"),
        destination: end("10.2.0.7"),
    };
    let foreseen = rig.ask(|answer| Request::Foresee(packet, answer)).await.unwrap();
    assert_eq!(foreseen.verdict.fired, []);
    rig.ask(Request::Refresh).await;
    let link = Some(rig.snapshot.borrow().interfaces[&name()].clone());
    let ways = [("10.1.0.1", None), ("10.2.0.7", link)];
    let ways = ways.map(|(to, link)| (to.parse().unwrap(), link));
    assert_eq!(foreseen.ways, ways.into());
}
