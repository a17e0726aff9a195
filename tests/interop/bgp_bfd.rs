//! Bidirectional forwarding detection beside BGP (RFC 5882), at a pace that an emulated machine keeps.

use std::net::IpAddr;

use anyhow::ensure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::traffic::Ping;
use system_tests::lab::wait;
use system_tests::peer::bird::Bird;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::StrongSwan;
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::bgp::{EVERY, apipa, established, forgotten, learnt, link, tunnels, two_tunnels};

/// What a cut cable does to the outer addresses of one tunnel.
const CUT: &str = "table inet cut {
  chain in { type filter hook prerouting priority raw; ip daddr FAR drop; }
  chain out { type filter hook output priority raw; ip saddr FAR drop; }
}";

/// BIRD falls silent without a word: its session ends a minute and more before the hold time does, and comes back with it.
#[test]
fn a_silent_peer_is_missed_long_before_its_hold_time() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites, apipa(1));
    let IpAddr::V4(id) = far.local else {
        panic!("{} is no BGP identifier", far.local)
    };
    let mut router = Router::of(&far, id);
    router.sessions[0].bfd = true;
    let _ipsec = StrongSwan::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let bird = Bird::start(&run, &sites.b.gateway, &router).unwrap();
    let mut near = document(&[("peer", &near)]);
    near.json["connections"]["peer"]["bgp"]["bfd"] = json!({ "interval_ms": 1000 });
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    established(&near, "peer");
    hears(&near, "peer");
    learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
    let process = Pid::from_raw(i32::try_from(bird.id()).unwrap());
    kill(process, Signal::SIGSTOP).unwrap();
    // SOON is less than half of the hold time.
    wait::until("the peer to be missed", SOON, || {
        let peer = near.neighbour("peer")?;
        let why = &peer["last_error"]["reason"];
        ensure!(peer["state"] != "established" && why == "path-lost", "{peer}");
        Ok(())
    })
    .unwrap();
    forgotten(&sites.a.gateway, "10.2.0.0/24");
    kill(process, Signal::SIGCONT).unwrap();
    established(&near, "peer");
    hears(&near, "peer");
    learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
}

/// Waits until packets of BFD pass both ways: before that their end tells nothing.
fn hears(gateway: &Causeway, name: &str) {
    wait::until(&format!("BFD of {name} to be up"), SOON, || {
        let peer = gateway.neighbour(name)?;
        ensure!(peer["bfd"]["state"] == "up", "{peer}");
        Ok(())
    })
    .unwrap();
}

/// The document of a gateway with two tunnels, in each of which it looks whether the peer is there.
fn watched(tunnels: &[Tunnel; 2]) -> Document {
    let mut document = document(&[("first", &tunnels[0]), ("second", &tunnels[1])]);
    for name in ["first", "second"] {
        document.json["connections"][name]["bgp"]["bfd"] = json!({ "interval_ms": 1000 });
    }
    document
}

/// The way that packets between the first addresses of the hosts take.
fn chosen(sites: &Sites) -> String {
    let (from, to) = (sites.a.host_address.to_string(), sites.b.host_address.to_string());
    let asked = ["route", "get", &to, "from", &from, "iif", "lan"];
    sites.a.gateway.run("ip", &asked).unwrap()
}

/// Both tunnels of two of ours are used at once; when one is cut, BFD finds out and the other has all of the traffic.
#[test]
fn a_cut_tunnel_leaves_its_share_to_the_other() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = two_tunnels(&sites);
    let (near, far) = (watched(&near), watched(&far));
    let _far = Causeway::with_document(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    for name in ["first", "second"] {
        established(&near, name);
        hears(&near, name);
    }
    let ways = || {
        sites
            .a
            .gateway
            .run("ip", &["route", "show", "10.2.0.0/24", "proto", "bgp"])
    };
    wait::until("both tunnels to be used", SOON, || {
        let ways = ways()?;
        ensure!(ways.matches("nexthop dev cw-").count() == 2, "{ways}");
        Ok(())
    })
    .unwrap();
    let cut = if chosen(&sites).contains(&link(&near, "first")) {
        "192.0.2.2"
    } else {
        "192.0.2.12"
    };
    let ping = Ping::start(&sites.a.host, sites.b.host_address, EVERY).unwrap();
    ping.wait_for(10, SOON).unwrap();
    sites.b.gateway.nft(&CUT.replace("FAR", cut)).unwrap();
    wait::until("one tunnel to have all", SOON, || {
        let ways = ways()?;
        ensure!(ways.matches("dev cw-").count() == 1, "{ways}");
        Ok(())
    })
    .unwrap();
    ping.wait_for(20, SOON).unwrap();
    let answers = ping.finish();
    eprintln!("cut to carried by the other: {:?}", answers.longest_silence);
    assert!(answers.lost > 0, "the cut tunnel carried it: {answers:?}");
}
