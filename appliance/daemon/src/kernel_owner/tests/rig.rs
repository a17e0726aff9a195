//! An owner over a kernel in memory, and what it is asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use appliance_dhcp::Lease;
use appliance_kernel::fake::FakeKernel;
use appliance_kernel::{Direction, Kernel, Key, Object, StateKey};
use ike::crypto::Encryption;
use ike::{ChildId, ConnectionName, Encapsulation, EspKeys, EspPair, EspSa, Input, TrafficSelector, Volume};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::super::{Carrier, Interfaces, KernelOwner};
use crate::chronicle::{Heard, Teller};
use crate::datapath::{DatapathSnapshot, Ground, Kind, Request};
use crate::derive::{NetworkSettings, Numbering, TunnelSettings};

pub(super) const INTERFACE_ID: u32 = 0x4357_0001;

/// An owner over a kernel in memory; clones of `kernel` see what it does.
pub(super) struct Rig {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) answers: mpsc::Sender<Input>,
    pub(super) answered: mpsc::Receiver<Input>,
    pub(super) snapshot: watch::Receiver<std::sync::Arc<DatapathSnapshot>>,
    pub(super) ground: watch::Receiver<std::sync::Arc<Ground>>,
    pub(super) links: watch::Sender<crate::dhcp::Links>,
    pub(super) addresses: watch::Sender<std::sync::Arc<crate::derive::Addresses>>,
    pub(super) heard: std::sync::Mutex<Heard>,
    pub(super) task: JoinHandle<()>,
}

impl Rig {
    pub(super) async fn start(kernel: &FakeKernel) -> Self {
        Self::with(kernel, network()).await
    }

    pub(super) async fn with(kernel: &FakeKernel, network: NetworkSettings) -> Self {
        Self::remembering(kernel, network, BTreeMap::new()).await
    }

    pub(super) async fn remembering(
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

    pub(super) async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> T {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.unwrap();
        answered.await.unwrap()
    }

    pub(super) async fn install(&mut self, id: u64, spi: u32) -> Input {
        self.install_pair(id, pair(spi)).await
    }

    pub(super) async fn install_pair(&mut self, id: u64, pair: EspPair) -> Input {
        let permit = self.answers.clone().try_reserve_owned().unwrap();
        self.requests
            .send(Request::Install(ChildId(id), Box::new(pair), permit))
            .await
            .unwrap();
        self.answered.recv().await.unwrap()
    }

    /// Asks for something that has no answer, and waits until it is done.
    pub(super) async fn tell(&self, request: Request) {
        self.requests.send(request).await.unwrap();
        self.ask(Request::Refresh).await;
    }

    /// The words of all news since this was asked last.
    pub(super) fn news(&self) -> Vec<&'static str> {
        self.heard.lock().unwrap().words()
    }

    /// So many seconds pass, of a clock that stands still otherwise, and what is due then is done.
    pub(super) async fn later(&self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            self.ask(Request::Refresh).await;
        }
    }

    /// As `kill -9`: nothing is said, nothing is cleaned up.
    pub(super) fn crash(self) {
        self.task.abort();
    }
}

pub(super) fn name() -> ConnectionName {
    ConnectionName("to-b".into())
}

pub(super) fn network() -> NetworkSettings {
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

pub(super) fn local() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

pub(super) fn pair(spi: u32) -> EspPair {
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
pub(super) fn staged(spi: u32) -> EspPair {
    EspPair {
        sends: false,
        ..pair(spi)
    }
}

pub(super) fn network_of(text: &str) -> TrafficSelector {
    TrafficSelector::network(text.parse().unwrap())
}

/// A child for one network behind the peer.
pub(super) fn towards(spi: u32, remote: &str) -> EspPair {
    EspPair {
        remote_selectors: vec![network_of(remote)],
        ..pair(spi)
    }
}

/// The SPI that packets to a destination leave by, as the kernel would find it; 0 when it would ask for a state.
pub(super) fn leaves_by(kernel: &FakeKernel, destination: &str) -> Option<u32> {
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
pub(super) fn received_by(kernel: &FakeKernel, source: &str) -> Vec<u32> {
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

pub(super) fn request_id(kernel: &FakeKernel, spi: u32) -> u32 {
    match kernel.objects().get(&inbound(spi)) {
        Some(Object::State(state)) => state.request_id,
        other => panic!("{other:?}"),
    }
}

pub(super) fn inbound(spi: u32) -> Key {
    Key::State(StateKey {
        destination: local(),
        spi,
    })
}

pub(super) fn classes(kernel: &FakeKernel) -> Vec<String> {
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

/// A second tunnel to the same site, wanted less than the first.
pub(super) fn with_second() -> NetworkSettings {
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
