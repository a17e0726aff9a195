//! IPv6 outside, and IPv4 or IPv6 inside.

use std::time::Duration;

use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::tunnel::Datapath;

use crate::pair::{First, Kind, Pair, tunnels};

/// A tunnel over IPv6 comes up whoever begins, carries both ways, and nothing else is seen outside.
fn carries(kind: Kind, first: First, six_inside: bool) {
    let run = Run::new().unwrap();
    let sites = Sites::over_ipv6(&run).unwrap();
    let (mut near, mut far) = tunnels(&sites);
    if six_inside {
        near = near.six(&sites.a, &sites.b);
        far = far.six(&sites.b, &sites.a);
    }
    let pair = Pair::start(run, sites, (near, far), (kind, first));
    let status = pair.wait();
    assert_eq!(status["ike"]["remote_identity"], "2001:db8::2", "{status}");
    if six_inside {
        pair.carries_six();
    } else {
        pair.carries();
    }
    let seen = pair.only_esp();
    let plain = Datapath::of_this_run().unwrap() == Datapath::Kernel;
    let (expected, other) = if plain {
        (Class::Esp, Class::EspInUdp)
    } else {
        (Class::EspInUdp, Class::Esp)
    };
    assert!(seen.count(expected) > 40 && seen.count(other) == 0, "{seen:?}");
}

#[test]
fn causeway_and_causeway_over_ipv6() {
    for first in [First::Near, First::Far] {
        for six_inside in [false, true] {
            carries(Kind::Causeway, first, six_inside);
        }
    }
}

#[test]
fn causeway_and_strongswan_over_ipv6() {
    for first in [First::Near, First::Far] {
        for six_inside in [false, true] {
            carries(Kind::StrongSwan, first, six_inside);
        }
    }
}

/// Packets for an IPv6 network of a site never leave in clear text, whether its tunnel is up or not.
#[test]
fn ipv6_stays_inside() {
    let run = Run::new().unwrap();
    let sites = Sites::over_ipv6(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    let near = near.six(&sites.a, &sites.b).starting();
    let far = far.six(&sites.b, &sites.a).waiting();
    let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
    let mut near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
    let ping = Ping::start(&sites.a.host, sites.b.six_address, Duration::from_millis(10)).unwrap();
    ping.wait_sent(30, SOON).unwrap();
    let _far = Causeway::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    ping.wait_for(20, SOON).unwrap();
    near.stop().unwrap();
    ping.wait_sent(30, SOON).unwrap();
    near.restart().unwrap();
    ping.wait_for(20, SOON).unwrap();
    near.kill().unwrap();
    ping.wait_sent(30, SOON).unwrap();
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
}
