use std::net::IpAddr;
use std::time::Duration;

use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Kernel, Key, Object, StateKey};
use ike::crypto::Encryption;
use ike::{ChildId, ConnectionName, Encapsulation, EspKeys, EspPair, EspSa, Input, TrafficSelector, Volume};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Carrier, KernelOwner};
use crate::datapath::{DatapathSnapshot, Kind, Request};
use crate::derive::{NetworkSettings, Numbering, TunnelSettings};

const INTERFACE_ID: u32 = 0x4357_0001;

/// An owner over a kernel in memory; clones of `kernel` see what it does.
struct Rig {
    requests: mpsc::Sender<Request>,
    answers: mpsc::Sender<Input>,
    answered: mpsc::Receiver<Input>,
    snapshot: watch::Receiver<std::sync::Arc<DatapathSnapshot>>,
    task: JoinHandle<()>,
}

impl Rig {
    async fn start(kernel: &FakeKernel) -> Self {
        let (requests, heard) = mpsc::channel(8);
        let (answers, answered) = mpsc::channel(8);
        let first = DatapathSnapshot::first(Kind::Kernel, String::new());
        let (published, snapshot) = watch::channel(std::sync::Arc::new(first));
        let (handle, notices) = Kernel::over(kernel);
        let owner = KernelOwner::new(handle, Carrier::kernel(), answers.clone(), published);
        let task = tokio::spawn(owner.run(heard, notices));
        let rig = Self {
            requests,
            answers,
            answered,
            snapshot,
            task,
        };
        rig.ask(|answer| Request::Network(Box::new(network()), answer))
            .await;
        rig
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<()>) -> Request) {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.unwrap();
        answered.await.unwrap();
    }

    async fn install(&mut self, id: u64, spi: u32) -> Input {
        let permit = self.answers.clone().try_reserve_owned().unwrap();
        self.requests
            .send(Request::Install(ChildId(id), Box::new(pair(spi)), permit))
            .await
            .unwrap();
        self.answered.recv().await.unwrap()
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
        mtu: 1400,
        tcp_mss: 1350,
        addresses: vec!["169.254.21.2/30".parse().unwrap()],
        prefixes: vec!["10.2.0.0/24".parse().unwrap()],
    };
    NetworkSettings {
        outer_addresses: [local()].into(),
        closed: ["10.2.0.0/24".parse().unwrap(), "10.3.0.0/24".parse().unwrap()].into(),
        tunnels: [(name(), tunnel)].into(),
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

fn inbound(spi: u32) -> Key {
    Key::State(StateKey {
        destination: local(),
        spi,
    })
}

fn classes(kernel: &FakeKernel) -> Vec<String> {
    let class = |object: &Object| match object {
        object if object.is_last_resort() => "last resort",
        Object::Link(_) => "link",
        Object::Address(_) => "address",
        Object::Route(_) => "route",
        Object::State(_) => "state",
        Object::Policy(_) => "policy",
        Object::Ruleset(_) => "ruleset",
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
    let closed = |key: &Key| matches!(key, Key::Route(route) if route.metric > 1_000_000);
    assert_eq!(steps.iter().take_while(|key| closed(key)).count(), 2, "{steps:?}");
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
    second.install(1, 0x200).await;
    assert!(
        kernel.objects().contains_key(&inbound(0x100)),
        "the peer may still send under it"
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    second.ask(Request::Refresh).await;
    assert!(
        !kernel.objects().contains_key(&inbound(0x100)) && kernel.objects().contains_key(&inbound(0x200))
    );
    assert_eq!(
        classes(&kernel).iter().filter(|class| *class == "policy").count(),
        3
    );
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
async fn closing_leaves_only_the_routes_of_last_resort() {
    let kernel = FakeKernel::new();
    let mut rig = Rig::start(&kernel).await;
    rig.install(1, 0x100).await;
    rig.ask(Request::Close).await;
    assert_eq!(classes(&kernel), ["last resort", "last resort"]);
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
