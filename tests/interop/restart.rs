//! Stopping, dying and starting again.

use std::time::{Duration, Instant};

use system_tests::lab::namespace::Namespace;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::SOON;
use system_tests::peer::tunnel::Datapath;

use crate::pair::{Far, First, Kind, Pair};

const EVERY: Duration = Duration::from_millis(20);

/// Nothing of ours is left in a gateway but the route that keeps the site closed.
fn left_closed(gateway: &Namespace) {
    let links = gateway.run("ip", &["-o", "link"]).unwrap();
    assert!(!links.contains("cw-"), "{links}");
    let routes = gateway.run("ip", &["route", "show"]).unwrap();
    assert!(routes.contains("unreachable 10.2.0.0/24"), "{routes}");
    assert!(!routes.contains("cw-"), "{routes}");
    if Datapath::of_this_run().unwrap() == Datapath::Kernel {
        assert_eq!(gateway.run("ip", &["xfrm", "state"]).unwrap(), "");
        assert_eq!(gateway.run("ip", &["xfrm", "policy"]).unwrap(), "");
    }
}

#[test]
fn stopping_tells_a_causeway_peer_and_leaves_the_site_closed() {
    let mut pair = Pair::up(Kind::Causeway, First::Near);
    let status = pair.near.stop().unwrap();
    assert!(status.success(), "{status}");
    left_closed(&pair.sites.a.gateway);
    let Far::Causeway(far) = &pair.far else {
        panic!("the peer is another")
    };
    wait::until("the peer to know", SOON, || {
        let status = far.connection("peer")?;
        anyhow::ensure!(status["outage"]["reason"] == "deleted-by-peer", "{status}");
        anyhow::ensure!(status["children"] == serde_json::json!([]), "{status}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn stopping_tells_a_strongswan_peer() {
    let mut pair = Pair::up(Kind::StrongSwan, First::Near);
    pair.near.stop().unwrap();
    left_closed(&pair.sites.a.gateway);
    let Far::StrongSwan(far) = &pair.far else {
        panic!("the peer is another")
    };
    wait::until("the peer to know", SOON, || {
        let associations = far.associations()?;
        anyhow::ensure!(!associations.contains("ESTABLISHED"), "{associations}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_killed_daemon_is_back_soon() {
    for kind in [Kind::Causeway, Kind::StrongSwan] {
        let mut pair = Pair::up(kind, First::Near);
        let before = pair.near.connection("peer").unwrap()["children"][0]["inbound_spi"].clone();
        let ping = Ping::start(&pair.sites.a.host, pair.sites.b.host_address, EVERY).unwrap();
        ping.wait_for(10, SOON).unwrap();
        pair.near.kill().unwrap();
        let kernel = Datapath::of_this_run().unwrap() == Datapath::Kernel;
        if kernel {
            ping.wait_for(50, SOON).unwrap();
        } else {
            ping.wait_sent(20, SOON).unwrap();
        }
        let start = Instant::now();
        pair.near.restart().unwrap();
        let status = pair.near.wait_for("peer", "up").unwrap();
        ping.wait_for(1, SOON).unwrap();
        let took = start.elapsed();
        assert_ne!(status["children"][0]["inbound_spi"], before);
        ping.wait_for(50, SOON).unwrap();
        let answers = ping.finish();
        if kernel {
            assert!(answers.lost <= 5, "{answers:?}");
            only_one_pair_of_states(&pair.sites.a.gateway);
        } else {
            assert!(took < Duration::from_secs(2), "back after {took:?}");
        }
        pair.only_esp();
    }
}

/// The states of the dead daemon go once those of the new one carry.
fn only_one_pair_of_states(gateway: &Namespace) {
    wait::until("the old states to go", SOON, || {
        let states = gateway.run("ip", &["xfrm", "state"])?;
        let count = states.matches("proto esp").count();
        anyhow::ensure!(count == 2, "{count} states");
        Ok(())
    })
    .unwrap();
}

/// Somebody deletes the tunnel link by hand: it is there again with its routes, and the same Child SA carries on.
#[test]
fn a_deleted_link_is_made_again() {
    let pair = Pair::up(Kind::Causeway, First::Near);
    let before = pair.near.connection("peer").unwrap();
    let ping = Ping::start(&pair.sites.a.host, pair.sites.b.host_address, EVERY).unwrap();
    ping.wait_for(10, SOON).unwrap();
    let gateway = &pair.sites.a.gateway;
    for _ in 0..2 {
        let link = before["interface"].as_str().unwrap();
        gateway.ip(&[&format!("link delete {link}")]).unwrap();
        let start = Instant::now();
        ping.wait_for(20, SOON).unwrap();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(3), "back after {took:?}");
    }
    let _some_were_lost = ping.finish();
    pair.carries();
    let after = pair.near.connection("peer").unwrap();
    assert_eq!(
        after["children"][0]["inbound_spi"],
        before["children"][0]["inbound_spi"]
    );
    pair.only_esp();
}

#[test]
fn another_daemon_names_who_holds_the_ports_and_what_privilege_it_lacks() {
    let pair = Pair::up(Kind::Causeway, First::Near);
    let said = pair.near.another(&[]).unwrap();
    assert!(said.contains("causewayd (pid ") && said.contains("500"), "{said}");
    let said = pair
        .near
        .another(&["setpriv", "--bounding-set", "-net_admin", "--"])
        .unwrap();
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
    pair.carries();
}
