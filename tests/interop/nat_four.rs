//! Four networks with the same addresses, ours and three sites, reach each other through rules of translation.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use system_tests::lab::alike::{Alike, HOST, Network};
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::conversation::{Questions, listen};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::nat::{translating, unaware};

/// Where all of them listen.
const PORT: u16 = 7000;
/// Where all of them ask from.
const NEAR_PORT: u16 = 6000;
/// The gateway of every network in its own, ours too.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// How many times one asks another, by TCP and by UDP.
const TIMES: u8 = 50;

/// Somebody who listens in one of the networks.
struct Answering {
    /// What all but those of its network call it.
    called: Ipv4Addr,
    /// By what it is known in answers.
    name: String,
}

/// One way, with all that goes there.
struct Way {
    ping: Ping,
    questions: Questions,
    /// Who is to answer.
    name: String,
    /// And from whom it is to hear that.
    heard_from: SocketAddr,
}

impl Answering {
    /// The host of a network, which others ask so many times.
    fn host(network: &Network, others: u8) -> Self {
        Self::start(&network.host, (HOST, network.host_name), others)
    }

    /// Its gateway.
    fn gateway(network: &Network, others: u8) -> Self {
        let [first, second, third, _] = network.host_name.octets();
        let called = Ipv4Addr::new(first, second, third, 1);
        Self::start(&network.gateway, (GATEWAY, called), others)
    }

    fn start(namespace: &Namespace, (address, called): (Ipv4Addr, Ipv4Addr), others: u8) -> Self {
        let name = namespace.name().to_owned();
        listen(namespace, SocketAddr::from((address, PORT)), &name, others).unwrap();
        Self { called, name }
    }
}

impl Way {
    fn begin(from: &Network, to: &Answering) -> Self {
        let ends = [(HOST, NEAR_PORT), (to.called, PORT)].map(SocketAddr::from);
        Self {
            ping: Ping::start(&from.host, to.called, Duration::from_millis(20)).unwrap(),
            questions: Questions::begin(&from.host, ends).unwrap(),
            name: to.name.clone(),
            heard_from: SocketAddr::from((from.host_name, NEAR_PORT)),
        }
    }
}

/// Asks by all of these ways at the same time, and not one packet is lost.
fn all_answer(mut ways: Vec<Way>) {
    std::thread::scope(|scope| {
        for way in &mut ways {
            scope.spawn(|| {
                let asked = way.questions.ask(&way.name, way.heard_from, TIMES);
                asked.unwrap_or_else(|error| panic!("{} to {}: {error:#}", way.heard_from, way.name));
                way.ping.wait_for(20, SOON).unwrap();
            });
        }
    });
    let finished: Vec<_> = std::thread::scope(|scope| {
        let ends = ways.into_iter().map(|way| scope.spawn(|| way.ping.finish()));
        let ends: Vec<_> = ends.collect();
        ends.into_iter().map(|end| end.join().unwrap()).collect()
    });
    assert!(finished.iter().all(|answers| answers.lost == 0), "{finished:?}");
}

/// All are 10.0.0.0/24. Every host asks every other at the same time, from site to site as well, all from one port and by one
/// number of an echo: at each site the same packets come from the three others but for what they are translated to. Then a
/// site's host is asked that has the very address that our own gateway has.
#[test]
fn four_networks_with_the_same_addresses_reach_each_other_at_once() {
    let run = Run::new().unwrap();
    let lab = Alike::new(&run, 4).unwrap();
    let [hub, first, second, third] = &lab.networks[..] else {
        unreachable!("four networks")
    };
    let datapath = Datapath::of_this_run().unwrap();
    let captures = lab.networks.iter();
    let captures = captures.map(|network| Capture::start(&network.gateway, "wan").unwrap());
    let captures: Vec<_> = captures.collect();
    let _peers = [first, second].map(|site| {
        let tunnel = unaware(hub, site);
        StrongSwan::start(&run, &site.gateway, &tunnel, datapath).unwrap()
    });
    let theirs = document(&[("hub", &unaware(hub, third))]);
    let _theirs = Causeway::with_document(&run, &third.gateway, &theirs, datapath).unwrap();
    let gateway = Causeway::with_store(&run, &hub.gateway, &translating(&lab.networks), datapath).unwrap();
    for name in ["s1", "s2", "s3"] {
        gateway.wait_for(name, "up").unwrap();
    }

    let hosts = lab.networks.iter().map(|network| Answering::host(network, 3));
    let hosts: Vec<_> = hosts.collect();
    let mut ways = Vec::new();
    for from in &lab.networks {
        let others = hosts.iter().filter(|to| to.called != from.host_name);
        ways.extend(others.map(|to| Way::begin(from, to)));
    }
    assert_eq!(ways.len(), 12);
    all_answer(ways);

    let gateways = [first, third].map(|site| Answering::gateway(site, 2));
    let ways = gateways
        .iter()
        .flat_map(|to| [hub, second].map(|from| Way::begin(from, to)));
    all_answer(ways.collect());

    for capture in captures {
        let seen = capture.finish();
        assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
        assert!(seen.esp() > 0, "{seen:?}");
    }
}
