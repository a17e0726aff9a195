//! Packets for a configured site never leave in clear text, whatever becomes of the gateways.

use std::time::Duration;

use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, SOON};
use system_tests::peer::tunnel::Datapath;

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
