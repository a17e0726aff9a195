//! Packets for a configured site never leave in clear text, whatever becomes of the gateways.

use std::net::Ipv4Addr;
use std::time::Duration;

use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::pair::tunnels;

#[test]
fn nothing_leaves_in_clear_text_whatever_happens() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    let mut near = Causeway::start(&run, &sites.a.gateway, &near.starting(), datapath).unwrap();
    let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
    let every = Duration::from_millis(10);
    let ping = Ping::start(&sites.a.host, sites.b.host_address, every).unwrap();
    let closed = |when: &str| {
        ping.wait_sent(30, SOON).unwrap();
        assert_eq!(
            capture.seen().count(Class::Clear),
            0,
            "{when}: {:?}",
            capture.seen()
        );
    };
    closed("no peer");
    let mut far = Causeway::start(&run, &sites.b.gateway, &far.waiting(), datapath).unwrap();
    near.wait_for("peer", "up").unwrap();
    ping.wait_for(20, SOON).unwrap();
    closed("up");
    far.kill().unwrap();
    closed("the peer is dead");
    near.stop().unwrap();
    closed("stopped");
    far.restart().unwrap();
    near.restart().unwrap();
    near.wait_for("peer", "up").unwrap();
    ping.wait_for(20, SOON).unwrap();
    near.kill().unwrap();
    closed("dead");
    let answers = ping.finish();
    assert!(answers.lost > 60, "{answers:?}");
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
    assert!(seen.esp() > 80, "{seen:?}");
    near.remove().unwrap();
    let routes = sites
        .a
        .gateway
        .run("ip", &["route", "show", "type", "unreachable"])
        .unwrap();
    assert_eq!(routes, "");
}

/// A route that is more specific than ours wins over it, whoever made it: what it would lead past the tunnel is dropped,
/// until everything of ours is removed.
#[test]
fn a_route_of_somebody_else_leads_nobody_past_the_tunnel() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites);
    let _far = Causeway::start(&run, &sites.b.gateway, &far.waiting(), datapath).unwrap();
    let mut near = Causeway::start(&run, &sites.a.gateway, &near.starting(), datapath).unwrap();
    near.wait_for("peer", "up").unwrap();
    let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
    let every = Duration::from_millis(10);
    let forwarded = Ping::start(&sites.a.host, sites.b.host_address, every).unwrap();
    forwarded.wait_for(5, SOON).unwrap();
    let past = format!("{}/32 via {}", sites.b.host_address, sites.b.outer);
    sites
        .a
        .gateway
        .ip(&[&format!("route add {past} proto dhcp")])
        .unwrap();
    let own = Ping::start(&sites.a.gateway, sites.b.host_address, every).unwrap();
    let closed = |when: &str| {
        forwarded.wait_sent(20, SOON).unwrap();
        own.wait_sent(20, SOON).unwrap();
        let seen = capture.seen();
        assert_eq!(seen.count(Class::Clear), 0, "{when}: {seen:?}");
    };
    closed("up");
    near.stop().unwrap();
    closed("stopped");
    near.restart().unwrap();
    near.wait_for("peer", "up").unwrap();
    near.kill().unwrap();
    closed("dead");
    near.remove().unwrap();
    forwarded.wait_sent(20, SOON).unwrap();
    let seen = capture.finish();
    assert!(
        seen.count(Class::Clear) > 0,
        "the route led nowhere anyway: {seen:?}"
    );
}

/// A network of our own that lies inside a site's prefix is right there: its hosts are reached, and reach us, whatever
/// the tunnel does. The rest of the prefix stays closed.
#[test]
fn a_network_of_our_own_inside_that_of_a_site_is_not_cut_off() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let (gateway, host) = (&sites.a.gateway, &sites.a.host);
    gateway.ip(&["address add 10.2.5.1/24 dev lan"]).unwrap();
    host.ip(&["address add 10.2.5.10/24 dev eth0"]).unwrap();
    let (tunnel, _) = tunnels(&sites);
    let wide = Tunnel {
        remote_prefix: "10.2.0.0/16".to_owned(),
        ..tunnel
    };
    let datapath = Datapath::of_this_run().unwrap();
    let mut near = Causeway::start(&run, gateway, &wide.starting(), datapath).unwrap();
    let capture = Capture::start(gateway, "wan").unwrap();
    let every = Duration::from_millis(10);
    let reached = |when: &str, address: [u8; 4]| {
        let ping = Ping::start(gateway, Ipv4Addr::from(address), every).unwrap();
        ping.wait_for(5, SOON).unwrap();
        let answers = ping.finish();
        assert_eq!(answers.lost, 0, "{when}: {answers:?}");
    };
    reached("no peer", [10, 2, 5, 10]);
    // Another one is there while causewayd runs.
    gateway.ip(&["address add 10.2.6.1/24 dev lan"]).unwrap();
    host.ip(&["address add 10.2.6.10/24 dev eth0"]).unwrap();
    wait::until("the new network to be let be", SOON, || {
        let table = gateway.run("nft", &["list", "table", "inet", "causeway"])?;
        anyhow::ensure!(table.contains("10.2.6.0/24"), "{table}");
        Ok(())
    })
    .unwrap();
    reached("added", [10, 2, 6, 10]);
    // Nobody on the outer link opens anything, and what is not right there stays closed.
    gateway.ip(&["address add 10.2.7.1/24 dev wan"]).unwrap();
    let outside = Ping::start(gateway, Ipv4Addr::new(10, 2, 7, 9), every).unwrap();
    let beyond = Ping::start(host, sites.b.host_address, every).unwrap();
    outside.wait_sent(20, SOON).unwrap();
    beyond.wait_sent(20, SOON).unwrap();
    near.kill().unwrap();
    reached("dead", [10, 2, 5, 10]);
    let seen = capture.finish();
    assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
}
