//! BGP sessions through a tunnel.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use system_tests::lab::run::Run;
use system_tests::lab::sites::Sites;
use system_tests::lab::wait;
use system_tests::peer::causeway::{Causeway, SOON, document};
use system_tests::peer::tunnel::{Bgp, Datapath};

use crate::bgp::{Branch, Kind, Peers, apipa, established, learnt, tunnels};

/// Between APIPA addresses as Azure has them, with FRR and with BIRD, begun by either side: routes go both ways, are in
/// both kernels, and hosts reach each other over them.
#[test]
fn routes_go_both_ways_between_apipa_addresses_whoever_begins() {
    for kind in [Kind::Frr, Kind::Bird] {
        for passive in [false, true] {
            let bgp = Bgp { passive, ..apipa(1) };
            let peers = Peers::up(kind, bgp);
            let told = peers.near.neighbour("peer").unwrap();
            let received = &told["prefixes"]["ipv4"];
            assert_eq!(received["received"], 1, "{told}");
            assert_eq!(received["accepted"], 1, "{told}");
            assert_eq!(received["advertised"], 1, "{told}");
            peers.carries();
            peers.only_esp();
        }
    }
}

/// A prefix that the peer no longer announces goes from the kernel, and another comes.
#[test]
fn what_the_peer_announces_comes_and_goes() {
    for kind in [Kind::Frr, Kind::Bird] {
        let mut peers = Peers::up(kind, apipa(1));
        let gateway = peers.sites.a.gateway.clone();
        peers
            .far
            .speaker
            .announce(&["10.2.0.0/24".to_owned(), "10.77.0.0/16".to_owned()]);
        learnt(&gateway, "10.77.0.0/16", "dev cw-");
        peers.far.speaker.announce(&["10.77.0.0/16".to_owned()]);
        crate::bgp::forgotten(&gateway, "10.2.0.0/24");
        learnt(&gateway, "10.77.0.0/16", "dev cw-");
    }
}

/// Two of ours, each with what is behind it, over the usual tunnel.
#[test]
fn causeway_speaks_with_causeway() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites, apipa(1));
    let far = Causeway::start(&run, &sites.b.gateway, &far, datapath).unwrap();
    let near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
    for (gateway, site, prefix) in [(&near, &sites.a, "10.2.0.0/24"), (&far, &sites.b, "10.1.0.0/24")] {
        established(gateway, "peer");
        learnt(&site.gateway, prefix, "dev cw-");
    }
    for (from, to) in [(&sites.a, &sites.b), (&sites.b, &sites.a)] {
        assert!(from.reaches(to), "{}", near.log());
    }
}

/// A default route from the peer sends everything into the tunnel but the tunnel's own packets, which go on to the peer
/// by way of the router that hides us.
#[test]
fn a_default_route_leaves_the_outer_path_alone() {
    let run = Run::new().unwrap();
    let sites = Sites::with_nat(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let elsewhere = Ipv4Addr::new(198, 18, 0, 1);
    let host = format!("address add {elsewhere}/32 dev lo");
    sites.b.gateway.ip(&[&host]).unwrap();
    let (mut near, mut far) = tunnels(&sites, apipa(1));
    near.local_id = "branch.example".to_owned();
    far.remote_id = "branch.example".to_owned();
    far.remote = sites.b.outer;
    let mut hub = far.clone();
    hub.remote = "203.0.113.1".parse().unwrap();
    let networks = ["0.0.0.0/0", "10.2.0.0/24"];
    let branch = Branch::announcing(Kind::Bird, (&run, &sites.b.gateway), &hub, &networks);
    let near = Causeway::start(&run, &sites.a.gateway, &near, datapath).unwrap();
    established(&near, "peer");
    learnt(&sites.a.gateway, "10.2.0.0/24", "dev cw-");
    wait::until("what is elsewhere to answer through the tunnel", SOON, || {
        anyhow::ensure!(sites.a.host.reaches(elsewhere.into()), "no answer");
        Ok(())
    })
    .unwrap();
    let spi = |near: &Causeway| near.connection("peer").unwrap()["children"][0]["inbound_spi"].clone();
    let before = spi(&near);
    near.rekey("peer", true).unwrap();
    near.rekey("peer", false).unwrap();
    wait::until("new keys", SOON, || {
        anyhow::ensure!(spi(&near) != before, "still the old ones");
        Ok(())
    })
    .unwrap();
    assert!(sites.a.host.reaches(elsewhere.into()), "{}", near.log());
    assert!(sites.a.reaches(&sites.b), "{}", near.log());
    branch.wait_for("Established", 1);
}

/// A peer of another autonomous system than it is said to be is refused in words that say what is wrong.
#[test]
fn the_wrong_autonomous_system_is_named() {
    let run = Run::new().unwrap();
    let sites = Sites::new(&run).unwrap();
    let datapath = Datapath::of_this_run().unwrap();
    let (near, far) = tunnels(&sites, apipa(1));
    let _far = Branch::start(Kind::Frr, &run, &sites.b.gateway, &far);
    let mut near = document(&[("peer", &near)]);
    near.json["sites"]["peer"]["bgp"]["asn"] = json!(65099);
    let near = Causeway::with_document(&run, &sites.a.gateway, &near, datapath).unwrap();
    wait::until("the fault to be told", SOON, || {
        let peer = near.neighbour("peer")?;
        let error: &Value = &peer["last_error"];
        anyhow::ensure!(error["reason"] == "bad-peer-as", "{peer}");
        let words = error.to_string();
        anyhow::ensure!(words.contains("65020") && words.contains("65099"), "{peer}");
        Ok(())
    })
    .unwrap();
}
