//! A speaker that starts again while packets flow on (RFC 4724).

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use system_tests::lab::capture::Capture;
use system_tests::lab::run::Run;
use system_tests::lab::sites::{Site, Sites};
use system_tests::lab::traffic::Ping;
use system_tests::peer::causeway::{Causeway, Document, SOON, document};
use system_tests::peer::router::Router;
use system_tests::peer::strongswan::LINK;
use system_tests::peer::tunnel::{Datapath, Tunnel};

use crate::bgp::{EVERY, Kind, Peers, Speaker, apipa, established, learnt, tunnels};

/// The peer's speaker dies and is there again: its routes stay, and not a ping is lost.
#[test]
fn the_peer_starts_again_and_loses_no_ping() {
    for kind in [Kind::Bird, Kind::Frr] {
        let mut peers = Peers::up(kind, apipa(1));
        let (a, b) = (&peers.sites.a, &peers.sites.b);
        spare(b, a, LINK);
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, EVERY).unwrap());
        pings[0].wait_for(10, SOON).unwrap();
        let before = peers.near.neighbour("peer").unwrap()["established_count"].clone();
        peers.far.speaker.dies();
        system_tests::lab::wait::until("the peer to be missed", SOON, || {
            let peer = peers.near.neighbour("peer")?;
            anyhow::ensure!(peer["restarting"] == true, "{peer}");
            Ok(())
        })
        .unwrap();
        learnt(&a.gateway, "10.2.0.0/24", "dev cw-");
        pings[0].wait_for(50, SOON).unwrap();
        peers.far.speaker.returns();
        peers.established();
        let after = established(&peers.near, "peer")["established_count"].clone();
        assert_ne!(after, before);
        let answers = pings.map(|ping| {
            ping.wait_for(20, SOON).unwrap();
            ping.finish()
        });
        let lost = answers.iter().map(|answers| answers.lost).sum::<usize>();
        assert_eq!(lost, 0, "{kind:?}: {answers:?}");
        peers.only_esp();
    }
}

/// Our daemon dies and is there again, and the far gateway is a Causeway as well: it goes on with the old keys until both
/// have new ones, so that BIRD and FRR behind it, which keep our routes, make that not a ping is lost. The user-space datapath
/// dies with the daemon, so this is about the kernel's.
#[test]
fn we_start_again_before_a_causeway_and_lose_no_ping() {
    if Datapath::of_this_run().unwrap() == Datapath::User {
        eprintln!(
            "SKIPPED we_start_again_before…: the user-space datapath dies with its daemon; the VM has the other one"
        );
        return;
    }
    for kind in [Kind::Bird, Kind::Frr] {
        let run = Run::new().unwrap();
        let sites = Sites::new(&run).unwrap();
        let (a, b) = (&sites.a, &sites.b);
        let (near, far) = tunnels(&sites, apipa(1));
        let capture = Capture::start(&a.gateway, "wan").unwrap();
        let datapath = Datapath::of_this_run().unwrap();
        let _gateway = Causeway::with_document(&run, &b.gateway, &silent(&far), datapath).unwrap();
        let IpAddr::V4(id) = far.local else {
            panic!("{}", far.local)
        };
        let mut router = Router::of(&far, id);
        for session in &mut router.sessions {
            session.link = Some("cw-peer".to_owned());
        }
        let speaker = Speaker::start(kind, &run, &b.gateway, &router);
        let mut near = Causeway::start(&run, &a.gateway, &near, datapath).unwrap();
        let exchanged = |near: &Causeway| {
            established(near, "peer");
            learnt(&a.gateway, "10.2.0.0/24", "dev cw-");
            learnt(&b.gateway, "10.1.0.0/24", "dev cw-");
        };
        exchanged(&near);
        spare(b, a, "cw-peer");
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, EVERY).unwrap());
        pings[0].wait_for(10, SOON).unwrap();
        near.kill().unwrap();
        pings[0].wait_for(50, SOON).unwrap();
        near.restart().unwrap();
        exchanged(&near);
        for ping in pings {
            ping.wait_for(50, SOON).unwrap();
            let answers = ping.finish();
            assert_eq!(answers.lost, 0, "{kind:?}: {answers:?}");
        }
        let seen = capture.finish();
        assert_eq!(seen.unexpected(), 0, "{seen:?}");
        drop(speaker);
    }
}

/// FRR takes its own route out of its kernel for 50 ms when it or its neighbour returns; this one stands in, the last but that
/// which keeps the site closed.
fn spare(at: &Site, to: &Site, link: &str) {
    let route = format!("route add {} dev {link} metric 4278190081", to.prefix);
    at.gateway.ip(&[&route]).unwrap();
}

/// The document of a gateway for which somebody else speaks BGP: the address of that session is on its tunnel link.
fn silent(tunnel: &Tunnel) -> Document {
    let bgp = tunnel.bgp.unwrap();
    let mut document = document(&[("peer", tunnel)]);
    let json = &mut document.json;
    json["gateway"].as_object_mut().unwrap().remove("bgp");
    json["sites"]["peer"] =
        json!({ "endpoint": tunnel.remote, "address_space": [format!("{}/32", bgp.remote)] });
    let connection = json["connections"]["peer"].as_object_mut().unwrap();
    connection.remove("bgp");
    connection.insert("addresses".to_owned(), json!([format!("{}/32", bgp.local)]));
    document
}

/// As long as the peer may be without our old keys and we without its new ones, on an emulated machine.
const NEW_KEYS: Duration = Duration::from_secs(1);

/// Our daemon dies and is there again: the kernel and the peer keep the routes, and not a ping is lost but for those, all at
/// once, that meet the peer between our old keys, which INITIAL_CONTACT has it drop, and new ones. The user-space datapath
/// dies with the daemon, so this is about the kernel's.
#[test]
fn we_start_again_and_lose_no_more_than_new_keys_cost() {
    if Datapath::of_this_run().unwrap() == Datapath::User {
        eprintln!(
            "SKIPPED we_start_again…: the user-space datapath dies with its daemon; the VM has the other one"
        );
        return;
    }
    for kind in [Kind::Bird, Kind::Frr] {
        let mut peers = Peers::up(kind, apipa(1));
        let (a, b) = (&peers.sites.a, &peers.sites.b);
        let pings =
            [(a, b), (b, a)].map(|(from, to)| Ping::start(&from.host, to.host_address, EVERY).unwrap());
        pings[0].wait_for(10, SOON).unwrap();
        peers.near.kill().unwrap();
        pings[0].wait_for(50, SOON).unwrap();
        peers.near.restart().unwrap();
        peers.established();
        for ping in pings {
            ping.wait_for(20, SOON).unwrap();
            let answers = ping.finish();
            let lost = EVERY * u32::try_from(answers.lost).unwrap();
            let at_once = answers.longest_silence + EVERY;
            assert!(lost <= at_once, "{kind:?}: more than one gap: {answers:?}");
            assert!(at_once < NEW_KEYS, "{kind:?}: {answers:?}");
        }
        peers.only_esp();
    }
}
