//! A gateway that sends its peers to another one (RFC 5685).

use std::time::Duration;

use serde_json::json;
use system_tests::lab::capture::{Capture, Class};
use system_tests::lab::link::{End, connect};
use system_tests::lab::namespace::Namespace;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::Datapath;

use crate::pair::tunnels;

/// Where the other gateway of the second site is.
const ELSEWHERE: &str = "198.51.100.2";

/// Another gateway of the second site, behind the first one.
fn other_gateway(run: &Run, sites: &Sites) -> Namespace {
    let other = Namespace::new(run, "gw-c").unwrap();
    let beyond = End {
        namespace: &sites.b.gateway,
        link: "beyond",
        address: "198.51.100.1/24",
    };
    let wan = End {
        namespace: &other,
        link: "wan",
        address: "198.51.100.2/24",
    };
    connect(&beyond, &wan).unwrap();
    sites.b.gateway.forward(&["beyond"]).unwrap();
    // strongSwan's user-space plugin wants an address of its own among what it protects.
    other
        .ip(&[
            "route add default via 198.51.100.1",
            "address add 10.2.0.3/32 dev lo",
        ])
        .unwrap();
    other.forward(&["wan"]).unwrap();
    other
}

/// strongSwan sends a Causeway to another strongSwan with the same identity. It goes there if it may; else strongSwan knows
/// that it may not, and the tunnel stays as it is.
#[test]
fn a_tunnel_goes_to_another_gateway_where_it_may() {
    for may in [true, false] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let other = other_gateway(&run, &sites);
        let (near, far) = tunnels(&sites);
        let mut farther = far.clone();
        farther.local = ELSEWHERE.parse().unwrap();
        let capture = Capture::start(&sites.a.gateway, "wan").unwrap();
        let first = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
        let _second = StrongSwan::start(&run, &other, &farther, datapath).unwrap();
        let mut near = document(&[("peer", &near.starting())]);
        near.json["connections"]["peer"]["allow_redirect"] = json!(may);
        let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
        let before = near.wait_for("peer", "up").unwrap();
        assert!(sites.a.reaches(&sites.b), "{}", near.log());

        first.redirect(ELSEWHERE.parse().unwrap()).unwrap();
        if may {
            goes_elsewhere(&near, &sites);
        }
        let ping = Ping::start(&sites.a.host, sites.b.host_address, Duration::from_millis(20)).unwrap();
        ping.wait_for(20, SOON).unwrap();
        if !may {
            let after = near.connection("peer").unwrap();
            assert_eq!(after["ike"]["initiator_spi"], before["ike"]["initiator_spi"]);
            assert_eq!(after["ike"]["remote"], before["ike"]["remote"]);
        }
        let seen = capture.finish();
        assert_eq!(seen.count(Class::Clear), 0, "{seen:?}");
    }
}

/// Waits until the tunnel is up with the other gateway, and has the second site send by that one.
fn goes_elsewhere(near: &Causeway, sites: &Sites) {
    let by_other = format!("route replace 10.1.0.0/24 via {ELSEWHERE}");
    sites.b.gateway.ip(&[&by_other]).unwrap();
    wait::until("the other gateway to be up", SOON, || {
        let status = near.connection("peer")?;
        let remote = status["ike"]["remote"].as_str().unwrap_or_default();
        anyhow::ensure!(
            status["state"] == "up" && remote.starts_with(ELSEWHERE),
            "{status}"
        );
        anyhow::ensure!(status["ike"]["remote_identity"] == "192.0.2.2", "{status}");
        Ok(())
    })
    .unwrap();
    let told = "reason=\"redirected\" side=\"peer\" stage=\"established\" offered=\"198.51.100.2\"";
    assert!(near.log().contains(told), "{}", near.log());
}
